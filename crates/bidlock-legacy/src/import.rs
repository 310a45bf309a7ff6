//! The whole old table into a ledger, as often as one likes: what is there already is left as it is.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bidlock_ledger::{
    Bid, BidBrief, BidFilter, BidState, Change, Cursor, ImportOutcome, LedgerStore, Move, NewImport, Page,
    PostingId, Standing, UnknownCause, store::MAX_PAGE,
};
use bidlock_pipeline::{
    LegacyBids, LegacyError, PipelineError, bring_in,
    legacy::{LEGACY_HOLDER, freed_by_a_person},
};
use serde::Serialize;

use crate::{
    database::{Engine, LegacyDatabase, posting_of},
    row::{OldRow, import_of},
    status::{is_live, state_of, time_ms},
};

/// Rows read at once.
const PAGE: u32 = 2_000;
/// Postings brought in at once: one transaction of the ledger.
const BATCH: usize = 500;
/// The most postings that one import holds in memory, some 300 bytes each: far more than a bidder has bid on.
pub const MAX_POSTINGS: usize = 5_000_000;
/// The most that a report lists of what should not be: whoever has more looks for one cause.
pub const MAX_LISTED: usize = 10_000;
/// The most rows of one posting that are kept; a table that is unique by status has a handful.
const MAX_ROWS_OF_ONE: usize = 32;
/// The most old locks that are looked at.
const MAX_LOCKS: u32 = 100_000;

/// What an import did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where the rows came from, without a password.
    pub from: String,
    /// Rows of the old table that were read.
    pub read: u64,
    /// Of these, bids of bidlock itself that a scan with `--legacy-database` had mirrored: not imported.
    pub mirrored: u64,
    /// Distinct postings among the others.
    pub postings: u64,
    /// New bids by state.
    pub imported: BTreeMap<BidState, u64>,
    /// Postings on which the ledger has a bid already, left as it is.
    pub already_there: u64,
    /// Bids of an earlier import that were brought up to what the old table says now.
    pub brought_up: u64,
    /// Bids of ours that could still have been sent, and are `unknown` now: the old table has the posting too.
    pub shut: u64,
    /// Postings that a person has freed for a new bid, knowing all that the old table says of them: left as they are.
    pub overruled: u64,
    /// Postings with more than one live row in the old table.
    pub duplicates: Vec<Duplicate>,
    /// Postings with a live row in the old table on which bidlock has sent a bid of its own, or may have: perhaps bid on twice.
    pub bid_on_by_both: u64,
    /// The first [`MAX_LISTED`] of these, as `marketplace/posting`.
    pub named: Vec<String>,
    /// Rows whose id can't be one: not imported, and ambiguous to a scan, so not bid on.
    pub unusable_rows: u64,
    /// The first [`MAX_LISTED`] of these.
    pub unusable: Vec<Unusable>,
    /// The old table of locks, if there is one.
    pub old_locks: Option<OldLocks>,
}

/// Several live rows on one posting.
#[derive(Clone, Debug, Serialize)]
pub struct Duplicate {
    /// The canonical posting.
    pub marketplace: String,
    /// The canonical posting.
    pub posting: String,
    /// Each live row: job id and status as they stand there.
    pub rows: Vec<(String, String)>,
    /// As what the posting's one bid stands here.
    pub state: BidState,
}

/// A row that is not imported.
#[derive(Clone, Debug, Serialize)]
pub struct Unusable {
    /// As it stands there.
    pub marketplace: String,
    /// As it stands there.
    pub job_id: String,
    /// As it stands there.
    pub status: String,
    /// What is wrong with it.
    pub cause: String,
}

/// Old locks, which are not imported: they end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OldLocks {
    /// How many there are.
    pub rows: u64,
    /// How many have not ended: instances of the replaced system are at work.
    pub running: u64,
}

/// Imports the old table.
#[derive(Debug)]
pub struct Importer {
    from: LegacyDatabase,
    ledger: Option<Arc<dyn LedgerStore>>,
    dry_run: bool,
    now_ms: i64,
}

/// The rows of each posting, none of them ours.
type Postings = BTreeMap<PostingId, Vec<OldRow>>;

impl Importer {
    /// Into this ledger; none is an empty one, for a dry run. `now_ms` tells which old locks have ended.
    pub fn new(
        from: LegacyDatabase,
        ledger: Option<Arc<dyn LedgerStore>>,
        dry_run: bool,
        now_ms: i64,
    ) -> Importer {
        Importer { from, dry_run: dry_run || ledger.is_none(), ledger, now_ms }
    }

    /// Reads everything, then brings it in in batches. Killed at any moment, it goes on when it is run again.
    ///
    /// # Errors
    /// One of the databases can't be used; what was brought in by then stays.
    pub async fn run(&self) -> Result<Report, PipelineError> {
        let mut report = Report { from: self.from.place().to_owned(), ..Report::default() };
        report.old_locks = self.old_locks().await?;
        let postings = self.read(&mut report).await?;
        report.postings = postings.len() as u64;
        let freed = self.freed().await?;
        let mut batch = Vec::with_capacity(BATCH);
        for (posting, rows) in postings {
            tell_duplicates(&mut report, &posting, &rows);
            batch.push((posting, rows));
            if batch.len() == BATCH {
                self.bring_in(std::mem::take(&mut batch), &freed, &mut report).await?;
            }
        }
        self.bring_in(batch, &freed, &mut report).await?;
        Ok(report)
    }

    async fn old_locks(&self) -> Result<Option<OldLocks>, LegacyError> {
        let ends = match &self.from.engine {
            Engine::Sqlite(table) => table.lock_ends(MAX_LOCKS).await?,
            Engine::Postgres(table) => table.lock_ends(MAX_LOCKS).await?,
        };
        Ok(ends.map(|ends| {
            // A lock whose end can't be read counts as running: somebody should look.
            let runs = |end: &&Option<String>| {
                end.as_deref().and_then(time_ms).is_none_or(|end_ms| end_ms > self.now_ms)
            };
            OldLocks { rows: ends.len() as u64, running: ends.iter().filter(runs).count() as u64 }
        }))
    }

    async fn read(&self, report: &mut Report) -> Result<Postings, LegacyError> {
        let mut postings = Postings::new();
        match &self.from.engine {
            Engine::Sqlite(table) => {
                let mut after = i64::MIN;
                loop {
                    let (rows, last) = table.page(after, PAGE).await?;
                    if rows.is_empty() {
                        break;
                    }
                    after = last;
                    gather(&mut postings, rows, report)?;
                }
            }
            Engine::Postgres(table) => {
                let cursor = table.cursor().await?;
                loop {
                    let rows = cursor.next(PAGE).await?;
                    if rows.is_empty() {
                        break;
                    }
                    gather(&mut postings, rows, report)?;
                }
            }
        }
        Ok(postings)
    }

    async fn bring_in(
        &self,
        batch: Vec<(PostingId, Vec<OldRow>)>,
        freed: &HashSet<PostingId>,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        if batch.is_empty() {
            return Ok(());
        }
        let strongest: Vec<OldRow> = batch.iter().filter_map(|(_, rows)| rows.first().cloned()).collect();
        let proposals = self.from.proposals(strongest).await?;
        let is_live = |rows: &[OldRow]| rows.iter().any(|row| is_live(&row.status));
        let live =
            batch.iter().filter(|(_, rows)| is_live(rows)).map(|(posting, _)| posting.clone()).collect();
        let imports: Vec<NewImport> = batch
            .into_iter()
            .zip(proposals)
            .filter_map(|((posting, rows), proposal)| {
                let (first, others) = rows.split_first()?;
                Some(import_of(posting, first, others, proposal, &self.from.origin))
            })
            .collect();
        let imports = self.without_overruled(imports, freed, report).await?;
        match &self.ledger {
            Some(ledger) if !self.dry_run => self.record(&**ledger, imports, &live, report).await,
            ledger => foretell(ledger.as_deref(), &imports, &live, report).await,
        }
    }

    /// The postings that a person has freed for a new bid: few, so that the others need not be asked about.
    async fn freed(&self) -> Result<HashSet<PostingId>, PipelineError> {
        let mut freed = HashSet::new();
        let Some(ledger) = &self.ledger else { return Ok(freed) };
        let filter = BidFilter { states: vec![BidState::NotSubmitted], ..BidFilter::default() };
        let mut page = Page { after: None, limit: MAX_PAGE };
        loop {
            let bids = ledger.list(&filter, &page).await?;
            let Some(last) = bids.last() else { return Ok(freed) };
            page.after = Some(Cursor(last.id));
            freed.extend(bids.into_iter().filter(|bid| bid.rebid_allowed).map(|bid| bid.posting));
        }
    }

    /// Leaves out what would shut again, on the word of the same rows, a posting that a person has freed.
    async fn without_overruled(
        &self,
        imports: Vec<NewImport>,
        freed: &HashSet<PostingId>,
        report: &mut Report,
    ) -> Result<Vec<NewImport>, PipelineError> {
        let Some(ledger) = self.ledger.as_deref().filter(|_| !freed.is_empty()) else { return Ok(imports) };
        let mut left = Vec::with_capacity(imports.len());
        for import in imports {
            if freed.contains(&import.posting) {
                let known = freed_by_a_person(ledger, &import.posting).await?;
                if !known.is_empty() && !self.from.says_anything_new(&import, &known) {
                    report.overruled += 1;
                    continue;
                }
            }
            left.push(import);
        }
        Ok(left)
    }

    async fn record(
        &self,
        ledger: &dyn LedgerStore,
        imports: Vec<NewImport>,
        live: &HashSet<PostingId>,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        let outcomes = ledger.import(&imports).await?;
        for (import, outcome) in imports.into_iter().zip(outcomes) {
            if let ImportOutcome::Existing(bid) = &outcome
                && bid.unknown_cause != Some(UnknownCause::Legacy)
            {
                tell_both(report, &import.posting, &bid.brief(), live);
            }
            match outcome {
                ImportOutcome::Imported(bid) => *report.imported.entry(bid.state).or_default() += 1,
                ImportOutcome::Existing(bid) if bidlock_pipeline::legacy::can_be_sent(bid.state) => {
                    bring_in(ledger, import).await?;
                    report.shut += 1;
                }
                ImportOutcome::Existing(bid) => match bring_up(&bid, &import) {
                    Some(changes) => {
                        ledger.apply(&changes).await?;
                        report.brought_up += 1;
                    }
                    None => report.already_there += 1,
                },
            }
        }
        Ok(())
    }
}

/// Counts rows and files them under their postings, the strongest first.
fn gather(postings: &mut Postings, rows: Vec<OldRow>, report: &mut Report) -> Result<(), LegacyError> {
    for row in rows {
        report.read += 1;
        if row.mirrored {
            report.mirrored += 1;
            continue;
        }
        match posting_of(&row) {
            Ok(posting) => {
                let of_posting = postings.entry(posting).or_default();
                let at = of_posting.partition_point(|other| other.strength() >= row.strength());
                of_posting.insert(at, row);
                of_posting.truncate(MAX_ROWS_OF_ONE);
            }
            Err(cause) => {
                report.unusable_rows += 1;
                if report.unusable.len() < MAX_LISTED {
                    let OldRow { marketplace, job_id, status, .. } = row;
                    report.unusable.push(Unusable { marketplace, job_id, status, cause });
                }
            }
        }
    }
    if postings.len() <= MAX_POSTINGS {
        return Ok(());
    }
    Err(LegacyError {
        message: format!("the old table has bids on more than {MAX_POSTINGS} postings"),
        hint: Some("import it in parts: copy part of the rows into another database".to_owned()),
        retryable: false,
    })
}

fn tell_duplicates(report: &mut Report, posting: &PostingId, rows: &[OldRow]) {
    let live: Vec<&OldRow> = rows.iter().filter(|row| is_live(&row.status)).collect();
    if let (Some(first), true) = (rows.first(), live.len() > 1) {
        report.duplicates.push(Duplicate {
            marketplace: posting.marketplace().to_owned(),
            posting: posting.posting().to_owned(),
            rows: live.iter().map(|row| (row.job_id.clone(), row.status.clone())).collect(),
            state: state_of(&first.status),
        });
    }
}

/// A bid that bidlock has sent, or may have, on a posting with a live row of theirs.
fn tell_both(report: &mut Report, posting: &PostingId, bid: &BidBrief, live: &HashSet<PostingId>) {
    if bid.holder == LEGACY_HOLDER || !bid.state.is_in_use() || !live.contains(posting) {
        return;
    }
    report.bid_on_by_both += 1;
    if report.named.len() < MAX_LISTED {
        report.named.push(posting.to_string());
    }
}

/// What would be done: the ledger is only read.
async fn foretell(
    ledger: Option<&dyn LedgerStore>,
    imports: &[NewImport],
    live: &HashSet<PostingId>,
    report: &mut Report,
) -> Result<(), PipelineError> {
    let ids: Vec<PostingId> = imports.iter().map(|import| import.posting.clone()).collect();
    let standings = match ledger {
        Some(ledger) => ledger.standing(&ids).await?,
        None => vec![Standing::Free; ids.len()],
    };
    for (import, standing) in imports.iter().zip(standings) {
        let existing = match standing {
            Standing::Free => {
                *report.imported.entry(import.state).or_default() += 1;
                continue;
            }
            Standing::TakeOver(bid)
            | Standing::Approved(bid)
            | Standing::Busy(bid)
            | Standing::Taken(bid) => bid,
        };
        tell_both(report, &import.posting, &existing, live);
        if bidlock_pipeline::legacy::can_be_sent(existing.state) {
            report.shut += 1;
        } else if existing.holder == LEGACY_HOLDER && ways(existing.state, import.state).is_some() {
            report.brought_up += 1;
        } else {
            report.already_there += 1;
        }
    }
    Ok(())
}

/// The changes that bring a bid of an earlier import up to what the old table says now: what was PENDING then may be
/// SUBMITTED now. A bid that was ever ours is left as the ledger knows it.
fn bring_up(bid: &Bid, import: &NewImport) -> Option<Vec<Change>> {
    let legacy = bid.claimant.holder == LEGACY_HOLDER || bid.unknown_cause == Some(UnknownCause::Legacy);
    let ways = ways(bid.state, import.state).filter(|_| legacy)?;
    let change = |action: Move| {
        Change::new(bid.claim_ref(), import.actor.clone(), action)
            .because(import.reason.clone())
            .with_detail(import.detail.clone())
    };
    Some(ways.into_iter().map(change).collect())
}

/// The moves from one imported state to another; `None` where there is nothing to do, or no way that the table allows.
fn ways(from: BidState, to: BidState) -> Option<Vec<Move>> {
    use BidState::{Lost, Rejected, Submitted, Unknown, Withdrawn, Won};
    let settled = || Move::ResolveSubmitted { external_ref: None };
    let withdrawn = [Move::Withdraw, Move::ConfirmWithdrawn { rebid_allowed: false }];
    let after = match to {
        Submitted => Vec::new(),
        Won => vec![Move::Win],
        Lost => vec![Move::Lose],
        Withdrawn => withdrawn.to_vec(),
        Rejected if from == Unknown => return Some(vec![Move::Refuse]),
        _ => return None,
    };
    match from {
        Unknown => Some(std::iter::once(settled()).chain(after).collect()),
        Submitted if !after.is_empty() => Some(after),
        _ => None,
    }
}

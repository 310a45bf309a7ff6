//! Claiming: the unique index decides who creates the bid; an expired or abandoned one is taken over.
//!
//! Nearly every claim is decided by one statement, alone in its transaction. What that statement can't decide (a row
//! to take over, earlier bids to follow, another one's claim at the same moment) goes through a transaction with
//! locks.

use std::sync::Mutex;

use bidlock_postgres::{
    Argument, Error, ErrorKind, Result, Session, pipelined,
    tokio_postgres::{Row, types::Type},
};
use futures::FutureExt;
use uuid::{ContextV7, Uuid};

use super::{
    apply::{BEGIN, MovedRow, first_error},
    clock::ServerClock,
    draft::{Draft, DraftColumns, PayloadColumns},
    events,
    groups::{Group, Kind},
    row::{self, array, column},
    sql,
};
use crate::{
    Action, Bid, BidEvent, BidId, Claim, ClaimId, ClaimOutcome, NewClaim, WallTime,
    line::Line,
    state::{Guard, Rule, rules_for},
    store::Earlier,
};

/// How often the locked way is gone before somebody else's turn counts as a fault.
const ROUNDS: usize = 8;
/// How far the caller's time may be from the server's where nothing holds the rows: for people this is the same.
const TOLERANCE_MS: i64 = 1_000;
/// Under locks, and with a time that was good a moment ago, nothing is gained by being strict.
const ANY_MS: i64 = i64::MAX;

/// A request with the names that its bid and claim would have. Asking again with the same names is recognised.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) request: NewClaim,
    id: BidId,
    claim: ClaimId,
}

impl Wanted {
    pub(super) fn new(request: &NewClaim, clock: &ServerClock) -> Wanted {
        let (id, claim) = (new_id(clock.estimate()), ClaimId(Uuid::new_v4()));
        Wanted { request: request.clone(), id, claim }
    }

    /// The row that would be made, after what is known of earlier ones.
    fn draft(&self, earlier: Earlier, at_ms: i64) -> Result<Draft<'_, Wanted>> {
        let bid = self.request.bid(self.id, self.claim, earlier, WallTime(at_ms));
        let line = Line::created(&bid);
        Draft::new(self, bid, line, at_ms)
    }

    fn granted(&self, bid: Bid) -> ClaimOutcome {
        let taken_over = bid.id != self.id;
        ClaimOutcome::Granted(Box::new(Claim { bid, taken_over }))
    }
}

/// What `claim.sql` says of one request.
enum Said {
    Made(Bid),
    There(Bid),
    /// Neither: another one's row that the statement could not see, or earlier bids; or the server's clock is elsewhere.
    Nothing,
}

/// Creates bids, takes rows over, or says which bids there are.
pub(super) async fn claim(
    session: &Session,
    clock: &ServerClock,
    wanted: &[Wanted],
) -> Result<Vec<ClaimOutcome>> {
    let at_ms = clock.estimate();
    let drafts =
        wanted.iter().map(|wanted| wanted.draft(Earlier::default(), at_ms)).collect::<Result<_>>()?;
    let said = make(session, clock, (at_ms, TOLERANCE_MS), drafts).await?;
    let mut outcomes: Vec<Option<ClaimOutcome>> = Vec::with_capacity(wanted.len());
    for (wanted, said) in wanted.iter().zip(said) {
        outcomes.push(match said {
            Said::Made(bid) => Some(wanted.granted(bid)),
            Said::There(bid) if bid.claim_id == wanted.claim => Some(wanted.granted(bid)),
            Said::There(bid) if take_over_rule(&bid).is_none() => Some(ClaimOutcome::Existing(Box::new(bid))),
            Said::There(_) | Said::Nothing => None,
        });
    }
    for _ in 0..ROUNDS {
        let open: Vec<usize> = (0..wanted.len()).filter(|&index| outcomes[index].is_none()).collect();
        if open.is_empty() {
            return Ok(outcomes.into_iter().flatten().collect());
        }
        for (index, outcome) in locked_round(session, clock, wanted, &open).await? {
            outcomes[index] = Some(outcome);
        }
    }
    if outcomes.iter().any(Option::is_none) {
        return Err(Error::new(
            ErrorKind::Conflict,
            &"the ledger".into(),
            "others claim the same postings again and again",
        ));
    }
    Ok(outcomes.into_iter().flatten().collect())
}

/// Runs `claim.sql`: what became of each draft.
async fn make(
    session: &Session,
    clock: &ServerClock,
    (at_ms, tolerance_ms): (i64, i64),
    drafts: Vec<Draft<'_, Wanted>>,
) -> Result<Vec<Said>> {
    let columns = Columns::of(&drafts);
    let rows = session.query(&sql::CLAIM, &columns.arguments(&at_ms, &tolerance_ms)).await?;
    if rows.len() != drafts.len() {
        return Err(Error::unreadable("a claim got no answer"));
    }
    let mut said = Vec::with_capacity(drafts.len());
    for (row, draft) in rows.iter().zip(drafts) {
        let now_ms = column(row, 1)?;
        clock.observe(now_ms);
        said.push(if column(row, 0)? {
            Said::Made(draft.bid)
        } else if column::<Option<Uuid>>(row, 2)?.is_some() {
            Said::There(row::bid(row, 2, now_ms)?)
        } else {
            Said::Nothing
        });
    }
    Ok(said)
}

/// The arguments of `claim.sql`, column by column.
struct Columns<'a> {
    rows: DraftColumns<'a>,
    instances: Vec<Option<Uuid>>,
    ttls_ms: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(drafts: &'a [Draft<'a, Wanted>]) -> Columns<'a> {
        Columns {
            rows: DraftColumns::of(drafts),
            instances: drafts.iter().map(|d| d.bid.claimant.instance).collect(),
            ttls_ms: drafts.iter().map(|d| row::millis(d.wanted.request.ttl)).collect(),
        }
    }

    fn arguments<'b>(&'b self, at_ms: &'b i64, tolerance_ms: &'b i64) -> Vec<Argument<'b>> {
        let rows = &self.rows;
        let mut arguments: Vec<Argument<'b>> = vec![
            (at_ms, Type::INT8),
            (tolerance_ms, Type::INT8),
            array(&rows.ids),
            array(&rows.marketplaces),
            array(&rows.postings),
            array(&rows.claims),
            array(&rows.epochs),
            array(&rows.holders),
            array(&self.instances),
            array(&self.ttls_ms),
            array(&rows.keys),
        ];
        arguments.extend(rows.payload.arguments());
        arguments.extend([array(&rows.details), array(&rows.hashes)]);
        arguments
    }
}

/// The rule by which this row may be taken over as it was read; the guarded `UPDATE` decides.
fn take_over_rule(bid: &Bid) -> Option<&'static Rule> {
    let live = bid.claim_remaining.is_some_and(|left| !left.is_zero());
    rules_for(Action::TakeOver).find(|rule| rule.from == bid.state && !(rule.guard == Guard::Expired && live))
}

/// One transaction for the requests that are still open: locks the rows of their postings, then makes and takes over.
/// What another one decides meanwhile stays open.
async fn locked_round(
    session: &Session,
    clock: &ServerClock,
    wanted: &[Wanted],
    open: &[usize],
) -> Result<Vec<(usize, ClaimOutcome)>> {
    let bids = lock(session, wanted, open).await?;
    let mut outcomes = Vec::new();
    let (mut new, mut takes) = (Vec::new(), Vec::new());
    let at_ms = clock.estimate();
    for &index in open {
        let wanted = &wanted[index];
        let posting = &wanted.request.posting;
        let of_posting = || bids.iter().filter(|bid| bid.posting == *posting);
        match of_posting().find(|bid| !bid.rebid_allowed) {
            Some(live) if live.claim_id == wanted.claim => {
                outcomes.push((index, wanted.granted(live.clone())))
            }
            live if live.is_none_or(|live| take_over_rule(live).is_some())
                && in_use(of_posting()).is_some() =>
            {
                // An earlier bid, which the marketplace has or may have, stands in the way.
                let earlier = in_use(of_posting()).cloned();
                outcomes.extend(earlier.map(|bid| (index, ClaimOutcome::Existing(Box::new(bid)))));
            }
            Some(live) => match take_over_rule(live) {
                // The second one for the same row finds it taken in the next round.
                Some(rule)
                    if takes.iter().all(|(_, other, _): &(usize, &Bid, &Rule)| other.id != live.id) =>
                {
                    takes.push((index, live, rule));
                }
                Some(_) => {}
                None => outcomes.push((index, ClaimOutcome::Existing(Box::new(live.clone())))),
            },
            None => new.push((index, wanted.draft(Earlier::of(of_posting()), at_ms)?)),
        }
    }
    let (places, drafts): (Vec<usize>, Vec<Draft<'_, Wanted>>) = new.into_iter().unzip();
    if !drafts.is_empty() {
        let said = make(session, clock, (at_ms, ANY_MS), drafts).await?;
        let made = places.into_iter().zip(said).filter_map(|(index, said)| match said {
            Said::Made(bid) => Some((index, wanted[index].granted(bid))),
            _ => None,
        });
        outcomes.extend(made);
    }
    let (taken, lines) = take_over(session, wanted, &takes).await?;
    outcomes.extend(taken);
    let (written, committed) = futures::join!(events::insert(session, &lines), session.run("COMMIT"));
    written.and(committed)?;
    Ok(outcomes)
}

/// The latest of a posting's earlier bids that the marketplace has or may have.
pub(super) fn in_use<'a>(bids: impl Iterator<Item = &'a Bid>) -> Option<&'a Bid> {
    bids.filter(|bid| bid.rebid_allowed && bid.state.is_in_use()).max_by_key(|bid| bid.epoch)
}

/// Begins the transaction and locks all rows of the postings, live and earlier.
async fn lock(session: &Session, wanted: &[Wanted], open: &[usize]) -> Result<Vec<Bid>> {
    let postings = || open.iter().map(|&index| &wanted[index].request.posting);
    let marketplaces: Vec<&str> = postings().map(|p| p.marketplace()).collect();
    let ids: Vec<&str> = postings().map(|p| p.posting()).collect();
    let arguments = [array(&marketplaces), array(&ids)];
    let begin = async { session.run(BEGIN).await.map(|()| Vec::new()) };
    let answers = pipelined(vec![
        begin.boxed(),
        session.query(&sql::LOCK_POSTINGS, &arguments).boxed(),
        // A row that was moved while its lock was waited for is in no snapshot but the next one's.
        session.query(&sql::LOCK_POSTINGS, &arguments).boxed(),
    ]);
    let rows = first_error(answers.await)?.pop().unwrap_or_default();
    rows.iter().map(super::read::timed_bid).collect()
}

type Taken = (Vec<(usize, ClaimOutcome)>, Vec<BidEvent>);

async fn take_over(
    session: &Session,
    wanted: &[Wanted],
    takes: &[(usize, &Bid, &'static Rule)],
) -> Result<Taken> {
    if takes.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut group = Group::new(Kind::Move);
    for (index, live, rule) in takes {
        let wanted = &wanted[*index];
        group.rule(*index, (live.id.0, live.claim_id.0), rule);
        group.keys.push(None);
        group.reasons.push(None);
        group.new_claims.push(Some(wanted.claim.0));
        group.holders.push(Some(&wanted.request.claimant.holder));
        group.instances.push(wanted.request.claimant.instance);
        group.ttls_ms.push(row::millis(wanted.request.ttl));
    }
    let payload = PayloadColumns::of(takes.iter().map(|(index, ..)| &wanted[*index].request.payload));
    let mut arguments = group.common();
    arguments.extend([
        array(&group.new_claims),
        array(&group.holders),
        array(&group.instances),
        array(&group.ttls_ms),
    ]);
    arguments.extend(payload.arguments());
    let rows = session.query(&sql::TAKE_OVER, &arguments).await?;
    let (mut outcomes, mut lines) = (Vec::new(), Vec::new());
    for row in &rows {
        let (index, bid, line) = taken(row, takes)?;
        outcomes.push((index, wanted[index].granted(bid)));
        lines.push(line);
    }
    Ok((outcomes, lines))
}

fn taken(row: &Row, takes: &[(usize, &Bid, &'static Rule)]) -> Result<(usize, Bid, BidEvent)> {
    let MovedRow { ordinal, now_ms, previous, bid, .. } = MovedRow::read(row)?;
    let take = takes.iter().find(|(index, ..)| i64::try_from(*index).is_ok_and(|index| index == ordinal));
    let (index, existing, rule) = take.ok_or_else(|| Error::unreadable("an ordinal that was not sent"))?;
    let line = Line::taken_over(rule, &existing.claimant.holder, &bid);
    let event = events::event(previous, now_ms, &bid, line);
    Ok((*index, bid, event))
}

pub(super) fn new_id(now_ms: i64) -> BidId {
    static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    BidId::made_at(WallTime(now_ms), &ORDER)
}

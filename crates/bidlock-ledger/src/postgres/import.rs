//! Bids of the replaced system: rows that begin past the point where anybody could claim or send them.

use bidlock_postgres::{Argument, Error, ErrorKind, Result, Session, tokio_postgres::types::Type};
use uuid::Uuid;

use super::{
    claim::{in_use, new_id},
    clock::ServerClock,
    draft::{Draft, DraftColumns},
    row::{self, array, column},
    sql,
};
use crate::{Bid, ImportOutcome, NewImport, PostingId, UnknownCause, WallTime, line::Line, store::Earlier};

/// How often what others change meanwhile is looked at again before it counts as a fault.
const ROUNDS: usize = 8;

fn draft<'a>(wanted: &'a NewImport, earlier: &Earlier, at_ms: i64) -> Result<Draft<'a, NewImport>> {
    let bid = wanted.bid(new_id(at_ms), earlier, WallTime(at_ms));
    Draft::new(wanted, bid, Line::imported(wanted), at_ms)
}

/// Begins rows, or says which bids there are. One statement makes nearly all of them; what follows earlier bids of its
/// posting is made by a further one, which knows these.
pub(super) async fn import(
    session: &Session,
    clock: &ServerClock,
    wanted: &[NewImport],
) -> Result<Vec<ImportOutcome>> {
    let mut outcomes: Vec<Option<ImportOutcome>> = vec![None; wanted.len()];
    let mut open: Vec<usize> = (0..wanted.len()).collect();
    let mut bids: Vec<Bid> = Vec::new();
    for _ in 0..ROUNDS {
        let at_ms = clock.estimate();
        let drafts = open.iter().map(|&index| &wanted[index]);
        let drafts = drafts.map(|wanted| draft(wanted, &Earlier::of(earlier(&bids, wanted)), at_ms));
        let drafts = drafts.collect::<Result<Vec<_>>>()?;
        for (&index, outcome) in open.iter().zip(make(session, clock, at_ms, drafts).await?) {
            outcomes[index] = outcome;
        }
        open.retain(|&index| outcomes[index].is_none());
        if open.is_empty() {
            return Ok(outcomes.into_iter().flatten().collect());
        }
        bids = of_postings(session, &open.iter().map(|&index| &wanted[index].posting).collect::<Vec<_>>())
            .await?;
        for &index in &open {
            let blocking = in_use(earlier(&bids, &wanted[index])).cloned();
            outcomes[index] = blocking.map(|bid| ImportOutcome::Existing(Box::new(bid)));
        }
        open.retain(|&index| outcomes[index].is_none());
    }
    let message = "others change the same postings again and again";
    Err(Error::new(ErrorKind::Conflict, &"the ledger".into(), message))
}

/// Bids on the posting that a new row would follow.
fn earlier<'a>(bids: &'a [Bid], wanted: &'a NewImport) -> impl Iterator<Item = &'a Bid> + Clone {
    bids.iter().filter(|bid| bid.posting == wanted.posting && bid.rebid_allowed)
}

/// All bids of these postings.
async fn of_postings(session: &Session, postings: &[&PostingId]) -> Result<Vec<Bid>> {
    let marketplaces: Vec<&str> = postings.iter().map(|posting| posting.marketplace()).collect();
    let ids: Vec<&str> = postings.iter().map(|posting| posting.posting()).collect();
    let rows = session.query(&sql::LOCK_POSTINGS, &[array(&marketplaces), array(&ids)]).await?;
    rows.iter().map(super::read::timed_bid).collect()
}

/// Runs `import.sql`. `None` where there is neither a new row nor one that the statement could see.
async fn make(
    session: &Session,
    clock: &ServerClock,
    at_ms: i64,
    drafts: Vec<Draft<'_, NewImport>>,
) -> Result<Vec<Option<ImportOutcome>>> {
    let rows = session.query(&sql::IMPORT, &Columns::of(&drafts).arguments(&at_ms)).await?;
    if rows.len() != drafts.len() {
        return Err(Error::unreadable("an import got no answer"));
    }
    let mut outcomes = Vec::with_capacity(drafts.len());
    for (row, draft) in rows.iter().zip(drafts) {
        let now_ms = column(row, 1)?;
        clock.observe(now_ms);
        outcomes.push(if column(row, 0)? {
            Some(ImportOutcome::Imported(Box::new(draft.bid)))
        } else if column::<Option<Uuid>>(row, 2)?.is_some() {
            Some(ImportOutcome::Existing(Box::new(row::bid(row, 2, now_ms)?)))
        } else {
            None
        });
    }
    Ok(outcomes)
}

/// The arguments of `import.sql`, column by column.
struct Columns<'a> {
    rows: DraftColumns<'a>,
    states: Vec<&'static str>,
    causes: Vec<Option<&'static str>>,
    reasons: Vec<Option<&'a str>>,
    sent_ms: Vec<Option<i64>>,
    actors: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(drafts: &'a [Draft<'a, NewImport>]) -> Columns<'a> {
        let each = || drafts.iter();
        Columns {
            rows: DraftColumns::of(drafts),
            states: each().map(|d| d.bid.state.as_str()).collect(),
            causes: each().map(|d| d.bid.unknown_cause.map(UnknownCause::as_str)).collect(),
            reasons: each().map(|d| d.bid.reason.as_deref()).collect(),
            sent_ms: each().map(|d| d.bid.last_sent_at.map(|at| at.0)).collect(),
            actors: each().map(|d| d.wanted.actor.0.as_str()).collect(),
        }
    }

    fn arguments<'b>(&'b self, at_ms: &'b i64) -> Vec<Argument<'b>> {
        let rows = &self.rows;
        let mut arguments: Vec<Argument<'b>> = vec![
            (at_ms, Type::INT8),
            array(&rows.ids),
            array(&rows.marketplaces),
            array(&rows.postings),
            array(&self.states),
            array(&rows.claims),
            array(&rows.epochs),
            array(&rows.holders),
            array(&rows.keys),
            array(&self.causes),
            array(&self.reasons),
            array(&self.sent_ms),
        ];
        arguments.extend(rows.payload.arguments());
        arguments.extend([array(&self.actors), array(&rows.details), array(&rows.hashes)]);
        arguments
    }
}

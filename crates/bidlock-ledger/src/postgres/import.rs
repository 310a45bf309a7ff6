//! Bids of the replaced system: rows that begin past the point where anybody could claim or send them.

use bidlock_postgres::{Argument, Error, ErrorKind, Result, Session, tokio_postgres::types::Type};
use uuid::Uuid;

use super::{
    claim::{Earlier, PayloadColumns, in_use, new_id},
    clock::ServerClock,
    events,
    row::{self, array, column},
    sql,
};
use crate::{Bid, ImportOutcome, NewImport, PostingId, UnknownCause, WallTime, chain, line::Line};

/// How often what others change meanwhile is looked at again before it counts as a fault.
const ROUNDS: usize = 8;

/// A row to be made, with its first event as it is stored.
struct Draft<'a> {
    wanted: &'a NewImport,
    bid: Bid,
    detail: String,
    hash: [u8; 32],
}

impl<'a> Draft<'a> {
    fn new(wanted: &'a NewImport, earlier: &Earlier, at_ms: i64) -> Result<Draft<'a>> {
        let bid = wanted.bid(new_id(at_ms), earlier.last_epoch + 1, earlier.withdrawals, WallTime(at_ms));
        let event = events::event(None, at_ms, &bid, Line::imported(wanted));
        let hash = events::hash_bytes(&event)?;
        Ok(Draft { wanted, bid, detail: chain::canonical(&event.detail), hash })
    }
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
        let draft =
            |&index: &usize| Draft::new(&wanted[index], &Earlier::of(earlier(&bids, &wanted[index])), at_ms);
        let drafts = open.iter().map(draft).collect::<Result<Vec<_>>>()?;
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
fn earlier<'a>(bids: &'a [Bid], wanted: &'a NewImport) -> impl Iterator<Item = &'a Bid> {
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
    drafts: Vec<Draft<'_>>,
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
    ids: Vec<Uuid>,
    marketplaces: Vec<&'a str>,
    postings: Vec<&'a str>,
    states: Vec<&'static str>,
    claims: Vec<Uuid>,
    epochs: Vec<i64>,
    holders: Vec<&'a str>,
    keys: Vec<Uuid>,
    causes: Vec<Option<&'static str>>,
    reasons: Vec<Option<&'a str>>,
    sent_ms: Vec<Option<i64>>,
    payload: PayloadColumns<'a>,
    actors: Vec<&'a str>,
    details: Vec<&'a str>,
    hashes: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(drafts: &'a [Draft<'a>]) -> Columns<'a> {
        let each = || drafts.iter();
        Columns {
            ids: each().map(|d| d.bid.id.0).collect(),
            marketplaces: each().map(|d| d.bid.posting.marketplace()).collect(),
            postings: each().map(|d| d.bid.posting.posting()).collect(),
            states: each().map(|d| d.bid.state.as_str()).collect(),
            claims: each().map(|d| d.bid.claim_id.0).collect(),
            epochs: each().map(|d| d.bid.epoch.0).collect(),
            holders: each().map(|d| d.bid.claimant.holder.as_str()).collect(),
            keys: each().map(|d| d.bid.idempotency_key).collect(),
            causes: each().map(|d| d.bid.unknown_cause.map(UnknownCause::as_str)).collect(),
            reasons: each().map(|d| d.bid.reason.as_deref()).collect(),
            sent_ms: each().map(|d| d.bid.last_sent_at.map(|at| at.0)).collect(),
            payload: PayloadColumns::of(each().map(|d| &d.bid.payload)),
            actors: each().map(|d| d.wanted.actor.0.as_str()).collect(),
            details: each().map(|d| d.detail.as_str()).collect(),
            hashes: each().map(|d| d.hash.as_slice()).collect(),
        }
    }

    fn arguments<'b>(&'b self, at_ms: &'b i64) -> Vec<Argument<'b>> {
        let mut arguments: Vec<Argument<'b>> = vec![
            (at_ms, Type::INT8),
            array(&self.ids),
            array(&self.marketplaces),
            array(&self.postings),
            array(&self.states),
            array(&self.claims),
            array(&self.epochs),
            array(&self.holders),
            array(&self.keys),
            array(&self.causes),
            array(&self.reasons),
            array(&self.sent_ms),
        ];
        arguments.extend(self.payload.arguments());
        arguments.extend([array(&self.actors), array(&self.details), array(&self.hashes)]);
        arguments
    }
}

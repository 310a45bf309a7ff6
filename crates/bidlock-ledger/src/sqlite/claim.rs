//! Claiming: the unique index decides who creates the bid; an expired or abandoned one is taken over.

use std::sync::Mutex;

use bidlock_sqlite::HostInstant;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::{ContextV7, Uuid};

use super::{apply, events, row, sql};
use crate::{
    Action, Bid, BidId, Claim, ClaimId, ClaimOutcome, NewClaim, Payload, PostingId, UnknownCause, WallTime,
    line::Line,
    state::{Rule, rules_for},
    store::Earlier,
};

/// Creates the bid, takes the row over, or says which bid there is.
pub(super) fn claim(
    tx: &Connection,
    now: &HostInstant,
    request: &NewClaim,
) -> rusqlite::Result<ClaimOutcome> {
    if let Some(bid) = create(tx, now, request)? {
        return Ok(ClaimOutcome::Granted(Box::new(Claim { bid, taken_over: false })));
    }
    let posting = &request.posting;
    let live = tx
        .prepare_cached(&sql::LIVE_BID)?
        .query_row(params![posting.marketplace(), posting.posting()], |row| row::bid(row, now))
        .optional()?;
    let Some(existing) = live else {
        // No live row, and yet none was made: an earlier one stands in the way.
        let earlier = apply::blocking(tx, now, posting, None)?;
        return earlier.map(|bid| ClaimOutcome::Existing(Box::new(bid))).ok_or_else(no_bid_in_the_way);
    };
    for rule in rules_for(Action::TakeOver).filter(|rule| rule.from == existing.state) {
        if let Some(bid) = take_over(tx, now, request, &existing, rule)? {
            return Ok(ClaimOutcome::Granted(Box::new(Claim { bid, taken_over: true })));
        }
        if let Some(earlier) = apply::blocking(tx, now, posting, Some(existing.id))? {
            return Ok(ClaimOutcome::Existing(Box::new(earlier)));
        }
    }
    Ok(ClaimOutcome::Existing(Box::new(existing)))
}

fn no_bid_in_the_way() -> rusqlite::Error {
    rusqlite::Error::QueryReturnedNoRows
}

/// Inserts the row. What is read before only makes its key and its ordinal; whether it may exist is decided
/// by the unique index alone.
fn create(tx: &Connection, now: &HostInstant, request: &NewClaim) -> rusqlite::Result<Option<Bid>> {
    let posting = &request.posting;
    let mut earlier = earlier(tx, posting)?;
    earlier.payload = earlier_payload(tx, posting, earlier.last_epoch)?;
    let bid = request.bid(new_id(now), ClaimId(Uuid::new_v4()), earlier, WallTime(now.wall_ms));
    if insert(tx, now, now.boot_ms_after(request.ttl), &bid)? == 0 {
        return Ok(None);
    }
    events::record(tx, now, &bid, Line::created(&bid))?;
    Ok(Some(bid))
}

/// What a new row follows, but for a payload that it may have to repeat.
pub(super) fn earlier(tx: &Connection, posting: &PostingId) -> rusqlite::Result<Earlier> {
    tx.prepare_cached(&sql::EARLIER)?.query_row(params![posting.marketplace(), posting.posting()], |row| {
        Ok(Earlier { last_epoch: row.get(0)?, withdrawals: row.get(1)?, payload: None })
    })
}

/// The payload of the posting's last bid, if a new one repeats it.
fn earlier_payload(
    tx: &Connection,
    posting: &PostingId,
    last_epoch: i64,
) -> rusqlite::Result<Option<Payload>> {
    if last_epoch == 0 {
        return Ok(None);
    }
    tx.prepare_cached(&sql::EARLIER_PAYLOAD)?
        .query_row(params![posting.marketplace(), posting.posting(), last_epoch], row::payload)
        .optional()
}

/// The row with a claim until this time of the boot clock, unless there is one. Answers how many were made.
pub(super) fn insert(
    tx: &Connection,
    now: &HostInstant,
    until_ms: i64,
    bid: &Bid,
) -> rusqlite::Result<usize> {
    tx.prepare_cached(&sql::INSERT_BID)?.execute(params![
        bid.id.0.as_bytes(),
        bid.posting.marketplace(),
        bid.posting.posting(),
        bid.state.as_str(),
        bid.rebid_allowed,
        bid.claim_id.0.as_bytes(),
        bid.epoch.0,
        bid.claimant.holder,
        bid.claimant.instance.as_ref().map(Uuid::as_bytes),
        now.boot_id.as_bytes(),
        until_ms,
        bid.attempts,
        bid.idempotency_key.as_bytes(),
        bid.external_ref,
        None::<i64>, // approved_until_ms
        bid.unknown_cause.map(UnknownCause::as_str),
        bid.reason,
        bid.first_sent_at.map(|at| at.0),
        bid.created_at.0,
        bid.updated_at.0,
        bid.events,
        bid.payload.amount.map(|m| m.minor),
        bid.payload.amount.as_ref().map(|m| m.currency.as_str()),
        bid.payload.posting_url,
        bid.payload.via,
        bid.payload.evaluation,
        bid.payload.proposal,
        bid.last_sent_at.map(|at| at.0),
    ])
}

fn take_over(
    tx: &Connection,
    now: &HostInstant,
    request: &NewClaim,
    existing: &Bid,
    rule: &Rule,
) -> rusqlite::Result<Option<Bid>> {
    let payload = &request.payload;
    let taken = tx
        .prepare_cached(&sql::TAKE_OVER)?
        .query_row(
            params![
                existing.id.0.as_bytes(),
                rule.from.as_str(),
                existing.claim_id.0.as_bytes(),
                row::guard_name(rule.guard),
                now.boot_id.as_bytes(),
                now.boot_ms,
                now.wall_ms,
                rule.to.as_str(),
                Uuid::new_v4().as_bytes(),
                request.claimant.holder,
                request.claimant.instance.as_ref().map(Uuid::as_bytes),
                now.boot_ms_after(request.ttl),
                payload.amount.map(|m| m.minor),
                payload.amount.as_ref().map(|m| m.currency.as_str()),
                payload.posting_url,
                payload.via,
                payload.evaluation,
                payload.proposal,
            ],
            |row| row::bid(row, now),
        )
        .optional()?;
    if let Some(bid) = &taken {
        let line = Line::taken_over(rule, &existing.claimant.holder, bid);
        events::record(tx, now, bid, line)?;
    }
    Ok(taken)
}

/// Made while the write lock is held, so that later rows have later ids.
pub(super) fn new_id(now: &HostInstant) -> BidId {
    static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    BidId::made_at(WallTime(now.wall_ms), &ORDER)
}

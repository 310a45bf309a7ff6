//! Writing a bid's history, in the transaction that makes it.

use bidlock_sqlite::HostInstant;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{row, sql};
use crate::{
    Action, Bid, BidEvent, BidId, BidState, ClaimId, Epoch, WallTime, chain,
    line::{Line, action_named},
};

/// Appends the line that brought the bid to where `bid` says; its number is the row's count of events.
pub(super) fn record(tx: &Connection, now: &HostInstant, bid: &Bid, line: Line) -> rusqlite::Result<()> {
    let previous = match bid.events {
        0 | 1 => String::new(),
        seq => previous_hash(tx, bid, seq - 1)?,
    };
    let event = line.event(bid, WallTime(now.wall_ms), &previous);
    let hash = blake3::Hash::from_hex(&event.hash).map_err(|e| row::unreadable(12, e))?;
    tx.prepare_cached(&sql::INSERT_EVENT)?.execute(params![
        event.bid.0.as_bytes(),
        event.seq,
        event.at.0,
        event.action.map(Action::as_str),
        event.from.map(BidState::as_str),
        event.to.as_str(),
        event.claim_id.0.as_bytes(),
        event.epoch.0,
        event.actor,
        event.reason,
        chain::canonical(&event.detail),
        event.event_key,
        hash.as_bytes(),
    ])?;
    Ok(())
}

fn previous_hash(tx: &Connection, bid: &Bid, seq: u32) -> rusqlite::Result<String> {
    let found = tx
        .prepare_cached(&sql::EVENT_HASH)?
        .query_row(params![bid.id.0.as_bytes(), seq], |row| row.get::<_, [u8; 32]>(0))
        .optional()?;
    // Somebody deleted the line. The bid must still be able to move; `verify` shows the gap.
    Ok(found.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()).unwrap_or_default())
}

/// Whether this request was recorded before.
pub(super) fn is_known(tx: &Connection, bid: BidId, key: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(&sql::EVENT_KNOWN)?.exists(params![bid.0.as_bytes(), key])
}

/// A bid's events, oldest first.
pub(super) fn history(conn: &Connection, bid: BidId) -> rusqlite::Result<Vec<BidEvent>> {
    let mut statement = conn.prepare_cached(&sql::HISTORY)?;
    let events = statement.query_map([bid.0.as_bytes()], |row| event(row, bid))?;
    events.collect()
}

fn event(row: &Row<'_>, bid: BidId) -> rusqlite::Result<BidEvent> {
    let detail = row.get_ref(9)?.as_str()?;
    Ok(BidEvent {
        bid,
        seq: row.get(0)?,
        at: WallTime(row.get(1)?),
        action: row::optional_word(row, 2, action_named)?,
        from: row::optional_word(row, 3, |text| text.parse().ok())?,
        to: row::state(row, 4)?,
        claim_id: ClaimId(row::uuid(row, 5)?),
        epoch: Epoch(row.get(6)?),
        actor: row.get(7)?,
        reason: row.get(8)?,
        detail: serde_json::from_str(detail).map_err(|e| row::unreadable(9, e))?,
        event_key: row.get(10)?,
        hash: blake3::Hash::from_bytes(row.get::<_, [u8; 32]>(11)?).to_hex().to_string(),
    })
}

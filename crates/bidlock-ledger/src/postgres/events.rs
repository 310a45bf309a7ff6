//! Writing a bid's history, in the transaction that makes it.

use bidlock_postgres::{
    Error, Result, Session,
    tokio_postgres::{Row, types::Type},
};
use uuid::Uuid;

use super::{
    row::{self, array, column},
    sql,
};
use crate::{
    Action, Bid, BidEvent, BidId, BidState, ClaimId, Epoch, WallTime, chain,
    line::{Line, action_named},
};

/// The line that brought the bid to where `bid` says; its number is the row's count of events.
pub(super) fn event(previous: Option<&[u8]>, at_ms: i64, bid: &Bid, line: Line) -> BidEvent {
    // Where somebody deleted the line before, the bid must still be able to move; `verify` shows the gap.
    let previous = previous.and_then(hash_of).map(|hash| hash.to_hex().to_string()).unwrap_or_default();
    line.event(bid, WallTime(at_ms), &previous)
}

fn hash_of(bytes: &[u8]) -> Option<blake3::Hash> {
    blake3::Hash::from_slice(bytes).ok()
}

/// An event's hash as it is stored.
pub(super) fn hash_bytes(event: &BidEvent) -> Result<[u8; 32]> {
    blake3::Hash::from_hex(&event.hash).map(|hash| *hash.as_bytes()).map_err(Error::unreadable)
}

/// Writes lines, of as many bids as there are, in one statement.
pub(super) async fn insert(session: &Session, events: &[BidEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let hashes: Vec<[u8; 32]> = events.iter().map(hash_bytes).collect::<Result<_>>()?;
    let of = |field: fn(&BidEvent) -> i64| events.iter().map(field).collect::<Vec<i64>>();
    let bids: Vec<Uuid> = events.iter().map(|e| e.bid.0).collect();
    let (seqs, times, epochs) = (of(|e| e.seq.into()), of(|e| e.at.0), of(|e| e.epoch.0));
    let actions: Vec<Option<&str>> = events.iter().map(|e| e.action.map(Action::as_str)).collect();
    let from: Vec<Option<&str>> = events.iter().map(|e| e.from.map(BidState::as_str)).collect();
    let to: Vec<&str> = events.iter().map(|e| e.to.as_str()).collect();
    let claims: Vec<Uuid> = events.iter().map(|e| e.claim_id.0).collect();
    let actors: Vec<&str> = events.iter().map(|e| e.actor.as_str()).collect();
    let reasons: Vec<Option<&str>> = events.iter().map(|e| e.reason.as_deref()).collect();
    let details: Vec<String> = events.iter().map(|e| chain::canonical(&e.detail)).collect();
    let keys: Vec<Option<&str>> = events.iter().map(|e| e.event_key.as_deref()).collect();
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let arguments = [
        array(&bids),
        array(&seqs),
        array(&times),
        array(&actions),
        array(&from),
        array(&to),
        array(&claims),
        array(&epochs),
        array(&actors),
        array(&reasons),
        array(&details),
        array(&keys),
        array(&hashes),
    ];
    session.query(&sql::INSERT_EVENTS, &arguments).await.map(drop)
}

/// A bid's events, oldest first.
pub(super) async fn history(session: &Session, bid: BidId) -> Result<Vec<BidEvent>> {
    let rows = session.query(&sql::HISTORY, &[(&bid.0, Type::UUID)]).await?;
    rows.iter().map(|row| stored(row, bid)).collect()
}

fn stored(row: &Row, bid: BidId) -> Result<BidEvent> {
    let hash: &[u8] = column(row, 11)?;
    Ok(BidEvent {
        bid,
        seq: row::count(column(row, 0)?),
        at: WallTime(column(row, 1)?),
        action: row::word(column(row, 2)?, action_named)?,
        from: row::word(column(row, 3)?, |text| text.parse().ok())?,
        to: row::state(column(row, 4)?)?,
        claim_id: ClaimId(column(row, 5)?),
        epoch: Epoch(column(row, 6)?),
        actor: column(row, 7)?,
        reason: column(row, 8)?,
        detail: serde_json::from_str(column(row, 9)?).map_err(Error::unreadable)?,
        event_key: column(row, 10)?,
        hash: hash_of(hash).map(|hash| hash.to_hex().to_string()).unwrap_or_default(),
    })
}

//! Bids of the replaced system: rows that begin past the point where anybody could claim or send them.

use bidlock_sqlite::HostInstant;
use rusqlite::{Connection, OptionalExtension, params};

use super::{apply, claim, events, row, sql};
use crate::{ImportOutcome, NewImport, WallTime, line::Line};

/// Begins the row, or says which bid there is. The unique index decides, as for a claim.
pub(super) fn import(
    tx: &Connection,
    now: &HostInstant,
    wanted: &NewImport,
) -> rusqlite::Result<ImportOutcome> {
    let posting = &wanted.posting;
    let earlier = claim::earlier(tx, posting)?;
    let bid = wanted.bid(claim::new_id(now), &earlier, WallTime(now.wall_ms));
    if claim::insert(tx, now, now.boot_ms, &bid)? == 1 {
        events::record(tx, now, &bid, Line::imported(wanted))?;
        return Ok(ImportOutcome::Imported(Box::new(bid)));
    }
    let live = tx
        .prepare_cached(&sql::LIVE_BID)?
        .query_row(params![posting.marketplace(), posting.posting()], |row| row::bid(row, now))
        .optional()?;
    let existing = match live {
        Some(live) => Some(live),
        None => apply::blocking(tx, now, posting, None)?,
    };
    existing.map(|bid| ImportOutcome::Existing(Box::new(bid))).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

//! Reading: standings, listings, counts.

use bidlock_sqlite::HostInstant;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::{row, sql};
use crate::{
    Bid, BidBrief, BidFilter, BidId, BidState, ClaimId, Note, Page, PostingId, Standing, WallTime,
    store::MAX_PAGE,
};

/// Where each posting stands: one look into the unique index for each.
pub(super) fn standing(
    conn: &Connection,
    now: &HostInstant,
    postings: &[PostingId],
) -> rusqlite::Result<Vec<Standing>> {
    let mut statement = conn.prepare_cached(&sql::STANDING)?;
    let mut one = |posting: &PostingId| {
        statement
            .query_row(params![posting.marketplace(), posting.posting()], |row| standing_of(row, now))
            .optional()
            .map(|found| found.unwrap_or(Standing::Free))
    };
    postings.iter().map(&mut one).collect()
}

fn standing_of(row: &Row<'_>, now: &HostInstant) -> rusqlite::Result<Standing> {
    let state = row::state(row, 1)?;
    let claim_remaining = row::remaining(state, now, row::uuid(row, 4)?, row.get(5)?);
    let approved_until: Option<i64> = row.get(6)?;
    let brief = BidBrief {
        id: BidId(row::uuid(row, 0)?),
        state,
        claim_id: ClaimId(row::uuid(row, 2)?),
        holder: row.get(3)?,
        claim_remaining,
        created_at: WallTime(row.get(7)?),
    };
    let live = claim_remaining.is_some_and(|left| !left.is_zero());
    Ok(match state {
        BidState::Claimed | BidState::Submitting if live => Standing::Busy(brief),
        BidState::Claimed | BidState::Abandoned => Standing::TakeOver(brief),
        BidState::Approved if approved_until.is_some_and(|until| until > now.wall_ms) => {
            Standing::Approved(brief)
        }
        // Also a submission whose claimant went silent: the sweeper will mark it, no scanner may touch it.
        _ => Standing::Taken(brief),
    })
}

/// One bid by name.
pub(super) fn bid(conn: &Connection, now: &HostInstant, id: BidId) -> rusqlite::Result<Option<Bid>> {
    conn.prepare_cached(&sql::BID)?.query_row([id.0.as_bytes()], |row| row::bid(row, now)).optional()
}

/// Bids that match, oldest first.
pub(super) fn list(
    conn: &Connection,
    now: &HostInstant,
    filter: &BidFilter,
    page: &Page,
) -> rusqlite::Result<Vec<Bid>> {
    let mut clauses = Clauses::of(filter);
    if let Some(cursor) = page.after {
        clauses.add("id > ?", [Value::Blob(cursor.0.0.as_bytes().to_vec())]);
    }
    let limit = page.limit.min(MAX_PAGE).to_string();
    let mut statement = conn.prepare_cached(&clauses.fill(&sql::LIST).replace("{limit}", &limit))?;
    let bids = statement.query_map(params_from_iter(clauses.values), |row| row::bid(row, now))?;
    bids.collect()
}

/// How many bids of each state match, in the order of a bid's life.
pub(super) fn count(conn: &Connection, filter: &BidFilter) -> rusqlite::Result<Vec<(BidState, u64)>> {
    let clauses = Clauses::of(filter);
    let mut statement = conn.prepare_cached(&clauses.fill(&sql::COUNT))?;
    let counts = statement.query_map(params_from_iter(clauses.values), |row| {
        Ok((row::state(row, 0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })?;
    let mut counts = counts.collect::<rusqlite::Result<Vec<_>>>()?;
    counts.sort_unstable();
    Ok(counts)
}

/// How many bids of a marketplace were last sent since then and may have arrived.
pub(super) fn sent_since(conn: &Connection, marketplace: &str, since: WallTime) -> rusqlite::Result<u64> {
    conn.prepare_cached(&sql::SENT_SINCE)?
        .query_row(params![marketplace, since.0], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// The schema's version, and the oldest protocol that may work with it.
pub(super) fn versions(conn: &Connection) -> rusqlite::Result<(Option<i64>, i64)> {
    conn.prepare_cached(&sql::VERSIONS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// What counts under a name.
pub(super) fn note(conn: &Connection, name: &str) -> rusqlite::Result<Option<Note>> {
    let read = |row: &Row<'_>| {
        Ok(Note { version: row.get(0)?, value: row.get(1)?, actor: row.get(2)?, at: WallTime(row.get(3)?) })
    };
    conn.prepare_cached(&sql::NOTE)?.query_row([name], read).optional()
}

/// The conditions of a filter with their values. Only those that are set, so that indexes can serve them.
struct Clauses {
    terms: Vec<&'static str>,
    values: Vec<Value>,
    states: String,
}

impl Clauses {
    fn of(filter: &BidFilter) -> Clauses {
        let mut clauses = Clauses { terms: Vec::new(), values: Vec::new(), states: String::new() };
        let text = |text: &String| Value::Text(text.clone());
        match (&filter.marketplace, &filter.posting) {
            // Each half has an index of its own.
            (Some(m), Some(p)) => clauses.add(
                "n IN (SELECT n FROM bids WHERE marketplace = ? AND posting = ? AND NOT rebid_allowed \
                 UNION ALL SELECT n FROM bids WHERE marketplace = ? AND posting = ? AND rebid_allowed)",
                [text(m), text(p), text(m), text(p)],
            ),
            (Some(m), None) => clauses.add("marketplace = ?", [text(m)]),
            (None, Some(p)) => clauses.add("posting = ?", [text(p)]),
            (None, None) => {}
        }
        if let Some(since) = filter.since {
            clauses.add("created_at_ms >= ?", [Value::Integer(since.0)]);
        }
        if let Some(until) = filter.until {
            clauses.add("created_at_ms < ?", [Value::Integer(until.0)]);
        }
        // Names of our own enum, so they need no quoting.
        let names: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
        if !names.is_empty() {
            clauses.states = format!(" AND state IN ({})", names.join(", "));
        }
        clauses
    }

    fn add<const N: usize>(&mut self, term: &'static str, values: [Value; N]) {
        self.terms.push(term);
        self.values.extend(values);
    }

    fn fill(&self, query: &str) -> String {
        let terms = if self.terms.is_empty() { "TRUE".to_owned() } else { self.terms.join(" AND ") };
        query.replace("{where}", &format!("{terms}{}", self.states))
    }
}

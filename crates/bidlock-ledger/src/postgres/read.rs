//! Reading: standings, listings, counts.

use bidlock_postgres::{
    Argument, Error, Result, Session,
    tokio_postgres::{
        Row,
        types::{ToSql, Type},
    },
};

use super::{
    row::{self, array, column},
    sql,
};
use crate::{
    Bid, BidBrief, BidFilter, BidId, BidState, ClaimId, NewNote, Note, Page, PostingId, Standing, WallTime,
    store::MAX_PAGE,
};

/// Where each posting stands: one look into the unique index for each, all in one statement.
pub(super) async fn standing(session: &Session, postings: &[PostingId]) -> Result<Vec<Standing>> {
    let marketplaces: Vec<&str> = postings.iter().map(PostingId::marketplace).collect();
    let ids: Vec<&str> = postings.iter().map(PostingId::posting).collect();
    let mut standings = vec![Standing::Free; postings.len()];
    for found in session.query(&sql::STANDING, &[array(&marketplaces), array(&ids)]).await? {
        let ordinal: i64 = column(&found, 0)?;
        if let Some(place) = usize::try_from(ordinal - 1).ok().and_then(|at| standings.get_mut(at)) {
            *place = standing_of(&found)?;
        }
    }
    Ok(standings)
}

fn standing_of(row: &Row) -> Result<Standing> {
    let now_ms: i64 = column(row, 1)?;
    let state = row::state(column(row, 3)?)?;
    let claim_remaining = row::remaining(state, now_ms, column(row, 6)?);
    let approved_until: Option<i64> = column(row, 7)?;
    let brief = BidBrief {
        id: BidId(column(row, 2)?),
        state,
        claim_id: ClaimId(column(row, 4)?),
        holder: column(row, 5)?,
        claim_remaining,
        created_at: WallTime(column(row, 8)?),
    };
    let live = claim_remaining.is_some_and(|left| !left.is_zero());
    Ok(match state {
        BidState::Claimed | BidState::Submitting if live => Standing::Busy(brief),
        BidState::Claimed | BidState::Abandoned => Standing::TakeOver(brief),
        BidState::Approved if approved_until.is_some_and(|until| until > now_ms) => Standing::Approved(brief),
        // Also a submission whose claimant went silent: the sweeper will mark it, no scanner may touch it.
        _ => Standing::Taken(brief),
    })
}

/// One bid by name.
pub(super) async fn bid(session: &Session, id: BidId) -> Result<Option<Bid>> {
    let rows = session.query(&sql::BID, &[(&id.0, Type::UUID)]).await?;
    rows.first().map(timed_bid).transpose()
}

/// The time, then the row.
pub(super) fn timed_bid(row: &Row) -> Result<Bid> {
    row::bid(row, 1, column(row, 0)?)
}

/// Bids that match, oldest first.
pub(super) async fn list(session: &Session, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
    let mut clauses = Clauses::of(filter);
    if let Some(cursor) = page.after {
        clauses.add("b.id > ?", Box::new(cursor.0.0), Type::UUID);
    }
    let limit = page.limit.min(MAX_PAGE).to_string();
    let query = clauses.fill(&sql::LIST).replace("{limit}", &limit);
    session.query(&query, &clauses.arguments()).await?.iter().map(timed_bid).collect()
}

/// How many bids of each state match, in the order of a bid's life.
pub(super) async fn count(session: &Session, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
    let clauses = Clauses::of(filter);
    let rows = session.query(&clauses.fill(&sql::COUNT), &clauses.arguments()).await?;
    let counted = |row: &Row| Ok((row::state(column(row, 0)?)?, column::<i64>(row, 1)?.unsigned_abs()));
    let mut counts = rows.iter().map(counted).collect::<Result<Vec<_>>>()?;
    counts.sort_unstable();
    Ok(counts)
}

/// How many bids of a marketplace were last sent since then and may have arrived.
pub(super) async fn sent_since(session: &Session, marketplace: &str, since: WallTime) -> Result<u64> {
    let arguments: [Argument<'_>; 2] = [(&marketplace, Type::TEXT), (&since.0, Type::INT8)];
    let rows = session.query(&sql::SENT_SINCE, &arguments).await?;
    rows.first().map_or(Ok(0), |row| column::<i64>(row, 0).map(i64::unsigned_abs))
}

/// The schema's version, and the oldest protocol that may work with it.
pub(super) async fn versions(session: &Session) -> Result<(Option<i64>, i64)> {
    let rows = session.query(&sql::VERSIONS, &[]).await?;
    let row = rows.first().ok_or_else(|| Error::unreadable("a ledger without an id"))?;
    Ok((column(row, 0)?, column(row, 1)?))
}

/// What counts under a name.
pub(super) async fn note(session: &Session, name: &str) -> Result<Option<Note>> {
    let rows = session.query(&sql::NOTE, &[(&name, Type::TEXT)]).await?;
    let read = |row: &Row| {
        Ok(Note {
            version: column(row, 0)?,
            value: column(row, 1)?,
            actor: column(row, 2)?,
            at: WallTime(column(row, 3)?),
        })
    };
    rows.first().map(read).transpose()
}

/// Writes one; says whether its writer had seen the last.
pub(super) async fn write_note(session: &Session, note: &NewNote) -> Result<bool> {
    let arguments: [Argument<'_>; 4] = [
        (&note.name, Type::TEXT),
        (&note.after, Type::INT8),
        (&note.value, Type::TEXT),
        (&note.actor.0, Type::TEXT),
    ];
    Ok(!session.query(&sql::WRITE_NOTE, &arguments).await?.is_empty())
}

/// The conditions of a filter with their values. Only those that are set, so that indexes can serve them.
#[derive(Default)]
struct Clauses {
    terms: Vec<String>,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Clauses {
    fn of(filter: &BidFilter) -> Clauses {
        let mut clauses = Clauses::default();
        if let Some(marketplace) = &filter.marketplace {
            clauses.add("b.marketplace = ?", Box::new(marketplace.clone()), Type::TEXT);
        }
        if let Some(posting) = &filter.posting {
            clauses.add("b.posting = ?", Box::new(posting.clone()), Type::TEXT);
        }
        if filter.marketplace.is_some() && filter.posting.is_some() {
            // Each half has an index of its own.
            let half = |which: &str| {
                format!(
                    "SELECT p.id FROM bidlock.bids AS p WHERE p.marketplace = $1 AND p.posting = $2 AND {which}"
                )
            };
            let (live, earlier) = (half("NOT p.rebid_allowed"), half("p.rebid_allowed"));
            clauses.terms = vec![format!("b.id IN ({live} UNION ALL {earlier})")];
        }
        if let Some(since) = filter.since {
            clauses.add("b.created_at_ms >= ?", Box::new(since.0), Type::INT8);
        }
        if let Some(until) = filter.until {
            clauses.add("b.created_at_ms < ?", Box::new(until.0), Type::INT8);
        }
        // Names of our own enum, so they need no quoting.
        let names: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
        if !names.is_empty() {
            clauses.terms.push(format!("b.state IN ({})", names.join(", ")));
        }
        clauses
    }

    fn add(&mut self, term: &str, value: Box<dyn ToSql + Sync + Send>, type_: Type) {
        self.values.push((value, type_));
        self.terms.push(term.replace('?', &format!("${}", self.values.len())));
    }

    fn fill(&self, query: &str) -> String {
        let terms = if self.terms.is_empty() { "TRUE".to_owned() } else { self.terms.join(" AND ") };
        query.replace("{where}", &terms)
    }

    fn arguments(&self) -> Vec<Argument<'_>> {
        self.values.iter().map(|(value, type_)| (&**value as &(dyn ToSql + Sync), type_.clone())).collect()
    }
}

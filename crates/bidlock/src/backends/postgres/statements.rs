//! The statements and their rows. SQL stands in the `.sql` files.

use std::time::Duration;

use bidlock_postgres::tokio_postgres::Row;
use bidlock_postgres::tokio_postgres::types::{FromSql, Type};
use bidlock_postgres::{Argument, Error, ErrorKind, Result, Session, Target};

use crate::backend::{HeldLock, KeyFilter, Page};
use crate::key::LockKey;
use crate::token::FencingToken;

pub(super) const ADVISORY: &str = include_str!("advisory.sql");
/// Calls the function of `exchange.sql`: arguments and rows stand there.
pub(super) const EXCHANGE: &str = "SELECT * FROM bidlock.exchange_1($1, $2, $3, $4, $5, $6)";
const EXCHANGE_FUNCTION: &str = include_str!("exchange.sql");
pub(super) const FORCE_RELEASE: &str = include_str!("force_release.sql");
const INSPECT: &str = include_str!("inspect.sql");
const LOOK: &str = include_str!("look.sql");
pub(super) const RENEW: &str = include_str!("renew.sql");
const SCHEMA: &str = include_str!("schema.sql");
pub(super) const SWEEP: &str = include_str!("sweep.sql");
pub(super) const TRY_ADVISORY: &str = include_str!("try_advisory.sql");

/// Openers of an empty database queue here, those of ledgers too, whose schema it is as well. A transaction's lock: a
/// session's would be lost, or kept, behind a pooler. The numbers are "bidl", "migr".
const LOCK: &str = "SELECT pg_advisory_xact_lock(1651074156, 1835624306)";

/// A column of a row, of a type that the statement fixes.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(Error::unreadable)
}

/// Makes what is missing, in one transaction.
pub(super) async fn make_schema(session: &Session, target: &Target) -> Result<()> {
    if look(session).await?.is_complete() {
        return Ok(());
    }
    session.run(&format!("BEGIN; {LOCK}")).await?;
    // Somebody may have been faster.
    let found = look(session).await?;
    if found.standby {
        let error = Error::new(ErrorKind::Unfit, target.place(), "the server is a read-only standby");
        return Err(error.with_hint("name the primary"));
    }
    if !found.schema {
        session.run("CREATE SCHEMA bidlock").await?;
    }
    if !found.table {
        session.run(SCHEMA).await?;
    }
    if !found.function {
        session.run(EXCHANGE_FUNCTION).await?;
    }
    session.run("COMMIT").await
}

/// What of the locks a database holds.
pub(super) struct Found {
    /// The server's major version.
    pub(super) server: u32,
    pub(super) standby: bool,
    schema: bool,
    table: bool,
    function: bool,
}

impl Found {
    pub(super) fn is_complete(&self) -> bool {
        self.table && self.function
    }
}

pub(super) async fn look(session: &Session) -> Result<Found> {
    let rows = session.query(LOOK, &[]).await?;
    let row = rows.first().ok_or_else(|| Error::unreadable("no answer to a look"))?;
    Ok(Found {
        server: session.version(),
        standby: column(row, 0)?,
        schema: column(row, 1)?,
        table: column(row, 2)?,
        function: column(row, 3)?,
    })
}

pub(super) async fn inspect(session: &Session, filter: &KeyFilter, page: &Page) -> Result<Vec<HeldLock>> {
    let after = page.after.as_ref().map_or("", LockKey::as_str);
    let key = filter.key.as_ref().map(LockKey::as_str);
    let most = i64::try_from(page.bounded_limit()).unwrap_or(i64::MAX);
    let arguments: [Argument<'_>; 5] = [
        (&after, Type::TEXT),
        (&key, Type::TEXT),
        (&filter.prefix, Type::TEXT),
        (&filter.holder, Type::TEXT),
        (&most, Type::INT8),
    ];
    let micros = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or(0));
    let mut locks = Vec::new();
    for row in session.query(INSPECT, &arguments).await? {
        // A key that does not parse was not written by bidlock: shown to nobody, harmful to nobody.
        let Ok(key) = LockKey::parse(column(&row, 0)?) else { continue };
        locks.push(HeldLock {
            key,
            holder: column(&row, 1)?,
            token: FencingToken::new(column::<i64>(&row, 2)?.unsigned_abs()),
            held_for: micros(column(&row, 3)?),
            remaining: micros(column(&row, 4)?),
        });
    }
    Ok(locks)
}

//! The schema: made in an empty database, checked in every other one, migrated on request.

use bidlock_postgres::{
    Error, ErrorKind as Kind, Session, Target,
    tokio_postgres::{self, Row},
};
use refinery_core::{
    AsyncMigrate, Migration, Runner,
    traits::r#async::{AsyncQuery, AsyncTransaction},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{fault, row::column, sql};
use crate::{
    ErrorKind, LedgerError, LedgerId, Result,
    schema::{MigrationReport, SchemaStatus, compare, refuse_newer},
};

/// The migrations, built in.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub, reason = "written by refinery's macro")]
mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

pub(super) const OPEN: &str = "open the ledger";
const MIGRATE: &str = "migrate the ledger";
/// Where refinery notes what has run.
const HISTORY_TABLE: &str = "bidlock.refinery_schema_history";
/// The migrating transaction holds this lock until it ends, so that those who start at once on an empty database
/// queue. A transaction's lock: a session's would be lost, or kept, behind a pooler. The numbers are "bidl", "migr".
const LOCK: &str = "SELECT pg_advisory_xact_lock(1651074156, 1835624306)";

/// What a database holds.
enum Found {
    Nothing,
    Version(i64),
    SomethingElse,
}

/// What an opener needs to know.
pub(super) struct Opening {
    pub(super) id: LedgerId,
    pub(super) now_ms: i64,
    /// This very opening has made the ledger.
    pub(super) made: bool,
}

/// Makes the schema in an empty database (if allowed), or checks the one that is there.
pub(super) async fn prepare(session: &Session, target: &Target, create: bool) -> Result<Opening> {
    let place = target.place();
    let mut made = false;
    match look(session).await.map_err(|e| fault(OPEN, e))? {
        // Somebody may have been faster: then nothing is left to run.
        Found::Nothing if create => made = !run_migrations(session, target).await?.is_empty(),
        Found::Nothing => {
            let error = LedgerError::new(ErrorKind::Corrupt, OPEN, format!("{place} holds no ledger"));
            return Err(error.with_hint("a first `bidlock scan` or `bidlock migrate up` makes one"));
        }
        Found::SomethingElse => return Err(not_a_ledger(place)),
        Found::Version(version) => compare(OPEN, place, version, latest())?,
    }
    let rows = session.query(&sql::OPENING, &[]).await.map_err(|e| fault(OPEN, e))?;
    let Some(row) = rows.first() else {
        return Err(LedgerError::new(
            ErrorKind::Corrupt,
            OPEN,
            format!("{place} holds a ledger without an id"),
        ));
    };
    let opening = |row: &Row| -> bidlock_postgres::Result<(Uuid, i64, i64)> {
        Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?))
    };
    let (id, floor, now_ms) = opening(row).map_err(|e| fault(OPEN, e))?;
    crate::store::check_protocol(OPEN, place, floor)?;
    if let Some(drop) = crate::canary::drop_uniqueness("bidlock.bids_live") {
        session.run(&drop).await.map_err(|e| fault(OPEN, e))?;
    }
    Ok(Opening { id: LedgerId(id), now_ms, made })
}

/// What the schema is, without changing it.
pub(super) async fn status(target: &Target) -> Result<SchemaStatus> {
    let session = Session::connect(target, None).await.map_err(|e| fault(OPEN, e))?;
    let found = version_of(target.place(), look(&session).await.map_err(|e| fault(OPEN, e))?)?;
    Ok(SchemaStatus {
        place: target.place().to_string(),
        found,
        latest: latest(),
        pending: pending_after(found),
    })
}

/// Brings the schema up to this binary's version; makes a missing ledger.
pub(super) async fn migrate(target: &Target, dry_run: bool) -> Result<MigrationReport> {
    let SchemaStatus { found: from, latest: to, pending, .. } = status(target).await?;
    refuse_newer(OPEN, target.place(), from, to)?;
    if dry_run || pending.is_empty() {
        return Ok(MigrationReport { from, to, applied: pending, dry_run });
    }
    let session = Session::connect(target, None).await.map_err(|e| fault(MIGRATE, e))?;
    let applied = run_migrations(&session, target).await?;
    Ok(MigrationReport { from, to, applied, dry_run })
}

/// The version that this binary works with.
pub(super) fn latest() -> i64 {
    embedded::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max().unwrap_or(0)
}

fn pending_after(found: Option<i64>) -> Vec<String> {
    let runner = embedded::migrations::runner();
    let mut pending: Vec<_> =
        runner.get_migrations().iter().filter(|m| i64::from(m.version()) > found.unwrap_or(0)).collect();
    pending.sort_by_key(|m| m.version());
    pending.iter().map(ToString::to_string).collect()
}

/// Everything in one transaction: the schema, the migrations, and the rows that record them.
async fn run_migrations(session: &Session, target: &Target) -> Result<Vec<String>> {
    let migrating = |e| fault(MIGRATE, e);
    session.run(&format!("BEGIN; {LOCK}")).await.map_err(migrating)?;
    let ran = migrate_locked(session, target).await;
    match ran {
        Ok(applied) => session.run("COMMIT").await.map(|()| applied).map_err(migrating),
        Err(error) => {
            // The session is dropped by its owner; what it leaves open ends with it.
            let _ = session.run("ROLLBACK").await;
            Err(error)
        }
    }
}

async fn migrate_locked(session: &Session, target: &Target) -> Result<Vec<String>> {
    // Somebody may have been faster.
    let rows = session.query(&sql::LOOK, &[]).await.map_err(|e| fault(MIGRATE, e))?;
    let is = |index| rows.first().is_some_and(|row| column(row, index).unwrap_or(false));
    if is(3) {
        let error =
            LedgerError::new(ErrorKind::Unfit, MIGRATE, format!("{} is a read-only standby", target.place()));
        return Err(error.with_hint("name the primary"));
    }
    if !is(2) {
        // `IF NOT EXISTS` would want the right to make one even where it exists.
        session.run("CREATE SCHEMA bidlock").await.map_err(|e| fault(MIGRATE, e))?;
    }
    let mut runner: Runner = embedded::migrations::runner().set_grouped(true);
    runner.set_migration_table_name(HISTORY_TABLE);
    let report = runner.run_async(&mut Migrating(session)).await.map_err(|e| {
        let mut cause: &dyn std::error::Error = &e;
        while let Some(deeper) = cause.source() {
            if let Some(known) = deeper.downcast_ref::<Error>() {
                return fault(MIGRATE, known.clone());
            }
            cause = deeper;
        }
        LedgerError::new(ErrorKind::Unavailable, MIGRATE, format!("{}: {e}", target.place())).with_source(e)
    })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Refinery's view of a session that is in a transaction already: statements run in it, and none ends it.
struct Migrating<'a>(&'a Session);

impl AsyncTransaction for Migrating<'_> {
    type Error = Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Error> {
        let mut count = 0;
        for query in queries {
            self.0.run(query).await?;
            count += 1;
        }
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Migrating<'_> {
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Error> {
        let rows = self.0.query(query, &[]).await?;
        rows.iter().map(migration).collect()
    }
}

impl AsyncMigrate for Migrating<'_> {}

fn migration(row: &Row) -> Result<Migration, Error> {
    let read = |e: tokio_postgres::Error| Error::unreadable(e);
    let (on, checksum): (String, String) = (row.try_get(2).map_err(read)?, row.try_get(3).map_err(read)?);
    Ok(Migration::applied(
        row.try_get(0).map_err(read)?,
        row.try_get(1).map_err(read)?,
        OffsetDateTime::parse(&on, &Rfc3339).map_err(Error::unreadable)?,
        checksum.parse().map_err(Error::unreadable)?,
    ))
}

async fn look(session: &Session) -> bidlock_postgres::Result<Found> {
    let rows = session.query(&sql::LOOK, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Found::Nothing) };
    match (column(row, 0)?, column(row, 1)?) {
        (false, false) => return Ok(Found::Nothing),
        (true, true) => {}
        _ => return Ok(Found::SomethingElse),
    }
    let version = match session.query(&sql::VERSION, &[]).await {
        Ok(rows) => rows.first().map(|row| column::<Option<i64>>(row, 0)).transpose()?.flatten(),
        Err(error) if error.kind() == Kind::Statement => None,
        Err(error) => return Err(error),
    };
    Ok(version.map_or(Found::SomethingElse, Found::Version))
}

fn version_of(place: &str, found: Found) -> Result<Option<i64>> {
    match found {
        Found::Nothing => Ok(None),
        Found::Version(version) => Ok(Some(version)),
        Found::SomethingElse => Err(not_a_ledger(place)),
    }
}

fn not_a_ledger(place: &str) -> LedgerError {
    let message = format!("{place} has a schema `bidlock` with tables that are no ledger's");
    LedgerError::new(ErrorKind::Corrupt, OPEN, message).with_hint("name another database")
}

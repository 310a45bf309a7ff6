//! The schema: made in an empty file, checked in every other one, migrated on request.

use std::{
    error::Error as _,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use bidlock_sqlite::{Options, Store};
use rusqlite::{Connection, OpenFlags};

use super::{fault, kind_of};
use crate::{
    ErrorKind, LedgerError, LedgerId, Result,
    queries::bare,
    schema::{MigrationReport, SchemaStatus, compare, refuse_newer},
};

/// Says in the file's header that it is a ledger: "bidl".
const APPLICATION_ID: i64 = 0x6269_646c;

/// The migrations, built in.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub, reason = "written by refinery's macro")]
mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// What a file holds.
enum Found {
    Nothing,
    Version(i64),
    SomethingElse,
    /// Bids of the system that bidlock replaces.
    ReplacedSystem,
}

/// Refuses a file that is another program's, before anything in it is changed. Asked through SQLite, which
/// knows how to close a file without dropping the locks of this process's other connections.
pub(super) fn refuse_other_files(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // What can't be read now (locked, no permission, damaged) is told by the real opening.
    match Connection::open_with_flags(path, flags).and_then(|conn| look(&conn)) {
        Ok(Found::SomethingElse) => Err(not_a_ledger(path)),
        Ok(Found::ReplacedSystem) => Err(a_replaced_systems(path)),
        _ => Ok(()),
    }
}

/// Whether a file is a ledger, by its header and, where that says nothing yet, by its log: neither is changed.
///
/// Never ask this of a file that this process has open, or of one that lies beside such a file: closing one drops all locks
/// that the process has on it.
pub(super) fn is_one(path: &Path) -> io::Result<bool> {
    /// "SQLite format 3", and the application's id at byte 68: <https://www.sqlite.org/fileformat2.html#the_database_header>.
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let Some(header) = header(path)?.filter(|header| header.starts_with(MAGIC)) else { return Ok(false) };
    if header.last_chunk::<4>().is_some_and(|id| i64::from(u32::from_be_bytes(*id)) == APPLICATION_ID) {
        return Ok(true);
    }
    // What a running process has made of a file may stand in its log alone.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if !Path::new(&log).try_exists()? {
        return Ok(false);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = Connection::open_with_flags(path, flags).and_then(|conn| look(&conn));
    found.map(|found| matches!(found, Found::Version(_))).map_err(io::Error::other)
}

/// How a file begins, up to the application's id; `None` where there is none, or not so much of it.
fn header(path: &Path) -> io::Result<Option<[u8; 72]>> {
    let mut header = [0; 72];
    let mut read = || {
        // Opening a pipe would wait for its other end.
        let is_file = std::fs::metadata(path)?.is_file();
        if is_file { File::open(path)?.read_exact(&mut header).map(|()| true) } else { Ok(false) }
    };
    let is_read = match read() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => false,
        is_read => is_read?,
    };
    Ok(is_read.then_some(header))
}

/// Makes the schema in an empty file (if allowed), or checks the one that is there. Returns the ledger's id.
pub(super) fn prepare(conn: &mut Connection, options: &Options) -> Result<LedgerId> {
    let path = &options.path;
    match look(conn).map_err(|e| unreadable(path, e))? {
        Found::Nothing if options.create => run_migrations(conn, path).map(drop)?,
        Found::Nothing => {
            let error =
                LedgerError::new(ErrorKind::Corrupt, OPEN, format!("{} holds no ledger", path.display()));
            return Err(error.with_hint("a first `bidlock scan` or `bidlock migrate up` makes one"));
        }
        Found::SomethingElse => return Err(not_a_ledger(path)),
        Found::ReplacedSystem => return Err(a_replaced_systems(path)),
        Found::Version(version) => compare(OPEN, &path.display().to_string(), version, latest())?,
    }
    if let Some(drop) = crate::canary::drop_uniqueness("bids_live") {
        conn.execute_batch(&drop).map_err(|e| unreadable(path, e))?;
    }
    let (id, floor) = read_opening(conn).map_err(|e| unreadable(path, e))?;
    crate::store::check_protocol(OPEN, &path.display().to_string(), floor)?;
    Ok(id)
}

/// What the schema is, without changing it.
pub(super) fn status(path: &Path) -> Result<SchemaStatus> {
    refuse_other_files(path)?;
    // An empty file is nobody's yet; looking must not make it ours.
    let holds_anything = path.metadata().is_ok_and(|file| file.len() > 0);
    let found = if holds_anything { inspect(path)? } else { None };
    Ok(SchemaStatus {
        place: path.display().to_string(),
        found,
        latest: latest(),
        pending: pending_after(found),
    })
}

/// Brings the schema up to this binary's version; makes a missing ledger.
pub(super) fn migrate(path: &Path, dry_run: bool) -> Result<MigrationReport> {
    if dry_run {
        let SchemaStatus { found, latest, pending, .. } = status(path)?;
        refuse_newer(OPEN, &path.display().to_string(), found, latest)?;
        return Ok(MigrationReport { from: found, to: latest, applied: pending, dry_run });
    }
    refuse_other_files(path)?;
    let mut report = None;
    let mut refusal = None;
    let opened = Store::open(Options::new(path).with_readers(1), |conn| {
        let done = (|| {
            let from = version_of(path, look(conn).map_err(|e| unreadable(path, e))?)?;
            refuse_newer(OPEN, &path.display().to_string(), from, latest())?;
            let applied = run_migrations(conn, path)?;
            Ok(MigrationReport { from, to: latest(), applied, dry_run })
        })();
        done.map(|done| report = Some(done)).map_err(|e| keep(&mut refusal, e))
    });
    opened.map_err(|e| refusal.unwrap_or_else(|| fault(MIGRATE, e)))?;
    report.ok_or_else(|| LedgerError::new(ErrorKind::Internal, MIGRATE, "the migration left no report"))
}

pub(super) const OPEN: &str = "open the ledger";
const MIGRATE: &str = "migrate the ledger";

/// Keeps our own error outside of the store's, which would only carry its text.
pub(super) fn keep(place: &mut Option<LedgerError>, error: LedgerError) -> std::io::Error {
    let text = std::io::Error::other(error.to_string());
    *place = Some(error);
    text
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

fn run_migrations(conn: &mut Connection, path: &Path) -> Result<Vec<String>> {
    // Grouped: a migration and the row that records it in one transaction. Without this a process that dies
    // between the two, or one that looks at that moment, finds a file that is no ledger.
    let report = embedded::migrations::runner().set_grouped(true).run(conn).map_err(|e| {
        let below = e.source().and_then(|source| source.downcast_ref::<rusqlite::Error>());
        let error = said_by_sqlite(MIGRATE, path, &e, below, ErrorKind::Unavailable);
        error.with_source(e)
    })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

fn inspect(path: &Path) -> Result<Option<i64>> {
    let mut found = None;
    let mut refusal = None;
    let options = Options::new(path).with_create(false).with_readers(1);
    Store::open(options, |conn| {
        let version = look(conn).map_err(|e| unreadable(path, e)).and_then(|f| version_of(path, f));
        version.map(|version| found = version).map_err(|e| keep(&mut refusal, e))
    })
    .map_err(|e| refusal.unwrap_or_else(|| fault(OPEN, e)))?;
    Ok(found)
}

fn version_of(path: &Path, found: Found) -> Result<Option<i64>> {
    match found {
        Found::Nothing => Ok(None),
        Found::Version(version) => Ok(Some(version)),
        Found::SomethingElse => Err(not_a_ledger(path)),
        Found::ReplacedSystem => Err(a_replaced_systems(path)),
    }
}

/// Looks in one snapshot: another process may be making the schema at this moment, and half of the answers
/// from before its commit and half from after it would look like a file of somebody else.
fn look(conn: &Connection) -> rusqlite::Result<Found> {
    let conn = conn.unchecked_transaction()?;
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if tables.is_empty() {
        return Ok(Found::Nothing);
    }
    if !tables.iter().any(|name| name == "refinery_schema_history") {
        let is_replaced =
            conn.query_row(&bare(include_str!("../../queries/sqlite/replaced.sql")), [], |row| row.get(0))?;
        return Ok(if is_replaced { Found::ReplacedSystem } else { Found::SomethingElse });
    }
    let version: Option<i64> =
        conn.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0))?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(match version {
        // Whoever made the file died before its first migration.
        None if tables.len() == 1 => Found::Nothing,
        Some(version) if application == APPLICATION_ID => Found::Version(version),
        _ => Found::SomethingElse,
    })
}

/// The ledger's id, and the oldest protocol that may work with it.
fn read_opening(conn: &Connection) -> rusqlite::Result<(LedgerId, i64)> {
    conn.query_row("SELECT id, protocol_floor FROM ledger WHERE one = 1", [], |row| {
        Ok((LedgerId(super::row::uuid(row, 0)?), row.get(1)?))
    })
}

fn not_a_ledger(path: &Path) -> LedgerError {
    let message = format!("{} is a SQLite file, but not a bidlock ledger", path.display());
    LedgerError::new(ErrorKind::Corrupt, OPEN, message).with_hint(
        "name another file with --database; if this was the ledger, restore a backup before anything is sent",
    )
}

fn a_replaced_systems(path: &Path) -> LedgerError {
    let message = format!(
        "{} is a SQLite file, but not a bidlock ledger: it holds the bids of a replaced system",
        path.display()
    );
    LedgerError::new(ErrorKind::Corrupt, OPEN, message).with_hint(
        "keep the ledger in a file of its own (--database FILE), and bring these bids in first: `bidlock import legacy \
         OLD_DATABASE`",
    )
}

fn unreadable(path: &Path, e: rusqlite::Error) -> LedgerError {
    said_by_sqlite(OPEN, path, &e, Some(&e), ErrorKind::Corrupt).with_source(e)
}

/// What SQLite said of the file while its schema was looked at or made. A disk that is full or fails, or a file that is
/// busy, is called that: whoever reads of damage instead may restore a backup. `otherwise`: what it is where a statement
/// failed.
fn said_by_sqlite(
    operation: &'static str,
    path: &Path,
    what: &dyn std::fmt::Display,
    error: Option<&rusqlite::Error>,
    otherwise: ErrorKind,
) -> LedgerError {
    use bidlock_sqlite::ErrorKind as Kind;
    let message = format!("{}: {what}", path.display());
    match error.map_or(Kind::Statement, Kind::of) {
        Kind::Statement => LedgerError::new(otherwise, operation, message),
        kind => {
            let fault = LedgerError::new(kind_of(kind), operation, message);
            match kind.hint() {
                Some(hint) if kind != Kind::Corrupt => fault.with_hint(hint),
                // Perhaps the wrong file was named; whoever asked says so.
                _ => fault,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_full_or_failing_disk_is_not_called_a_damaged_file() {
        for (code, kind) in [
            (ffi::SQLITE_FULL, ErrorKind::Poisoned),
            (ffi::SQLITE_IOERR_READ, ErrorKind::Poisoned),
            (ffi::SQLITE_BUSY, ErrorKind::Busy),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
            // A table that a ledger has is missing.
            (ffi::SQLITE_ERROR, ErrorKind::Corrupt),
        ] {
            let error = || rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let opened = unreadable(Path::new("ledger.db"), error());
            assert_eq!(opened.kind(), kind, "{opened}");
            let is_mended_by_room = opened.hint().is_some_and(|hint| hint.contains("room"));
            assert_eq!(is_mended_by_room, kind == ErrorKind::Poisoned, "{opened}");
        }
    }
}

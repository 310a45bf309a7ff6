//! Opening one connection, always in the same way.

use std::{path::Path, thread::sleep, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::{Error, ErrorKind, Options, clock::monotonic, error::kind_of, turnstile::POLL};

/// Prepared statements kept per connection: more than bidlock has.
const STATEMENT_CACHE: usize = 128;
/// Page cache per connection in KiB: the upper levels of the indexes of a ledger with millions of rows.
const CACHE_KIB: i64 = 16 * 1024;
/// Checkpoint once the log has so many pages (4 KiB each): larger means rarer but longer pauses.
const CHECKPOINT_PAGES: i64 = 1_000;
/// A log that grew beyond this (a reader held it) is cut back after its checkpoint.
const LOG_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// Opens a connection. `path` is absolute, so that no name has a special meaning to SQLite.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Connection, Error> {
    let failed = |doing: &'static str| move |e| Error::sqlite(path, doing, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(failed("can't open it"))?;
    be_patient(&mut conn, options.busy_patience).map_err(failed("can't set the patience"))?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    switch_to_wal(path, &conn, options.busy_patience)?;
    let pragmas = format!(
        "PRAGMA synchronous = {};
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_LIMIT_BYTES};",
        options.synchronous.as_pragma()
    );
    conn.execute_batch(&pragmas).map_err(failed("can't set it up"))?;
    Ok(conn)
}

/// A busy handler that sleeps a fixed time: SQLite's own grows its sleeps, and starves whoever waits.
fn be_patient(conn: &mut Connection, patience: Duration) -> rusqlite::Result<()> {
    let mut began = Duration::ZERO;
    conn.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            began = monotonic();
        }
        let patient = monotonic().saturating_sub(began) < patience;
        if patient {
            sleep(POLL);
        }
        patient
    }))
}

/// Switching the journal mode does not ask the busy handler in every case, so it is tried again here.
fn switch_to_wal(path: &Path, conn: &Connection, patience: Duration) -> Result<(), Error> {
    let began = monotonic();
    loop {
        let mode = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let message = format!("SQLite keeps journal mode `{mode}` here, bidlock needs `wal`");
                return Err(Error::new(ErrorKind::Unfit, path, message));
            }
            Err(e) if kind_of(&e) == ErrorKind::Busy && monotonic().saturating_sub(began) < patience => {
                sleep(Duration::from_millis(1));
            }
            Err(e) => return Err(Error::sqlite(path, "can't switch to the write-ahead log", e)),
        }
    }
}

//! The old table in a SQLite file.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use bidlock_pipeline::{LegacyError, LegacyName};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::{
    database::{Written, no_comments},
    row::OldRow,
    shape::{self, Column, DEMANDED, OPTIONAL, Shape},
    showing::Showing,
    sqlite::statements::Statements,
};

mod statements;

/// How long an instance that writes is waited for: they write one row at a time. A scan has a patience of its own.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// A file with the table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    place: String,
    identity: String,
    connection: Arc<Mutex<Connection>>,
    shape: Arc<Shape>,
    statements: Arc<Statements>,
}

impl Table {
    /// Opens the file, which must be there. `write`: the table for mirrored bids is made where it is missing.
    pub(crate) fn open(path: &Path, write: bool) -> Result<Table, LegacyError> {
        let place = path.display().to_string();
        let identity = identity(path);
        let failed = |e: &rusqlite::Error| fault(&place, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(PathBuf::from(path), flags).map_err(|e| failed(&e))?;
        connection.busy_timeout(BUSY_PATIENCE).map_err(|e| failed(&e))?;
        let columns = columns(&connection, "bids").map_err(|e| failed(&e))?;
        let has_status = columns.iter().any(|column| column.name == "status");
        let words = if has_status { words(&connection).map_err(|e| failed(&e))? } else { Vec::new() };
        let lower_case = !words.is_empty() && words.iter().all(|word| word.to_lowercase() == *word);
        let shape = Shape::new(&place, columns, lower_case)?;
        if write {
            shape.check_writable(&place)?;
            if !has_unique_rows(&connection).map_err(|e| failed(&e))? {
                return Err(shape::not_unique(&place));
            }
            connection.execute_batch(include_str!("../queries/mirror_table.sql")).map_err(|e| failed(&e))?;
            bring_up_mirror(&connection).map_err(|e| failed(&e))?;
        } else {
            connection.pragma_update(None, "query_only", true).map_err(|e| failed(&e))?;
        }
        let mirrors = !columns_of_mirror(&connection).map_err(|e| failed(&e))?.is_empty();
        let statements = Arc::new(Statements::new(&shape, mirrors));
        let connection = Arc::new(Mutex::new(connection));
        Ok(Table { place, identity, connection, shape: Arc::new(shape), statements })
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Which file this is, by whatever path.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Rows up to a limit, the rights that are missing, and whether rows are unique.
    pub(crate) async fn look(&self, limit: u64) -> Result<(u64, Vec<String>, bool), LegacyError> {
        self.run(move |conn| {
            let count = |row: &Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = conn.query_row(include_str!("../queries/look.sqlite.sql"), [limit], count)?;
            let read_only = conn.is_readonly(rusqlite::MAIN_DB)?;
            let missing = read_only.then(|| "the right to write the file".to_owned());
            Ok((rows, missing.into_iter().collect(), has_unique_rows(conn)?))
        })
        .await
    }

    /// How many rows are ours, up to a limit; `None` where there is no table of them.
    pub(crate) async fn count_mirrored(&self, limit: u64) -> Result<Option<u64>, LegacyError> {
        let sql = no_comments(include_str!("../queries/count_mirrored.sql"));
        let sql = sql.replace("{limit}", &limit.to_string());
        self.run(move |conn| {
            if columns_of_mirror(conn)?.is_empty() {
                return Ok(None);
            }
            conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(|rows| Some(rows.unsigned_abs()))
        })
        .await
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// A part of the table after this row, and the last row of it.
    pub(crate) async fn page(&self, after: i64, limit: u32) -> Result<(Vec<OldRow>, i64), LegacyError> {
        let statements = Arc::clone(&self.statements);
        self.run(move |conn| {
            let mut last = after;
            let mut statement = conn.prepare_cached(&statements.page)?;
            let rows = statement.query_map(params![after, limit], |row| {
                last = row.get(DEMANDED.len() + OPTIONAL.len() + 1)?;
                old_row(row)
            })?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((rows, last))
        })
        .await
    }

    pub(crate) async fn find(&self, names: Vec<LegacyName>) -> Result<Vec<OldRow>, LegacyError> {
        let statements = Arc::clone(&self.statements);
        self.run(move |conn| {
            names.iter().try_fold(Vec::new(), |mut all, name| {
                all.extend(rows_of(conn, &statements, name)?);
                Ok(all)
            })
        })
        .await
    }

    pub(crate) async fn proposals(&self, rows: Vec<OldRow>) -> Result<Vec<Option<String>>, LegacyError> {
        if self.shape.column("proposal").is_none() {
            return Ok(vec![None; rows.len()]);
        }
        self.run(move |conn| {
            let mut statement = conn.prepare_cached(include_str!("../queries/proposal.sqlite.sql"))?;
            let each = rows.iter().map(|row| {
                let found = statement
                    .query_row(params![row.marketplace, row.job_id, row.status], |row| row.get(0))
                    .optional()?;
                Ok(found.flatten())
            });
            each.collect()
        })
        .await
    }

    /// The names of marketplaces in the table; at most `limit`.
    pub(crate) async fn marketplaces(&self, limit: usize) -> Result<Vec<String>, LegacyError> {
        self.run(move |conn| {
            let mut statement = conn.prepare_cached(include_str!("../queries/marketplaces.sql"))?;
            let names = statement.query_map([], |row| row.get(0))?;
            names.take(limit).collect()
        })
        .await
    }

    /// The times at which old locks end, where there is a table of them; at most `limit`.
    pub(crate) async fn lock_ends(&self, limit: u32) -> Result<Option<Vec<Option<String>>>, LegacyError> {
        self.run(move |conn| {
            if !columns(conn, "distributed_locks")?.iter().any(|column| column.name == "expires_at") {
                return Ok(None);
            }
            let sql = include_str!("../queries/locks.sqlite.sql");
            let mut statement = conn.prepare(sql)?;
            let ends = statement.query_map([limit], |row| row.get(0))?;
            ends.collect::<rusqlite::Result<Vec<_>>>().map(Some)
        })
        .await
    }

    /// Writes bids of ours, all of them or none.
    pub(crate) async fn mirror(&self, bids: Vec<Showing>) -> Result<Written, LegacyError> {
        let statements = Arc::clone(&self.statements);
        self.write(move |tx| {
            for bid in &bids {
                let mut found = Vec::new();
                for name in &bid.names {
                    found.extend(rows_of(tx, &statements, name)?);
                }
                let foreign = bid.foreign_among(&found);
                if !foreign.is_empty() {
                    return Ok(Written::Foreign(foreign));
                }
                for name in bid.names_to_write(&found) {
                    let made = match found.iter().find(|row| row.mirrored && row.is_under(name)) {
                        Some(ours) => statements.update(tx, ours, &bid.status, bid.new.at)?,
                        None => statements.insert(tx, name, &bid.status, &bid.new)?,
                    };
                    if made == 0 {
                        // Unique in another way than is known here: somebody else's row is in the way.
                        return Ok(Written::Foreign(Vec::new()));
                    }
                    if !statements.note(tx, name, bid)? {
                        return Ok(Written::Overtaken);
                    }
                }
            }
            Ok(Written::Done)
        })
        .await
    }

    /// `None`: the rows of this claim go.
    pub(crate) async fn settle(
        &self,
        claim: String,
        status: Option<String>,
        at: jiff::Timestamp,
    ) -> Result<(), LegacyError> {
        let statements = Arc::clone(&self.statements);
        self.write(move |tx| {
            for ours in statements.of_claim(tx, &claim)? {
                match &status {
                    Some(status) => {
                        statements.update(tx, &ours, status, at)?;
                        statements.note_status(tx, &ours.name(), status, &claim)?;
                    }
                    None => statements.delete(tx, &ours)?,
                }
            }
            Ok(Written::Done)
        })
        .await
        .map(drop)
    }

    /// What would write only a part is undone.
    async fn write(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Written> + Send + 'static,
    ) -> Result<Written, LegacyError> {
        self.run(move |conn| {
            // From the first moment on nobody else writes: what is read is what the decision rests on.
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = job(&tx)?;
            if matches!(written, Written::Done) {
                tx.commit()?;
            }
            Ok(written)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LegacyError> {
        let (connection, place) = (Arc::clone(&self.connection), self.place.clone());
        let ran = tokio::task::spawn_blocking(move || {
            job(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|e| fault(&place, &e))
        });
        ran.await.unwrap_or_else(|e| {
            Err(LegacyError { message: format!("a read broke off: {e}"), hint: None, retryable: false })
        })
    }
}

/// Links and relative paths lead to one file. Another host's file may have the same path, and even the same number: on two
/// new disks the first files do. It was not made in the same nanosecond. Containers that share a file see one.
fn identity(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Ok(file) = path.metadata() else { return path.display().to_string() };
    let made = file.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    // Some file systems don't know when.
    let made_ns = made.map(|at| at.as_nanos()).unwrap_or_default();
    format!("{}#{}-{made_ns}", path.display(), file.ino())
}

fn rows_of(conn: &Connection, statements: &Statements, name: &LegacyName) -> rusqlite::Result<Vec<OldRow>> {
    let mut statement = conn.prepare_cached(&statements.find)?;
    let rows = statement.query_map(params![name.marketplace, name.job_id], old_row)?;
    rows.collect()
}

fn old_row(row: &Row<'_>) -> rusqlite::Result<OldRow> {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let mut rest: [Option<String>; OPTIONAL.len()] = Default::default();
    for (at, value) in rest.iter_mut().enumerate() {
        *value = text(DEMANDED.len() + at)?;
    }
    Ok(OldRow {
        marketplace: text(0)?.unwrap_or_default(),
        job_id: text(1)?.unwrap_or_default(),
        status: text(2)?.unwrap_or_default(),
        rest,
        mirrored: row.get(DEMANDED.len() + OPTIONAL.len())?,
    })
}

fn has_unique_rows(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(include_str!("../queries/unique.sqlite.sql"), [], |row| row.get(0))
}

/// Two scanners that start at once may both add the column; the second one fails, and finds it.
fn bring_up_mirror(conn: &Connection) -> rusqlite::Result<()> {
    let has_epoch = || -> rusqlite::Result<bool> {
        Ok(columns_of_mirror(conn)?.iter().any(|column| column.name == "epoch"))
    };
    if has_epoch()? {
        return Ok(());
    }
    let added = conn.execute_batch(include_str!("../queries/mirror_epoch.sql"));
    if has_epoch()? { Ok(()) } else { added }
}

fn columns_of_mirror(conn: &Connection) -> rusqlite::Result<Vec<Column>> {
    columns(conn, "bidlock_mirror")
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = conn.prepare(include_str!("../queries/columns.sqlite.sql"))?;
    let columns = statement.query_map([table], |row| {
        // SQLite writes texts of any length into VARCHAR(50).
        Ok(Column { name: row.get(0)?, type_name: row.get(1)?, max_chars: None, needs_value: row.get(2)? })
    })?;
    columns.collect()
}

fn words(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(include_str!("../queries/words.sqlite.sql"))?;
    let words = statement.query_map([], |row| row.get::<_, Option<String>>(0))?;
    Ok(words.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// What SQLite says, as the pipeline is told.
fn fault(place: &str, error: &rusqlite::Error) -> LegacyError {
    use rusqlite::ErrorCode as Code;
    let code = error.sqlite_error_code();
    let retryable = matches!(
        code,
        Some(
            Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::CannotOpen
                | Code::DiskFull
                | Code::SystemIoFailure
        )
    );
    let hint = match code {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            "another process keeps the file busy: look for one that was stopped"
        }
        Some(Code::CannotOpen) => {
            "check the path, and that this user may read and write the file and its folder"
        }
        Some(Code::ReadOnly) => "let this user write the file and its folder",
        _ => "is this the replaced system's database, and does its table `bids` take such a row?",
    };
    // Some of SQLite's words name the file themselves.
    let told = error.to_string();
    let message = if told.contains(place) { told } else { format!("{place}: {told}") };
    LegacyError { message, hint: Some(hint.to_owned()), retryable }
}

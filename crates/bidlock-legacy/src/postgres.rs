//! The old table in a PostgreSQL database.

use std::sync::Arc;

use bidlock_pipeline::{LegacyError, LegacyName};
use bidlock_postgres::{
    ErrorKind, Result, Session, Target,
    tokio_postgres::{Row, types::Type},
};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{
    database::{Written, no_comments},
    postgres::statements::{Statements, old_row, text, texts},
    row::OldRow,
    shape::{self, Column, Shape},
    showing::Showing,
};

mod statements;

/// How often a read is asked once more over a new connection.
const TRIES: usize = 2;

/// A server that only reads: after a fail-over the old primary, until the new one has its place.
const READ_ONLY: &str = "25006";

/// What a server says that does not tell its own name: not allowed, or no such function.
const NAMELESS: [&str; 2] = ["42501", "42883"];

/// A database with the table. One connection, which is made anew where it breaks.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    target: Target,
    identity: String,
    session: Arc<Mutex<Option<Arc<Session>>>>,
    shape: Arc<Shape>,
    statements: Arc<Statements>,
}

impl Table {
    /// Connects. `write`: the table for mirrored bids is made where it is missing.
    pub(crate) async fn open(url: &str, write: bool) -> std::result::Result<Table, LegacyError> {
        let target = Target::parse(url).map_err(|e| fault(&e))?;
        let session = Session::connect(&target, None).await.map_err(|e| fault(&e))?;
        refuse_our_own_ledger(&session, target.place()).await?;
        let columns = columns(&session, "bids").await.map_err(|e| fault(&e))?;
        let has_status = columns.iter().any(|column| column.name == "status");
        let words = if has_status { words(&session).await.map_err(|e| fault(&e))? } else { Vec::new() };
        let lower_case = !words.is_empty() && words.iter().all(|word| word.to_lowercase() == *word);
        let shape = Shape::new(target.place(), columns, lower_case)?;
        if write {
            shape.check_writable(target.place())?;
            if !has_unique_rows(&session).await.map_err(|e| fault(&e))? {
                return Err(shape::not_unique(target.place()));
            }
        }
        let identity = identity(&session, target.place()).await.map_err(|e| fault(&e))?;
        let there = !columns_of_mirror(&session).await.map_err(|e| fault(&e))?.is_empty();
        if write {
            make_mirror(&session).await?;
        }
        let statements = Arc::new(Statements::new(&shape, write || there));
        let session = Arc::new(Mutex::new(Some(Arc::new(session))));
        Ok(Table { target, identity, session, shape: Arc::new(shape), statements })
    }

    pub(crate) fn place(&self) -> &str {
        self.target.place()
    }

    /// Which table this is, by whatever URL.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Rows up to a limit, the rights that are missing, and whether rows are unique.
    pub(crate) async fn look(
        &self,
        limit: u64,
    ) -> std::result::Result<(u64, Vec<String>, bool), LegacyError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = &no_comments(include_str!("../queries/look.postgres.sql"));
        self.read(|session| async move {
            let found = session.query(sql, &[(&limit, Type::INT8)]).await?;
            let is_unique = has_unique_rows(&session).await?;
            let Some(row) = found.first() else { return Ok((0, Vec::new(), is_unique)) };
            Ok((row.get::<_, i64>(0).unsigned_abs(), row.get(1), is_unique))
        })
        .await
    }

    /// How many rows are ours, up to a limit; `None` where there is no table of them.
    pub(crate) async fn count_mirrored(&self, limit: u64) -> std::result::Result<Option<u64>, LegacyError> {
        let sql = no_comments(include_str!("../queries/count_mirrored.sql"));
        let sql = &sql.replace("{limit}", &limit.to_string());
        self.read(|session| async move {
            if columns_of_mirror(&session).await?.is_empty() {
                return Ok(None);
            }
            let found = session.query(sql, &[]).await?;
            Ok(found.first().map(|row| row.get::<_, i64>(0).unsigned_abs()))
        })
        .await
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The table as it is now, in parts: a cursor on a connection of its own.
    pub(crate) async fn cursor(&self) -> std::result::Result<Cursor, LegacyError> {
        let session = Session::connect(&self.target, None).await.map_err(|e| fault(&e))?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        session.run(begin).await.map_err(|e| fault(&e))?;
        let declare = format!("DECLARE bidlock_import NO SCROLL CURSOR FOR {}", self.statements.all);
        session.run(&declare).await.map_err(|e| fault(&e))?;
        Ok(Cursor(session))
    }

    pub(crate) async fn find(&self, names: Vec<LegacyName>) -> std::result::Result<Vec<OldRow>, LegacyError> {
        let names = &names;
        self.read(|session| async move { self.statements.find(&session, names.iter()).await }).await
    }

    pub(crate) async fn proposals(
        &self,
        rows: Vec<OldRow>,
    ) -> std::result::Result<Vec<Option<String>>, LegacyError> {
        let mut proposals = vec![None; rows.len()];
        if self.shape.column("proposal").is_none() {
            return Ok(proposals);
        }
        let of = |field: fn(&OldRow) -> &str| rows.iter().map(field).collect::<Vec<&str>>();
        let columns = (of(|r| &r.marketplace), of(|r| &r.job_id), of(|r| &r.status));
        let sql = no_comments(include_str!("../queries/proposal.postgres.sql"));
        let (sql, columns) = (&sql, &columns);
        let found = self
            .read(|session| async move {
                let arguments = [texts(&columns.0), texts(&columns.1), texts(&columns.2)];
                session.query(sql, &arguments).await
            })
            .await?;
        for row in found {
            let at = row.get::<_, i64>(0) - 1;
            if let Some(place) = usize::try_from(at).ok().and_then(|at| proposals.get_mut(at)) {
                *place = row.get(1);
            }
        }
        Ok(proposals)
    }

    /// The names of marketplaces in the table; at most `limit`.
    pub(crate) async fn marketplaces(&self, limit: usize) -> std::result::Result<Vec<String>, LegacyError> {
        let sql = &format!("{} LIMIT {limit}", no_comments(include_str!("../queries/marketplaces.sql")));
        let found = self.read(|session| async move { session.query(sql, &[]).await }).await?;
        Ok(found.iter().map(|row| row.get(0)).collect())
    }

    /// The times at which old locks end, where there is a table of them; at most `limit`.
    pub(crate) async fn lock_ends(
        &self,
        limit: u32,
    ) -> std::result::Result<Option<Vec<Option<String>>>, LegacyError> {
        let limit = i64::from(limit);
        self.read(|session| async move {
            let columns = columns(&session, "distributed_locks").await?;
            if !columns.iter().any(|column| column.name == "expires_at") {
                return Ok(None);
            }
            let sql = no_comments(include_str!("../queries/locks.postgres.sql"));
            let rows = session.query(&sql, &[(&limit, Type::INT8)]).await?;
            Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
        })
        .await
    }

    /// Writes bids of ours, all of them or none.
    pub(crate) async fn mirror(&self, bids: Vec<Showing>) -> std::result::Result<Written, LegacyError> {
        let (statements, bids) = (&*self.statements, &bids);
        self.transact(|session| async move {
            let names = bids.iter().flat_map(|bid| &bid.names);
            let found = statements.find(&session, names).await?;
            for bid in bids {
                let foreign = bid.foreign_among(&found);
                if !foreign.is_empty() {
                    return Ok(Written::Foreign(foreign));
                }
                for name in bid.names_to_write(&found) {
                    let made = match found.iter().find(|row| row.mirrored && row.is_under(name)) {
                        Some(ours) => statements.update(&session, ours, &bid.status, bid.new.at).await?,
                        None => statements.insert(&session, name, &bid.status, &bid.new).await?,
                    };
                    if !made {
                        // Somebody else's row came in between: it is read anew, outside of this transaction.
                        return Ok(Written::Foreign(Vec::new()));
                    }
                    if !statements.note(&session, name, bid).await? {
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
        at: Timestamp,
    ) -> std::result::Result<(), LegacyError> {
        let (statements, claim, status) = (&*self.statements, &claim, &status);
        self.transact(|session| async move {
            for ours in statements.of_claim(&session, claim).await? {
                match status {
                    Some(status) => {
                        statements.update(&session, &ours, status, at).await?;
                        statements.note_status(&session, &ours.name(), status, claim).await?;
                    }
                    None => statements.delete(&session, &ours).await?,
                }
            }
            Ok(Written::Done)
        })
        .await
        .map(drop)
    }

    /// Asks; once more over a new connection where the old one turns out to be dead.
    async fn read<T, F: Future<Output = Result<T>>>(
        &self,
        ask: impl Fn(Arc<Session>) -> F,
    ) -> std::result::Result<T, LegacyError> {
        let mut place = self.session.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let session = match place.take() {
                Some(session) if !session.is_closed() => session,
                _ => Arc::new(Session::connect(&self.target, None).await.map_err(|e| fault(&e))?),
            };
            match ask(Arc::clone(&session)).await {
                Ok(answer) => {
                    *place = Some(session);
                    return Ok(answer);
                }
                Err(error) if tries < TRIES && error.kind() == ErrorKind::Unavailable => {}
                Err(error) => return Err(fault(&error)),
            }
        }
    }

    /// Runs one transaction. What does not come to its end is undone with its connection; what would write nothing is
    /// rolled back.
    async fn transact<F: Future<Output = Result<Written>>>(
        &self,
        work: impl Fn(Arc<Session>) -> F,
    ) -> std::result::Result<Written, LegacyError> {
        let work = &work;
        self.read(|session| async move {
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            let written = work(Arc::clone(&session)).await?;
            let end = if matches!(written, Written::Done) { "COMMIT" } else { "ROLLBACK" };
            session.run(end).await?;
            Ok(written)
        })
        .await
    }
}

/// A reading of the whole table, as it was when the reading began.
#[derive(Debug)]
pub(crate) struct Cursor(Session);

impl Cursor {
    /// The next part; empty at the end.
    pub(crate) async fn next(&self, limit: u32) -> std::result::Result<Vec<OldRow>, LegacyError> {
        let fetch = format!("FETCH {limit} FROM bidlock_import");
        let rows = self.0.query(&fetch, &[]).await.map_err(|e| fault(&e))?;
        Ok(rows.iter().map(old_row).collect())
    }
}

async fn has_unique_rows(session: &Session) -> Result<bool> {
    let found = session.query(&no_comments(include_str!("../queries/unique.postgres.sql")), &[]).await?;
    Ok(found.first().is_some_and(|row| row.get(0)))
}

/// A server that may not tell its own name, or has no function for it, leaves only that of the host.
async fn identity(session: &Session, place: &str) -> Result<String> {
    let sql = no_comments(include_str!("../queries/identity.postgres.sql"));
    let found = match session.query(&sql, &[]).await {
        Err(error) if error.sql_state().is_some_and(|state| NAMELESS.contains(&state)) => Vec::new(),
        other => other?,
    };
    Ok(match found.first() {
        Some(row) => {
            let part = |at: usize| row.get::<_, &str>(at);
            format!("postgres:{}/{}/{}", part(0), part(1), part(2))
        }
        None => place.rsplit_once('@').map_or(place, |(_, rest)| rest).to_owned(),
    })
}

/// A URL as it is shown.
pub(crate) fn place_of(url: &str) -> std::result::Result<String, LegacyError> {
    Target::parse(url).map(|target| target.place().to_string()).map_err(|e| fault(&e))
}

/// Makes the table of our rows, or brings it up. Two scanners that start at once may both try; the second one fails, and
/// finds it made.
async fn make_mirror(session: &Session) -> std::result::Result<(), LegacyError> {
    let has = async |name: &str| {
        let columns = columns_of_mirror(session).await.map_err(|e| fault(&e))?;
        Ok::<_, LegacyError>(columns.iter().any(|column| column.name == name))
    };
    let steps = [
        ("claim", include_str!("../queries/mirror_table.sql")),
        ("epoch", include_str!("../queries/mirror_epoch.sql")),
    ];
    for (column, sql) in steps {
        if has(column).await? {
            continue;
        }
        let made = session.run(sql).await;
        if !has(column).await? {
            let hint =
                "let the user create tables there, or create bidlock_mirror as docs/migrating.md shows";
            made.map_err(|e| LegacyError { hint: Some(hint.to_owned()), ..fault(&e) })?;
        }
    }
    Ok(())
}

async fn columns_of_mirror(session: &Session) -> Result<Vec<Column>> {
    columns(session, "bidlock_mirror").await
}

async fn columns(session: &Session, table: &str) -> Result<Vec<Column>> {
    let table = table.to_owned();
    let sql = no_comments(include_str!("../queries/columns.postgres.sql"));
    let rows = session.query(&sql, &[text(&table)]).await?;
    let column = |row: &Row| Column {
        name: row.get(0),
        type_name: row.get(1),
        max_chars: row.get::<_, Option<i32>>(3).and_then(|longest| usize::try_from(longest).ok()),
        needs_value: row.get(2),
    };
    Ok(rows.iter().map(column).collect())
}

/// A user named like the ledger's schema sees the ledger's table of bids before any other.
async fn refuse_our_own_ledger(session: &Session, place: &str) -> std::result::Result<(), LegacyError> {
    let sql = no_comments(include_str!("../queries/schema.postgres.sql"));
    let found = session.query(&sql, &[]).await.map_err(|e| fault(&e))?;
    if found.first().is_none_or(|row| row.get::<_, &str>(0) != "bidlock") {
        return Ok(());
    }
    Err(LegacyError {
        message: format!("{place}: the table `bids` that this user sees is the ledger of bidlock itself"),
        hint: Some(
            "connect as a user that is not named bidlock, or append ?options=-csearch_path%3Dpublic to the URL"
                .to_owned(),
        ),
        retryable: false,
    })
}

async fn words(session: &Session) -> Result<Vec<String>> {
    let rows = session.query(&no_comments(include_str!("../queries/words.postgres.sql")), &[]).await?;
    Ok(rows.iter().filter_map(|row| row.get::<_, Option<String>>(0)).collect())
}

/// The SQLSTATE of a right that is missing.
const NO_RIGHT: &str = "42501";
/// What a user needs here, which is not what it needs for a ledger.
const RIGHTS: &str = "GRANT SELECT ON bids, and on bidlock_mirror where it is there; a scan beside old instances needs INSERT, UPDATE \
    and DELETE on both as well (docs/migrating.md)";

/// What PostgreSQL says, as the pipeline is told.
pub(crate) fn fault(error: &bidlock_postgres::Error) -> LegacyError {
    use ErrorKind as Kind;
    LegacyError {
        message: format!("{}: {}", error.place(), error.message()),
        hint: match error.sql_state() {
            Some(NO_RIGHT) => Some(RIGHTS.to_owned()),
            _ => error.hint().map(str::to_owned),
        },
        retryable: matches!(error.kind(), Kind::Unavailable | Kind::Busy | Kind::Conflict | Kind::Poisoned)
            || error.sql_state() == Some(READ_ONLY),
    }
}

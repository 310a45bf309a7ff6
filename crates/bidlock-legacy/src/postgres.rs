//! The old table in a PostgreSQL database.

use std::sync::Arc;

use bidlock_pipeline::{LegacyError, LegacyName};
use bidlock_postgres::{
    Argument, ErrorKind, Result, Session, Target,
    tokio_postgres::{
        Row,
        types::{ToSql, Type},
    },
};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{
    database::{NewRow, Written, filled, no_comments, selected, written_time},
    row::OldRow,
    shape::{Column, DEMANDED, OPTIONAL, Shape},
};

/// How often a read is asked once more over a new connection.
const TRIES: usize = 2;

/// A server that only reads: after a fail-over the old primary, until the new one has its place.
const READ_ONLY: &str = "25006";

/// A database with the table. One connection, which is made anew where it breaks.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    target: Target,
    session: Arc<Mutex<Option<Arc<Session>>>>,
    shape: Arc<Shape>,
    statements: Arc<Statements>,
}

/// Composed once for the columns that there are.
#[derive(Debug)]
struct Statements {
    all: String,
    find: String,
    insert: String,
    update: String,
    delete: String,
    filled: Vec<(String, String)>,
    touched: Option<String>,
}

impl Statements {
    fn new(shape: &Shape, mirrors: bool) -> Statements {
        let mirrored =
            if mirrors { no_comments(include_str!("../queries/mirrored.sql")) } else { "FALSE".to_owned() };
        let compose = |text: &str| {
            no_comments(text).replace("{columns}", &selected(shape)).replace("{mirrored}", &mirrored)
        };
        // Arguments travel as text and become what the column is.
        let cast = |n: usize, name: &str| {
            let kind = shape.column(name).map_or("text", |column| column.type_name.as_str());
            format!("CAST(CAST(${n} AS text) AS {kind})")
        };
        let filled = filled(shape);
        let names: Vec<&str> = filled.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> =
            filled.iter().enumerate().map(|(at, (name, _))| cast(at + 1, name)).collect();
        let touched = shape.column("updated_at").map(|column| column.type_name.clone());
        let touch = touched.as_ref().map(|_| format!(", updated_at = {}", cast(5, "updated_at")));
        Statements {
            all: compose(include_str!("../queries/all.postgres.sql")),
            find: compose(include_str!("../queries/find.postgres.sql")),
            insert: no_comments(include_str!("../queries/insert.sql"))
                .replace("{names}", &names.join(", "))
                .replace("{values}", &values.join(", "))
                + " RETURNING 1",
            update: no_comments(include_str!("../queries/update.sql"))
                .replace("{status}", &cast(1, "status"))
                .replace("{marketplace}", &cast(2, "marketplace"))
                .replace("{job_id}", &cast(3, "job_id"))
                .replace("{was}", &cast(4, "status"))
                .replace("{touched}", &touch.unwrap_or_default())
                + " RETURNING 1",
            delete: no_comments(include_str!("../queries/delete.sql"))
                .replace("{marketplace}", &cast(1, "marketplace"))
                .replace("{job_id}", &cast(2, "job_id"))
                .replace("{was}", &cast(3, "status")),
            filled,
            touched,
        }
    }
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
        }
        let there = !columns_of_mirror(&session).await.map_err(|e| fault(&e))?.is_empty();
        if write && !there {
            // Two scanners that start at once may both make it; the second one fails, and finds it.
            let made = session.run(include_str!("../queries/mirror_table.sql")).await;
            if columns_of_mirror(&session).await.map_err(|e| fault(&e))?.is_empty() {
                made.map_err(|e| LegacyError {
                    hint: Some("let the user create tables there, or create bidlock_mirror as docs/migrating.md shows".to_owned()),
                    ..fault(&e)
                })?;
            }
        }
        let statements = Arc::new(Statements::new(&shape, write || there));
        let session = Arc::new(Mutex::new(Some(Arc::new(session))));
        Ok(Table { target, session, shape: Arc::new(shape), statements })
    }

    pub(crate) fn place(&self) -> &str {
        self.target.place()
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
        self.read(|session| async move { find(&session, &self.statements, names).await }).await
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

    pub(crate) async fn mirror(
        &self,
        names: Vec<LegacyName>,
        claim: String,
        new: NewRow,
    ) -> std::result::Result<Written, LegacyError> {
        let pending = &self.shape.word("PENDING");
        let (statements, names, claim, new) = (&*self.statements, &names, &claim, &new);
        self.transact(|session| async move {
            let found = find(&session, statements, names).await?;
            let foreign: Vec<OldRow> = found.iter().filter(|row| !row.mirrored).cloned().collect();
            if !foreign.is_empty() {
                return Ok(Written::Foreign(foreign));
            }
            for name in names {
                let is_it = |row: &&OldRow| row.marketplace == name.marketplace && row.job_id == name.job_id;
                let made = match found.iter().find(is_it) {
                    Some(ours) => update(&session, statements, ours, pending, new.at).await?,
                    None => insert(&session, statements, name, pending, new).await?,
                };
                if !made {
                    // Somebody else's row came in between: it is read anew, outside of this transaction.
                    return Ok(Written::Foreign(Vec::new()));
                }
                note(&session, name, pending, claim).await?;
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
            let sql = no_comments(include_str!("../queries/of_claim.postgres.sql")) + " FOR UPDATE";
            for row in session.query(&sql, &[text(claim)]).await? {
                let (marketplace, job_id, was): (String, String, String) =
                    (row.get(0), row.get(1), row.get(2));
                let name = LegacyName { marketplace, job_id };
                let ours = OldRow {
                    marketplace: name.marketplace.clone(),
                    job_id: name.job_id.clone(),
                    status: was,
                    rest: Default::default(),
                    mirrored: true,
                };
                match status {
                    Some(status) => {
                        update(&session, statements, &ours, status, at).await?;
                        note(&session, &name, status, claim).await?;
                    }
                    None => {
                        let arguments = [text(&ours.marketplace), text(&ours.job_id), text(&ours.status)];
                        session.query(&statements.delete, &arguments).await?;
                        let forget = no_comments(include_str!("../queries/forget.postgres.sql"));
                        session.query(&forget, &arguments[..2]).await?;
                    }
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

async fn find(session: &Session, statements: &Statements, names: &[LegacyName]) -> Result<Vec<OldRow>> {
    let marketplaces: Vec<&str> = names.iter().map(|name| name.marketplace.as_str()).collect();
    let ids: Vec<&str> = names.iter().map(|name| name.job_id.as_str()).collect();
    let rows = session.query(&statements.find, &[texts(&marketplaces), texts(&ids)]).await?;
    Ok(rows.iter().map(old_row).collect())
}

async fn insert(
    session: &Session,
    statements: &Statements,
    name: &LegacyName,
    status: &str,
    new: &NewRow,
) -> Result<bool> {
    let values: Vec<Option<String>> =
        statements.filled.iter().map(|(column, kind)| new.value(column, kind, name, status)).collect();
    let arguments: Vec<Argument<'_>> = values.iter().map(|value| (value as _, Type::TEXT)).collect();
    Ok(!session.query(&statements.insert, &arguments).await?.is_empty())
}

async fn update(
    session: &Session,
    statements: &Statements,
    ours: &OldRow,
    status: &str,
    at: Timestamp,
) -> Result<bool> {
    let status = status.to_owned();
    let touched = statements.touched.as_ref().map(|kind| written_time(at, kind));
    let mut arguments = vec![text(&status), text(&ours.marketplace), text(&ours.job_id), text(&ours.status)];
    arguments.extend(touched.as_ref().map(text));
    Ok(!session.query(&statements.update, &arguments).await?.is_empty())
}

async fn note(session: &Session, name: &LegacyName, status: &str, claim: &str) -> Result<()> {
    let (status, claim) = (status.to_owned(), claim.to_owned());
    let sql = no_comments(include_str!("../queries/note.postgres.sql"));
    let arguments = [text(&name.marketplace), text(&name.job_id), text(&status), text(&claim)];
    session.query(&sql, &arguments).await.map(drop)
}

fn text<T: ToSql + Sync>(value: &T) -> Argument<'_> {
    (value, Type::TEXT)
}

fn texts<T: ToSql + Sync>(values: &T) -> Argument<'_> {
    (values, Type::TEXT_ARRAY)
}

fn old_row(row: &Row) -> OldRow {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let mut rest: [Option<String>; OPTIONAL.len()] = Default::default();
    for (at, value) in rest.iter_mut().enumerate() {
        *value = text(DEMANDED.len() + at);
    }
    OldRow {
        marketplace: text(0).unwrap_or_default(),
        job_id: text(1).unwrap_or_default(),
        status: text(2).unwrap_or_default(),
        rest,
        mirrored: row.get(DEMANDED.len() + OPTIONAL.len()),
    }
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

/// What PostgreSQL says, as the pipeline is told.
fn fault(error: &bidlock_postgres::Error) -> LegacyError {
    use ErrorKind as Kind;
    LegacyError {
        message: format!("{}: {}", error.place(), error.message()),
        hint: error.hint().map(str::to_owned),
        retryable: matches!(error.kind(), Kind::Unavailable | Kind::Busy | Kind::Conflict | Kind::Poisoned)
            || error.sql_state() == Some(READ_ONLY),
    }
}

//! The shared ledger: one PostgreSQL database for scanners on many hosts.
//!
//! Concurrent calls of a process meet in few connections: what waits while one of them is busy becomes its next
//! batch, one transaction and one sync of the server's disk for all of it. A claim is one statement, made, recorded
//! and committed in one round trip; transitions are two. Every commit waits for the disk (`synchronous_commit`),
//! whatever session or database say. Whether a transition may happen is decided inside the transaction, by one guarded
//! `UPDATE` from `queries/postgres/`, and the server's clock decides every expiry.
//!
//! Safe behind a transaction pooler: nothing outlives its transaction, see [`bidlock_postgres`].
//!
//! A transaction that met another one (a deadlock, a serialization failure) is run again: nothing was sent. Where the
//! answer to a commit is lost, a claim is asked again under the same names and finds itself; a change is reported as
//! [`Effect::Unknown`](crate::Effect::Unknown), and its caller asks again with the same event key.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `schema` | making, checking and migrating the schema |
//! | `jobs` | what waits for a connection, and how a batch is worked off |
//! | `claim` | creating a bid, taking one over |
//! | `import` | bids of the replaced system |
//! | `draft` | rows that are to be made, as arguments |
//! | `apply`, `groups` | the transitions, and those that one statement makes |
//! | `sweep` | what expired |
//! | `events` | a bid's history |
//! | `read` | standings, listings, counts |
//! | `health` | the health check |
//! | `clock` | the server's time, without asking |
//! | `row`, `sql` | the table's rows, the named queries |

mod apply;
mod claim;
mod clock;
mod draft;
mod events;
mod groups;
mod health;
mod import;
mod jobs;
mod read;
mod row;
mod schema;
mod sql;
mod sweep;

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use bidlock_postgres::{Lanes, Reader, Session, Target};

pub use crate::schema::{MigrationReport, SchemaStatus};
pub use bidlock_postgres::ManualClock;

use self::{claim::Wanted, clock::ServerClock, jobs::LedgerJob};
use crate::{
    Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, ErrorKind, Health,
    ImportOutcome, LedgerError, LedgerId, LedgerStore, Liveness, NewClaim, NewImport, NewNote, Note, Page,
    PostingId, Result, Standing, Swept, WallTime,
    note::check_note,
    schema::admit,
    store::{check_batch, check_imports},
};

/// Writing connections of one process. More make no sense: a batch grows while they are busy.
const LANES: usize = 2;
/// The most requests that one transaction carries, or one call if it brings more: bounds how long locks are held.
const MAX_BATCH_WEIGHT: usize = 512;

/// How to open a ledger on PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    url: std::result::Result<Target, bidlock_postgres::Error>,
    create: bool,
    lanes: usize,
    clock: Option<ManualClock>,
}

impl PostgresOptions {
    /// The database that this URL names: `postgres://user:password@host:5432/database?sslmode=…`, or any form of it
    /// that SQLAlchemy knows.
    pub fn new(url: &str) -> PostgresOptions {
        PostgresOptions { url: Target::parse(url), create: true, lanes: LANES, clock: None }
    }

    /// Whether a missing ledger is made; it is, unless this says no.
    #[must_use]
    pub fn with_create(mut self, create: bool) -> PostgresOptions {
        self.create = create;
        self
    }

    /// How many connections may write, at least one; there is another one for reading. Connections are made when
    /// they are needed.
    #[must_use]
    pub fn with_writers(mut self, count: usize) -> PostgresOptions {
        self.lanes = count.max(1);
        self
    }

    /// A clock that a test moves, in the place of the server's.
    #[must_use]
    pub fn with_clock(mut self, clock: ManualClock) -> PostgresOptions {
        self.clock = Some(clock);
        self
    }
}

/// The ledger in a PostgreSQL database. Clones are cheap and share the connections. Lives on the tokio runtime on
/// which it was opened.
#[derive(Clone, Debug)]
pub struct PostgresLedger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: Target,
    id: LedgerId,
    made: bool,
    clock: Arc<ServerClock>,
    lanes: Lanes<LedgerJob>,
    reader: Reader,
}

impl PostgresLedger {
    /// Opens the ledger, or makes it where the database has none.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaBehind`] asks for `bidlock migrate up`, [`ErrorKind::SchemaNewer`] for a newer binary;
    /// [`ErrorKind::Unavailable`]: the server can't be reached; [`ErrorKind::Unfit`]: it refuses the user, is too old,
    /// or is a standby; [`ErrorKind::Corrupt`]: the schema `bidlock` is somebody else's.
    pub async fn open(url: &str) -> Result<PostgresLedger> {
        PostgresLedger::open_with(PostgresOptions::new(url)).await
    }

    /// As [`open`](PostgresLedger::open), with options.
    ///
    /// # Errors
    /// As `open`; [`ErrorKind::Corrupt`] where there is no ledger and none is to be made.
    pub async fn open_with(options: PostgresOptions) -> Result<PostgresLedger> {
        let target = options.url.map_err(|e| fault(schema::OPEN, e))?;
        let session = Session::connect(&target, None).await.map_err(|e| fault(schema::OPEN, e))?;
        let opening = schema::prepare(&session, &target, options.create).await?;
        let clock = Arc::new(ServerClock::new(options.clock.clone(), opening.now_ms));
        let manual = options.clock.as_ref();
        // A session knows its clock from the start, so with a manual one the first session is of no further use.
        let session = manual.is_none().then_some(session);
        let bounds = (options.lanes, MAX_BATCH_WEIGHT);
        let lanes = Lanes::start(&target, manual, None, bounds, jobs::worker(Arc::clone(&clock)));
        let reader = Reader::new(target.clone(), options.clock, session);
        Ok(PostgresLedger {
            inner: Arc::new(Inner { target, id: opening.id, made: opening.made, clock, lanes, reader }),
        })
    }

    /// The database, without a password.
    pub fn place(&self) -> &str {
        self.inner.target.place()
    }

    /// Whether this very opening has made the ledger: of several openers at once only one has.
    pub fn was_made(&self) -> bool {
        self.inner.made
    }

    /// What ledger schema a database has, without changing it. A database without a ledger is no error.
    ///
    /// # Errors
    /// The database can't be reached, or its schema `bidlock` is no ledger's.
    pub async fn schema_status(url: &str) -> Result<SchemaStatus> {
        schema::status(&target_of(url)?).await
    }

    /// Brings a database's schema up to date, and makes a missing ledger. A dry run only says what it would do.
    ///
    /// # Errors
    /// The database can't be reached, has a newer schema, or does not let the user do it.
    pub async fn migrate(url: &str, dry_run: bool) -> Result<MigrationReport> {
        schema::migrate(&target_of(url)?, dry_run).await
    }

    async fn read<T, F>(&self, operation: &'static str, ask: impl Fn(Arc<Session>) -> F) -> Result<T>
    where
        F: Future<Output = bidlock_postgres::Result<T>>,
    {
        // A read changes nothing, whatever became of its answer.
        let effect = bidlock_postgres::Effect::NotApplied;
        self.inner.reader.read(ask).await.map_err(|e| fault(operation, e.with_effect(effect)))
    }
}

fn target_of(url: &str) -> Result<Target> {
    Target::parse(url).map_err(|e| fault(schema::OPEN, e))
}

#[async_trait]
impl LedgerStore for PostgresLedger {
    fn ledger_id(&self) -> LedgerId {
        self.inner.id
    }

    async fn still_admits(&self) -> Result<()> {
        const OPERATION: &str = "look whether the ledger is for this version";
        let versions = self.read(OPERATION, |session| async move { read::versions(&session).await }).await?;
        admit(OPERATION, self.place(), versions, schema::latest())
    }

    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>> {
        const OPERATION: &str = "ask where postings stand";
        check_batch(OPERATION, postings.len())?;
        if postings.is_empty() {
            return Ok(Vec::new());
        }
        self.read(OPERATION, |session| async move { read::standing(&session, postings).await }).await
    }

    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>> {
        const OPERATION: &str = "claim";
        check_batch(OPERATION, requests.len())?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = requests.iter().map(|request| Wanted::new(request, &self.inner.clock)).collect();
        self.inner.lanes.ask(|reply| LedgerJob::Claim(wanted, reply)).await.map_err(|e| fault(OPERATION, e))
    }

    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>> {
        const OPERATION: &str = "import bids";
        check_imports(OPERATION, bids)?;
        if bids.is_empty() {
            return Ok(Vec::new());
        }
        let bids = bids.to_vec();
        self.inner.lanes.ask(|reply| LedgerJob::Import(bids, reply)).await.map_err(|e| fault(OPERATION, e))
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        const OPERATION: &str = "change a bid";
        check_batch(OPERATION, changes.len())?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let changes = changes.to_vec();
        self.inner.lanes.ask(|reply| LedgerJob::Apply(changes, reply)).await.map_err(|e| fault(OPERATION, e))
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        let swept = self.inner.lanes.ask(|reply| LedgerJob::Sweep(limit, reply)).await;
        swept.map_err(|e| fault("sweep", e))
    }

    async fn bid(&self, id: BidId) -> Result<Option<Bid>> {
        self.read("read a bid", |session| async move { read::bid(&session, id).await }).await
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
        self.read("list bids", |session| async move { read::list(&session, filter, page).await }).await
    }

    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
        self.read("count bids", |session| async move { read::count(&session, filter).await }).await
    }

    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>> {
        self.read("read a bid's history", |session| async move { events::history(&session, id).await }).await
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64> {
        let ask = |session: Arc<Session>| async move { read::sent_since(&session, marketplace, since).await };
        self.read("count sent bids", ask).await
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        self.read(
            "look at what the ledger remembers",
            |session| async move { read::note(&session, name).await },
        )
        .await
    }

    async fn write_note(&self, note: &NewNote) -> Result<bool> {
        const OPERATION: &str = "write a note";
        check_note(OPERATION, note)?;
        let note = Arc::new(note.clone());
        let written = self.inner.lanes.ask(|reply| LedgerJob::Note(note, reply)).await;
        written.map_err(|e| fault(OPERATION, e))
    }

    /// Nothing can be proven through a database: a session that ended proves no death.
    async fn liveness(&self, _: &Claimant) -> Result<Liveness> {
        Ok(Liveness::Unprovable)
    }

    async fn check(&self) -> Result<Health> {
        let mut facts =
            self.read("check the ledger", |session| async move { health::facts(&session).await }).await?;
        let written = self.inner.lanes.ask(LedgerJob::Health).await;
        if let Err(error) = &written {
            facts.push(("write error".to_owned(), error.to_string()));
        }
        Ok(Health {
            engine: "postgres",
            location: self.place().to_owned(),
            ledger_id: self.inner.id,
            schema_version: schema::latest(),
            writable: written.is_ok(),
            facts,
        })
    }
}

/// A fault of PostgreSQL as the ledger's.
fn fault(operation: &'static str, e: bidlock_postgres::Error) -> LedgerError {
    use bidlock_postgres::ErrorKind as Kind;
    let kind = match e.kind() {
        Kind::Unavailable => ErrorKind::Unavailable,
        Kind::Busy | Kind::Conflict => ErrorKind::Busy,
        Kind::Poisoned => ErrorKind::Poisoned,
        Kind::Unfit => ErrorKind::Unfit,
        Kind::Corrupt => ErrorKind::Corrupt,
        Kind::Invalid => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    let mut error = LedgerError::new(kind, operation, format!("{}: {}", e.place(), e.message()));
    if let Some(hint) = e.hint() {
        error = error.with_hint(hint);
    }
    if e.effect() == bidlock_postgres::Effect::Unknown {
        error = error.maybe_applied();
    }
    error.with_source(e)
}

//! The embedded ledger: one SQLite file, shared by all processes of one host.
//!
//! Every write goes through the group commit of `bidlock-sqlite` and is durable (`synchronous=FULL`) before
//! the call returns. Whether a transition may happen is decided inside that transaction, by one guarded
//! `UPDATE` from `queries/sqlite/`.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `schema` | making, checking and migrating the schema |
//! | `claim` | creating a bid, taking one over |
//! | `import` | bids of the replaced system |
//! | `apply` | the transitions |
//! | `sweep` | what expired |
//! | `events` | a bid's history |
//! | `read` | standings, listings, counts |
//! | `health` | the health check |
//! | `row`, `sql` | the table's rows, the named queries |

mod apply;
mod claim;
mod events;
mod health;
mod import;
mod read;
mod row;
mod schema;
mod sql;
mod sweep;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bidlock_sqlite::{HostInstant, InstanceFile, InstanceLiveness, Store, Synchronous, instance_liveness};
use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

pub use crate::schema::{MigrationReport, SchemaStatus};
pub use bidlock_sqlite::{HostClock, ManualHostClock, Options, SystemHostClock};

use crate::{
    Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, Effect, ErrorKind,
    Health, ImportOutcome, LedgerError, LedgerId, LedgerStore, Liveness, NewClaim, NewImport, NewNote, Note,
    Page, PostingId, Result, Standing, Swept, WallTime,
    note::check_note,
    schema::admit,
    store::{check_batch, check_imports},
};

/// The ledger in one SQLite file. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct SqliteLedger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    id: LedgerId,
    instance: InstanceFile,
    instances: PathBuf,
    /// Whether a claim was made in this instance's name: then its file is kept as the proof of its death.
    claimed: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.claimed.load(Ordering::Relaxed) {
            self.instance.remove();
        }
    }
}

impl SqliteLedger {
    /// Opens the ledger, or makes it (with its folder) where there is none. Blocks while other processes
    /// open it.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaBehind`] asks for `bidlock migrate up`, [`ErrorKind::SchemaNewer`] for a newer
    /// binary; [`ErrorKind::Corrupt`]: the file is no ledger; [`ErrorKind::Unfit`]: the place can't hold one.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteLedger> {
        SqliteLedger::open_with(Options::new(path.as_ref()))
    }

    /// As [`open`](SqliteLedger::open), with a clock, a patience, or without making a missing file
    /// (`create: false`, for commands that only look). `synchronous` is FULL whatever the options say.
    ///
    /// # Errors
    /// As `open`; [`ErrorKind::Unfit`] where the file is missing and is not to be made.
    pub fn open_with(options: Options) -> Result<SqliteLedger> {
        let options = options.with_synchronous(Synchronous::Full);
        schema::refuse_other_files(&options.path)?;
        let mut id = None;
        let mut refusal = None;
        let settings = options.clone();
        let store = Store::open(options, |conn| {
            let prepared = schema::prepare(conn, &settings);
            prepared.map(|found| id = Some(found)).map_err(|e| schema::keep(&mut refusal, e))
        })
        .map_err(|e| refusal.unwrap_or_else(|| fault(schema::OPEN, e)))?;
        let instances = SqliteLedger::folder_of_instances(store.path());
        let instance = InstanceFile::create(&instances).map_err(|e| fault(schema::OPEN, e))?;
        let id =
            id.ok_or_else(|| LedgerError::new(ErrorKind::Internal, schema::OPEN, "the ledger has no id"))?;
        let claimed = AtomicBool::new(false);
        Ok(SqliteLedger { inner: Arc::new(Inner { store, id, instance, instances, claimed }) })
    }

    /// The folder beside a ledger that names those who have it open. It stays when they end: without its ledger it shows
    /// that there was one.
    pub fn folder_of_instances(ledger: impl AsRef<Path>) -> PathBuf {
        beside(ledger.as_ref(), "-instances")
    }

    /// Names this opening of the ledger in claims; its file lock proves the process's death later on.
    pub fn instance(&self) -> Uuid {
        self.inner.instance.id()
    }

    /// The file's absolute path.
    pub fn path(&self) -> &Path {
        self.inner.store.path()
    }

    /// What schema a file has, without changing it. A missing file is no error.
    ///
    /// # Errors
    /// The file can't be read, or is no ledger.
    pub fn schema_status(path: impl AsRef<Path>) -> Result<SchemaStatus> {
        schema::status(path.as_ref())
    }

    /// Whether this file is a ledger, by its header: neither it nor what lies beside it is changed.
    ///
    /// Ask before this process opens any: on POSIX, closing a file drops all locks that a process has on it.
    ///
    /// # Errors
    /// It is there and can't be read, so nobody can say.
    pub fn is_one(path: impl AsRef<Path>) -> std::io::Result<bool> {
        schema::is_one(path.as_ref())
    }

    /// Brings a file's schema up to date, and makes a missing ledger. A dry run only says what it would do.
    ///
    /// # Errors
    /// The file is no ledger, has a newer schema, or can't be written.
    pub fn migrate(path: impl AsRef<Path>, dry_run: bool) -> Result<MigrationReport> {
        schema::migrate(path.as_ref(), dry_run)
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnMut(&Transaction<'_>, HostInstant) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner.store.write(job).await.map_err(|e| fault(operation, e))
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&Connection, HostInstant) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner.store.read(job).await.map_err(|e| fault(operation, e))
    }
}

#[async_trait]
impl LedgerStore for SqliteLedger {
    fn ledger_id(&self) -> LedgerId {
        self.inner.id
    }

    fn instance(&self) -> Option<Uuid> {
        Some(self.inner.instance.id())
    }

    async fn still_admits(&self) -> Result<()> {
        const OPERATION: &str = "look whether the ledger is for this version";
        let versions = self.read(OPERATION, |conn, _| read::versions(conn)).await?;
        admit(OPERATION, &self.path().display().to_string(), versions, schema::latest())
    }

    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>> {
        const OPERATION: &str = "ask where postings stand";
        check_batch(OPERATION, postings.len())?;
        if postings.is_empty() {
            return Ok(Vec::new());
        }
        let postings = postings.to_vec();
        self.read(OPERATION, move |conn, now| read::standing(conn, &now, &postings)).await
    }

    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>> {
        const OPERATION: &str = "claim";
        check_batch(OPERATION, requests.len())?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let ours = Some(self.instance());
        if requests.iter().any(|request| request.claimant.instance == ours) {
            self.inner.claimed.store(true, Ordering::Relaxed);
        }
        let requests = requests.to_vec();
        self.write(OPERATION, move |tx, now| requests.iter().map(|r| claim::claim(tx, &now, r)).collect())
            .await
    }

    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>> {
        const OPERATION: &str = "import bids";
        check_imports(OPERATION, bids)?;
        if bids.is_empty() {
            return Ok(Vec::new());
        }
        let bids = bids.to_vec();
        self.write(OPERATION, move |tx, now| bids.iter().map(|b| import::import(tx, &now, b)).collect()).await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        const OPERATION: &str = "change a bid";
        check_batch(OPERATION, changes.len())?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        // An approved bid's sending is a claim too.
        if changes.iter().any(|c| matches!(c.action, crate::Move::TakeSending { .. })) {
            self.inner.claimed.store(true, Ordering::Relaxed);
        }
        let changes = changes.to_vec();
        self.write(OPERATION, move |tx, now| changes.iter().map(|c| apply::apply(tx, &now, c)).collect())
            .await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        const OPERATION: &str = "sweep";
        if !self.read(OPERATION, |conn, now| sweep::is_needed(conn, &now)).await? {
            return Ok(Swept::default());
        }
        self.write(OPERATION, move |tx, now| sweep::sweep(tx, &now, limit)).await
    }

    async fn bid(&self, id: BidId) -> Result<Option<Bid>> {
        self.read("read a bid", move |conn, now| read::bid(conn, &now, id)).await
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read("list bids", move |conn, now| read::list(conn, &now, &filter, &page)).await
    }

    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
        let filter = filter.clone();
        self.read("count bids", move |conn, _| read::count(conn, &filter)).await
    }

    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>> {
        self.read("read a bid's history", move |conn, _| events::history(conn, id)).await
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64> {
        let marketplace = marketplace.to_owned();
        self.read("count sent bids", move |conn, _| read::sent_since(conn, &marketplace, since)).await
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        let name = name.to_owned();
        self.read("look at what the ledger remembers", move |conn, _| read::note(conn, &name)).await
    }

    async fn write_note(&self, note: &NewNote) -> Result<bool> {
        const OPERATION: &str = "write a note";
        check_note(OPERATION, note)?;
        let note = note.clone();
        let write = move |tx: &Transaction<'_>, now: HostInstant| {
            let values = params![note.name, note.after, note.value, note.actor.0, now.wall_ms];
            tx.prepare_cached(&sql::WRITE_NOTE)?.execute(values).map(|written| written > 0)
        };
        self.write(OPERATION, write).await
    }

    async fn liveness(&self, claimant: &Claimant) -> Result<Liveness> {
        let Some(instance) = claimant.instance else { return Ok(Liveness::Unprovable) };
        let found = instance_liveness(&self.inner.instances, instance);
        Ok(match found.map_err(|e| fault("ask whether a claimant lives", e))? {
            InstanceLiveness::Gone => Liveness::Gone,
            InstanceLiveness::Alive => Liveness::Alive,
            InstanceLiveness::Unprovable => Liveness::Unprovable,
        })
    }

    async fn check(&self) -> Result<Health> {
        self.health().await
    }
}

/// A store's fault as the ledger's.
fn fault(operation: &'static str, e: bidlock_sqlite::Error) -> LedgerError {
    let mut error =
        LedgerError::new(kind_of(e.kind()), operation, format!("{}: {}", e.path().display(), e.message()));
    if let Some(hint) = e.hint() {
        error = error.with_hint(hint);
    }
    if e.effect() == bidlock_sqlite::Effect::Unknown {
        error = error.maybe_applied();
        debug_assert_eq!(error.effect(), Effect::Unknown);
    }
    error.with_source(e)
}

fn kind_of(kind: bidlock_sqlite::ErrorKind) -> ErrorKind {
    use bidlock_sqlite::ErrorKind as Kind;
    match kind {
        Kind::Unavailable | Kind::Closed => ErrorKind::Unavailable,
        Kind::Busy => ErrorKind::Busy,
        Kind::Poisoned => ErrorKind::Poisoned,
        Kind::Missing | Kind::Unfit => ErrorKind::Unfit,
        Kind::Corrupt => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

//! A ledger in this process's memory: for tests and simulations. **It forgets everything with its process**, so that
//! nothing real may ever be sent under it; no URL and no setting names it.
//!
//! It keeps the same law as the engines that last: the rules come from [`crate::state::TRANSITIONS`], each change is
//! one guarded step under one mutex, and the conformance suite runs against it.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `clock` | where time comes from |
//! | `tables` | rows, their history, how they are found |
//! | `claim` | creating a bid, taking one over, importing one |
//! | `apply` | the transitions |
//! | `sweep` | what expired |
//! | `read` | standings, listings, counts |
//! | `canary` | switches that each remove one mechanism (feature `canary`, for tests of tests) |

mod apply;
#[cfg(feature = "canary")]
mod canary;
mod claim;
mod clock;
#[cfg(not(feature = "canary"))]
mod law;
mod read;
mod sweep;
mod tables;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

#[cfg(feature = "canary")]
pub use bidlock_canary::Canary;
#[cfg(feature = "canary")]
pub use canary::CANARIES;
#[cfg(feature = "canary")]
use canary::Law;
pub use clock::{ManualStoreClock, StoreClock, StoreTime, SystemStoreClock};

use crate::{
    Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, Health,
    ImportOutcome, LedgerId, LedgerStore, Liveness, NewClaim, NewImport, NewNote, Note, Page, PostingId,
    Result, Standing, Swept, WallTime,
    note::check_note,
    store::{check_batch, check_imports},
};
#[cfg(not(feature = "canary"))]
use law::Law;
use tables::Tables;

/// A ledger in memory. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub struct MemoryLedger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: LedgerId,
    clock: Arc<dyn StoreClock>,
    tables: Mutex<Tables>,
    notes: Mutex<HashMap<String, Note>>,
}

impl Default for MemoryLedger {
    fn default() -> MemoryLedger {
        MemoryLedger::new()
    }
}

impl MemoryLedger {
    /// An empty ledger on the process's clocks.
    pub fn new() -> MemoryLedger {
        MemoryLedger::with_clock(Arc::new(SystemStoreClock::default()))
    }

    /// An empty ledger on other clocks.
    pub fn with_clock(clock: Arc<dyn StoreClock>) -> MemoryLedger {
        MemoryLedger::under(clock, Law::default())
    }

    /// A ledger that lacks one mechanism, to see that a test notices: one of [`CANARIES`]; any other changes nothing.
    #[cfg(feature = "canary")]
    pub fn with_canary(clock: Arc<dyn StoreClock>, canary: Canary) -> MemoryLedger {
        MemoryLedger::under(clock, Law::without(canary))
    }

    fn under(clock: Arc<dyn StoreClock>, law: Law) -> MemoryLedger {
        let tables = Mutex::new(Tables::new(law));
        MemoryLedger {
            inner: Arc::new(Inner { id: LedgerId(Uuid::new_v4()), clock, tables, notes: Mutex::default() }),
        }
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<String, Note>> {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call is one transaction: it holds the mutex from its first look to its last change. A panic inside of one
    /// would leave half of it behind, which is no worse for a test than the panic itself.
    fn begin(&self) -> (MutexGuard<'_, Tables>, StoreTime) {
        let tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.now();
        (tables, now)
    }
}

#[async_trait]
impl LedgerStore for MemoryLedger {
    fn ledger_id(&self) -> LedgerId {
        self.inner.id
    }

    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>> {
        check_batch("ask where postings stand", postings.len())?;
        let (tables, now) = self.begin();
        Ok(postings.iter().map(|posting| tables.standing(posting, now)).collect())
    }

    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>> {
        check_batch("claim", requests.len())?;
        let (mut tables, now) = self.begin();
        Ok(requests.iter().map(|request| tables.claim(request, now)).collect())
    }

    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>> {
        check_imports("import bids", bids)?;
        let (mut tables, now) = self.begin();
        Ok(bids.iter().map(|wanted| tables.import(wanted, now)).collect())
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        check_batch("change a bid", changes.len())?;
        let (mut tables, now) = self.begin();
        Ok(changes.iter().map(|change| tables.apply(change, now)).collect())
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        let (mut tables, now) = self.begin();
        Ok(tables.sweep(limit, now))
    }

    async fn bid(&self, id: BidId) -> Result<Option<Bid>> {
        let (tables, now) = self.begin();
        Ok(tables.find(id).map(|row| row.show(now)))
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
        let (tables, now) = self.begin();
        Ok(tables.list(filter, page, now))
    }

    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
        let (tables, _) = self.begin();
        Ok(tables.count(filter))
    }

    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>> {
        let (tables, _) = self.begin();
        Ok(tables.find(id).map(|row| row.history.clone()).unwrap_or_default())
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64> {
        let (tables, _) = self.begin();
        Ok(tables.sent_since(marketplace, since))
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        Ok(self.notes().get(name).cloned())
    }

    async fn write_note(&self, note: &NewNote) -> Result<bool> {
        check_note("write a note", note)?;
        let at = self.inner.clock.now().wall;
        let mut notes = self.notes();
        if notes.get(&note.name).map_or(0, |found| found.version) != note.after {
            return Ok(false);
        }
        let (version, value, actor) = (note.after + 1, note.value.clone(), note.actor.0.clone());
        notes.insert(note.name.clone(), Note { version, value, actor, at });
        Ok(true)
    }

    async fn liveness(&self, _: &Claimant) -> Result<Liveness> {
        Ok(Liveness::Unprovable)
    }

    async fn check(&self) -> Result<Health> {
        let (tables, now) = self.begin();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        Ok(Health {
            engine: "memory",
            location: "this process".to_owned(),
            ledger_id: self.inner.id,
            schema_version: 1,
            writable: true,
            facts: vec![
                fact("bids", tables.len().to_string()),
                fact("wall clock", format!("{} ms since 1970", now.wall.0)),
                fact("lasts", "as long as this process".to_owned()),
            ],
        })
    }
}

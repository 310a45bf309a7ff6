//! Counts a ledger's errors and alarms, and says whether it answers. What a scanner makes of the answers (outcomes,
//! claims that came too late) is counted by the pipeline.
//!
//! Put it right around the engine, so that nobody's patience hides an error from it.

use std::sync::Arc;

use async_trait::async_trait;
use bidlock_metrics::{Counter, Engine, INVARIANT_VIOLATIONS};
use uuid::Uuid;

use crate::{
    BidState, ErrorKind, Result,
    bid::{Bid, BidEvent, BidId, Claimant, LedgerId, WallTime},
    note::{NewNote, Note},
    posting::PostingId,
    store::{
        Applied, BidFilter, Change, ClaimOutcome, Health, ImportOutcome, LedgerStore, Liveness, NewClaim,
        NewImport, Page, Standing, Swept,
    },
};

/// The ledger's name among the engines in metrics, whichever engine keeps it: a process has one ledger.
pub const LEDGER: &str = "ledger";

/// A ledger whose answers, errors and alarms are counted.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn LedgerStore>,
    engine: Engine,
    reopened: Counter,
}

impl Metered {
    /// Counts what this ledger answers, for the recorder that is installed now.
    pub fn new(inner: Arc<dyn LedgerStore>) -> Metered {
        let engine = Engine::new(LEDGER, ErrorKind::ALL.map(ErrorKind::as_str));
        Metered { inner, engine, reopened: INVARIANT_VIOLATIONS.counter(&["reopened"]) }
    }

    /// Notes an answer and passes it on.
    fn noted<T>(&self, answer: Result<T>) -> Result<T> {
        match &answer {
            Ok(_) => self.engine.answered(),
            Err(error) => {
                self.engine.failed(error.kind().as_str());
                // Busy and the like are the answers of a ledger that is there.
                if !matches!(error.kind(), ErrorKind::Busy | ErrorKind::Invalid | ErrorKind::Internal) {
                    self.engine.is_down();
                }
            }
        }
        answer
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LedgerStore for Metered {
    fn ledger_id(&self) -> LedgerId {
        self.inner.ledger_id()
    }

    fn instance(&self) -> Option<Uuid> {
        self.inner.instance()
    }

    async fn still_admits(&self) -> Result<()> {
        self.noted(self.inner.still_admits().await)
    }

    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>> {
        self.noted(self.inner.standing(postings).await)
    }

    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>> {
        self.noted(self.inner.claim(requests).await)
    }

    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>> {
        self.noted(self.inner.import(bids).await)
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        let applied = self.noted(self.inner.apply(changes).await)?;
        let alarms = applied.iter().filter(|one| matches!(one, Applied::Moved { alarm: Some(_), .. }));
        self.reopened.increment(alarms.count() as u64);
        Ok(applied)
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        self.noted(self.inner.sweep(limit).await)
    }

    async fn bid(&self, id: BidId) -> Result<Option<Bid>> {
        self.noted(self.inner.bid(id).await)
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
        self.noted(self.inner.list(filter, page).await)
    }

    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
        self.noted(self.inner.count(filter).await)
    }

    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>> {
        self.noted(self.inner.history(id).await)
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64> {
        self.noted(self.inner.sent_since(marketplace, since).await)
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        self.noted(self.inner.note(name).await)
    }

    async fn write_note(&self, note: &NewNote) -> Result<bool> {
        self.noted(self.inner.write_note(note).await)
    }

    async fn liveness(&self, claimant: &Claimant) -> Result<Liveness> {
        self.noted(self.inner.liveness(claimant).await)
    }

    async fn check(&self) -> Result<Health> {
        self.noted(self.inner.check().await)
    }
}

//! A ledger that fails on demand: away, slow at one step, or with its reply to a commit lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use bidlock_ledger::{
    Action, Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, ErrorKind,
    Health, ImportOutcome, LedgerError, LedgerId, LedgerStore, Liveness, NewClaim, NewImport, Page,
    PostingId, Result, Standing, Swept, WallTime,
};
use tokio::sync::oneshot;

/// One change that waits.
#[derive(Debug)]
struct Held {
    before: Action,
    reached: oneshot::Sender<()>,
    release: oneshot::Receiver<()>,
}

/// Passes everything on to a real ledger, but for what a test asked for.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn LedgerStore>,
    away: AtomicUsize,
    lose_replies_to: std::sync::Mutex<Option<Action>>,
    to_lose: AtomicUsize,
    lose_claims: AtomicUsize,
    without_nonces: AtomicBool,
    held: std::sync::Mutex<Option<Held>>,
    /// How many calls met the fault.
    pub failures: AtomicUsize,
}

impl Faulty {
    pub fn over(inner: &Arc<dyn LedgerStore>) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner: inner.clone(),
            away: AtomicUsize::new(0),
            lose_replies_to: std::sync::Mutex::new(None),
            to_lose: AtomicUsize::new(0),
            lose_claims: AtomicUsize::new(0),
            without_nonces: AtomicBool::new(false),
            held: std::sync::Mutex::new(None),
            failures: AtomicUsize::new(0),
        })
    }

    /// The next so many calls fail, and change nothing.
    pub fn go_away(&self, calls: usize) {
        self.away.store(calls, SeqCst);
    }

    pub fn come_back(&self) {
        self.away.store(0, SeqCst);
    }

    /// The next so many changes of this kind are made, and their replies lost.
    pub fn lose_replies(&self, to: Action, times: usize) {
        *self.lose_replies_to.lock().unwrap() = Some(to);
        self.to_lose.store(times, SeqCst);
    }

    /// The next so many claims are made, and their replies lost.
    pub fn lose_claims(&self, times: usize) {
        self.lose_claims.store(times, SeqCst);
    }

    /// Removes the mechanism by which a repeated change is recognised.
    pub fn forget_nonces(&self) {
        self.without_nonces.store(true, SeqCst);
    }

    /// The next change of this kind waits before it is made, as under a paused process: what tells that it
    /// is there, and what lets it go.
    pub fn hold_before(&self, before: Action) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, at), (go, release)) = (oneshot::channel(), oneshot::channel());
        *self.held.lock().unwrap() = Some(Held { before, reached, release });
        (at, go)
    }

    fn there(&self) -> Result<()> {
        if take(&self.away) {
            self.failures.fetch_add(1, SeqCst);
            return Err(LedgerError::new(ErrorKind::Unavailable, "test", "the ledger is away"));
        }
        Ok(())
    }

    fn lost(&self) -> LedgerError {
        self.failures.fetch_add(1, SeqCst);
        LedgerError::new(ErrorKind::Unavailable, "test", "the reply was lost").maybe_applied()
    }
}

fn take(count: &AtomicUsize) -> bool {
    count.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
}

#[async_trait]
impl LedgerStore for Faulty {
    fn ledger_id(&self) -> LedgerId {
        self.inner.ledger_id()
    }

    fn instance(&self) -> Option<uuid::Uuid> {
        self.inner.instance()
    }

    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>> {
        self.there()?;
        self.inner.standing(postings).await
    }

    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>> {
        self.there()?;
        let claimed = self.inner.claim(requests).await?;
        if take(&self.lose_claims) { Err(self.lost()) } else { Ok(claimed) }
    }

    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>> {
        self.there()?;
        self.inner.import(bids).await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        self.there()?;
        let mut changes = changes.to_vec();
        if self.without_nonces.load(SeqCst) {
            changes.iter_mut().for_each(|c| c.event_key = None);
        }
        let held = {
            let mut held = self.held.lock().unwrap();
            held.take_if(|h| changes.iter().any(|c| c.action.action() == h.before))
        };
        if let Some(Held { reached, release, .. }) = held {
            let _ = reached.send(());
            let _ = release.await;
        }
        let applied = self.inner.apply(&changes).await?;
        let wanted = *self.lose_replies_to.lock().unwrap();
        let hit = changes.iter().any(|c| Some(c.action.action()) == wanted);
        if hit && take(&self.to_lose) { Err(self.lost()) } else { Ok(applied) }
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        self.there()?;
        self.inner.sweep(limit).await
    }

    async fn bid(&self, id: BidId) -> Result<Option<Bid>> {
        self.there()?;
        self.inner.bid(id).await
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
        self.there()?;
        self.inner.list(filter, page).await
    }

    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
        self.there()?;
        self.inner.count(filter).await
    }

    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>> {
        self.there()?;
        self.inner.history(id).await
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64> {
        self.there()?;
        self.inner.sent_since(marketplace, since).await
    }

    async fn liveness(&self, claimant: &Claimant) -> Result<Liveness> {
        self.there()?;
        self.inner.liveness(claimant).await
    }

    async fn check(&self) -> Result<Health> {
        self.there()?;
        self.inner.check().await
    }
}

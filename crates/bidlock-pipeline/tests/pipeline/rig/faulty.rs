//! A ledger that fails on demand: away, slow at one step, or with its reply to a commit lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use bidlock_ledger::{
    Action, Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, ErrorKind,
    Health, ImportOutcome, LedgerError, LedgerId, LedgerStore, Liveness, NewClaim, NewImport, NewNote, Note,
    Page, PostingId, Result, Standing, Swept, WallTime,
};
use tokio::sync::oneshot;

/// One change that waits, before it is made or before its answer is read.
#[derive(Debug)]
struct Held {
    at: Action,
    after: bool,
    /// So many changes of this kind pass before.
    skip: usize,
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
    held_look: std::sync::Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
    broken_at: std::sync::Mutex<Option<Action>>,
    for_newer: AtomicBool,
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
            held_look: std::sync::Mutex::new(None),
            broken_at: std::sync::Mutex::new(None),
            for_newer: AtomicBool::new(false),
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
    pub fn hold_before(&self, action: Action) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        self.hold(action, false, 0)
    }

    /// As [`hold_before`](Self::hold_before), but lets the first one pass.
    pub fn hold_before_the_second(&self, action: Action) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        self.hold(action, false, 1)
    }

    /// The next change of this kind is made, and its answer waits.
    pub fn hold_after(&self, action: Action) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        self.hold(action, true, 0)
    }

    /// The next look at one bid waits before it is answered.
    pub fn hold_look(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, there), (go, release)) = (oneshot::channel(), oneshot::channel());
        *self.held_look.lock().unwrap() = Some((reached, release));
        (there, go)
    }

    fn hold(&self, at: Action, after: bool, skip: usize) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, there), (go, release)) = (oneshot::channel(), oneshot::channel());
        *self.held.lock().unwrap() = Some(Held { at, after, skip, reached, release });
        (there, go)
    }

    async fn wait_if_held(&self, changes: &[Change], after: bool) {
        let held = {
            let mut held = self.held.lock().unwrap();
            held.take_if(|held| {
                let hit = held.after == after && changes.iter().any(|c| c.action.action() == held.at);
                let passes = hit && held.skip > 0;
                held.skip -= usize::from(passes);
                hit && !passes
            })
        };
        if let Some(Held { reached, release, .. }) = held {
            let _ = reached.send(());
            let _ = release.await;
        }
    }

    /// From now on only newer versions may work with it.
    pub fn leave_to_newer(&self) {
        self.for_newer.store(true, SeqCst);
    }

    /// The next change of this kind fails for good, and changes nothing.
    pub fn break_at(&self, action: Action) {
        *self.broken_at.lock().unwrap() = Some(action);
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

    async fn still_admits(&self) -> Result<()> {
        if self.for_newer.load(SeqCst) {
            return Err(LedgerError::new(ErrorKind::SchemaNewer, "test", "the ledger is for newer versions"));
        }
        self.there()?;
        self.inner.still_admits().await
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
        let broken = |at: &mut Action| changes.iter().any(|c| c.action.action() == *at);
        if self.broken_at.lock().unwrap().take_if(broken).is_some() {
            return Err(LedgerError::new(ErrorKind::Corrupt, "test", "the ledger is damaged"));
        }
        self.wait_if_held(&changes, false).await;
        let applied = self.inner.apply(&changes).await?;
        self.wait_if_held(&changes, true).await;
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
        let held = self.held_look.lock().unwrap().take();
        if let Some((reached, release)) = held {
            let _ = reached.send(());
            let _ = release.await;
        }
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

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        self.there()?;
        self.inner.note(name).await
    }

    async fn write_note(&self, note: &NewNote) -> Result<bool> {
        self.there()?;
        self.inner.write_note(note).await
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

//! A fault at the n-th call that a scanner makes: of its ledger, its locks and its marketplace, counted together.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bidlock::{
    Acquire, Acquired, Actor as LockActor, Capability, Grant, Health as LockHealth, HeldLock, KeyFilter,
    LedgerBinding, LockBackend, LockKey, Page as LockPage, Released, Renewed, Waiter,
};
use bidlock_ledger::{
    Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, Health,
    ImportOutcome, LedgerError, LedgerId, LedgerStore, Liveness, NewClaim, NewImport, NewNote, Note, Page,
    PostingId, Standing, Swept, WallTime,
};
use bidlock_market::{
    Answer, Capabilities, LookUpError, LostCause, Marketplace, RemoteBid, Submission, WithdrawAnswer,
};
use tokio::sync::{mpsc, oneshot};

/// What happens at the n-th call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing was done.
    NotDone,
    /// It is done, and its answer is lost.
    AnswerLost,
    /// The process dies before it.
    KilledBefore,
    /// The process dies after it, before it reads the answer.
    KilledAfter,
    /// The process sleeps before it, until the test wakes it.
    AsleepBefore,
    /// The process sleeps after it, before it reads the answer.
    AsleepAfter,
}

/// What the test learns when the call is reached.
#[derive(Debug)]
pub enum Reached {
    /// The process is dead: what it had under way goes on no more.
    Dead,
    /// The process sleeps until this is used or dropped.
    Asleep(oneshot::Sender<()>),
}

/// Counts a scanner's calls and strikes at one of them.
#[derive(Debug)]
pub struct Nth {
    at: usize,
    fault: Fault,
    calls: AtomicUsize,
    /// The names of all calls, in order.
    pub names: Mutex<Vec<String>>,
    /// What must never be, and was.
    pub violations: Mutex<Vec<String>>,
    reached: mpsc::UnboundedSender<Reached>,
}

/// How a call ends that has met the fault.
enum Struck {
    NotDone,
    AnswerLost,
}

impl Nth {
    pub fn new(at: usize, fault: Fault) -> (Arc<Nth>, mpsc::UnboundedReceiver<Reached>) {
        let (reached, hear) = mpsc::unbounded_channel();
        let (calls, names, violations) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        (Arc::new(Nth { at, fault, calls, names, violations, reached }), hear)
    }

    /// The name of the call that was struck, if it was reached.
    pub fn struck(&self) -> Option<String> {
        self.names.lock().unwrap().get(self.at).cloned()
    }

    async fn call<T>(&self, name: &str, call: impl Future<Output = T>) -> Result<T, Struck> {
        self.names.lock().unwrap().push(name.to_owned());
        if self.calls.fetch_add(1, SeqCst) != self.at {
            return Ok(call.await);
        }
        match self.fault {
            Fault::NotDone => Err(Struck::NotDone),
            Fault::AnswerLost => {
                call.await;
                Err(Struck::AnswerLost)
            }
            Fault::KilledBefore => self.die().await,
            Fault::KilledAfter => {
                call.await;
                self.die().await
            }
            Fault::AsleepBefore => {
                self.sleep().await;
                Ok(call.await)
            }
            Fault::AsleepAfter => {
                let answer = call.await;
                self.sleep().await;
                Ok(answer)
            }
        }
    }

    async fn die<T>(&self) -> T {
        let _ = self.reached.send(Reached::Dead);
        std::future::pending().await
    }

    async fn sleep(&self) {
        let (wake, woken) = oneshot::channel();
        let _ = self.reached.send(Reached::Asleep(wake));
        let _ = woken.await;
    }

    async fn of_ledger<T>(
        &self,
        name: &str,
        call: impl Future<Output = bidlock_ledger::Result<T>>,
    ) -> bidlock_ledger::Result<T> {
        let error = |what| LedgerError::new(bidlock_ledger::ErrorKind::Unavailable, "test", what);
        match self.call(name, call).await {
            Ok(answer) => answer,
            Err(Struck::NotDone) => Err(error("the ledger is away")),
            Err(Struck::AnswerLost) => Err(error("the answer was lost").maybe_applied()),
        }
    }

    async fn of_locks<T>(
        &self,
        name: &str,
        call: impl Future<Output = bidlock::Result<T>>,
    ) -> bidlock::Result<T> {
        let error = |what| bidlock::Error::new(bidlock::ErrorKind::Unavailable, "test", "call", what);
        match self.call(name, call).await {
            Ok(answer) => answer,
            Err(Struck::NotDone) => Err(error("the locks are away")),
            Err(Struck::AnswerLost) => Err(error("the answer was lost").maybe_applied()),
        }
    }
}

#[derive(Debug)]
pub struct NthLedger(pub Arc<Nth>, pub Arc<dyn LedgerStore>);

#[async_trait]
impl LedgerStore for NthLedger {
    fn ledger_id(&self) -> LedgerId {
        self.1.ledger_id()
    }

    fn instance(&self) -> Option<uuid::Uuid> {
        self.1.instance()
    }

    async fn standing(&self, postings: &[PostingId]) -> bidlock_ledger::Result<Vec<Standing>> {
        self.0.of_ledger("standing", self.1.standing(postings)).await
    }

    async fn claim(&self, requests: &[NewClaim]) -> bidlock_ledger::Result<Vec<ClaimOutcome>> {
        self.0.of_ledger("claim", self.1.claim(requests)).await
    }

    async fn apply(&self, changes: &[Change]) -> bidlock_ledger::Result<Vec<Applied>> {
        let name = changes.first().map_or("nothing", |c| c.action.action().as_str());
        self.0.of_ledger(name, self.1.apply(changes)).await
    }

    async fn sweep(&self, limit: u32) -> bidlock_ledger::Result<Swept> {
        self.0.of_ledger("sweep", self.1.sweep(limit)).await
    }

    async fn import(&self, bids: &[NewImport]) -> bidlock_ledger::Result<Vec<ImportOutcome>> {
        self.0.of_ledger("import", self.1.import(bids)).await
    }

    async fn bid(&self, id: BidId) -> bidlock_ledger::Result<Option<Bid>> {
        self.0.of_ledger("bid", self.1.bid(id)).await
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> bidlock_ledger::Result<Vec<Bid>> {
        self.0.of_ledger("list", self.1.list(filter, page)).await
    }

    async fn count(&self, filter: &BidFilter) -> bidlock_ledger::Result<Vec<(BidState, u64)>> {
        self.0.of_ledger("count", self.1.count(filter)).await
    }

    async fn history(&self, id: BidId) -> bidlock_ledger::Result<Vec<BidEvent>> {
        self.0.of_ledger("history", self.1.history(id)).await
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> bidlock_ledger::Result<u64> {
        self.0.of_ledger("sent_since", self.1.sent_since(marketplace, since)).await
    }

    async fn note(&self, name: &str) -> bidlock_ledger::Result<Option<Note>> {
        self.0.of_ledger("note", self.1.note(name)).await
    }

    async fn write_note(&self, note: &NewNote) -> bidlock_ledger::Result<bool> {
        self.0.of_ledger("write_note", self.1.write_note(note)).await
    }

    async fn liveness(&self, claimant: &Claimant) -> bidlock_ledger::Result<Liveness> {
        self.0.of_ledger("liveness", self.1.liveness(claimant)).await
    }

    async fn check(&self) -> bidlock_ledger::Result<Health> {
        self.0.of_ledger("check", self.1.check()).await
    }
}

#[derive(Debug)]
pub struct NthLocks(pub Arc<Nth>, pub Arc<dyn LockBackend>);

#[async_trait]
impl LockBackend for NthLocks {
    fn capability(&self) -> Capability {
        self.1.capability()
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> bidlock::Result<Vec<Acquired>> {
        self.0.of_locks("try_acquire", self.1.try_acquire(requests)).await
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> bidlock::Result<Vec<Renewed>> {
        self.0.of_locks("renew", self.1.renew(grants, ttl)).await
    }

    async fn release(&self, grants: &[Grant]) -> bidlock::Result<Vec<Released>> {
        self.0.of_locks("release", self.1.release(grants)).await
    }

    async fn inspect(&self, filter: &KeyFilter, page: LockPage) -> bidlock::Result<Vec<HeldLock>> {
        self.0.of_locks("inspect", self.1.inspect(filter, page)).await
    }

    async fn force_release(&self, key: &LockKey, by: &LockActor) -> bidlock::Result<Released> {
        self.0.of_locks("force_release", self.1.force_release(key, by)).await
    }

    async fn enlist(&self, request: &Acquire) -> bidlock::Result<Waiter> {
        self.0.of_locks("enlist", self.1.enlist(request)).await
    }

    async fn bind_ledger(
        &self,
        ledger: &str,
        memory: Duration,
        replace: bool,
    ) -> bidlock::Result<LedgerBinding> {
        self.0.of_locks("bind_ledger", self.1.bind_ledger(ledger, memory, replace)).await
    }

    async fn check(&self) -> bidlock::Result<LockHealth> {
        self.0.of_locks("check", self.1.check()).await
    }
}

/// A marketplace as one scanner reaches it. Looks, before each request, whether the ledger durably says so.
#[derive(Debug)]
pub struct NthMarket {
    pub nth: Arc<Nth>,
    pub market: Arc<super::market::Market>,
    /// The real ledger, for the look.
    pub ledger: Arc<dyn LedgerStore>,
    pub holder: String,
}

#[async_trait]
impl Marketplace for NthMarket {
    fn via(&self) -> &str {
        self.market.via()
    }

    fn capabilities(&self) -> Capabilities {
        self.market.capabilities()
    }

    fn time_limit(&self) -> Duration {
        self.market.time_limit()
    }

    async fn submit(&self, submission: &Submission) -> Answer {
        let row = self.ledger.bid(BidId(submission.bid_id)).await.unwrap().unwrap();
        // Whoever slept behind the door looks at his own clock, and does not send.
        if row.state != BidState::Submitting || row.attempts == 0 || row.claimant.holder != self.holder {
            let violation =
                format!("S2: {} sends without a durable `submitting` of its own: {row:?}", self.holder);
            self.nth.violations.lock().unwrap().push(violation);
        }
        let lost = |cause| Answer::Lost { cause, detail: "injected".to_owned() };
        match self.nth.call("submit", self.market.submit(submission)).await {
            Ok(answer) => answer,
            Err(Struck::NotDone) => lost(LostCause::Timeout),
            Err(Struck::AnswerLost) => lost(LostCause::ConnectionLost),
        }
    }

    async fn look_up(&self, posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError> {
        let away = || LookUpError::Unreachable { via: self.via().to_owned(), detail: "injected".to_owned() };
        self.nth.call("look_up", self.market.look_up(posting)).await.unwrap_or_else(|_| Err(away()))
    }

    async fn withdraw(&self, external_ref: &str) -> WithdrawAnswer {
        let later = |_| WithdrawAnswer::TryLater { after: None, detail: "injected".to_owned() };
        self.nth.call("withdraw", self.market.withdraw(external_ref)).await.unwrap_or_else(later)
    }
}

//! What the manager does when its store misbehaves: answers get lost, come late, or never come.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the lints know test functions, and not what these call"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bidlock::backends::memory::MemoryBackend;
use bidlock::{
    Acquire, Acquired, Actor, Attempt, Capability, Clock, Effect, Error, ErrorKind, Grant, Guarded, Health,
    HeldLock, KeyFilter, LedgerBinding, LockBackend, LockKey, LockManager, ManualClock, Nonce, Page,
    Released, Renewed, Result, Shared, Wait, Waiter,
};
use tokio::sync::Notify;

/// How one call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Done, but the answer is lost.
    AnswerLost,
    /// Refused before anything was done.
    Refused,
    /// Done, and the answer never comes.
    Hangs,
    /// Done, and the clock moves on by this long before the answer is there.
    Late(Duration),
}

/// A memory backend whose next calls go wrong as they are told to.
#[derive(Debug)]
struct Faulty {
    store: MemoryBackend,
    clock: Arc<ManualClock>,
    acquires: Mutex<VecDeque<Fault>>,
    renewals: Mutex<VecDeque<Fault>>,
    releases: Mutex<VecDeque<Fault>>,
    asked: Mutex<Vec<Nonce>>,
    renewed: Notify,
}

impl Faulty {
    async fn spoil<T>(
        &self,
        faults: &Mutex<VecDeque<Fault>>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = faults.lock().unwrap().pop_front();
        let broken = || Error::new(ErrorKind::Unavailable, "faulty", "test", "broken on request");
        match fault {
            None => work.await,
            Some(Fault::Refused) => Err(broken()),
            Some(Fault::AnswerLost) => work.await.and(Err(broken().maybe_applied())),
            Some(Fault::Hangs) => {
                work.await?;
                std::future::pending().await
            }
            Some(Fault::Late(by)) => {
                let answer = work.await;
                self.clock.advance(by);
                answer
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LockBackend for Faulty {
    fn capability(&self) -> Capability {
        // As a store at the other end of a wire would say.
        Capability { shared: Shared::Fleet, ..self.store.capability() }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        self.asked.lock().unwrap().extend(requests.iter().map(|request| request.nonce));
        self.spoil(&self.acquires, self.store.try_acquire(requests)).await
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        let renewed = self.spoil(&self.renewals, self.store.renew(grants, ttl)).await;
        self.renewed.notify_one();
        renewed
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        self.spoil(&self.releases, self.store.release(grants)).await
    }

    fn store_of(&self, grant: &Grant) -> usize {
        self.store.store_of(grant)
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.store.inspect(filter, page).await
    }

    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.store.force_release(key, by).await
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        // Where a release wakes everybody, queueing takes a free lock.
        self.spoil(&self.acquires, self.store.enlist(request)).await
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        self.store.bind_ledger(ledger, memory, replace).await
    }

    async fn check(&self) -> Result<Health> {
        self.store.check().await
    }
}

const TTL: Duration = Duration::from_secs(30);

struct Bench {
    clock: Arc<ManualClock>,
    backend: Arc<Faulty>,
    locks: LockManager,
}

/// A manager on a faulty store, both on one clock that the test moves.
fn bench() -> Bench {
    let clock = Arc::new(ManualClock::new());
    let backend = Arc::new(Faulty {
        store: MemoryBackend::with_clock(clock.clone()),
        clock: clock.clone(),
        acquires: Mutex::default(),
        renewals: Mutex::default(),
        releases: Mutex::default(),
        asked: Mutex::default(),
        renewed: Notify::new(),
    });
    let locks = LockManager::builder(backend.clone()).ttl(TTL).clock(clock.clone()).build().unwrap();
    Bench { clock, backend, locks }
}

fn key() -> LockKey {
    LockKey::posting("upwork", "1").unwrap()
}

impl Bench {
    async fn lease(&self) -> bidlock::Lease {
        self.locks.try_lock(&key()).await.unwrap().acquired().unwrap()
    }

    async fn is_free(&self) -> bool {
        self.backend.inspect(&KeyFilter::all(), Page::default()).await.unwrap().is_empty()
    }

    /// Moves time until the background has given everything back.
    async fn until_free(&self) {
        for _ in 0..1_000 {
            if self.is_free().await {
                return;
            }
            self.clock.advance(Duration::from_millis(10));
            tokio::task::yield_now().await;
        }
        panic!("not given back in 10 s, and its TTL is {TTL:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_nonce() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().extend([Fault::AnswerLost, Fault::AnswerLost]);
    let lease = bench.lease().await;
    let asked = bench.backend.asked.lock().unwrap().clone();
    assert!(asked.len() == 3 && asked.iter().all(|nonce| *nonce == asked[0]), "{asked:?}");
    assert_eq!(lease.release().await.unwrap(), Released::Released);
    assert_eq!((bench.locks.stats().attempts, bench.locks.stats().successes), (1, 1));
}

#[tokio::test]
async fn an_attempt_that_stays_unanswered_is_an_error_and_given_back() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().extend([Fault::AnswerLost; 3]);
    let error = bench.locks.try_lock(&key()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    assert_eq!(bench.locks.stats().errors, 1);
    assert!(!bench.is_free().await);
    bench.until_free().await;
}

/// The refusals are of later tries, and say nothing of the first.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_given_back_all_the_same() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().extend([Fault::AnswerLost, Fault::Refused, Fault::Refused]);
    assert_eq!(bench.locks.try_lock(&key()).await.unwrap_err().effect(), Effect::Unknown);
    assert!(!bench.is_free().await);
    bench.until_free().await;
}

#[tokio::test]
async fn a_refusal_is_not_held_and_not_repeated() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().push_back(Fault::Refused);
    assert_eq!(bench.locks.try_lock(&key()).await.unwrap_err().effect(), Effect::NotApplied);
    assert_eq!(bench.backend.asked.lock().unwrap().len(), 1);
    bench.lease().await.release().await.unwrap();
}

#[tokio::test]
async fn an_acquisition_dropped_while_the_store_works_is_given_back() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().push_back(Fault::Hangs);
    let locks = bench.locks.clone();
    let asking = tokio::spawn(async move { locks.try_lock(&key()).await.map(drop) });
    while bench.is_free().await {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    bench.until_free().await;
}

#[tokio::test]
async fn a_wait_on_a_store_that_hangs_ends_as_unavailable_and_is_given_back() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().push_back(Fault::Hangs);
    let locks = bench.locks.clone();
    let waiting = tokio::spawn(async move { locks.lock(&key(), Wait::up_to(Duration::from_secs(5))).await });
    while !waiting.is_finished() {
        bench.clock.advance(Duration::from_millis(50));
        tokio::task::yield_now().await;
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    bench.until_free().await;
}

#[tokio::test]
async fn an_answer_that_came_after_its_own_ttl_is_no_lease() {
    let bench = bench();
    bench.backend.acquires.lock().unwrap().push_back(Fault::Late(TTL));
    assert_eq!(bench.locks.try_lock(&key()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bench.locks.stats().active, 0);
    bench.until_free().await;
}

#[tokio::test]
async fn the_deadline_counts_from_before_the_request_less_a_margin() {
    let bench = bench();
    let sent = bench.clock.now();
    bench.backend.acquires.lock().unwrap().push_back(Fault::Late(Duration::from_secs(10)));
    let lease = bench.lease().await;
    let good_for = lease.deadline().since(sent);
    assert!(good_for < TTL - TTL / 200 && good_for > TTL - TTL / 20, "{good_for:?}");
    assert!(lease.remaining() < TTL - Duration::from_secs(10));
}

#[tokio::test]
async fn leases_are_renewed_at_a_third_of_their_ttl() {
    let bench = bench();
    let lease = bench.lease().await;
    let first = lease.deadline();
    tokio::task::yield_now().await;
    bench.clock.advance(TTL / 3 - Duration::from_secs(3));
    tokio::task::yield_now().await;
    assert_eq!(lease.deadline(), first);
    bench.clock.advance(Duration::from_secs(3));
    bench.backend.renewed.notified().await;
    tokio::task::yield_now().await;
    assert!(lease.deadline() > first);
    assert!(!lease.is_lost());
}

#[tokio::test]
async fn renewals_that_fail_are_repeated_and_the_lease_survives() {
    let bench = bench();
    bench.backend.renewals.lock().unwrap().extend([Fault::Refused, Fault::AnswerLost, Fault::Hangs]);
    let lease = bench.lease().await;
    let until = bench.clock.now().later(TTL * 3);
    while bench.clock.now() < until {
        bench.clock.advance(Duration::from_millis(100));
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        assert!(!lease.is_lost());
    }
    assert_eq!(lease.release().await.unwrap(), Released::Released);
}

#[tokio::test]
async fn without_renewals_the_work_is_cancelled_before_the_store_lets_others_in() {
    let bench = bench();
    bench.backend.renewals.lock().unwrap().extend([Fault::Refused; 100]);
    let locks = bench.locks.clone();
    let guarded = tokio::spawn(async move {
        let work = |_| std::future::pending::<()>();
        locks.with_lock(&key(), Wait::none(), work).await
    });
    while bench.is_free().await {
        tokio::task::yield_now().await;
    }
    let mut steps = 0;
    while !guarded.is_finished() {
        let held = !bench.is_free().await;
        assert!(held, "the store let others in while the work went on");
        bench.clock.advance(Duration::from_millis(50));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        steps += 1;
    }
    assert!(matches!(guarded.await.unwrap().unwrap(), Guarded::Lost));
    assert!(steps > 500, "lost after {steps} steps of 50 ms, with a TTL of {TTL:?}");
    assert_eq!(bench.locks.stats().lost, 1);
}

#[tokio::test]
async fn a_release_that_fails_is_repeated_in_the_background() {
    let bench = bench();
    let lease = bench.lease().await;
    bench.backend.releases.lock().unwrap().extend([Fault::Refused; 3]);
    assert_eq!(lease.release().await.unwrap_err().effect(), Effect::NotApplied);
    assert!(!bench.is_free().await);
    bench.until_free().await;
    assert_eq!((bench.locks.stats().active, bench.locks.stats().lost), (0, 0));
}

#[tokio::test]
async fn a_release_dropped_half_way_is_finished_in_the_background() {
    let bench = bench();
    for fault in [Fault::Hangs, Fault::AnswerLost] {
        let lease = bench.lease().await;
        bench.backend.releases.lock().unwrap().push_back(fault);
        let releasing = tokio::spawn(lease.release());
        tokio::task::yield_now().await;
        releasing.abort();
        let _ = releasing.await;
        bench.until_free().await;
    }
}

#[tokio::test]
async fn a_batch_that_breaks_returns_no_lease_and_leaves_none() {
    let bench = bench();
    let keys: Vec<LockKey> =
        (0..bidlock::MAX_BATCH + 10).map(|n| LockKey::posting("upwork", &n.to_string()).unwrap()).collect();
    // The first call goes well, the second one breaks for good.
    bench.backend.acquires.lock().unwrap().extend([Fault::Late(Duration::ZERO)]);
    bench.backend.acquires.lock().unwrap().extend([Fault::AnswerLost; 3]);
    bench.locks.try_lock_many(&keys).await.unwrap_err();
    assert_eq!(bench.locks.stats().active, 0);
    bench.until_free().await;
}

#[tokio::test]
async fn a_lease_dropped_outside_of_a_runtime_is_released_all_the_same() {
    let bench = bench();
    let lease = bench.lease().await;
    std::thread::spawn(move || drop(lease)).join().unwrap();
    bench.until_free().await;
}

#[tokio::test]
async fn a_ttl_below_the_floor_is_refused_and_the_old_one_stays() {
    let bench = bench();
    assert_eq!(bench.locks.set_ttl(Duration::from_millis(99)).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(bench.locks.ttl(), TTL);
    bench.locks.set_ttl(Duration::from_millis(100)).unwrap();
    let attempt = bench.locks.try_lock(&key()).await.unwrap();
    assert!(matches!(attempt, Attempt::Acquired(lease) if lease.remaining() < Duration::from_millis(100)));
    assert!(LockManager::new(bench.backend.clone()).with_ttl(Duration::ZERO).is_err());
}

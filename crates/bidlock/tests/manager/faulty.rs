//! A manager on a store that fails as it is told to, both on one clock that a test moves.

#![allow(unreachable_pub, reason = "for the tests beside it")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bidlock::backends::memory::MemoryBackend;
use bidlock::{
    Acquire, Acquired, Actor, Capability, Clock, Enlisted, Error, ErrorKind, Grant, Health, HeldLock,
    KeyFilter, LedgerBinding, LockBackend, LockKey, LockManager, ManualClock, Moment, Nonce, Page, Released,
    Renewed, Result, Shared, Turn, Waiter,
};
use tokio::sync::Notify;

/// How one call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Done, but the answer is lost.
    AnswerLost,
    /// Refused before anything was done.
    Refused,
    /// Done, and the answer never comes.
    Hangs,
    /// On its way for ever.
    NeverDone,
    /// Done, and the last of the answers is missing. Of renewals.
    Short,
    /// Refused in a way that no repetition helps.
    Senseless,
    /// Done, and the clock moves on by this long before the answer is there.
    Late(Duration),
}

/// A memory backend whose next calls go wrong as they are told to.
#[derive(Debug)]
pub struct Faulty {
    store: Arc<MemoryBackend>,
    clock: Arc<ManualClock>,
    pub acquires: Mutex<VecDeque<Fault>>,
    pub renewals: Mutex<VecDeque<Fault>>,
    pub releases: Mutex<VecDeque<Fault>>,
    /// Its waiters are handed the lock and hear of it after so long as of something new, as where the store's clock has
    /// leapt. Another has it by then if it has ended.
    pub sleepers: Mutex<Option<Duration>>,
    pub asked: Mutex<Vec<Nonce>>,
    pub renewed: Notify,
    /// When renewals and releases were asked for, and of how many.
    pub renewed_at: Mutex<Vec<(Moment, usize)>>,
    pub released_at: Mutex<Vec<(Moment, usize)>>,
}

impl Faulty {
    async fn spoil<T>(&self, fault: Option<Fault>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let broken = || Error::new(ErrorKind::Unavailable, "faulty", "test", "broken on request");
        match fault {
            // Short: its caller drops an answer.
            None | Some(Fault::Short) => work.await,
            Some(Fault::Refused) => Err(broken()),
            Some(Fault::AnswerLost) => work.await.and(Err(broken().maybe_applied())),
            Some(Fault::Hangs) => {
                work.await?;
                std::future::pending().await
            }
            Some(Fault::NeverDone) => std::future::pending().await,
            Some(Fault::Senseless) => {
                Err(Error::new(ErrorKind::Internal, "faulty", "test", "makes no sense"))
            }
            Some(Fault::Late(by)) => {
                let answer = work.await;
                self.clock.advance(by);
                answer
            }
        }
    }
}

/// How long a lock that is handed over lasts, until it is renewed.
pub const UNCONFIRMED: Duration = Duration::from_secs(2);

/// See [`Faulty::sleepers`].
#[derive(Debug)]
struct Sleeper {
    store: Arc<MemoryBackend>,
    clock: Arc<ManualClock>,
    request: Acquire,
    sleeps: Duration,
}

#[async_trait]
impl Enlisted for Sleeper {
    async fn next(&mut self) -> Result<Turn> {
        let short = Acquire { ttl: UNCONFIRMED, ..self.request.clone() };
        let Acquired::Granted(grant) = self.store.try_acquire(&[short]).await?.remove(0) else {
            return Ok(Turn::TryAgain);
        };
        self.clock.advance(self.sleeps);
        let another = Acquire { nonce: Nonce::from_bytes([7; 16]), ttl: TTL, ..self.request.clone() };
        let has_ended = self.sleeps > UNCONFIRMED;
        assert_eq!(matches!(self.store.try_acquire(&[another]).await?[0], Acquired::Granted(_)), has_ended);
        Ok(Turn::Granted { grant, age: Duration::ZERO, firm_for: Some(UNCONFIRMED) })
    }
}

fn next(faults: &Mutex<VecDeque<Fault>>) -> Option<Fault> {
    faults.lock().unwrap().pop_front()
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
        self.spoil(next(&self.acquires), self.store.try_acquire(requests)).await
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        self.renewed_at.lock().unwrap().push((self.clock.now(), grants.len()));
        let fault = next(&self.renewals);
        let mut renewed = self.spoil(fault, self.store.renew(grants, ttl)).await;
        if let (Some(Fault::Short), Ok(renewed)) = (fault, &mut renewed) {
            renewed.pop();
        }
        self.renewed.notify_one();
        renewed
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        self.released_at.lock().unwrap().push((self.clock.now(), grants.len()));
        self.spoil(next(&self.releases), self.store.release(grants)).await
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
        if let Some(sleeps) = *self.sleepers.lock().unwrap() {
            let (store, clock) = (self.store.clone(), self.clock.clone());
            return Ok(Waiter::new(Sleeper { store, clock, request: request.clone(), sleeps }));
        }
        // Where a release wakes everybody, queueing takes a free lock.
        self.spoil(next(&self.acquires), self.store.enlist(request)).await
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        self.store.bind_ledger(ledger, memory, replace).await
    }

    async fn check(&self) -> Result<Health> {
        self.store.check().await
    }
}

pub const TTL: Duration = Duration::from_secs(30);

pub struct Setup {
    pub clock: Arc<ManualClock>,
    pub backend: Arc<Faulty>,
    pub locks: LockManager,
}

/// A manager on a faulty store, both on one clock that the test moves.
pub fn setup() -> Setup {
    let clock = Arc::new(ManualClock::new());
    let backend = Arc::new(Faulty {
        store: Arc::new(MemoryBackend::with_clock(clock.clone())),
        clock: clock.clone(),
        acquires: Mutex::default(),
        renewals: Mutex::default(),
        releases: Mutex::default(),
        sleepers: Mutex::default(),
        asked: Mutex::default(),
        renewed: Notify::new(),
        renewed_at: Mutex::default(),
        released_at: Mutex::default(),
    });
    let locks = LockManager::builder(backend.clone()).ttl(TTL).clock(clock.clone()).build().unwrap();
    Setup { clock, backend, locks }
}

pub fn key() -> LockKey {
    LockKey::posting("upwork", "1").unwrap()
}

impl Setup {
    pub async fn lease(&self) -> bidlock::Lease {
        self.locks.try_lock(&key()).await.unwrap().acquired().unwrap()
    }

    pub async fn is_free(&self) -> bool {
        self.backend.inspect(&KeyFilter::all(), Page::default()).await.unwrap().is_empty()
    }

    /// Moves time until the background has given everything back.
    pub async fn until_free(&self) {
        for _ in 0..1_000 {
            if self.is_free().await {
                return;
            }
            self.clock.advance(Duration::from_millis(10));
            tokio::task::yield_now().await;
        }
        panic!("not given back in 10 s, and its TTL is {TTL:?}");
    }

    /// Moves time in steps, each with its consequences.
    pub async fn pass(&self, time: Duration, step: Duration) {
        let until = self.clock.now().later(time);
        settle().await;
        while self.clock.now() < until {
            self.clock.advance(step);
            settle().await;
        }
    }

    pub async fn lease_of(&self, posting: &str) -> bidlock::Lease {
        let key = LockKey::posting("upwork", posting).unwrap();
        self.locks.try_lock(&key).await.unwrap().acquired().unwrap()
    }

    /// How many releases have been asked for.
    pub fn releases(&self) -> usize {
        self.backend.released_at.lock().unwrap().len()
    }
}

/// Lets every task run until it waits.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

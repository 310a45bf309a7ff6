//! Faults on purpose, between a caller and a backend: for tests. Feature `conformance`.
//!
//! Seeded: the same seed and the same order of calls give the same faults. Or one after another, as a test says. Or all
//! at once: an engine that is away.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LedgerBinding, LockBackend, Page,
    Released, Renewed, Waiter,
};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::sync::locked;

/// The engine's name in [`Capability`] and errors.
const NAME: &str = "chaos";

/// How one call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Refused with this kind, before anything was done.
    Refused(ErrorKind),
    /// Done, and the answer is lost.
    AnswerLost,
    /// Done, so much later.
    Late(Duration),
    /// Done, and the answer is so much late.
    AnswerLate(Duration),
}

/// How likely calls go wrong, each between 0 and 1; the rest goes well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// Refused before anything was done, as if the engine could not be reached.
    pub refused: f64,
    /// Done, and the answer lost.
    pub answer_lost: f64,
    /// Late, before or after it is done.
    pub late: f64,
    /// How late at the most.
    pub longest_delay: Duration,
}

/// A backend whose calls go wrong. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Chaos(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Arc<dyn LockBackend>,
    clock: Arc<dyn Clock>,
    odds: Odds,
    state: Mutex<State>,
    calls: AtomicU64,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    next: VecDeque<Mishap>,
    away: Option<ErrorKind>,
}

impl Chaos {
    /// Nothing goes wrong but what is asked for by [`Chaos::next_goes`] and [`Chaos::away`].
    pub fn calm(backend: Arc<dyn LockBackend>) -> Chaos {
        Chaos::seeded(backend, 0, Odds::default())
    }

    /// Calls go wrong by chance.
    pub fn seeded(backend: Arc<dyn LockBackend>, seed: u64, odds: Odds) -> Chaos {
        Chaos::with_clock(backend, seed, odds, Arc::new(SystemClock))
    }

    /// The same with another clock for its delays.
    pub fn with_clock(backend: Arc<dyn LockBackend>, seed: u64, odds: Odds, clock: Arc<dyn Clock>) -> Chaos {
        let state = State { random: StdRng::seed_from_u64(seed), next: VecDeque::new(), away: None };
        Chaos(Arc::new(Inner { backend, clock, odds, state: Mutex::new(state), calls: AtomicU64::new(0) }))
    }

    /// The next calls go wrong in these ways, one each, whatever they are; then by chance again.
    pub fn next_goes(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        locked(&self.0.state).next.extend(mishaps);
    }

    /// Whether the engine is away: then every call is refused with this kind, until `None`.
    pub fn away(&self, kind: Option<ErrorKind>) {
        locked(&self.0.state).away = kind;
    }

    /// How many calls there were, spoilt ones included.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Relaxed)
    }

    fn draw(&self) -> Option<Mishap> {
        let mut state = locked(&self.0.state);
        if let Some(kind) = state.away {
            return Some(Mishap::Refused(kind));
        }
        if let Some(next) = state.next.pop_front() {
            return Some(next);
        }
        let odds = &self.0.odds;
        let mut chance: f64 = state.random.random();
        let mut falls = |odds: f64| {
            chance -= odds;
            chance < 0.0
        };
        if falls(odds.refused) {
            return Some(Mishap::Refused(ErrorKind::Unavailable));
        }
        if falls(odds.answer_lost) {
            return Some(Mishap::AnswerLost);
        }
        if falls(odds.late) {
            let by = odds.longest_delay.mul_f64(state.random.random());
            return Some(if state.random.random() { Mishap::Late(by) } else { Mishap::AnswerLate(by) });
        }
        None
    }

    async fn spoil<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.0.calls.fetch_add(1, Relaxed);
        let broken = |kind| Error::new(kind, NAME, operation, "broken on purpose");
        let pause = async |by| self.0.clock.sleep_until(self.0.clock.now().later(by)).await;
        match self.draw() {
            None => work.await,
            Some(Mishap::Refused(kind)) => Err(broken(kind)),
            Some(Mishap::AnswerLost) => {
                work.await?;
                Err(broken(ErrorKind::Unavailable).maybe_applied())
            }
            Some(Mishap::Late(by)) => {
                pause(by).await;
                work.await
            }
            Some(Mishap::AnswerLate(by)) => {
                let answer = work.await;
                pause(by).await;
                answer
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LockBackend for Chaos {
    fn capability(&self) -> Capability {
        Capability { name: NAME, ..self.0.backend.capability() }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        self.spoil("try_acquire", self.0.backend.try_acquire(requests)).await
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        self.spoil("renew", self.0.backend.renew(grants, ttl)).await
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        self.spoil("release", self.0.backend.release(grants)).await
    }

    fn store_of(&self, grant: &Grant) -> usize {
        self.0.backend.store_of(grant)
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.spoil("inspect", self.0.backend.inspect(filter, page)).await
    }

    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.spoil("force_release", self.0.backend.force_release(key, by)).await
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        self.spoil("enlist", self.0.backend.enlist(request)).await
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        self.spoil("bind_ledger", self.0.backend.bind_ledger(ledger, memory, replace)).await
    }

    async fn check(&self) -> Result<Health> {
        let health = self.spoil("check", self.0.backend.check()).await?;
        Ok(Health { backend: NAME, ..health })
    }
}

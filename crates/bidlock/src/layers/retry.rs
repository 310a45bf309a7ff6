//! Asks an engine again after a passing error, a bounded number of times.
//!
//! A passing error is one that [`Error::is_retryable`]; any other is passed on at once. An acquisition is asked again
//! under the same nonce, so that a grant whose answer was lost is granted again. A release asked again may find that
//! its first try was applied, and then says `Expired`; a forced release would end somebody else's lease then, so it is
//! repeated only where nothing was applied. Contention is no error and is not asked again; a check neither: it is to
//! say how things are.
//!
//! Retries do not multiply: an error that leaves this layer is marked ([`Error::was_retried`]), and neither another
//! such layer nor the manager's own asking for lost answers asks again for it.
//!
//! Order: around one engine, inside of [`Fallback`](super::fallback::Fallback), which goes over to another engine when
//! the tries are used up. Around the fall-back it would ask the wrong engine again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LedgerBinding, LockBackend, Page,
    Released, Renewed, Waiter,
};
use crate::clock::{Clock, SystemClock};
use crate::error::{Effect, Error, Result};
use crate::key::LockKey;

/// The pause before the second try, which most errors that pass do not outlast; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// No try begins later than this after the first: where each waits for a time limit of its own, a few of them would
/// otherwise cost a caller half a minute.
pub const LAST_START: Duration = Duration::from_secs(4);
/// More tries than this are a mistake in a setting; a few seconds end them anyway.
pub const MAX_RETRIES: u32 = 1_000;

/// A backend that is asked again after a passing error.
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn LockBackend>,
    retries: u32,
    clock: Arc<dyn Clock>,
}

/// Which errors a call may be repeated after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Repeating it changes nothing that the first try has not.
    Always,
    /// A second time it might do something else.
    IfNotApplied,
}

impl Retry {
    /// Asks up to `retries` more times after a passing error, at most [`MAX_RETRIES`]; with 0, every error is final.
    pub fn new(inner: Arc<dyn LockBackend>, retries: u32) -> Retry {
        Retry::with_clock(inner, retries, Arc::new(SystemClock))
    }

    /// The same with another clock for its pauses: for tests.
    pub fn with_clock(inner: Arc<dyn LockBackend>, retries: u32, clock: Arc<dyn Clock>) -> Retry {
        Retry { inner, retries: retries.min(MAX_RETRIES), clock }
    }

    async fn ask<T, F>(&self, repeat: Repeat, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let last_start = self.clock.now().later(LAST_START);
        let mut pause = FIRST_PAUSE;
        let mut lost = false;
        for left in (0..=self.retries).rev() {
            let mut error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            lost |= error.effect() == Effect::Unknown;
            if lost {
                // A later refusal does not undo what an earlier try may have done.
                error = error.maybe_applied();
            }
            let spread = pause.mul_f64(rand::random_range(0.5..1.0));
            let next = self.clock.now().later(spread);
            let may_repeat = repeat == Repeat::Always || error.effect() == Effect::NotApplied;
            if left == 0 || !error.is_retryable() || error.was_retried() || !may_repeat || next > last_start {
                return Err(error.retried());
            }
            tracing::debug!(%error, left, "a passing error, asking again");
            self.clock.sleep_until(next).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        // The last round has returned.
        Err(Error::new(crate::ErrorKind::Internal, self.inner.capability().name, "retry", "asked no more"))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LockBackend for Retry {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        self.ask(Repeat::Always, || self.inner.try_acquire(requests)).await
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        self.ask(Repeat::Always, || self.inner.renew(grants, ttl)).await
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        self.ask(Repeat::Always, || self.inner.release(grants)).await
    }

    fn store_of(&self, grant: &Grant) -> usize {
        self.inner.store_of(grant)
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.ask(Repeat::Always, || self.inner.inspect(filter, page.clone())).await
    }

    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.ask(Repeat::IfNotApplied, || self.inner.force_release(key, by)).await
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        self.ask(Repeat::Always, || self.inner.enlist(request)).await
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        self.ask(Repeat::Always, || self.inner.bind_ledger(ledger, memory, replace)).await
    }

    async fn check(&self) -> Result<Health> {
        self.inner.check().await
    }
}

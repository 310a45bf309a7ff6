//! Counts a backend's errors, and says whether it answers. What is known only to whoever asks (how long an attempt
//! waited, how long a lock was held, what was lost) is counted by the manager:
//! [`LockManagerBuilder::metrics`](crate::LockManagerBuilder::metrics).
//!
//! Put it right around each engine, below every layer that asks again or asks another: what those hide is what this
//! is for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bidlock_metrics::Engine;

use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Enlisted, Grant, Health, Held, HeldLock, KeyFilter, LedgerBinding,
    LockBackend, Page, Released, Renewed, Turn, Waiter,
};
use crate::error::{ErrorKind, Result};
use crate::key::LockKey;

/// A backend whose answers and errors are counted under its name.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn LockBackend>,
    engine: Engine,
}

impl Metered {
    /// Counts what this backend answers, for the recorder that is installed now.
    pub fn new(inner: Arc<dyn LockBackend>) -> Metered {
        let engine = Engine::new(inner.capability().name, ErrorKind::ALL.map(ErrorKind::as_str));
        Metered { inner, engine }
    }
}

/// Notes an answer and passes it on.
fn noted<T>(engine: &Engine, answer: Result<T>) -> Result<T> {
    match &answer {
        Ok(_) => engine.answered(),
        Err(error) => {
            engine.failed(error.kind().as_str());
            // The other kinds are about what was asked, or were answered by a store that is there.
            if matches!(
                error.kind(),
                ErrorKind::Unavailable | ErrorKind::Poisoned | ErrorKind::Unfit | ErrorKind::Corrupt
            ) {
                engine.is_down();
            }
        }
    }
    answer
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LockBackend for Metered {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        noted(&self.engine, self.inner.try_acquire(requests).await)
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        noted(&self.engine, self.inner.renew(grants, ttl).await)
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        noted(&self.engine, self.inner.release(grants).await)
    }

    fn store_of(&self, grant: &Grant) -> usize {
        self.inner.store_of(grant)
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        noted(&self.engine, self.inner.inspect(filter, page).await)
    }

    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        noted(&self.engine, self.inner.force_release(key, by).await)
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        let waiter = noted(&self.engine, self.inner.enlist(request).await)?;
        if waiter.is_never() {
            return Ok(waiter);
        }
        Ok(Waiter::new(MeteredWaiter { waiter, engine: self.engine.clone() }))
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        noted(&self.engine, self.inner.bind_ledger(ledger, memory, replace).await)
    }

    async fn check(&self) -> Result<Health> {
        noted(&self.engine, self.inner.check().await)
    }
}

#[derive(Debug)]
struct MeteredWaiter {
    waiter: Waiter,
    engine: Engine,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Enlisted for MeteredWaiter {
    async fn next(&mut self) -> Result<Turn> {
        noted(&self.engine, self.waiter.next().await)
    }

    fn held(&self) -> Option<Held> {
        self.waiter.held()
    }
}

//! The lock engine of the simulation: the real memory backend behind a network that fails, and that can be made to
//! forget everything or to grant everything.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bidlock::{
    Acquire, Acquired, Actor, Capability, Error, ErrorKind, FencingToken, Grant, Health, HeldLock, KeyFilter,
    LedgerBinding, LockBackend, LockKey, Page, Released, Renewed, Waiter, backends::memory::MemoryBackend,
};
use futures::FutureExt;

use crate::{
    body::Body,
    world::{Engine, EngineClock, Fate, World},
};

type Result<T> = std::result::Result<T, Error>;

/// The engine's server.
#[derive(Clone, Debug)]
pub(crate) struct LockServer(MemoryBackend);

impl LockServer {
    pub(crate) fn new(world: &Arc<World>) -> LockServer {
        LockServer(MemoryBackend::with_clock(Arc::new(EngineClock(Arc::clone(world)))))
    }

    /// Nothing is held any more; whoever waits is still there and is served. The store answers at once.
    pub(crate) fn forget(&self) {
        let Ok(by) = Actor::new("simulation", "it forgets") else { return };
        let held = self.0.inspect(&KeyFilter::all(), Page::default()).now_or_never();
        for lock in held.into_iter().flatten().flatten() {
            drop(self.0.force_release(&lock.key, &by).now_or_never());
        }
    }

    fn store(&self) -> MemoryBackend {
        self.0.clone()
    }
}

/// One process's connection to it.
#[derive(Debug)]
pub(crate) struct SimLocks {
    pub(crate) server: LockServer,
    pub(crate) body: Arc<Body>,
}

impl SimLocks {
    /// A call that is done at once, late, or never; and its answer, if that comes back.
    async fn call<T, F>(&self, operation: &'static str, work: impl FnOnce(MemoryBackend) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let fate = self.body.call(Engine::Locks).await;
        let lost = || Error::new(ErrorKind::Unavailable, "simulated", operation, "the call failed");
        match fate {
            Fate::NotApplied => {
                self.body.answer().await;
                Err(lost().maybe_applied())
            }
            // A place in a queue is a connection's own: what comes late has nobody to wait in it.
            Fate::Late(_) if operation == "enlist" => {
                self.body.answer().await;
                Err(lost().maybe_applied())
            }
            Fate::Late(millis) => {
                let work = work(self.server.store()).map(drop).boxed();
                self.body.world.do_later(millis, work);
                self.body.answer().await;
                Err(lost().maybe_applied())
            }
            Fate::Done | Fate::ReplyLost => {
                let answer = work(self.server.store()).await;
                self.body.answer().await;
                if fate == Fate::ReplyLost { Err(lost().maybe_applied()) } else { answer }
            }
        }
    }
}

#[async_trait]
impl LockBackend for SimLocks {
    fn capability(&self) -> Capability {
        Capability { name: "simulated", shared: bidlock::Shared::Fleet, ..self.server.store().capability() }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let asked = requests.to_vec();
        if self.body.world.grants_all() {
            self.body.gate().await;
            self.body.answer().await;
            return Ok(asked.iter().map(granted_to_all).collect());
        }
        self.call("try_acquire", move |store| async move { store.try_acquire(&asked).await }).await
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        let grants = grants.to_vec();
        self.call("renew", move |store| async move { store.renew(&grants, ttl).await }).await
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        let grants = grants.to_vec();
        self.call("release", move |store| async move { store.release(&grants).await }).await
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.server.store().inspect(filter, page).await
    }

    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.server.store().force_release(key, by).await
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        let request = request.clone();
        self.call("enlist", move |store| async move { store.enlist(&request).await }).await
    }

    async fn bind_ledger(&self, _: &str, _: Duration, _: bool) -> Result<LedgerBinding> {
        Ok(LedgerBinding::Unsupported)
    }

    async fn check(&self) -> Result<Health> {
        self.server.store().check().await
    }
}

fn granted_to_all(request: &Acquire) -> Acquired {
    Acquired::Granted(Grant {
        key: request.key.clone(),
        holder: request.holder.clone(),
        nonce: request.nonce,
        token: FencingToken::new(1),
    })
}

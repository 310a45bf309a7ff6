//! **Unsafe, for tests only.** A backend that grants everything to everybody.
//!
//! It exists to prove that bids do not rest on locks: the pipeline must send no posting twice with this in place of
//! its lock layer. `unsafe-grant-all:` as a URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LedgerBinding, LockBackend, Page,
    Released, Renewed, Shared, Waiter, WakeUp,
};
use crate::error::Result;
use crate::key::LockKey;
use crate::token::FencingToken;

/// Why no one should use it.
const WARNING: &str = "these locks exclude nobody: they are for tests of what holds without locks";

pub(crate) fn open(_rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    async {
        tracing::warn!(WARNING);
        Ok(Arc::new(GrantAll::default()) as Arc<dyn LockBackend>)
    }
    .boxed()
}

/// Grants every lock to everybody who asks, renews all, releases all, remembers nothing.
#[derive(Debug, Default)]
pub struct GrantAll {
    granted: AtomicU64,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LockBackend for GrantAll {
    fn capability(&self) -> Capability {
        Capability {
            name: "unsafe-grant-all",
            shared: Shared::Nothing,
            fencing: false,
            wake_up: WakeUp::Nobody,
        }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let grant = |request: &Acquire| {
            Acquired::Granted(Grant {
                key: request.key.clone(),
                holder: request.holder.clone(),
                nonce: request.nonce,
                token: FencingToken::new(self.granted.fetch_add(1, Relaxed) + 1),
            })
        };
        Ok(requests.iter().map(grant).collect())
    }

    async fn renew(&self, grants: &[Grant], _ttl: Duration) -> Result<Vec<Renewed>> {
        Ok(vec![Renewed::Renewed; grants.len()])
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        Ok(vec![Released::Released; grants.len()])
    }

    fn store_of(&self, _grant: &Grant) -> usize {
        0
    }

    async fn inspect(&self, _filter: &KeyFilter, _page: Page) -> Result<Vec<HeldLock>> {
        Ok(Vec::new())
    }

    async fn force_release(&self, _key: &LockKey, _by: &Actor) -> Result<Released> {
        Ok(Released::Expired)
    }

    async fn enlist(&self, _request: &Acquire) -> Result<Waiter> {
        Ok(Waiter::never())
    }

    async fn bind_ledger(&self, _ledger: &str, _memory: Duration, _replace: bool) -> Result<LedgerBinding> {
        Ok(LedgerBinding::Unsupported)
    }

    async fn check(&self) -> Result<Health> {
        Ok(Health {
            backend: "unsafe-grant-all",
            place: "nowhere".to_owned(),
            took: Duration::ZERO,
            facts: Vec::new(),
            warnings: vec![WARNING.to_owned()],
        })
    }
}

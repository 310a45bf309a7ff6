//! Looks after a primary that is away, and goes back to it when it has been well for long enough.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use uuid::Uuid;

use super::Inner;
use super::switch::Using;
use crate::backend::{Acquire, Acquired, LedgerBinding};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::token::{HolderId, Nonce};

/// No probe takes longer; engines have shorter limits of their own.
const PROBE_LIMIT: Duration = Duration::from_secs(15);
/// How long the lock that a probe takes lasts if it can't be given back.
const PROBE_TTL: Duration = Duration::from_secs(5);

/// Sees to it that a task looks after the primary, until it is back or nobody uses the fall-back any more.
pub(super) fn watch(inner: &Arc<Inner>) {
    if inner.probing.load(Ordering::Acquire) {
        return;
    }
    // Outside of a runtime, the next call starts it.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if !inner.probing.swap(true, Ordering::AcqRel) {
        let watch = Watch(Arc::downgrade(inner));
        runtime.spawn(look_after(watch, Arc::clone(&inner.clock), inner.timing.probe_every));
    }
}

/// Lets another task look after the primary when this one ends, also if its runtime ends under it.
struct Watch(Weak<Inner>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.probing.store(false, Ordering::Release);
        }
    }
}

async fn look_after(watch: Watch, clock: Arc<dyn Clock>, every: Duration) {
    loop {
        clock.sleep_until(clock.now().later(every)).await;
        let Some(inner) = watch.0.upgrade() else { return };
        if inner.switch.turn().using == Using::Primary || inner.try_to_go_back().await {
            return;
        }
    }
}

impl Inner {
    /// Probes once, and goes back if that was the last probe that was wanted.
    async fn try_to_go_back(&self) -> bool {
        let turn = self.switch.turn();
        let probed = tokio::select! {
            probed = self.probe() => probed,
            () = self.clock.sleep_until(self.clock.now().later(PROBE_LIMIT)) => {
                Err(self.probe_error(ErrorKind::Unavailable, format!("no answer within {PROBE_LIMIT:?}")))
            }
        };
        let went_well = match probed {
            Ok(()) => {
                let (healthy, used_for) = self.switch.probed_well(self.clock.now());
                if healthy < self.timing.healthy_probes || used_for < self.timing.min_dwell {
                    return false;
                }
                self.tidy_up().await
            }
            Err(error) => Err(error),
        };
        match went_well {
            Ok(()) => {
                let engine = self.primary.capability().name;
                self.switch.go_back(turn, engine, (self.clock.now(), self.clock.wall()))
            }
            Err(error) => {
                if self.switch.probed_badly(&error) {
                    tracing::warn!(%error, "the engine that is away fails in another way now");
                }
                false
            }
        }
    }

    /// Whether the primary can do what it is there for: a lock is taken and given back, and it knows no other ledger.
    async fn probe(&self) -> Result<()> {
        self.primary.check().await?;
        if let LedgerBinding::Another(other) = self.bind().await? {
            let message =
                format!("it is used with another ledger by now, {other}: bidding on two is bidding twice");
            return Err(self
                .probe_error(ErrorKind::Invalid, message)
                .with_hint("stop the scanners of one of the two ledgers; `bidlock doctor` shows both ids"));
        }
        let random = Uuid::new_v4();
        let key = LockKey::named("bidlock", &format!("probe-{}", random.simple()));
        let key = key.map_err(|error| self.probe_error(ErrorKind::Internal, error.to_string()))?;
        let nonce = Nonce::from_bytes(random.into_bytes());
        let request = Acquire { key, holder: HolderId::for_this_process(), nonce, ttl: PROBE_TTL };
        if let Some(Acquired::Granted(grant)) = self.primary.try_acquire(&[request]).await?.pop() {
            self.primary.release(&[grant]).await?;
        }
        Ok(())
    }

    /// Releases in the primary what nobody wants any more.
    async fn tidy_up(&self) -> Result<()> {
        loop {
            let left = self.left_behind.batch(self.clock.now());
            if left.is_empty() {
                return Ok(());
            }
            self.primary.release(&left).await?;
            self.left_behind.done(&left);
        }
    }

    fn probe_error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, self.primary.capability().name, "probe", message)
    }
}

//! A manager's settings.

use std::sync::Arc;
use std::time::Duration;

use bidlock_metrics::Marketplaces;

use super::inner::{Inner, checked_ttl};
use super::{LockManager, reentry::Reentry};
use crate::backend::LockBackend;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::instruments::Instruments;
use crate::stats::Counters;
use crate::token::HolderId;

/// How long a lease lasts without renewal, unless set otherwise.
pub const DEFAULT_TTL: Duration = Duration::from_secs(300);
/// The shortest TTL: below it, a busy host's ordinary pauses lose leases.
pub const MIN_TTL: Duration = Duration::from_millis(100);

/// A manager to be: [`LockManager::builder`].
#[derive(Debug)]
#[must_use]
pub struct LockManagerBuilder {
    backend: Arc<dyn LockBackend>,
    ttl: Duration,
    holder: Option<HolderId>,
    clock: Arc<dyn Clock>,
    renewal: bool,
    reentrant: bool,
    metrics: Option<Marketplaces>,
}

impl LockManagerBuilder {
    pub(super) fn new(backend: Arc<dyn LockBackend>) -> LockManagerBuilder {
        LockManagerBuilder {
            backend,
            ttl: DEFAULT_TTL,
            holder: None,
            clock: Arc::new(SystemClock),
            renewal: true,
            reentrant: false,
            metrics: None,
        }
    }

    /// How long leases last without renewal; [`DEFAULT_TTL`] unless set.
    pub fn ttl(mut self, ttl: Duration) -> LockManagerBuilder {
        self.ttl = ttl;
        self
    }

    /// As whom to take locks; `host:pid:uuid8` of this process unless set.
    pub fn holder(mut self, holder: HolderId) -> LockManagerBuilder {
        self.holder = Some(holder);
        self
    }

    /// The holder's clock: for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> LockManagerBuilder {
        self.clock = clock;
        self
    }

    /// Whether leases are renewed in the background; they are unless switched off. Without it a lease ends at its
    /// TTL unless its holder calls [`LeaseView::renew`](crate::LeaseView::renew).
    pub fn renewal(mut self, on: bool) -> LockManagerBuilder {
        self.renewal = on;
        self
    }

    /// Whether a task that holds a lock gets it again; off unless switched on. The second lease has the first one's
    /// token, and the lock is free when the last of them is released. Two futures joined in one task, or run by one
    /// thread outside of any task, count as one.
    pub fn reentrant(mut self, on: bool) -> LockManagerBuilder {
        self.reentrant = on;
        self
    }

    /// Counts attempts, waits, holds and losses for the recorder of the `metrics` facade that is installed when the
    /// manager is built, with these marketplaces as labels. Off unless asked for: then nothing but
    /// [`Stats`](crate::Stats) is counted, and no clock is read for it. Errors of the store are counted below the
    /// manager, by [`layers::metrics`](crate::layers::metrics).
    pub fn metrics(mut self, marketplaces: &Marketplaces) -> LockManagerBuilder {
        self.metrics = Some(marketplaces.clone());
        self
    }

    /// The manager.
    ///
    /// # Errors
    /// The TTL is shorter than [`MIN_TTL`] or longer than a year.
    pub fn build(self) -> Result<LockManager> {
        checked_ttl(self.backend.capability().name, self.ttl)?;
        Ok(self.build_with_valid_ttl())
    }

    pub(super) fn build_with_valid_ttl(self) -> LockManager {
        let holder = self.holder.unwrap_or_else(HolderId::for_this_process);
        let reentry = self.reentrant.then(Reentry::default);
        let name = self.backend.capability().name;
        let instruments = self.metrics.as_ref().map(|marketplaces| Instruments::new(name, marketplaces));
        let counters = Counters::new(instruments);
        let inner = Inner::new(self.backend, self.clock, holder, self.ttl, self.renewal, reentry, counters);
        LockManager { inner: Arc::new(inner) }
    }
}

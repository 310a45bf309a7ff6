//! How a fall-back is put together, and which ones are refused.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::elsewhere::{Abroad, LeftBehind};
use super::switch::{FallbackChange, OnChange, Switch};
use super::{Fallback, Inner};
use crate::backend::{LockBackend, Shared};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};

/// How often an engine that is away is looked after.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How many probes in a row must go well before the way back: an engine that comes and goes does not count as back.
pub const HEALTHY_PROBES: u32 = 5;
/// How long the secondary is used at the least: whatever happens, there are no more than six changes there and back in
/// a minute. Not spread at random: the sooner all processes are back in one engine, the less work is done twice.
pub const MIN_DWELL: Duration = Duration::from_secs(10);

/// When to go back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) probe_every: Duration,
    pub(super) healthy_probes: u32,
    pub(super) min_dwell: Duration,
}

/// A fall-back to be: [`Fallback::builder`].
#[must_use]
pub struct FallbackBuilder {
    primary: Arc<dyn LockBackend>,
    secondary: Arc<dyn LockBackend>,
    ledger: Shared,
    allow_unshared: bool,
    clock: Arc<dyn Clock>,
    timing: Timing,
    on_change: Option<OnChange>,
}

impl FallbackBuilder {
    pub(super) fn new(primary: Arc<dyn LockBackend>, secondary: Arc<dyn LockBackend>) -> FallbackBuilder {
        FallbackBuilder {
            primary,
            secondary,
            ledger: Shared::Fleet,
            allow_unshared: false,
            clock: Arc::new(SystemClock),
            timing: Timing { probe_every: PROBE_EVERY, healthy_probes: HEALTHY_PROBES, min_dwell: MIN_DWELL },
            on_change: None,
        }
    }

    /// Between whom the ledger is shared: the hosts of a fleet unless said otherwise; the processes of one host for a
    /// ledger in an SQLite file. The secondary must be shared by as many.
    pub fn ledger_shared_by(mut self, shared: Shared) -> FallbackBuilder {
        self.ledger = shared;
        self
    }

    /// Permits a secondary that is shared by fewer than the ledger: for development, where there is one scanner.
    pub fn allow_unshared(mut self, allow: bool) -> FallbackBuilder {
        self.allow_unshared = allow;
        self
    }

    /// The clock for probes and dwelling: for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> FallbackBuilder {
        self.clock = clock;
        self
    }

    /// Other conditions for the way back than [`PROBE_EVERY`], [`HEALTHY_PROBES`] and [`MIN_DWELL`].
    pub fn way_back(mut self, probe_every: Duration, healthy: u32, min_dwell: Duration) -> FallbackBuilder {
        self.timing = Timing { probe_every, healthy_probes: healthy, min_dwell };
        self
    }

    /// Who hears of each change, on the task that makes it: it must not block.
    pub fn on_change(mut self, tell: impl Fn(&FallbackChange) + Send + Sync + 'static) -> FallbackBuilder {
        self.on_change = Some(Arc::new(tell));
        self
    }

    /// The fall-back. It begins with the primary; see [`Fallback::start`].
    ///
    /// # Errors
    /// The secondary is shared by fewer than the ledger, and that was not permitted: scanners that fall back would no
    /// longer exclude each other, and nobody would see it.
    pub fn build(self) -> Result<Fallback> {
        let secondary = self.secondary.capability();
        if secondary.shared < self.ledger && !self.allow_unshared {
            let whose = match secondary.shared {
                Shared::Nothing => "exclude nobody",
                Shared::Process => "hold within one process",
                Shared::Host | Shared::Fleet => "hold within one host",
            };
            let message = format!(
                "{} locks {whose}, and the ledger is shared by more: they can't stand in for {}",
                secondary.name,
                self.primary.capability().name
            );
            return Err(Error::new(ErrorKind::Unfit, secondary.name, "connect", message).with_hint(
                "fall back to locks beside the shared ledger, or to none; for development there is \
                 ENV=development or BIDLOCK_ALLOW_MEMORY_FALLBACK=1",
            ));
        }
        let switch = Switch::new(self.clock.now(), self.on_change);
        Ok(Fallback(Arc::new(Inner {
            primary: self.primary,
            secondary: self.secondary,
            clock: self.clock,
            timing: self.timing,
            switch,
            abroad: Abroad::default(),
            left_behind: LeftBehind::default(),
            binding: Mutex::default(),
            probing: AtomicBool::new(false),
        })))
    }
}

impl std::fmt::Debug for FallbackBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FallbackBuilder")
            .field("primary", &self.primary)
            .field("secondary", &self.secondary)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

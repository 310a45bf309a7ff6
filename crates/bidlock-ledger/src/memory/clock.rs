//! Where the ledger in memory gets time from.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::WallTime;

/// One reading of a store's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTime {
    /// Since the clock's origin. Never goes back; decides the expiry of claims.
    pub running: Duration,
    /// For people, for approvals and for daily caps. May jump.
    pub wall: WallTime,
}

/// The clocks of a store. Tests move them by hand.
pub trait StoreClock: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> StoreTime;
}

/// The process's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemStoreClock {
    origin: Instant,
}

impl Default for SystemStoreClock {
    #[allow(clippy::disallowed_methods, reason = "the one clock of this store that reads real time")]
    fn default() -> SystemStoreClock {
        SystemStoreClock { origin: Instant::now() }
    }
}

impl StoreClock for SystemStoreClock {
    #[allow(clippy::disallowed_methods, reason = "the one clock of this store that reads real time")]
    fn now(&self) -> StoreTime {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        StoreTime { running: self.origin.elapsed(), wall: WallTime(millis(wall)) }
    }
}

/// Clocks that stand still until a test moves them.
#[derive(Debug)]
pub struct ManualStoreClock(Mutex<StoreTime>);

impl ManualStoreClock {
    /// Stands at this wall time.
    pub fn at(wall: WallTime) -> ManualStoreClock {
        ManualStoreClock(Mutex::new(StoreTime { running: Duration::ZERO, wall }))
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        time.running += by;
        time.wall.0 += millis(by);
    }

    /// Steps the wall clock alone, as NTP does.
    pub fn step_wall(&self, by_ms: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wall.0 += by_ms;
    }
}

impl StoreClock for ManualStoreClock {
    fn now(&self) -> StoreTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

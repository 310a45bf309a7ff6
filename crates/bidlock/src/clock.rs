//! The holder's own clock: monotonic, counts time spent suspended, and can be moved by tests.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bidlock_canary::{Canary, removed};

/// The longest single sleep of [`SystemClock`]. The runtime's timers stand still while the host is suspended and
/// this clock does not, so a long sleep is cut into slices and its end is late by one slice at the most.
const MAX_SLICE: Duration = Duration::from_secs(1);

/// An instant on a [`Clock`]: nanoseconds since the clock's origin. Means nothing on another host or clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The clock's origin.
    pub const ORIGIN: Moment = Moment(0);

    /// So many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `by` later, or the last one there is.
    pub fn later(self, by: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Until when whoever asked at this moment may rely on what a store grants for `ttl` by its own clock: TTL from
    /// before the request was sent, less what the two clocks may drift apart in that time (one per cent, and 2 ms for
    /// their granularity).
    pub fn own_deadline(self, ttl: Duration) -> Moment {
        if removed(Canary::NoOwnDeadline) {
            return self.later(Duration::MAX);
        }
        let margin = ttl / 100 + Duration::from_millis(2);
        self.later(ttl.saturating_sub(margin))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Where a manager and the memory backend get time from. Everything that measures goes through one of these, so
/// tests move time instead of waiting for it.
#[async_trait]
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// Now. Never goes back, and goes on while the host is suspended.
    fn now(&self) -> Moment;

    /// The wall clock, for people and for the size of fencing tokens; nothing is decided by it.
    fn wall(&self) -> SystemTime;

    /// Returns at `until` or a little later.
    async fn sleep_until(&self, until: Moment);
}

/// The host's clock: boot time on Linux and Android, the monotonic clock elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Moment {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let at = rustix::time::clock_gettime(CLOCK);
        // Neither part can be negative on a clock that counts from boot.
        Moment(
            at.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(at.tv_nsec.unsigned_abs()),
        )
    }

    #[allow(clippy::disallowed_methods, reason = "the one implementation that reads the real wall clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep_until(&self, until: Moment) {
        loop {
            let left = until.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(MAX_SLICE)).await;
        }
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: tokio::sync::watch::Sender<u64>,
}

impl ManualClock {
    /// A clock at one hour after its origin, so that tests can look back.
    pub fn new() -> ManualClock {
        ManualClock { now: tokio::sync::watch::Sender::new(3_600_000_000_000) }
    }

    /// Moves the clock and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = Moment(*now).later(by).0);
    }
}

impl Default for ManualClock {
    fn default() -> ManualClock {
        ManualClock::new()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(*self.now.borrow())
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(*self.now.borrow())
    }

    async fn sleep_until(&self, until: Moment) {
        // An error would mean that the sender is gone, and it is `self`.
        let _ = self.now.subscribe().wait_for(|now| *now >= until.0).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn the_manual_clock_wakes_sleepers_at_their_moment_and_not_before() {
        let clock = Arc::new(ManualClock::new());
        let until = clock.now().later(Duration::from_secs(10));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(until).await;
                clock.now()
            }
        });
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        assert_eq!(sleeper.await.unwrap(), until);
    }

    #[tokio::test]
    async fn the_system_clock_sleeps_at_least_as_long_as_asked() {
        let start = SystemClock.now();
        SystemClock.sleep_until(start.later(Duration::from_millis(5))).await;
        assert!(SystemClock.now().since(start) >= Duration::from_millis(5));
    }
}

//! The host's clocks: boot time together with the boot id decides expiry, wall time is for people.

use std::{
    fmt::Debug,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// One reading of the host's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostInstant {
    /// Names the boot of the host that `boot_ms` counts from. Readings of two boots can't be compared:
    /// what an earlier boot timed has expired.
    pub boot_id: Uuid,
    /// Milliseconds since that boot, counting while the host sleeps, untouched by NTP.
    pub boot_ms: i64,
    /// Milliseconds since 1970 UTC. Can jump; never decides expiry of a lease or a claim.
    pub wall_ms: i64,
}

impl HostInstant {
    /// What is left until a deadline of boot `boot_id`; `None` once it has passed, or if it was set in
    /// another boot.
    pub fn remaining_until(&self, boot_id: Uuid, deadline_boot_ms: i64) -> Option<Duration> {
        let left = deadline_boot_ms.saturating_sub(self.boot_ms);
        (boot_id == self.boot_id && left > 0).then(|| Duration::from_millis(left.unsigned_abs()))
    }

    /// The boot-time millisecond that lies this far ahead.
    pub fn boot_ms_after(&self, ahead: Duration) -> i64 {
        self.boot_ms.saturating_add(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Where a [`Store`](crate::Store) reads the time. Tests move it by hand.
pub trait HostClock: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> HostInstant;
}

/// The clocks of this host: `CLOCK_BOOTTIME`, `CLOCK_REALTIME` and the kernel's boot id.
///
/// A Linux time namespace shifts `CLOCK_BOOTTIME`: processes that share a file must share that namespace
/// (containers do unless told otherwise).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHostClock;

impl HostClock for SystemHostClock {
    fn now(&self) -> HostInstant {
        HostInstant {
            boot_id: boot_id(),
            boot_ms: millis(ClockId::Boottime),
            wall_ms: millis(ClockId::Realtime),
        }
    }
}

/// The kernel's boot id, read once. Where it can't be read (a locked-down sandbox) it is made random for
/// this process: then claims of other processes look as though another boot had made them, so
/// [`SystemHostClock::is_reliable`] is checked when a store opens.
fn boot_id() -> Uuid {
    static BOOT_ID: OnceLock<Uuid> = OnceLock::new();
    *BOOT_ID.get_or_init(|| read_boot_id().unwrap_or_else(Uuid::new_v4))
}

fn read_boot_id() -> Option<Uuid> {
    Uuid::parse_str(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim()).ok()
}

impl SystemHostClock {
    /// Whether the kernel tells its boot id; without it no deadline can be shared between processes.
    pub fn is_reliable() -> bool {
        static RELIABLE: OnceLock<bool> = OnceLock::new();
        *RELIABLE.get_or_init(|| read_boot_id() == Some(boot_id()))
    }
}

fn millis(clock: ClockId) -> i64 {
    let t = clock_gettime(clock);
    t.tv_sec.saturating_mul(1_000).saturating_add(t.tv_nsec / 1_000_000)
}

/// Real elapsed time for patience and batching, which no injected clock may stretch.
pub(crate) fn monotonic() -> Duration {
    let t = clock_gettime(ClockId::Monotonic);
    Duration::new(t.tv_sec.unsigned_abs(), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualHostClock(Mutex<HostInstant>);

impl Default for ManualHostClock {
    fn default() -> ManualHostClock {
        // Any fixed day will do; 2026-01-01 reads well in failures.
        ManualHostClock(Mutex::new(HostInstant {
            boot_id: Uuid::new_v4(),
            boot_ms: 1_000_000,
            wall_ms: 1_767_225_600_000,
        }))
    }
}

impl ManualHostClock {
    /// Starts at a fixed time in a boot of its own.
    pub fn new() -> ManualHostClock {
        ManualHostClock::default()
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        self.change(|t| {
            let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            t.boot_ms = t.boot_ms.saturating_add(ms);
            t.wall_ms = t.wall_ms.saturating_add(ms);
        });
    }

    /// Starts another boot: a new boot id, boot time from zero; the wall clock goes on.
    pub fn reboot(&self) {
        self.change(|t| {
            t.boot_id = Uuid::new_v4();
            t.boot_ms = 0;
        });
    }

    /// Steps the wall clock alone, as NTP does.
    pub fn step_wall(&self, by_ms: i64) {
        self.change(|t| t.wall_ms = t.wall_ms.saturating_add(by_ms));
    }

    fn change(&self, f: impl FnOnce(&mut HostInstant)) {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl HostClock for ManualHostClock {
    fn now(&self) -> HostInstant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

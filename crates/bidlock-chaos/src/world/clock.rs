//! The run's own time: boot time, which no fault moves, counted from its beginning.

use bidlock::{Clock, Moment, SystemClock};
use bidlock_sqlite::{HostClock, SystemHostClock};

/// Counts from the beginning of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock {
    began: Moment,
    wall_ms: i64,
}

impl RunClock {
    /// The run begins now.
    #[must_use]
    pub(crate) fn start() -> RunClock {
        RunClock { began: SystemClock.now(), wall_ms: SystemHostClock.now().wall_ms }
    }

    /// Milliseconds since then.
    pub(crate) fn ms(&self) -> u64 {
        u64::try_from(SystemClock.now().since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// The boot-time clock at the beginning, in nanoseconds.
    pub(crate) fn boot_ns(&self) -> u64 {
        self.began.as_nanos()
    }

    /// The wall clock at the beginning, in milliseconds since 1970 UTC.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.wall_ms
    }
}

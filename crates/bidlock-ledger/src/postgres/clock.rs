//! What time it is at the server, without asking: for the times that people read. The server itself decides every
//! expiry, by its own clock.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bidlock_postgres::ManualClock;
use rustix::time::{ClockId, clock_gettime};

/// A server's time that is a little behind what was expected is not followed back: ids and times of one process grow.
const STEP_BACK_MS: i64 = 1_000;

/// The server's clock, as this process last saw it and has counted since.
#[derive(Debug)]
pub(super) struct ServerClock {
    manual: Option<ManualClock>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    server_ms: i64,
    /// By this host's boot-time clock, which counts while the host sleeps.
    at: Duration,
}

impl Seen {
    fn now(&self) -> i64 {
        let passed = boot_time().saturating_sub(self.at);
        self.server_ms.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }
}

impl ServerClock {
    pub(super) fn new(manual: Option<ManualClock>, server_ms: i64) -> ServerClock {
        ServerClock { manual, seen: Mutex::new(Seen { server_ms, at: boot_time() }) }
    }

    /// The server's time now, in milliseconds since 1970, off by about a message's way.
    pub(super) fn estimate(&self) -> i64 {
        match &self.manual {
            Some(clock) => clock.now_ms(),
            None => self.seen.lock().unwrap_or_else(PoisonError::into_inner).now(),
        }
    }

    /// The server has just said what time it is there.
    pub(super) fn observe(&self, server_ms: i64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = seen.now() - server_ms;
        if !(0..STEP_BACK_MS).contains(&behind) {
            *seen = Seen { server_ms, at: boot_time() };
        }
    }
}

fn boot_time() -> Duration {
    let t = clock_gettime(ClockId::Boottime);
    Duration::new(t.tv_sec.unsigned_abs(), u32::try_from(t.tv_nsec).unwrap_or(0))
}

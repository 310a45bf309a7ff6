//! What a manager counts: for [`Stats`] always, and for metrics where its builder was asked for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

use crate::instruments::Instruments;
use crate::key::LockKey;

/// What a manager has counted since it was made. Each attempt ends in exactly one of `successes`, `conflicts`,
/// `timeouts` and `errors`; one still under way, or cancelled, is in `attempts` only. A batch counts each of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Locks asked for; polls while waiting do not count.
    pub attempts: u64,
    /// Locks granted.
    pub successes: u64,
    /// Attempts without waiting that found the lock held.
    pub conflicts: u64,
    /// Attempts with waiting whose time limit passed.
    pub timeouts: u64,
    /// Attempts that ended in an error.
    pub errors: u64,
    /// Leases lost before they were released: expired under their holder, or taken away by force.
    pub lost: u64,
    /// Leases held now.
    pub active: u64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acquired,
    /// Held by another, without waiting.
    Held,
    /// Held by another until the time limit.
    Timeout,
    Error,
}

impl Outcome {
    /// Every outcome, in the order of their numbers.
    pub(crate) const ALL: [Outcome; 4] = [Outcome::Acquired, Outcome::Held, Outcome::Timeout, Outcome::Error];

    /// The name in metrics and spans.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Outcome::Acquired => "acquired",
            Outcome::Held => "held",
            Outcome::Timeout => "timeout",
            Outcome::Error => "error",
        }
    }
}

/// How the loss of a lease was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Its own deadline passed.
    Deadline,
    /// The store told a renewal that it is no longer held.
    Taken,
    /// Its release found that it had ended.
    FoundAtRelease,
}

impl Loss {
    /// Every one, in the order of their numbers.
    pub(crate) const ALL: [Loss; 3] = [Loss::Deadline, Loss::Taken, Loss::FoundAtRelease];

    /// The name in metrics, spans and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Loss::Deadline => "deadline",
            Loss::Taken => "taken",
            Loss::FoundAtRelease => "found_at_release",
        }
    }
}

/// The one place that counts: stats and metrics say the same, because each event comes here once.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    asked: AtomicU64,
    ended: [AtomicU64; Outcome::ALL.len()],
    lost: AtomicU64,
    instruments: Option<Instruments>,
}

impl Counters {
    pub(crate) fn new(instruments: Option<Instruments>) -> Counters {
        Counters { instruments, ..Counters::default() }
    }

    /// Whether durations are wanted: reading the clock for nobody would cost more than the rest of an attempt's count.
    pub(crate) fn wants_times(&self) -> bool {
        self.instruments.is_some()
    }

    /// Locks are asked for.
    pub(crate) fn asked(&self, count: usize) {
        self.asked.fetch_add(count as u64, Relaxed);
    }

    /// One attempt has ended; `took` counts only where [`wants_times`](Counters::wants_times).
    pub(crate) fn ended(&self, key: &LockKey, outcome: Outcome, took: Duration) {
        self.ended[outcome as usize].fetch_add(1, Relaxed);
        if let Some(instruments) = &self.instruments {
            instruments.ended(key, outcome, took);
        }
    }

    /// A lease has begun.
    pub(crate) fn hold_began(&self, key: &LockKey) {
        if let Some(instruments) = &self.instruments {
            instruments.hold_began(key);
        }
    }

    /// A lease that had begun is released or lost, for the first time; `held_for` as in [`ended`](Counters::ended).
    pub(crate) fn hold_ended(&self, key: &LockKey, held_for: Duration) {
        if let Some(instruments) = &self.instruments {
            instruments.hold_ended(key, held_for);
        }
    }

    pub(crate) fn lost(&self, loss: Loss) {
        self.lost.fetch_add(1, Relaxed);
        if let Some(instruments) = &self.instruments {
            instruments.lost(loss);
        }
    }

    pub(crate) fn snapshot(&self, active: usize) -> Stats {
        let ended = |outcome: Outcome| self.ended[outcome as usize].load(Relaxed);
        Stats {
            attempts: self.asked.load(Relaxed),
            successes: ended(Outcome::Acquired),
            conflicts: ended(Outcome::Held),
            timeouts: ended(Outcome::Timeout),
            errors: ended(Outcome::Error),
            lost: self.lost.load(Relaxed),
            active: active as u64,
        }
    }
}

//! Counters of one manager.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

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

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) successes: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) attempts: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn snapshot(&self, active: usize) -> Stats {
        Stats {
            attempts: self.attempts.load(Relaxed),
            successes: self.successes.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            errors: self.errors.load(Relaxed),
            lost: self.lost.load(Relaxed),
            active: active as u64,
        }
    }
}

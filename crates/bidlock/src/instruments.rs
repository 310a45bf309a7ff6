//! The metrics of one manager: what only it knows, by backend and marketplace.

use std::time::Duration;

use bidlock_metrics::{
    ByMarketplace, Counter, Gauge, Histogram, LOCK_ACQUIRE, LOCK_ACQUIRE_DURATION, LOCK_HOLD_DURATION,
    LOCK_LOST, LOCKS_HELD, Marketplaces,
};

use crate::key::LockKey;
use crate::stats::{Loss, Outcome};

/// Made from the recorder that is installed when the manager is.
#[derive(Debug)]
pub(crate) struct Instruments {
    of: ByMarketplace<OfMarketplace>,
    lost: [Counter; Loss::ALL.len()],
}

#[derive(Debug)]
struct OfMarketplace {
    ended: [Counter; Outcome::ALL.len()],
    asked_s: Histogram,
    held_s: Histogram,
    held: Gauge,
}

impl Instruments {
    pub(crate) fn new(backend: &str, marketplaces: &Marketplaces) -> Instruments {
        let of = ByMarketplace::new(marketplaces, |marketplace| OfMarketplace {
            ended: Outcome::ALL
                .map(|outcome| LOCK_ACQUIRE.counter(&[backend, marketplace, outcome.as_str()])),
            asked_s: LOCK_ACQUIRE_DURATION.histogram(&[backend, marketplace]),
            held_s: LOCK_HOLD_DURATION.histogram(&[backend, marketplace]),
            held: LOCKS_HELD.gauge(&[backend, marketplace]),
        });
        Instruments { of, lost: Loss::ALL.map(|loss| LOCK_LOST.counter(&[backend, loss.as_str()])) }
    }

    pub(crate) fn ended(&self, key: &LockKey, outcome: Outcome, took: Duration) {
        let of = self.of(key);
        of.ended[outcome as usize].increment(1);
        of.asked_s.record(took);
    }

    pub(crate) fn hold_began(&self, key: &LockKey) {
        self.of(key).held.increment(1.0);
    }

    pub(crate) fn hold_ended(&self, key: &LockKey, held_for: Duration) {
        let of = self.of(key);
        of.held.decrement(1.0);
        of.held_s.record(held_for);
    }

    pub(crate) fn lost(&self, loss: Loss) {
        self.lost[loss as usize].increment(1);
    }

    /// A key that is no posting's counts with the marketplaces that are not allow-listed.
    fn of(&self, key: &LockKey) -> &OfMarketplace {
        self.of.of(&key.marketplace().unwrap_or_default())
    }
}

//! The table of series. A line here is the only place where a name, a label or a help text stands.

use metrics::{Counter, Gauge, Histogram, Label};

/// Bounds of how long asking for a lock takes, in seconds: from a lock in memory (below 100 us) to a waiter's
/// patience (10 s by default, and beyond).
const ACQUIRE_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];
/// Bounds of how long a lock is held, in seconds: from a posting that the rules decline to a default TTL of 300 s
/// and renewals beyond.
const HOLD_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// Bounds of how long the ledger takes to create a bid, in seconds: one durable transaction, alone or in a queue.
const CREATE_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What a series measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by these upper bounds, in the unit that ends the name.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word for it in Prometheus' text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The name; its unit stands last.
    pub name: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// The names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it says, for people.
    pub help: &'static str,
}

impl Series {
    /// The counter with these label values, at 0 if it is new.
    pub fn counter(&self, values: &[&str]) -> Counter {
        metrics::counter!(self.name, self.labelled(values))
    }

    /// The gauge with these label values, at 0 if it is new.
    pub fn gauge(&self, values: &[&str]) -> Gauge {
        metrics::gauge!(self.name, self.labelled(values))
    }

    /// The histogram with these label values.
    pub fn histogram(&self, values: &[&str]) -> Histogram {
        metrics::histogram!(self.name, self.labelled(values))
    }

    fn labelled(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "a value for each label of {}", self.name);
        self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
    }
}

/// Attempts at locks.
pub const LOCK_ACQUIRE: Series = Series {
    name: "bidlock_lock_acquire_total",
    kind: Kind::Counter,
    labels: &["backend", "marketplace", "outcome"],
    help: "Attempts at a lock that have ended: acquired, held (by another, without waiting), timeout (held until \
           the time limit), error",
};
/// How long attempts took.
pub const LOCK_ACQUIRE_DURATION: Series = Series {
    name: "bidlock_lock_acquire_duration_seconds",
    kind: Kind::Histogram(ACQUIRE_SECONDS),
    labels: &["backend", "marketplace"],
    help: "How long an attempt at a lock took, waiting included, whatever came of it; each lock of a batch counts",
};
/// How long locks were held.
pub const LOCK_HOLD_DURATION: Series = Series {
    name: "bidlock_lock_hold_duration_seconds",
    kind: Kind::Histogram(HOLD_SECONDS),
    labels: &["backend", "marketplace"],
    help: "How long a lock was held, until its release or its loss",
};
/// Locks held now.
pub const LOCKS_HELD: Series = Series {
    name: "bidlock_locks_held",
    kind: Kind::Gauge,
    labels: &["backend", "marketplace"],
    help: "Locks that this process holds now",
};
/// Locks lost.
pub const LOCK_LOST: Series = Series {
    name: "bidlock_lock_lost_total",
    kind: Kind::Counter,
    labels: &["backend", "reason"],
    help: "Locks lost before their release: deadline (their time ran out under the holder), taken (a renewal found \
           them gone), found_at_release",
};
/// Sightings answered.
pub const BIDS: Series = Series {
    name: "bidlock_bids_total",
    kind: Kind::Counter,
    labels: &["marketplace", "outcome"],
    help: "Sightings and approved bids answered, by outcome as in a scan's summary; would_submit is a dry run's \
           submitted",
};
/// How long the ledger took.
pub const BID_CREATE_DURATION: Series = Series {
    name: "bidlock_bid_create_duration_seconds",
    kind: Kind::Histogram(CREATE_SECONDS),
    labels: &["marketplace"],
    help: "How long the ledger took to create, take over or refuse a bid; each bid of a batch counts",
};
/// Bids whose outcome is unknown.
pub const BIDS_UNKNOWN: Series = Series {
    name: "bidlock_bids_unknown",
    kind: Kind::Gauge,
    labels: &[],
    help: "Bids in the ledger whose outcome is unknown, whoever sent them",
};
/// How old the oldest of them is.
pub const BIDS_UNKNOWN_OLDEST_AGE: Series = Series {
    name: "bidlock_bids_unknown_oldest_age_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "Seconds since the first made of the bids whose outcome is unknown was last sent; 0 where there is none",
};
/// Claims that came too late.
pub const STALE_CLAIM_REJECTIONS: Series = Series {
    name: "bidlock_stale_claim_rejections_total",
    kind: Kind::Counter,
    labels: &["marketplace"],
    help: "Claims that could not pass the one-way door, because another had the bid or their own time had run out",
};
/// What must never be.
pub const INVARIANT_VIOLATIONS: Series = Series {
    name: "bidlock_invariant_violations_total",
    kind: Kind::Counter,
    labels: &["reason"],
    help: "What must never be, and is: reopened (the marketplace has a bid that was settled as not submitted), \
           unmatched (the marketplace's bids and the ledger's rows are not one to one), contradiction (the ledger \
           is not as the protocol leaves it)",
};
/// Whether a store answers.
pub const BACKEND_UP: Series = Series {
    name: "bidlock_backend_up",
    kind: Kind::Gauge,
    labels: &["backend"],
    help: "1 if the engine of the locks, or the ledger, answered last, and 0 if it did not",
};
/// Errors of stores.
pub const BACKEND_ERRORS: Series = Series {
    name: "bidlock_backend_errors_total",
    kind: Kind::Counter,
    labels: &["backend", "reason"],
    help: "Calls to the engine of the locks, or to the ledger, that failed, by the kind of the error",
};
/// Whether locks are not where they should be.
pub const FALLBACK_ACTIVE: Series = Series {
    name: "bidlock_fallback_active",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 while locks are taken on the fall-back engine, else 0",
};
/// Which bidlock this is.
pub const BUILD_INFO: Series = Series {
    name: "bidlock_build_info",
    kind: Kind::Gauge,
    labels: &["version"],
    help: "Always 1; the label says which version this is",
};

/// The table.
pub const ALL: &[Series] = &[
    LOCK_ACQUIRE,
    LOCK_ACQUIRE_DURATION,
    LOCK_HOLD_DURATION,
    LOCKS_HELD,
    LOCK_LOST,
    BIDS,
    BID_CREATE_DURATION,
    BIDS_UNKNOWN,
    BIDS_UNKNOWN_OLDEST_AGE,
    STALE_CLAIM_REJECTIONS,
    INVARIANT_VIOLATIONS,
    BACKEND_UP,
    BACKEND_ERRORS,
    FALLBACK_ACTIVE,
    BUILD_INFO,
];

/// Gives the installed recorder every help text.
pub fn describe() {
    for series in ALL {
        match series.kind {
            Kind::Counter => metrics::describe_counter!(series.name, series.help),
            Kind::Gauge => metrics::describe_gauge!(series.name, series.help),
            Kind::Histogram(_) => metrics::describe_histogram!(series.name, series.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_units_labels_and_bounds_are_as_prometheus_wants_them() {
        let names: BTreeSet<&str> = ALL.iter().map(|series| series.name).collect();
        assert_eq!(names.len(), ALL.len(), "no name twice");
        for Series { name, kind, labels, help } in ALL {
            assert!(name.starts_with("bidlock_") && !help.is_empty() && !help.contains('\n'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let known = |label: &&str| ["backend", "marketplace", "outcome", "reason"].contains(label);
            assert!(labels.iter().all(|label| known(label) || *name == BUILD_INFO.name), "{name}");
            if let Kind::Histogram(bounds) = kind {
                assert!(name.ends_with("_seconds") && bounds.is_sorted_by(|a, b| a < b), "{name}");
            }
        }
    }
}

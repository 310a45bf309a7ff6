//! What a bid or a posting is held against: how the run began, its timeline, the marketplace's record; and what each leaves
//! room for, clocks and leases.

use bidlock_ledger::BidEvent;

use super::{
    record::Record,
    timeline::{Life, Timeline},
};
use crate::{fault::Place, history::Begun};

/// How far an event's time may be from the times of others: all read one host's clocks, the wall clock before the boot-time
/// clock, with a moment between.
pub(super) const SLACK_MS: i64 = 50;
/// The same of the guards of claims on PostgreSQL: a claim is dated by its claimant's idea of the server's clock, which the
/// server takes if it is off by no more than a second.
const POSTGRES_CLAIM_SLACK_MS: i64 = 1_100;

/// What the checks of bids and postings look at besides.
pub(super) struct Around<'a> {
    pub(super) begun: &'a Begun,
    pub(super) timeline: &'a Timeline,
    pub(super) record: &'a Record,
}

impl Around<'_> {
    /// An event's time on the run's clock.
    pub(super) fn at_ms(&self, event: &BidEvent) -> i64 {
        event.at.0 - self.begun.wall_ms
    }

    /// Whether it can be judged by.
    pub(super) fn is_known(&self, event: &BidEvent) -> bool {
        !self.timeline.is_doubtful(self.ledger(), &event.actor, self.at_ms(event))
    }

    pub(super) fn ledger(&self) -> Place {
        self.begun.plan.engines.ledger()
    }

    pub(super) fn ttl_ms(&self) -> i64 {
        i64::try_from(self.begun.plan.ttl_ms).unwrap_or(i64::MAX)
    }

    /// Whether nothing could be had of this place at this time by whoever goes by this name: by all of them, where it is more
    /// than one.
    pub(super) fn is_away(&self, place: Place, name: &str, at_ms: i64) -> bool {
        self.away_since(place, name, at_ms).is_some()
    }

    /// Since when, if so; for the last of them, where it is more than one.
    pub(super) fn away_since(&self, place: Place, name: &str, at_ms: i64) -> Option<i64> {
        let since = |life: &Life| {
            let outages = self.timeline.near(at_ms, at_ms).filter(|span| {
                span.is_outage()
                    && span.lies_before(&life.process, place)
                    && (span.from_ms..=span.to_ms).contains(&at_ms)
            });
            outages.map(|span| span.from_ms).min()
        };
        let all: Option<Vec<i64>> = self.timeline.lives_in(name, (at_ms, at_ms)).map(since).collect();
        all?.into_iter().max()
    }

    pub(super) fn claim_slack_ms(&self) -> i64 {
        if self.ledger() == Place::Sqlite { SLACK_MS } else { POSTGRES_CLAIM_SLACK_MS }
    }

    /// How long whatever was broken may take to come to rest, and what was claimed at this time. A lease whose holder has
    /// died lasts longer where the lock store's clock went back.
    pub(super) fn rest_ms(&self, from_ms: i64) -> i64 {
        let promised = i64::try_from(self.begun.plan.rest_ms()).unwrap_or(i64::MAX / 2);
        promised + self.timeline.prolonged_ms((from_ms - self.ttl_ms(), from_ms + self.ttl_ms()))
    }
}

//! What a pipeline counts for metrics, where its options ask for it. What stores answer is counted below it:
//! [`bidlock::layers::metrics`] and [`bidlock_ledger::layers::metrics`].

use std::time::Duration;

use bidlock_ledger::PostingId;
use bidlock_metrics::{
    BID_CREATE_DURATION, BIDS, ByMarketplace, Counter, Histogram, INVARIANT_VIOLATIONS, Marketplaces,
    STALE_CLAIM_REJECTIONS,
};

use crate::{outcome::Outcome, pipeline::PipelineError};

/// What a dry run's `submitted` counts as: nothing was sent.
const WOULD_SUBMIT: &str = "would_submit";

/// The instruments of a pipeline, made from the recorder that is installed when this is.
#[derive(Debug)]
pub struct BidMetrics {
    of: ByMarketplace<OfMarketplace>,
    contradictions: Counter,
    unmatched: Counter,
}

#[derive(Debug)]
struct OfMarketplace {
    /// In the order of [`Outcome::NAMES`].
    outcomes: [Counter; Outcome::NAMES.len()],
    would_submit: Counter,
    created_s: Histogram,
    stale: Counter,
}

impl BidMetrics {
    /// With these marketplaces as labels.
    pub fn new(marketplaces: &Marketplaces) -> BidMetrics {
        let of = ByMarketplace::new(marketplaces, |marketplace| OfMarketplace {
            outcomes: Outcome::NAMES.map(|outcome| BIDS.counter(&[marketplace, outcome])),
            would_submit: BIDS.counter(&[marketplace, WOULD_SUBMIT]),
            created_s: BID_CREATE_DURATION.histogram(&[marketplace]),
            stale: STALE_CLAIM_REJECTIONS.counter(&[marketplace]),
        });
        let violations = |reason| INVARIANT_VIOLATIONS.counter(&[reason]);
        BidMetrics { of, contradictions: violations("contradiction"), unmatched: violations("unmatched") }
    }

    /// A sighting, or an approved bid, got its final answer.
    pub(crate) fn answered(&self, posting: &PostingId, outcome: &Outcome) {
        let of = self.of.of(posting.marketplace());
        match (outcome, outcome.place()) {
            (Outcome::WouldSubmit { again: false, .. }, _) => of.would_submit.increment(1),
            (_, place) => of.outcomes[place].increment(1),
        }
    }

    /// Something broke.
    pub(crate) fn broke(&self, error: &PipelineError) {
        if let PipelineError::Invariant(_) = error {
            self.contradictions.increment(1);
        }
    }

    /// The marketplace's bids and the ledger's rows are not one to one.
    pub(crate) fn unmatched(&self) {
        self.unmatched.increment(1);
    }

    /// The ledger has answered a claim on this posting.
    pub(crate) fn claimed(&self, posting: &PostingId, took: Duration) {
        self.of.of(posting.marketplace()).created_s.record(took);
    }

    /// A claim could not pass the door.
    pub(crate) fn stale_claim(&self, posting: &PostingId) {
        self.of.of(posting.marketplace()).stale.increment(1);
    }
}

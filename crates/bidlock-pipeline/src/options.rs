//! What the owner may set.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{legacy::LegacyBids, metrics::BidMetrics};

/// So many unknown outcomes in a row stop sending, unless set otherwise. An answer gets lost now and then; a marketplace
/// that loses five without a word in between is ill, and nobody bids again on what is sent to it.
pub const MAX_UNKNOWN_IN_A_ROW: u32 = 5;

/// What the owner may set of a [`crate::Pipeline`].
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// How long a claim lives; also the expiry of each passage of the door.
    pub ttl: Duration,
    /// A sighting fetched longer ago is not trusted.
    pub max_age: Duration,
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// Whether a person decides first.
    pub approval: ApprovalPolicy,
    /// Daily caps by marketplace.
    pub caps: Caps,
    /// At most so many bids in the life of this pipeline.
    pub run_limit: Option<u64>,
    /// So many requests in a row whose outcome became unknown, with no readable answer in between, stop all sending. What
    /// is under way at that moment may become unknown as well, so up to [`concurrency`](Self::concurrency) more.
    pub max_unknown_in_a_row: u32,
    /// The replaced system's table of bids, while instances of it still run.
    pub legacy: Option<Arc<dyn LegacyBids>>,
    /// Where outcomes and claims are counted; nowhere unless set.
    pub metrics: Option<Arc<BidMetrics>>,
}

impl Default for PipelineOptions {
    fn default() -> PipelineOptions {
        PipelineOptions {
            ttl: Duration::from_secs(300),
            max_age: Duration::from_secs(24 * 3_600),
            concurrency: 16,
            approval: ApprovalPolicy::ByMarketplace,
            caps: Caps::default(),
            run_limit: None,
            max_unknown_in_a_row: MAX_UNKNOWN_IN_A_ROW,
            legacy: None,
            metrics: None,
        }
    }
}

/// Whether a person decides between evaluation and sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApprovalPolicy {
    /// As the marketplace's rules ask for.
    #[default]
    ByMarketplace,
    /// For each bid.
    Always,
    /// Never: the owner answers for it.
    Never,
}

/// Limits on bids a day (UTC), off unless set.
#[derive(Clone, Debug, Default)]
pub struct Caps {
    /// By marketplace.
    pub per_day: HashMap<String, u64>,
    /// For every marketplace not named.
    pub default: Option<u64>,
}

impl Caps {
    /// The cap of one marketplace.
    pub fn for_marketplace(&self, marketplace: &str) -> Option<u64> {
        self.per_day.get(marketplace).copied().or(self.default)
    }
}

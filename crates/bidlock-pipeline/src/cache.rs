//! Postings that are settled for good: the first and cheapest answer to a sighting.

use std::time::Duration;

use bidlock_ledger::{BidBrief, PostingId};
use moka::sync::Cache;

/// How many settled postings are remembered: about 300 bytes each.
pub const DEFAULT_CAPACITY: u64 = 200_000;
/// How long one is believed: an operator's resolution on another host is seen after this at the latest.
pub const DEFAULT_AGE: Duration = Duration::from_secs(15 * 60);

/// A bounded memory of postings whose bid is final (submitted, rejected, won, lost, declined). A posting
/// that is not in it may still be settled: the ledger knows.
#[derive(Clone)]
pub struct SettledCache {
    entries: Cache<PostingId, BidBrief>,
}

impl std::fmt::Debug for SettledCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettledCache").field("entries", &self.entries.entry_count()).finish()
    }
}

impl Default for SettledCache {
    fn default() -> SettledCache {
        SettledCache::new(DEFAULT_CAPACITY, DEFAULT_AGE)
    }
}

impl SettledCache {
    /// At most `capacity` postings, each believed for `age`.
    pub fn new(capacity: u64, age: Duration) -> SettledCache {
        SettledCache { entries: Cache::builder().max_capacity(capacity).time_to_live(age).build() }
    }

    /// The settled bid on this posting, if it is remembered.
    pub fn get(&self, posting: &PostingId) -> Option<BidBrief> {
        self.entries.get(posting)
    }

    /// Remembers a bid if its state is final; ignores all others.
    pub fn remember(&self, posting: &PostingId, bid: &BidBrief) {
        if bid.state.is_settled() {
            self.entries.insert(posting.clone(), bid.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use bidlock_ledger::{BidId, BidState, ClaimId, WallTime};

    use super::*;

    #[test]
    fn holds_only_what_is_final() {
        let cache = SettledCache::default();
        for (i, state) in BidState::ALL.into_iter().enumerate() {
            let posting = PostingId::new("m", format!("{i}")).unwrap();
            let brief = BidBrief {
                id: BidId(Default::default()),
                state,
                claim_id: ClaimId(Default::default()),
                holder: "h".to_owned(),
                claim_remaining: None,
                created_at: WallTime(0),
            };
            cache.remember(&posting, &brief);
            assert_eq!(cache.get(&posting).is_some(), state.is_settled(), "{state}");
        }
    }
}

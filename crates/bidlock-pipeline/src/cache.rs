//! Postings that are settled for good: the first and cheapest answer to a sighting.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use bidlock::Moment;
use bidlock_ledger::{BidBrief, PostingId};

/// How many settled postings are remembered: about 300 bytes each.
pub const DEFAULT_CAPACITY: usize = 200_000;
/// How long one is believed: an operator's resolution on another host is seen after this at the latest.
pub const DEFAULT_AGE: Duration = Duration::from_secs(15 * 60);

/// A bounded memory of postings whose bid is final (submitted, rejected, won, lost, declined). A posting
/// that is not in it may still be settled: the ledger knows.
///
/// Two generations: new entries go to the young one; when that is half of the capacity or half of the age
/// old, it becomes the old one, and the old one is dropped whole. So a look costs no bookkeeping, and nothing
/// is believed for longer than the age. With a cache that keeps account of each use (moka), a scan of settled
/// postings took more than twice as long.
pub struct SettledCache {
    generations: RwLock<[Generation; 2]>,
    capacity: usize,
    age: Duration,
}

/// Entries that were made at `since` or later.
#[derive(Default)]
struct Generation {
    since: Option<Moment>,
    entries: HashMap<PostingId, BidBrief>,
}

impl Generation {
    fn younger_than(&self, age: Duration, now: Moment) -> bool {
        self.since.is_some_and(|since| now.since(since) < age)
    }
}

/// The cache as it stands, for many looks in a row. Whoever remembers something waits until it is dropped.
pub(crate) struct Looks<'a> {
    generations: RwLockReadGuard<'a, [Generation; 2]>,
    age: Duration,
    now: Moment,
}

impl std::fmt::Debug for SettledCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [young, old] = &*self.generations.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("SettledCache").field("entries", &(young.entries.len() + old.entries.len())).finish()
    }
}

impl Default for SettledCache {
    fn default() -> SettledCache {
        SettledCache::new(DEFAULT_CAPACITY, DEFAULT_AGE)
    }
}

impl SettledCache {
    /// At most `capacity` postings, each believed for `age` at the most.
    pub fn new(capacity: usize, age: Duration) -> SettledCache {
        SettledCache { generations: RwLock::default(), capacity, age }
    }

    /// The settled bid on this posting, if it is remembered.
    pub fn get(&self, posting: &PostingId, now: Moment) -> Option<BidBrief> {
        self.look(now).get(posting).cloned()
    }

    pub(crate) fn look(&self, now: Moment) -> Looks<'_> {
        // Each insertion is whole or not there, so that a poisoned lock guards a sound map.
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        Looks { generations, age: self.age, now }
    }

    /// Remembers a bid if its state is final; ignores all others.
    pub fn remember(&self, posting: &PostingId, bid: &BidBrief, now: Moment) {
        if !bid.state.is_settled() {
            return;
        }
        let generations = &mut *self.generations.write().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = generations;
        if !young.younger_than(self.age / 2, now) || young.entries.len() >= self.capacity / 2 {
            *old = std::mem::replace(young, Generation { since: Some(now), entries: HashMap::new() });
        }
        young.entries.insert(posting.clone(), bid.clone());
    }
}

impl Looks<'_> {
    pub(crate) fn get(&self, posting: &PostingId) -> Option<&BidBrief> {
        let young_enough = self.generations.iter().filter(|g| g.younger_than(self.age, self.now));
        young_enough.filter_map(|generation| generation.entries.get(posting)).next()
    }
}

#[cfg(test)]
mod tests {
    use bidlock_ledger::{BidId, BidState, ClaimId, WallTime};

    use super::*;

    const NOW: Moment = Moment::from_nanos(1);
    const AGE: Duration = Duration::from_secs(60);

    fn posting(n: usize) -> PostingId {
        PostingId::new("m", n.to_string()).unwrap()
    }

    fn brief(state: BidState) -> BidBrief {
        BidBrief {
            id: BidId(Default::default()),
            state,
            claim_id: ClaimId(Default::default()),
            holder: "h".to_owned(),
            claim_remaining: None,
            created_at: WallTime(0),
        }
    }

    #[test]
    fn holds_only_what_is_final() {
        let cache = SettledCache::default();
        for (n, state) in BidState::ALL.into_iter().enumerate() {
            cache.remember(&posting(n), &brief(state), NOW);
            assert_eq!(cache.get(&posting(n), NOW).is_some(), state.is_settled(), "{state}");
        }
    }

    #[test]
    fn nothing_is_believed_for_longer_than_the_age_nor_forgotten_within_half_of_it() {
        let cache = SettledCache::new(1_000, AGE);
        let at = |s: u64| NOW.later(Duration::from_secs(s));
        for s in 0..200 {
            cache.remember(&posting(s as usize), &brief(BidState::Submitted), at(s));
            for earlier in 0..=s {
                let believed = cache.get(&posting(earlier as usize), at(s)).is_some();
                match s - earlier {
                    0..30 => assert!(believed, "{earlier} at {s}"),
                    30..60 => {}
                    _ => assert!(!believed, "{earlier} at {s}"),
                }
            }
        }
        assert!(cache.get(&posting(199), at(199 + 29)).is_some());
        assert!(cache.get(&posting(199), at(199 + 60)).is_none());
    }

    #[test]
    fn it_is_bounded() {
        let cache = SettledCache::new(100, AGE);
        for n in 0..10_000 {
            cache.remember(&posting(n), &brief(BidState::Won), NOW);
            assert!(cache.get(&posting(n), NOW).is_some());
        }
        let held = (0..10_000).filter(|n| cache.get(&posting(*n), NOW).is_some()).count();
        assert!((50..=100).contains(&held), "{held}");
    }
}

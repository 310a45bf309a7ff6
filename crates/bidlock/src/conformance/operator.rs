//! What operators see and do.

use super::{Fixture, LONG, SHORT, granted, held, posting};
use crate::{Actor, KeyFilter, LockKey, Page, Released, Stats, Wait};

/// Each attempt ends in exactly one counter.
pub async fn counts_each_attempt_once(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    held(b.try_lock(&posting("1")).await);
    held(b.lock(&posting("1"), Wait::up_to(SHORT)).await);
    let others = b.try_lock_many(&[posting("1"), posting("2")]).await.unwrap();
    let expected =
        Stats { attempts: 4, successes: 1, conflicts: 2, timeouts: 1, errors: 0, lost: 0, active: 1 };
    assert_eq!(b.stats(), expected);
    drop(others);
    lease.release().await.unwrap();
    assert_eq!(a.stats(), Stats { attempts: 1, successes: 1, ..Stats::default() });
    assert_eq!(b.stats().active, 0);
}

/// Filters by key, marketplace and holder.
pub async fn shows_what_is_held(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let first = granted(a.try_lock(&posting("1")).await);
    let _second = granted(b.try_lock(&posting("10")).await);
    let _other = granted(b.try_lock(&LockKey::posting("upwork2", "1").unwrap()).await);
    let show = async |filter| {
        let shown = a.inspect(filter, Page::default()).await.unwrap();
        shown.into_iter().map(|lock| lock.key.as_str().to_owned()).collect::<Vec<_>>()
    };
    let all = ["bid_lock:upwork2:1", "bid_lock:upwork:1", "bid_lock:upwork:10"];
    assert_eq!(show(KeyFilter::all()).await, all);
    assert_eq!(show(KeyFilter::marketplace("upwork").unwrap()).await, all[1..]);
    assert_eq!(show(KeyFilter::key(first.key())).await, all[1..2]);
    assert_eq!(show(KeyFilter::holder("b")).await, [all[0], all[2]]);
    assert!(show(KeyFilter::holder("nobody")).await.is_empty());

    let lock = a.inspect(KeyFilter::key(first.key()), Page::first(1)).await.unwrap().remove(0);
    assert_eq!((lock.holder.as_str(), lock.token), ("a", first.fencing_token()));
    assert!(lock.remaining <= LONG && lock.remaining > LONG / 2 && lock.held_for < LONG / 2, "{lock:?}");
}

/// Pages are ordered, complete and without repetition.
pub async fn shows_page_by_page(fixture: Fixture) {
    let a = fixture.manager("a");
    let mut keys: Vec<_> = (0..25).map(|n| posting(&format!("job_{n}"))).collect();
    let _leases = a.try_lock_many(&keys).await.unwrap();
    keys.sort();
    let mut seen = Vec::new();
    let mut page = Page::first(10);
    loop {
        let shown = a.inspect(KeyFilter::all(), page).await.unwrap();
        let Some(last) = shown.last() else { break };
        assert!(shown.len() <= 10);
        page = Page::after(&last.key, 10);
        seen.extend(shown.into_iter().map(|lock| lock.key));
    }
    assert_eq!(seen, keys);
    assert!(a.inspect(KeyFilter::all(), Page::first(0)).await.unwrap().is_empty());
}

/// A forced release frees the lock, says whether anybody held it, and is recorded with who and why.
pub async fn force_release_is_recorded(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    let by = Actor::new("olga", "scanner 3 hangs").unwrap();
    assert_eq!(b.force_release(&posting("1"), &by).await.unwrap(), Released::Released);
    assert_eq!(b.force_release(&posting("1"), &by).await.unwrap(), Released::Expired);
    granted(b.try_lock(&posting("1")).await);
    let records = b.audit_trail();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].actor.who(), records[0].actor.reason()), ("olga", "scanner 3 hangs"));
    assert_eq!((&records[0].key, records[0].released), (&posting("1"), Released::Released));
    assert!(Actor::new("", "because").is_err() && Actor::new("olga", " ").is_err());
    drop(lease);
}

/// A store that works says so, and where it is.
pub async fn answers_a_check(fixture: Fixture) {
    let a = fixture.manager("a");
    let health = a.check().await.unwrap();
    assert_eq!(health.backend, a.capability().name);
    assert!(!health.place.is_empty());
}

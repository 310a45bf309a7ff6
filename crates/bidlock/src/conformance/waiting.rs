//! Waiting for a lock: bounded, woken, in turn, and without a trace when given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Fixture, LONG, PATIENCE, SHORT, granted, held, posting};
use crate::{Acquire, Acquired, Clock, HolderId, Nonce, Released, SystemClock, Wait};

/// At least the limit, less than half a second more, counted as a timeout, told who had it; also for those who never
/// got to the front of the local queue.
pub async fn a_failed_wait_lasts_its_limit_and_little_more(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let _lease = granted(a.try_lock(&posting("1")).await);
    let limit = Duration::from_millis(300);
    let waits = (0..5).map(|_| {
        let b = b.clone();
        tokio::spawn(async move {
            let start = SystemClock.now();
            let other = held(b.lock(&posting("1"), Wait::up_to(limit)).await);
            (other.holder, SystemClock.now().since(start))
        })
    });
    for wait in waits.collect::<Vec<_>>() {
        let (holder, took) = wait.await.unwrap();
        assert_eq!(holder, "a");
        assert!(took >= limit && took < limit + Duration::from_millis(500), "{took:?}");
    }
    assert_eq!((b.stats().timeouts, b.stats().conflicts, b.stats().attempts), (5, 0, 5));
}

/// A waiter gets the lock once it is released, from another instance and from its own.
pub async fn woken_by_a_release(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    for waiter in [a.clone(), b] {
        let lease = granted(a.try_lock(&posting("1")).await);
        let waiting = tokio::spawn(async move {
            granted(waiter.lock(&posting("1"), Wait::up_to(PATIENCE)).await).release().await.unwrap();
        });
        held(a.lock(&posting("1"), Wait::up_to(SHORT / 2)).await);
        lease.release().await.unwrap();
        waiting.await.unwrap();
    }
}

/// Three instances queue for one lock; each gets it once, one at a time.
pub async fn three_queued(fixture: Fixture) {
    let first = fixture.manager("first");
    let lease = granted(first.try_lock(&posting("1")).await);
    let inside = Arc::new(Mutex::new(()));
    let waiting: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let (manager, inside) = (fixture.manager(name), Arc::clone(&inside));
            tokio::spawn(async move {
                let lease = granted(manager.lock(&posting("1"), Wait::up_to(PATIENCE)).await);
                let alone = inside.try_lock().expect("two inside at once");
                tokio::task::yield_now().await;
                drop(alone);
                lease.release().await.unwrap();
            })
        })
        .into_iter()
        .collect();
    held(first.lock(&posting("1"), Wait::up_to(SHORT / 2)).await);
    lease.release().await.unwrap();
    for task in waiting {
        task.await.unwrap();
    }
}

/// Whoever stops waiting is never made the holder, or gives it back at once.
pub async fn a_cancelled_wait_takes_nothing(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    for _ in 0..10 {
        let lease = granted(a.lock(&posting("1"), Wait::up_to(PATIENCE)).await);
        let waiting = tokio::spawn({
            let b = b.clone();
            async move { b.lock(&posting("1"), Wait::up_to(PATIENCE)).await.map(drop) }
        });
        tokio::task::yield_now().await;
        let releasing = tokio::spawn(lease.release());
        waiting.abort();
        releasing.await.unwrap().unwrap();
        let _ = waiting.await;
    }
    granted(a.lock(&posting("1"), Wait::up_to(PATIENCE)).await);
}

/// A free lock is had at once, whatever the limit.
pub async fn waiting_is_not_needed_for_a_free_lock(fixture: Fixture) {
    let a = fixture.manager("a");
    granted(a.lock(&posting("1"), Wait::none()).await).release().await.unwrap();
    granted(a.lock(&posting("1"), Wait::up_to(Duration::from_secs(3600))).await);
    assert_eq!(a.stats().successes, 2);
}

/// A holder that died wakes nobody: the end of its lease is waited for, and no longer than need be.
pub async fn waits_for_expiry_where_nobody_releases(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    std::mem::forget(granted(a.try_lock(&posting("1")).await));
    let start = SystemClock.now();
    granted(b.lock(&posting("1"), Wait::up_to(PATIENCE)).await);
    assert!(SystemClock.now().since(start) < PATIENCE / 4);
}

/// A lock that a waiter got, on whichever way, is not given away when it leaves the queue; one it never took is.
pub async fn leaving_the_queue_keeps_what_was_taken(fixture: Fixture) {
    let a = fixture.manager("a");
    let backend = fixture.backend();
    let request = |count| Acquire {
        key: posting("1"),
        holder: HolderId::named("waiter").unwrap(),
        nonce: Nonce::new(7_000, count),
        ttl: LONG,
    };
    for (count, takes) in [(1, true), (2, false)] {
        let lease = granted(a.try_lock(&posting("1")).await);
        let waiter = backend.enlist(&request(count)).await.unwrap();
        lease.release().await.unwrap();
        if takes {
            // It does not look whether it was handed the lock, but asks: as it does when its poll comes first.
            let asked = backend.try_acquire(&[request(count)]).await.unwrap();
            let Some(Acquired::Granted(grant)) = asked.into_iter().next() else { panic!("not granted") };
            drop(waiter);
            held(a.try_lock(&posting("1")).await);
            assert_eq!(backend.release(&[grant]).await.unwrap(), [Released::Released]);
        } else {
            drop(waiter);
            // At the other end of a wire it takes a moment.
            granted(a.lock(&posting("1"), Wait::up_to(PATIENCE)).await).release().await.unwrap();
        }
    }
}

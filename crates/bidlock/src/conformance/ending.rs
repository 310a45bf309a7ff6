//! However the work ends, the lock comes free.

use std::time::Duration;

use futures::FutureExt;

use super::{Fixture, PATIENCE, SHORT, granted, held, posting};
use crate::{CleanupScope, ErrorKind, Guarded, KeyFilter, LockManager, Page, Wait};

/// The work's own error comes through, and the lock is free at once.
pub async fn released_after_an_error_of_the_work(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let worked = a.with_lock(&posting("1"), Wait::none(), |_| async { Err::<(), _>("no budget") }).await;
    assert_eq!(worked.unwrap().done(), Some(Err("no budget")));
    granted(b.try_lock(&posting("1")).await);
}

/// The panic goes on, after the lock is free.
pub async fn released_after_a_panic_of_the_work(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let key = posting("1");
    let work = a.with_lock(&key, Wait::none(), |_| async { std::panic::panic_any("the work broke") });
    let panicked = std::panic::AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map(|worked: Result<Guarded<()>, _>| worked.is_ok());
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"the work broke"));
    granted(b.try_lock(&posting("1")).await);
}

/// The future of `with_lock` is dropped while the work waits.
pub async fn released_after_the_work_is_cancelled(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let key = posting("1");
    let started = tokio::sync::Notify::new();
    {
        let work = a.with_lock(&key, Wait::none(), |_| async {
            started.notify_one();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            _ = work => unreachable!("the work never ends"),
            () = started.notified() => {}
        }
    }
    granted(b.lock(&posting("1"), Wait::up_to(PATIENCE)).await);
}

/// A lease that is only dropped is released in the background.
pub async fn released_when_a_lease_is_dropped(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    drop(granted(a.try_lock(&posting("1")).await));
    assert_eq!(a.stats().active, 0);
    granted(b.lock(&posting("1"), Wait::up_to(PATIENCE)).await);
}

/// An acquisition whose future is dropped while the store works leaves no lock behind.
pub async fn nothing_stays_after_a_cancelled_acquisition(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    for n in 0..20 {
        let key = posting(&format!("{n}"));
        // Polled once, so the request has left where there is anything to wait for.
        let _ = a.try_lock(&key).now_or_never();
        granted(b.lock(&key, Wait::up_to(PATIENCE)).await);
    }
    assert_eq!(a.stats().active, 0);
}

/// Work that goes on beyond its lease is dropped at its next `await`.
pub async fn work_is_cancelled_when_its_lease_is_lost(fixture: Fixture) {
    let a = fixture.short_lived("a");
    let key = posting("1");
    let work = a.with_lock(&key, Wait::none(), |lease| async move {
        assert!(!lease.is_lost());
        std::future::pending::<()>().await;
    });
    let worked = tokio::time::timeout(PATIENCE, work).await.unwrap().unwrap();
    assert!(matches!(worked, Guarded::Lost), "{worked:?}");
    assert_eq!(a.stats().lost, 1);
}

/// `cleanup_all` of the own scope frees what this manager holds, and nothing of others of the same name.
pub async fn clean_up_of_own_locks_leaves_others_alone(fixture: Fixture) {
    let (a, b) = (fixture.manager("same"), fixture.manager("same"));
    let leases = a.try_lock_many(&[posting("1"), posting("2")]).await.unwrap();
    let other = granted(b.try_lock(&posting("3")).await);
    assert_eq!(a.cleanup_all(CleanupScope::Own).await.unwrap(), 2);
    assert_eq!((a.stats().active, a.stats().lost), (0, 0));
    granted(b.try_lock(&posting("1")).await);
    for lease in leases {
        assert!(lease.acquired().unwrap().is_lost());
    }
    assert!(!other.is_lost());
    held(a.try_lock(&posting("3")).await);
}

/// The fleet's locks are freed only when that is said in so many words.
pub async fn clean_up_of_the_fleet_needs_force(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let _mine = granted(a.try_lock(&posting("1")).await);
    let _other = granted(b.try_lock(&posting("2")).await);
    let refused = a.cleanup_all(CleanupScope::Fleet { force: false }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    held(b.try_lock(&posting("1")).await);
    assert_eq!(a.cleanup_all(CleanupScope::Fleet { force: true }).await.unwrap(), 2);
    assert!(a.inspect(KeyFilter::all(), Page::default()).await.unwrap().is_empty());
    assert_eq!(a.audit_trail().len(), 2);
}

/// Shutdown frees what is held, leases that are still about know it, and later calls are refused.
pub async fn shutdown_releases_and_refuses(fixture: Fixture) {
    let (a, b): (LockManager, LockManager) = (fixture.manager("a"), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    drop(granted(a.try_lock(&posting("2")).await));
    assert_eq!(a.shutdown().await.unwrap(), 1);
    assert!(lease.is_lost());
    tokio::time::timeout(Duration::from_secs(5), lease.lost()).await.unwrap();
    granted(b.try_lock(&posting("1")).await);
    granted(b.try_lock(&posting("2")).await);
    assert_eq!(a.try_lock(&posting("3")).await.unwrap_err().kind(), ErrorKind::ShutDown);
    assert_eq!(a.lock(&posting("3"), Wait::up_to(SHORT)).await.unwrap_err().kind(), ErrorKind::ShutDown);
    assert_eq!(a.shutdown().await.unwrap(), 0);
}

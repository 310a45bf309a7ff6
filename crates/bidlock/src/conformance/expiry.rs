//! Leases end by themselves, at the store's time, and their holder stops before that.

use super::{Fixture, PATIENCE, SHORT, granted, held, posting};
use crate::{Attempt, KeyFilter, Page, Released, Renewed, Wait};

/// After the TTL the next one gets the lock; the first holder knows, and can do no harm.
pub async fn expires_and_is_taken_over(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    let key = posting("1");
    let first = granted(a.try_lock(&key).await);
    held(b.try_lock(&key).await);
    let second = granted(b.lock(&key, Wait::up_to(PATIENCE)).await);
    assert!(first.is_lost());
    assert!(second.fencing_token() > first.fencing_token());
    assert_eq!(first.renew().await.unwrap(), Renewed::Lost);
    assert_eq!(first.release().await.unwrap(), Released::Stolen);
    assert!(!second.is_lost());
    assert_eq!(second.release().await.unwrap(), Released::Released);
    assert_eq!((a.stats().lost, b.stats().lost), (1, 0));
}

/// A holder that never says anything again blocks its posting for its TTL, and no longer.
pub async fn recovers_after_a_holders_death(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    let keys: Vec<_> = (0..20).map(|n| posting(&format!("{n}"))).collect();
    for attempt in a.try_lock_many(&keys).await.unwrap() {
        std::mem::forget(attempt);
    }
    for key in &keys {
        granted(b.lock(key, Wait::up_to(PATIENCE)).await).release().await.unwrap();
    }
}

/// Nobody took it, but it was not held any more: that is what the release says.
pub async fn release_after_expiry_says_so(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    let after = granted(a.try_lock(&posting("2")).await);
    // Whoever gets the second lock by its expiry knows that the first one, which is older, has expired too.
    granted(b.lock(&posting("2"), Wait::up_to(PATIENCE)).await);
    assert_eq!(lease.release().await.unwrap(), Released::Expired);
    drop(after);
}

/// A lease that has ended is not brought back to life, even if nobody has taken the key.
pub async fn renewal_after_expiry_is_lost(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    let grant = lease.state.grant.clone();
    let _after = granted(a.try_lock(&posting("2")).await);
    granted(b.lock(&posting("2"), Wait::up_to(PATIENCE)).await);
    assert_eq!(lease.renew().await.unwrap(), Renewed::Lost);
    let by_the_store = fixture.backend().renew(std::slice::from_ref(&grant), SHORT).await.unwrap();
    assert_eq!(by_the_store, [Renewed::Lost]);
}

/// `lost()` resolves at the holder's own deadline, which comes before the store lets anybody else in (S10).
pub async fn holder_stops_before_the_store_does(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    let key = posting("1");
    for _ in 0..5 {
        let lease = granted(a.try_lock(&key).await);
        let watch = lease.view();
        let watching = tokio::spawn(async move {
            watch.lost().await;
            watch.inner.clock.now()
        });
        let next = granted(b.lock(&key, Wait::up_to(PATIENCE)).await);
        // The deadline itself, not the moment at which a busy machine woke the watcher.
        assert!(lease.deadline() < b.inner_clock_now(), "the holder's deadline came after the next grant");
        assert!(lease.is_lost() && watching.await.unwrap() >= lease.deadline());
        next.release().await.unwrap();
        drop(lease);
    }
}

/// What has expired is not listed as held.
pub async fn an_expired_lock_is_not_shown(fixture: Fixture) {
    let (a, b) = (fixture.short_lived("a"), fixture.manager("b"));
    let _gone = granted(a.try_lock(&posting("1")).await);
    let _marker = granted(a.try_lock(&posting("2")).await);
    let Attempt::Acquired(live) = b.lock(&posting("2"), Wait::up_to(PATIENCE)).await.unwrap() else {
        panic!("not taken over")
    };
    let shown = b.inspect(KeyFilter::all(), Page::default()).await.unwrap();
    assert_eq!(shown.iter().map(|lock| &lock.key).collect::<Vec<_>>(), [live.key()]);
}

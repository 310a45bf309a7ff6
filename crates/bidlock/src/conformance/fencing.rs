//! Fencing tokens grow from one acquisition of a key to the next.

use super::{Fixture, SHORT, granted, held, posting};
use crate::{Released, Wait};

/// Over release, take-over after expiry, force, and other instances.
pub async fn tokens_grow(fixture: Fixture) {
    if !fixture.backend().capability().fencing {
        return;
    }
    let (a, b) = (fixture.manager("a"), fixture.short_lived("b"));
    let mut last = None;
    for round in 0..30 {
        let manager = if round % 2 == 0 { &a } else { &b };
        let lease = granted(manager.lock(&posting("1"), Wait::up_to(SHORT * 100)).await);
        assert!(Some(lease.fencing_token()) > last, "{last:?} then {lease:?}");
        last = Some(lease.fencing_token());
        if round % 10 == 1 {
            std::mem::forget(lease); // let it expire
        } else {
            lease.release().await.unwrap();
        }
    }
}

/// Without asking for it a task waits for itself like for any other; with it, it holds the same lease again.
pub async fn reentry_only_on_request_and_with_the_same_token(fixture: Fixture) {
    let (plain, reentrant) = (fixture.manager("a"), fixture.builder("b").reentrant(true).build().unwrap());
    let lease = granted(plain.try_lock(&posting("1")).await);
    held(plain.try_lock(&posting("1")).await);
    lease.release().await.unwrap();

    let outer = granted(reentrant.try_lock(&posting("1")).await);
    let inner = granted(reentrant.lock(&posting("1"), Wait::up_to(SHORT)).await);
    assert_eq!(outer.fencing_token(), inner.fencing_token());
    assert_eq!(reentrant.stats().active, 1);
    // Another task is another holder.
    let elsewhere = reentrant.clone();
    tokio::spawn(async move { held(elsewhere.try_lock(&posting("1")).await) }).await.unwrap();
    // The first release only counts down; in whatever order they come.
    assert_eq!(outer.release().await.unwrap(), Released::Released);
    assert!(!inner.is_lost());
    held(plain.try_lock(&posting("1")).await);
    assert_eq!(inner.release().await.unwrap(), Released::Released);
    granted(plain.try_lock(&posting("1")).await);
}

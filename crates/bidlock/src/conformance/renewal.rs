//! Leases are kept alive in the background, and their holder learns when that no longer works.

use std::time::Duration;

use super::{Fixture, LONG, PATIENCE, granted, held, posting};
use crate::{Actor, Released, Renewed, Wait};

/// Long enough that a busy machine gets its renewals through, short enough to outlast.
const TTL: Duration = Duration::from_millis(1_500);

/// A lease outlives its TTL while its holder lives.
pub async fn held_beyond_its_ttl_by_renewal(fixture: Fixture) {
    let (a, b) = (fixture.builder("a").ttl(TTL).build().unwrap(), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    held(b.lock(&posting("1"), Wait::up_to(TTL * 2)).await);
    assert!(!lease.is_lost());
    assert_eq!(lease.release().await.unwrap(), Released::Released);
    assert_eq!(a.stats().lost, 0);
}

/// Hundreds of leases, more than one renewal call takes, all outlive their TTL.
pub async fn many_leases_are_renewed(fixture: Fixture) {
    let ttl = TTL * 3;
    let (a, b) = (fixture.builder("a").ttl(ttl).build().unwrap(), fixture.manager("b"));
    let keys: Vec<_> = (0..600).map(|n| posting(&format!("{n}"))).collect();
    let attempts = a.try_lock_many(&keys).await.unwrap();
    held(b.lock(&keys[599], Wait::up_to(ttl + TTL)).await);
    assert!(attempts.into_iter().all(|attempt| attempt.acquired().is_some_and(|lease| !lease.is_lost())));
    assert_eq!(a.stats().lost, 0);
}

/// Whose lock was freed by an operator hears of it at the next renewal, long before the TTL.
pub async fn holder_learns_of_a_forced_release(fixture: Fixture) {
    let (a, b) = (fixture.builder("a").ttl(TTL * 5).build().unwrap(), fixture.manager("b"));
    let lease = granted(a.try_lock(&posting("1")).await);
    let by = Actor::new("tester", "to see what the holder does").unwrap();
    assert_eq!(b.force_release(&posting("1"), &by).await.unwrap(), Released::Released);
    let next = granted(b.try_lock(&posting("1")).await);
    tokio::time::timeout(PATIENCE, lease.lost()).await.unwrap();
    assert!(
        lease.is_lost() && a.inner_clock_now() < lease.deadline(),
        "told by the renewal, not by the deadline"
    );
    assert_eq!((a.stats().lost, a.stats().active), (1, 0));
    assert_eq!(lease.release().await.unwrap(), Released::Stolen);
    assert!(!next.is_lost());
}

/// A renewal moves the deadline.
pub async fn renewed_by_hand(fixture: Fixture) {
    let a = fixture.builder("a").renewal(false).build().unwrap();
    let lease = granted(a.try_lock(&posting("1")).await);
    let before = lease.deadline();
    assert_eq!(lease.renew().await.unwrap(), Renewed::Renewed);
    assert!(lease.deadline() > before && lease.remaining() <= LONG);
}

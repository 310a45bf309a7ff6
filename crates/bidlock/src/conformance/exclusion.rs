//! One key has one holder, and only that one can end it.

use super::{Fixture, LONG, granted, held, posting};
use crate::{Acquire, Acquired, Attempt, LockBackend, LockKey, Nonce, Released, Renewed};

/// The second instance is told who has the posting, and gets it after the release.
pub async fn two_instances_on_one_posting(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let key = posting("job_123");
    let lease = granted(a.try_lock(&key).await);
    assert!(!lease.is_lost() && lease.remaining() <= LONG);
    let other = held(b.try_lock(&key).await);
    assert_eq!(other.holder, "a");
    assert!(other.remaining <= LONG && other.remaining > LONG / 2, "{other:?}");
    assert_eq!(lease.release().await.unwrap(), Released::Released);
    granted(b.try_lock(&key).await);
}

/// Two instances that were configured with one holder name exclude each other, and so do two tasks of one.
pub async fn one_holder_name_does_not_make_one_holder(fixture: Fixture) {
    let (a, b) = (fixture.manager("scanner"), fixture.manager("scanner"));
    let lease = granted(a.try_lock(&posting("1")).await);
    held(b.try_lock(&posting("1")).await);
    held(a.try_lock(&posting("1")).await);
    lease.release().await.unwrap();
}

/// Release and renewal by anyone but the owner change nothing, and say so (S4).
pub async fn cannot_be_released_or_renewed_by_another(fixture: Fixture) {
    let backend = fixture.backend();
    let mine = request("owner", 1, "1");
    let grant = grant_of(&*backend, &mine).await;
    let mut forged = grant.clone();
    forged.nonce = Nonce::new(7, 2);
    assert_eq!(backend.release(std::slice::from_ref(&forged)).await.unwrap(), [Released::Stolen]);
    assert_eq!(backend.renew(std::slice::from_ref(&forged), LONG).await.unwrap(), [Renewed::Lost]);
    forged.key = posting("other");
    assert_eq!(backend.release(std::slice::from_ref(&forged)).await.unwrap(), [Released::Expired]);
    assert_eq!(backend.renew(std::slice::from_ref(&grant), LONG).await.unwrap(), [Renewed::Renewed]);
    assert_eq!(backend.release(&[forged, grant]).await.unwrap(), [Released::Expired, Released::Released]);
}

/// A batch takes what is free, reports what is not, in order, and is released as a batch.
pub async fn many_postings_at_once(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let keys: Vec<LockKey> = (0..1500).map(|n| posting(&format!("job_{n}"))).collect();
    let taken = granted(b.try_lock(&keys[700]).await);
    let attempts = a.try_lock_many(&keys).await.unwrap();
    assert_eq!(attempts.len(), keys.len());
    let mut leases = Vec::new();
    for (at, attempt) in attempts.into_iter().enumerate() {
        match attempt {
            Attempt::Acquired(lease) => {
                assert_eq!(lease.key(), &keys[at]);
                leases.push(lease);
            }
            Attempt::Held(other) => assert_eq!((at, other.holder.as_str()), (700, "b")),
        }
    }
    assert_eq!((leases.len(), a.stats().active), (1499, 1499));
    assert!(b.try_lock_many(&keys).await.unwrap().iter().all(|attempt| !attempt.is_acquired()));
    let released = a.release_many(leases).await.unwrap();
    assert!(released.len() == 1499 && released.iter().all(|found| *found == Released::Released));
    assert_eq!(a.stats().active, 0);
    assert_eq!(taken.release().await.unwrap(), Released::Released);
    assert!(b.try_lock_many(&keys).await.unwrap().iter().all(Attempt::is_acquired));
}

/// Each request stands for itself: the second one finds the lock held.
pub async fn a_key_twice_in_a_batch(fixture: Fixture) {
    let a = fixture.manager("a");
    let mut attempts = a.try_lock_many(&[posting("1"), posting("2"), posting("1")]).await.unwrap();
    assert_eq!(attempts.iter().map(Attempt::is_acquired).collect::<Vec<_>>(), [true, true, false]);
    let lease = attempts.swap_remove(0).acquired().unwrap();
    assert_eq!(lease.release().await.unwrap(), Released::Released);
}

/// The same id on two marketplaces is two postings, and no name is a posting.
pub async fn marketplaces_are_independent(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let _upwork = granted(a.try_lock(&LockKey::posting("upwork", "1").unwrap()).await);
    let _freelancer = granted(b.try_lock(&LockKey::posting("freelancer", "1").unwrap()).await);
    let _named = granted(b.try_lock(&LockKey::named("upwork", "1").unwrap()).await);
}

/// Ids with separators, escapes, other scripts, other case, and blanks are each their own.
pub async fn ids_that_look_alike_are_independent(fixture: Fixture) {
    let a = fixture.manager("a");
    let keys: Vec<LockKey> = [
        ("a", "b:c"),
        ("a:b", "c"),
        ("a", "b%3Ac"),
        ("a", "{x}"),
        ("a", "%7Bx%7D"),
        ("a", "x"),
        ("a", "X"),
        ("a", "x "),
        ("a", "日本 é"),
        ("a", "日本 e\u{301}"),
        ("a", "'; DROP TABLE bidlock_lease; --"),
    ]
    .iter()
    .map(|(marketplace, id)| LockKey::posting(marketplace, id).unwrap())
    .collect();
    let attempts = a.try_lock_many(&keys).await.unwrap();
    assert!(attempts.iter().all(Attempt::is_acquired), "{attempts:?}");
    let shown = a.inspect(crate::KeyFilter::all(), crate::Page::default()).await.unwrap();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(shown.into_iter().map(|lock| lock.key).collect::<Vec<_>>(), expected);
}

/// Many short locks one after another leave nothing behind.
pub async fn rapid_cycles(fixture: Fixture) {
    let a = fixture.manager("a");
    for _ in 0..300 {
        let lease = granted(a.try_lock(&posting("1")).await);
        assert_eq!(lease.release().await.unwrap(), Released::Released);
    }
    assert_eq!(a.stats().active, 0);
    assert!(a.inspect(crate::KeyFilter::all(), crate::Page::default()).await.unwrap().is_empty());
}

/// A scanner's day: try, be refused, work, renew, release, and the other takes over.
pub async fn whole_workflow(fixture: Fixture) {
    let (a, b) = (fixture.manager("a"), fixture.manager("b"));
    let key = posting("job_1");
    let lease = granted(a.try_lock(&key).await);
    held(b.try_lock(&key).await);
    assert_eq!(lease.renew().await.unwrap(), Renewed::Renewed);
    assert_eq!((lease.key(), lease.holder().as_str()), (&key, "a"));
    let first = lease.fencing_token();
    assert_eq!(lease.release().await.unwrap(), Released::Released);
    let lease = granted(b.try_lock(&key).await);
    assert!(lease.fencing_token() > first);
    assert_eq!(lease.release().await.unwrap(), Released::Released);
    assert_eq!((a.stats().successes, a.stats().lost), (1, 0));
    assert_eq!((b.stats().attempts, b.stats().conflicts, b.stats().successes), (2, 1, 1));
}

/// An attempt whose answer was lost is asked again and granted again, with the same token; another is not.
pub async fn same_attempt_is_granted_again(fixture: Fixture) {
    let backend = fixture.backend();
    let mine = request("a", 1, "1");
    let (first, second) = (grant_of(&*backend, &mine).await, grant_of(&*backend, &mine).await);
    assert_eq!((first.token, first.nonce), (second.token, second.nonce));
    let another = backend.try_acquire(&[request("a", 2, "1")]).await.unwrap();
    assert!(matches!(&another[..], [Acquired::Held(_)]), "{another:?}");
}

fn request(holder: &str, count: u64, id: &str) -> Acquire {
    let holder = crate::HolderId::named(holder).unwrap();
    Acquire { key: posting(id), holder, nonce: Nonce::new(7_000, count), ttl: LONG }
}

async fn grant_of(backend: &dyn LockBackend, request: &Acquire) -> crate::Grant {
    match backend.try_acquire(std::slice::from_ref(request)).await.unwrap().pop().unwrap() {
        Acquired::Granted(grant) => grant,
        Acquired::Held(held) => panic!("held by {held:?}"),
    }
}

//! What the manager does when its store misbehaves: answers get lost, come late, or never come.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the lints know test functions, and not what these call"
)]

mod background;
mod faulty;

use std::time::Duration;

use bidlock::{
    Actor, Attempt, Clock, Effect, ErrorKind, Guarded, LockBackend, LockKey, LockManager, Released, Wait,
};

use faulty::{Fault, TTL, UNCONFIRMED, key, settle, setup};

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_nonce() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().extend([Fault::AnswerLost, Fault::AnswerLost]);
    let lease = setup.lease().await;
    let asked = setup.backend.asked.lock().unwrap().clone();
    assert!(asked.len() == 3 && asked.iter().all(|nonce| *nonce == asked[0]), "{asked:?}");
    assert_eq!(lease.release().await.unwrap(), Released::Released);
    assert_eq!((setup.locks.stats().attempts, setup.locks.stats().successes), (1, 1));
}

#[tokio::test]
async fn an_attempt_that_stays_unanswered_is_an_error_and_given_back() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().extend([Fault::AnswerLost; 3]);
    let error = setup.locks.try_lock(&key()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    assert_eq!(setup.locks.stats().errors, 1);
    assert!(!setup.is_free().await);
    setup.until_free().await;
}

/// A store's clock that leaps calls a grant new that has ended: the sleeper's own clock doubts it, and a renewal decides.
#[tokio::test]
async fn a_lock_that_was_handed_to_a_sleeper_is_confirmed_before_it_is_his() {
    let setup = setup();
    let slept = UNCONFIRMED + Duration::from_secs(1);
    *setup.backend.sleepers.lock().unwrap() = Some(slept);
    let limit = Wait::up_to(slept - Duration::from_millis(1));
    assert!(!setup.locks.lock(&key(), limit).await.unwrap().is_acquired());
    assert_eq!(setup.backend.renewed_at.lock().unwrap().len(), 1, "one renewal, which said that it is lost");
    assert_eq!(setup.locks.stats().successes, 0);
}

/// Its first renewal makes it whole: in the background, or before the lease is given out where nobody renews.
#[tokio::test]
async fn a_lock_that_is_handed_to_who_is_awake_is_his_and_soon_whole() {
    for in_background in [true, false] {
        let setup = setup();
        *setup.backend.sleepers.lock().unwrap() = Some(Duration::ZERO);
        let builder = LockManager::builder(setup.backend.clone()).ttl(TTL).clock(setup.clock.clone());
        let locks = builder.renewal(in_background).build().unwrap();
        let lease = locks.lock(&key(), Wait::up_to(UNCONFIRMED)).await.unwrap().acquired().unwrap();
        let renewed = || setup.backend.renewed_at.lock().unwrap().len();
        assert_eq!(renewed(), usize::from(!in_background));
        setup.pass(UNCONFIRMED * 2, UNCONFIRMED / 8).await;
        assert!(!lease.is_lost(), "in background: {in_background}");
        assert_eq!(renewed(), 1);
    }
}

/// Where a release wakes everybody, waiting begins with queueing, which may take the lock.
#[tokio::test]
async fn whoever_hears_nothing_of_queueing_asks_and_whoever_is_refused_is_told() {
    let limit = Wait::up_to(Duration::from_secs(1));
    for fault in [Fault::AnswerLost, Fault::Refused] {
        let setup = setup();
        setup.backend.acquires.lock().unwrap().push_back(fault);
        let lease = setup.locks.lock(&key(), limit).await.unwrap().acquired().unwrap();
        assert_eq!(setup.backend.asked.lock().unwrap().len(), 1, "{fault:?}");
        lease.release().await.unwrap();
        assert!(setup.is_free().await);
    }
    let setup = setup();
    setup.backend.acquires.lock().unwrap().push_back(Fault::Senseless);
    assert_eq!(setup.locks.lock(&key(), limit).await.unwrap_err().kind(), ErrorKind::Internal);
    assert!(setup.backend.asked.lock().unwrap().is_empty(), "asked again what makes no sense");
}

/// The refusals are of later tries, and say nothing of the first.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_given_back_all_the_same() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().extend([Fault::AnswerLost, Fault::Refused, Fault::Refused]);
    assert_eq!(setup.locks.try_lock(&key()).await.unwrap_err().effect(), Effect::Unknown);
    assert!(!setup.is_free().await);
    setup.until_free().await;
}

#[tokio::test]
async fn a_refusal_is_not_held_and_not_repeated() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().push_back(Fault::Refused);
    assert_eq!(setup.locks.try_lock(&key()).await.unwrap_err().effect(), Effect::NotApplied);
    assert_eq!(setup.backend.asked.lock().unwrap().len(), 1);
    setup.lease().await.release().await.unwrap();
}

#[tokio::test]
async fn an_acquisition_dropped_while_the_store_works_is_given_back() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().push_back(Fault::Hangs);
    let locks = setup.locks.clone();
    let asking = tokio::spawn(async move { locks.try_lock(&key()).await.map(drop) });
    while setup.is_free().await {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    setup.until_free().await;
}

#[tokio::test]
async fn a_wait_on_a_store_that_hangs_ends_as_unavailable_and_is_given_back() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().push_back(Fault::Hangs);
    let locks = setup.locks.clone();
    let waiting = tokio::spawn(async move { locks.lock(&key(), Wait::up_to(Duration::from_secs(5))).await });
    while !waiting.is_finished() {
        setup.clock.advance(Duration::from_millis(50));
        tokio::task::yield_now().await;
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    setup.until_free().await;
}

#[tokio::test]
async fn an_answer_that_came_after_its_own_ttl_is_no_lease() {
    let setup = setup();
    setup.backend.acquires.lock().unwrap().push_back(Fault::Late(TTL));
    assert_eq!(setup.locks.try_lock(&key()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(setup.locks.stats().active, 0);
    setup.until_free().await;
}

#[tokio::test]
async fn the_deadline_counts_from_before_the_request_less_a_margin() {
    let setup = setup();
    let sent = setup.clock.now();
    setup.backend.acquires.lock().unwrap().push_back(Fault::Late(Duration::from_secs(10)));
    let lease = setup.lease().await;
    let good_for = lease.deadline().since(sent);
    assert!(good_for < TTL - TTL / 200 && good_for > TTL - TTL / 20, "{good_for:?}");
    assert!(lease.remaining() < TTL - Duration::from_secs(10));
}

#[tokio::test]
async fn leases_are_renewed_at_a_third_of_their_ttl() {
    let setup = setup();
    let lease = setup.lease().await;
    let first = lease.deadline();
    tokio::task::yield_now().await;
    setup.clock.advance(TTL / 3 - Duration::from_secs(3));
    tokio::task::yield_now().await;
    assert_eq!(lease.deadline(), first);
    setup.clock.advance(Duration::from_secs(3));
    setup.backend.renewed.notified().await;
    tokio::task::yield_now().await;
    assert!(lease.deadline() > first);
    assert!(!lease.is_lost());
}

#[tokio::test]
async fn renewals_that_fail_are_repeated_and_the_lease_survives() {
    let setup = setup();
    setup.backend.renewals.lock().unwrap().extend([Fault::Refused, Fault::AnswerLost, Fault::Hangs]);
    let lease = setup.lease().await;
    let until = setup.clock.now().later(TTL * 3);
    while setup.clock.now() < until {
        setup.clock.advance(Duration::from_millis(100));
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        assert!(!lease.is_lost());
    }
    assert_eq!(lease.release().await.unwrap(), Released::Released);
}

#[tokio::test]
async fn without_renewals_the_work_is_cancelled_before_the_store_lets_others_in() {
    let setup = setup();
    setup.backend.renewals.lock().unwrap().extend([Fault::Refused; 100]);
    let locks = setup.locks.clone();
    let guarded = tokio::spawn(async move {
        let work = |_| std::future::pending::<()>();
        locks.with_lock(&key(), Wait::none(), work).await
    });
    while setup.is_free().await {
        tokio::task::yield_now().await;
    }
    let mut steps = 0;
    while !guarded.is_finished() {
        let held = !setup.is_free().await;
        assert!(held, "the store let others in while the work went on");
        setup.clock.advance(Duration::from_millis(50));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        steps += 1;
    }
    assert!(matches!(guarded.await.unwrap().unwrap(), Guarded::Lost));
    assert!(steps > 500, "lost after {steps} steps of 50 ms, with a TTL of {TTL:?}");
    assert_eq!(setup.locks.stats().lost, 1);
}

#[tokio::test]
async fn a_release_that_fails_is_repeated_in_the_background() {
    let setup = setup();
    let lease = setup.lease().await;
    setup.backend.releases.lock().unwrap().extend([Fault::Refused; 3]);
    assert_eq!(lease.release().await.unwrap_err().effect(), Effect::NotApplied);
    assert!(!setup.is_free().await);
    setup.until_free().await;
    assert_eq!((setup.locks.stats().active, setup.locks.stats().lost), (0, 0));
}

#[tokio::test]
async fn a_release_dropped_half_way_is_finished_in_the_background() {
    let setup = setup();
    for fault in [Fault::Hangs, Fault::AnswerLost] {
        let lease = setup.lease().await;
        setup.backend.releases.lock().unwrap().push_back(fault);
        let releasing = tokio::spawn(lease.release());
        tokio::task::yield_now().await;
        releasing.abort();
        let _ = releasing.await;
        setup.until_free().await;
    }
}

#[tokio::test]
async fn a_batch_that_breaks_returns_no_lease_and_leaves_none() {
    let setup = setup();
    let keys: Vec<LockKey> =
        (0..bidlock::MAX_BATCH + 10).map(|n| LockKey::posting("upwork", &n.to_string()).unwrap()).collect();
    // The first call goes well, the second one breaks for good.
    setup.backend.acquires.lock().unwrap().extend([Fault::Late(Duration::ZERO)]);
    setup.backend.acquires.lock().unwrap().extend([Fault::AnswerLost; 3]);
    setup.locks.try_lock_many(&keys).await.unwrap_err();
    assert_eq!(setup.locks.stats().active, 0);
    setup.until_free().await;
}

#[tokio::test]
async fn a_lease_dropped_outside_of_a_runtime_is_released_all_the_same() {
    let setup = setup();
    let lease = setup.lease().await;
    std::thread::spawn(move || drop(lease)).join().unwrap();
    setup.until_free().await;
}

#[tokio::test]
async fn a_ttl_below_the_floor_is_refused_and_the_old_one_stays() {
    let setup = setup();
    assert_eq!(setup.locks.set_ttl(Duration::from_millis(99)).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(setup.locks.ttl(), TTL);
    setup.locks.set_ttl(Duration::from_millis(100)).unwrap();
    let attempt = setup.locks.try_lock(&key()).await.unwrap();
    assert!(matches!(attempt, Attempt::Acquired(lease) if lease.remaining() < Duration::from_millis(100)));
    assert!(LockManager::new(setup.backend.clone()).with_ttl(Duration::ZERO).is_err());
}

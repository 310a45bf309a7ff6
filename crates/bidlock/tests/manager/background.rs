//! What works behind a manager: renewals share calls and come in time, releases are repeated for a while, and nothing
//! stays of a manager that has gone.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_lease_says_how_long_it_is_good_for_to_the_last_moment() {
    let setup = setup();
    let builder = LockManager::builder(setup.backend.clone()).ttl(TTL).clock(setup.clock.clone());
    let lease = builder.renewal(false).build().unwrap().try_lock(&key()).await.unwrap().acquired().unwrap();
    let good_for = lease.deadline().since(setup.clock.now());
    assert_eq!((lease.held_for(), lease.remaining()), (Duration::ZERO, good_for));
    setup.clock.advance(10 * SECOND);
    assert_eq!((lease.held_for(), lease.remaining()), (10 * SECOND, good_for - 10 * SECOND));
    let moment = Duration::from_nanos(1);
    setup.clock.advance(lease.remaining() - moment);
    assert!(!lease.is_lost() && lease.remaining() == moment);
    setup.clock.advance(moment);
    assert!(
        lease.is_lost() && lease.remaining() == Duration::ZERO,
        "its deadline is the moment when it is over"
    );
}

#[tokio::test]
async fn leases_granted_shortly_after_each_other_share_a_renewal() {
    let setup = setup();
    let start = setup.clock.now();
    let _first = setup.lease_of("1").await;
    setup.pass(2 * SECOND, SECOND).await;
    let _shortly_after = setup.lease_of("2").await;
    setup.pass(SECOND, SECOND).await;
    let _later = setup.lease_of("3").await;
    setup.pass(7 * SECOND, SECOND).await;
    assert_eq!(*setup.backend.renewed_at.lock().unwrap(), [(start.later(TTL / 3), 2)]);
    setup.pass(3 * SECOND, SECOND).await;
    assert_eq!(setup.backend.renewed_at.lock().unwrap()[1..], [(start.later(TTL / 3 + 3 * SECOND), 1)]);
}

/// One call has one TTL.
#[tokio::test]
async fn leases_of_two_ttls_are_renewed_by_two_calls() {
    let setup = setup();
    let _long = (setup.lease_of("1").await, setup.lease_of("2").await);
    setup.pass(5 * SECOND, SECOND).await;
    setup.locks.set_ttl(TTL / 2).unwrap();
    let _short = setup.lease_of("3").await;
    setup.pass(5 * SECOND, SECOND).await;
    let now = setup.clock.now();
    assert_eq!(*setup.backend.renewed_at.lock().unwrap(), [(now, 1), (now, 2)]);
}

/// Whose answer is missing can't be told: none of them counts.
#[tokio::test]
async fn a_renewal_with_too_few_answers_renews_nobody_and_is_repeated() {
    let setup = setup();
    setup.backend.renewals.lock().unwrap().push_back(Fault::Short);
    let leases = [setup.lease_of("1").await, setup.lease_of("2").await];
    let deadlines = leases.each_ref().map(|lease| lease.deadline());
    setup.pass(TTL / 3, SECOND).await;
    assert_eq!(leases.each_ref().map(|lease| lease.deadline()), deadlines);
    setup.pass(TTL / 12, SECOND / 2).await;
    assert!(leases.iter().zip(deadlines).all(|(lease, before)| lease.deadline() > before));
}

#[tokio::test]
async fn a_lease_after_a_long_rest_is_renewed_in_time() {
    let setup = setup();
    setup.lease().await.release().await.unwrap();
    setup.pass(3 * TTL, TTL / 3).await;
    assert!(setup.backend.renewed_at.lock().unwrap().is_empty());
    let lease = setup.lease().await;
    let due = setup.clock.now().later(TTL / 3);
    setup.pass(TTL / 3, SECOND).await;
    assert_eq!(*setup.backend.renewed_at.lock().unwrap(), [(due, 1)]);
    setup.pass(TTL, SECOND).await;
    assert!(!lease.is_lost());
}

/// Whatever the manager was doing: its tasks end with it and with its runtime, and both may be followed by others.
#[tokio::test]
async fn no_task_stays_of_a_manager_that_has_gone() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    for rest in [Duration::ZERO, 3 * TTL] {
        let setup = setup();
        setup.lease().await.release().await.unwrap();
        setup.pass(rest, TTL / 3).await;
        settle().await;
        assert!(alive() > before, "something renews");
        drop(setup.locks);
        settle().await;
        assert_eq!(alive(), before, "after {rest:?} of rest");
    }
}

#[test]
fn a_manager_goes_on_in_another_runtime_when_its_first_has_ended() {
    let setup = setup();
    for round in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let lease = setup.lease().await;
            setup.pass(TTL, SECOND).await;
            assert!(!lease.is_lost(), "renewed in round {round}");
            let before = setup.releases();
            drop(lease);
            settle().await;
            assert_eq!(setup.releases(), before + 1);
            assert!(setup.is_free().await);
            // A release on its way, and a renewer at rest: both end with the runtime.
            setup.backend.releases.lock().unwrap().push_back(Fault::Hangs);
            drop(setup.lease().await);
            settle().await;
        });
    }
}

#[tokio::test]
async fn a_batch_of_leases_is_released_as_one_call() {
    let setup = setup();
    let keys = ["1", "2", "3"].map(|posting| LockKey::posting("upwork", posting).unwrap());
    let leases = setup.locks.try_lock_many(&keys).await.unwrap();
    let leases = leases.into_iter().map(|attempt| attempt.acquired().unwrap()).collect();
    assert_eq!(setup.locks.release_many(leases).await.unwrap(), [Released::Released; 3]);
    assert!(setup.is_free().await);
    settle().await;
    assert_eq!(*setup.backend.released_at.lock().unwrap(), [(setup.clock.now(), 3)]);
}

/// A request that is given up may reach the store after its release did.
#[tokio::test]
async fn a_lock_that_may_have_been_taken_is_looked_for_twice_and_any_other_once() {
    for (fault, releases) in [(Fault::NeverDone, 2), (Fault::Hangs, 1)] {
        let setup = setup();
        setup.backend.acquires.lock().unwrap().push_back(fault);
        let locks = setup.locks.clone();
        let asking = tokio::spawn(async move { locks.try_lock(&key()).await });
        settle().await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(setup.releases(), 1, "{fault:?}");
        setup.pass(10 * SECOND, SECOND / 2).await;
        assert_eq!(setup.releases(), releases, "{fault:?}");
    }
    // A lease that was taken away: what is known to have been granted is released once.
    let setup = setup();
    let lease = setup.lease().await;
    setup.backend.force_release(&key(), &Actor::new("test", "a test").unwrap()).await.unwrap();
    drop(lease);
    setup.pass(10 * SECOND, SECOND / 2).await;
    assert_eq!(setup.releases(), 1);
}

#[tokio::test]
async fn a_release_is_repeated_after_growing_pauses_for_a_minute() {
    let setup = setup();
    setup.backend.releases.lock().unwrap().extend([Fault::Refused; 1_000]);
    drop(setup.lease().await);
    setup.pass(90 * SECOND, Duration::from_millis(50)).await;
    let at: Vec<_> = setup.backend.released_at.lock().unwrap().iter().map(|(at, _)| *at).collect();
    let pauses: Vec<u128> = at.windows(2).map(|two| two[1].since(two[0]).as_millis()).collect();
    assert_eq!(pauses[..6], [100, 200, 400, 800, 1_000, 1_000]);
    let tried_for = at.last().unwrap().since(at[0]);
    assert!(tried_for >= 60 * SECOND && tried_for < 62 * SECOND, "{tried_for:?}");
}

#[tokio::test]
async fn a_release_that_can_never_succeed_is_tried_once() {
    let setup = setup();
    setup.backend.releases.lock().unwrap().push_back(Fault::Senseless);
    drop(setup.lease().await);
    setup.pass(90 * SECOND, SECOND).await;
    assert_eq!(setup.releases(), 1);
}

#[tokio::test]
async fn a_shutdown_with_nothing_to_release_waits_for_nothing() {
    let setup = setup();
    setup.lease().await.release().await.unwrap();
    let shutdown = tokio::spawn(async move { setup.locks.shutdown().await });
    settle().await;
    assert!(shutdown.is_finished());
    assert_eq!(shutdown.await.unwrap().unwrap(), 0);
}

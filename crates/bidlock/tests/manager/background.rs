//! What works behind a manager: renewals share calls and come in time, releases are repeated for a while, and nothing
//! stays of a manager that has gone.

use super::*;

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

impl Bench {
    /// Moves time in steps, each with its consequences.
    async fn pass(&self, time: Duration, step: Duration) {
        let until = self.clock.now().later(time);
        settle().await;
        while self.clock.now() < until {
            self.clock.advance(step);
            settle().await;
        }
    }

    async fn lease_of(&self, posting: &str) -> bidlock::Lease {
        let key = LockKey::posting("upwork", posting).unwrap();
        self.locks.try_lock(&key).await.unwrap().acquired().unwrap()
    }

    /// How many releases have been asked for.
    fn releases(&self) -> usize {
        self.backend.released_at.lock().unwrap().len()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_lease_says_how_long_it_is_good_for_to_the_last_moment() {
    let bench = bench();
    let builder = LockManager::builder(bench.backend.clone()).ttl(TTL).clock(bench.clock.clone());
    let lease = builder.renewal(false).build().unwrap().try_lock(&key()).await.unwrap().acquired().unwrap();
    let good_for = lease.deadline().since(bench.clock.now());
    assert_eq!((lease.held_for(), lease.remaining()), (Duration::ZERO, good_for));
    bench.clock.advance(10 * SECOND);
    assert_eq!((lease.held_for(), lease.remaining()), (10 * SECOND, good_for - 10 * SECOND));
    let moment = Duration::from_nanos(1);
    bench.clock.advance(lease.remaining() - moment);
    assert!(!lease.is_lost() && lease.remaining() == moment);
    bench.clock.advance(moment);
    assert!(
        lease.is_lost() && lease.remaining() == Duration::ZERO,
        "its deadline is the moment when it is over"
    );
}

#[tokio::test]
async fn leases_granted_shortly_after_each_other_share_a_renewal() {
    let bench = bench();
    let start = bench.clock.now();
    let _first = bench.lease_of("1").await;
    bench.pass(2 * SECOND, SECOND).await;
    let _shortly_after = bench.lease_of("2").await;
    bench.pass(SECOND, SECOND).await;
    let _later = bench.lease_of("3").await;
    bench.pass(7 * SECOND, SECOND).await;
    assert_eq!(*bench.backend.renewed_at.lock().unwrap(), [(start.later(TTL / 3), 2)]);
    bench.pass(3 * SECOND, SECOND).await;
    assert_eq!(bench.backend.renewed_at.lock().unwrap()[1..], [(start.later(TTL / 3 + 3 * SECOND), 1)]);
}

/// One call has one TTL.
#[tokio::test]
async fn leases_of_two_ttls_are_renewed_by_two_calls() {
    let bench = bench();
    let _long = (bench.lease_of("1").await, bench.lease_of("2").await);
    bench.pass(5 * SECOND, SECOND).await;
    bench.locks.set_ttl(TTL / 2).unwrap();
    let _short = bench.lease_of("3").await;
    bench.pass(5 * SECOND, SECOND).await;
    let now = bench.clock.now();
    assert_eq!(*bench.backend.renewed_at.lock().unwrap(), [(now, 1), (now, 2)]);
}

/// Whose answer is missing can't be told: none of them counts.
#[tokio::test]
async fn a_renewal_with_too_few_answers_renews_nobody_and_is_repeated() {
    let bench = bench();
    bench.backend.renewals.lock().unwrap().push_back(Fault::Short);
    let leases = [bench.lease_of("1").await, bench.lease_of("2").await];
    let deadlines = leases.each_ref().map(|lease| lease.deadline());
    bench.pass(TTL / 3, SECOND).await;
    assert_eq!(leases.each_ref().map(|lease| lease.deadline()), deadlines);
    bench.pass(TTL / 12, SECOND / 2).await;
    assert!(leases.iter().zip(deadlines).all(|(lease, before)| lease.deadline() > before));
}

#[tokio::test]
async fn a_lease_after_a_long_rest_is_renewed_in_time() {
    let bench = bench();
    bench.lease().await.release().await.unwrap();
    bench.pass(3 * TTL, TTL / 3).await;
    assert!(bench.backend.renewed_at.lock().unwrap().is_empty());
    let lease = bench.lease().await;
    let due = bench.clock.now().later(TTL / 3);
    bench.pass(TTL / 3, SECOND).await;
    assert_eq!(*bench.backend.renewed_at.lock().unwrap(), [(due, 1)]);
    bench.pass(TTL, SECOND).await;
    assert!(!lease.is_lost());
}

/// Whatever the manager was doing: its tasks end with it and with its runtime, and both may be followed by others.
#[tokio::test]
async fn no_task_stays_of_a_manager_that_has_gone() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    for rest in [Duration::ZERO, 3 * TTL] {
        let bench = bench();
        bench.lease().await.release().await.unwrap();
        bench.pass(rest, TTL / 3).await;
        settle().await;
        assert!(alive() > before, "something renews");
        drop(bench.locks);
        settle().await;
        assert_eq!(alive(), before, "after {rest:?} of rest");
    }
}

#[test]
fn a_manager_goes_on_in_another_runtime_when_its_first_has_ended() {
    let bench = bench();
    for round in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let lease = bench.lease().await;
            bench.pass(TTL, SECOND).await;
            assert!(!lease.is_lost(), "renewed in round {round}");
            let before = bench.releases();
            drop(lease);
            settle().await;
            assert_eq!(bench.releases(), before + 1);
            assert!(bench.is_free().await);
            // A release on its way, and a renewer at rest: both end with the runtime.
            bench.backend.releases.lock().unwrap().push_back(Fault::Hangs);
            drop(bench.lease().await);
            settle().await;
        });
    }
}

#[tokio::test]
async fn a_batch_of_leases_is_released_as_one_call() {
    let bench = bench();
    let keys = ["1", "2", "3"].map(|posting| LockKey::posting("upwork", posting).unwrap());
    let leases = bench.locks.try_lock_many(&keys).await.unwrap();
    let leases = leases.into_iter().map(|attempt| attempt.acquired().unwrap()).collect();
    assert_eq!(bench.locks.release_many(leases).await.unwrap(), [Released::Released; 3]);
    assert!(bench.is_free().await);
    settle().await;
    assert_eq!(*bench.backend.released_at.lock().unwrap(), [(bench.clock.now(), 3)]);
}

/// A request that is given up may reach the store after its release did.
#[tokio::test]
async fn a_lock_that_may_have_been_taken_is_looked_for_twice_and_any_other_once() {
    for (fault, releases) in [(Fault::NeverDone, 2), (Fault::Hangs, 1)] {
        let bench = bench();
        bench.backend.acquires.lock().unwrap().push_back(fault);
        let locks = bench.locks.clone();
        let asking = tokio::spawn(async move { locks.try_lock(&key()).await });
        settle().await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(bench.releases(), 1, "{fault:?}");
        bench.pass(10 * SECOND, SECOND / 2).await;
        assert_eq!(bench.releases(), releases, "{fault:?}");
    }
    // A lease that was taken away: what is known to have been granted is released once.
    let bench = bench();
    let lease = bench.lease().await;
    bench.backend.force_release(&key(), &Actor::new("test", "a test").unwrap()).await.unwrap();
    drop(lease);
    bench.pass(10 * SECOND, SECOND / 2).await;
    assert_eq!(bench.releases(), 1);
}

#[tokio::test]
async fn a_release_is_repeated_after_growing_pauses_for_a_minute() {
    let bench = bench();
    bench.backend.releases.lock().unwrap().extend([Fault::Refused; 1_000]);
    drop(bench.lease().await);
    bench.pass(90 * SECOND, Duration::from_millis(50)).await;
    let at: Vec<_> = bench.backend.released_at.lock().unwrap().iter().map(|(at, _)| *at).collect();
    let pauses: Vec<u128> = at.windows(2).map(|two| two[1].since(two[0]).as_millis()).collect();
    assert_eq!(pauses[..6], [100, 200, 400, 800, 1_000, 1_000]);
    let tried_for = at.last().unwrap().since(at[0]);
    assert!(tried_for >= 60 * SECOND && tried_for < 62 * SECOND, "{tried_for:?}");
}

#[tokio::test]
async fn a_release_that_can_never_succeed_is_tried_once() {
    let bench = bench();
    bench.backend.releases.lock().unwrap().push_back(Fault::Senseless);
    drop(bench.lease().await);
    bench.pass(90 * SECOND, SECOND).await;
    assert_eq!(bench.releases(), 1);
}

#[tokio::test]
async fn a_shutdown_with_nothing_to_release_waits_for_nothing() {
    let bench = bench();
    bench.lease().await.release().await.unwrap();
    let shutdown = tokio::spawn(async move { bench.locks.shutdown().await });
    settle().await;
    assert!(shutdown.is_finished());
    assert_eq!(shutdown.await.unwrap().unwrap(), 0);
}

//! The suite over an engine that fails by chance, with a layer that asks again: the cases that do not look at what a
//! release finds, since one whose answer was lost finds nothing the second time.

use bidlock::conformance::Fixture;
use bidlock::layers::chaos::Odds;
use bidlock::layers::retry::Retry;

use super::*;

/// One call in four goes wrong.
const ODDS: Odds =
    Odds { refused: 0.1, answer_lost: 0.1, late: 0.05, longest_delay: Duration::from_millis(2) };
/// So many tries in a row all go wrong once in a million times.
const TRIES: u32 = 10;

fn fixture(seed: u64) -> Fixture {
    let memory = MemoryBackend::new();
    let seeds = std::sync::atomic::AtomicU64::new(seed);
    Fixture::new(move || {
        let seed = seeds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let chaos = Chaos::seeded(Arc::new(memory.clone()), seed, ODDS);
        Arc::new(Retry::new(Arc::new(chaos), TRIES))
    })
}

mod conformance {
    use super::*;

    bidlock::conformance_suite!(@cases fixture(17);
        released_after_an_error_of_the_work
        released_after_a_panic_of_the_work
        released_after_the_work_is_cancelled
        released_when_a_lease_is_dropped
        nothing_stays_after_a_cancelled_acquisition
        work_is_cancelled_when_its_lease_is_lost
        one_holder_name_does_not_make_one_holder
        marketplaces_are_independent
        ids_that_look_alike_are_independent
        same_attempt_is_granted_again
        expires_and_is_taken_over
        recovers_after_a_holders_death
        holder_stops_before_the_store_does
        an_expired_lock_is_not_shown
        tokens_grow
        unguarded_counter_under_the_lock
        held_beyond_its_ttl_by_renewal
        many_leases_are_renewed
        renewed_by_hand
        three_queued
        a_cancelled_wait_takes_nothing
        leaving_the_queue_keeps_what_was_taken
        waits_for_expiry_where_nobody_releases
    );
}

/// The same seed and calls, the same faults; another seed, others.
#[tokio::test]
async fn a_seed_decides_what_goes_wrong() {
    let run = async |seed| {
        let chaos = Chaos::seeded(Arc::new(MemoryBackend::new()), seed, ODDS);
        let mut went = Vec::new();
        for n in 0..100 {
            went.push(
                chaos
                    .try_acquire(&[request(&n.to_string(), 1)])
                    .await
                    .map_err(|error| error.effect())
                    .is_ok(),
            );
        }
        went
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

//! One suite of cases for every backend. Feature `conformance`.
//!
//! A backend's tests make a [`Fixture`] and expand the suite, which gives one named test a case:
//!
//! ```ignore
//! fn fixture() -> bidlock::conformance::Fixture {
//!     let store = std::sync::Arc::new(MyBackend::new());
//!     bidlock::conformance::Fixture::new(move || store.clone())
//! }
//! bidlock::conformance_suite!(fixture());
//! ```
//!
//! A change of behaviour lands here first. Cases run on real time; where one must outlast a TTL, that is 100 to 300 ms,
//! and where it must not, a minute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code that lives outside of `cfg(test)` so that other crates can run it"
)]

mod ending;
mod exclusion;
mod expiry;
mod fencing;
mod operator;
mod race;
mod renewal;
mod waiting;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub use self::{
    ending::*, exclusion::*, expiry::*, fencing::*, operator::*, race::*, renewal::*, waiting::*,
};
use crate::{Attempt, HolderId, Lease, LockBackend, LockKey, LockManager, LockManagerBuilder};

/// A TTL that no case outlasts.
const LONG: Duration = Duration::from_secs(60);
/// For cases that outlast it, and yet long enough for a server on a busy machine to answer within it.
const SHORT: Duration = Duration::from_millis(250);
/// A wait that only a fault outlasts.
const PATIENCE: Duration = Duration::from_secs(20);

/// One store for one case, opened as often as the case has instances.
pub struct Fixture {
    open: Box<dyn Fn() -> Arc<dyn LockBackend> + Send + Sync>,
    /// What must outlive the case, such as a temporary folder.
    _keep: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fixture")
    }
}

impl Fixture {
    /// A store, and how to open it once more. Each case gets a store of its own.
    pub fn new(open: impl Fn() -> Arc<dyn LockBackend> + Send + Sync + 'static) -> Fixture {
        Fixture { open: Box::new(open), _keep: Box::new(()) }
    }

    /// The same, with something to keep until the case ends.
    #[must_use]
    pub fn keeping(mut self, keep: impl Any + Send + Sync) -> Fixture {
        self._keep = Box::new(keep);
        self
    }

    fn backend(&self) -> Arc<dyn LockBackend> {
        (self.open)()
    }

    fn builder(&self, holder: &str) -> LockManagerBuilder {
        LockManager::builder(self.backend()).ttl(LONG).holder(HolderId::named(holder).unwrap())
    }

    /// An instance with a TTL that does not end within the case.
    fn manager(&self, holder: &str) -> LockManager {
        self.builder(holder).build().unwrap()
    }

    /// An instance whose leases end soon, unless its holder does something.
    fn short_lived(&self, holder: &str) -> LockManager {
        self.builder(holder).ttl(SHORT).renewal(false).build().unwrap()
    }
}

fn posting(name: &str) -> LockKey {
    LockKey::posting("upwork", name).unwrap()
}

#[track_caller]
fn granted(attempt: crate::Result<Attempt>) -> Lease {
    match attempt.unwrap() {
        Attempt::Acquired(lease) => lease,
        Attempt::Held(held) => panic!("held by {held:?}"),
    }
}

#[track_caller]
fn held(attempt: crate::Result<Attempt>) -> crate::Held {
    match attempt.unwrap() {
        Attempt::Acquired(lease) => panic!("granted: {lease:?}"),
        Attempt::Held(held) => held,
    }
}

/// Expands to one test a case, in a module `conformance`. The argument makes a [`Fixture`](crate::conformance::Fixture).
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:expr) => {
        mod conformance {
            use super::*;
            $crate::conformance_suite!(@of_whoever_holds $fixture);
            // What is asked about grants that are nobody's, or not any more.
            $crate::conformance_suite!(@cases $fixture;
                cannot_be_released_or_renewed_by_another
                renewal_after_expiry_is_lost
            );
        }
    };
    // All but what is asked about grants that are nobody's: for a layer over two engines, one of which is away.
    (@of_whoever_holds $fixture:expr) => {
        $crate::conformance_suite!(@cases $fixture;
            // ending
            released_after_an_error_of_the_work
            released_after_a_panic_of_the_work
            released_after_the_work_is_cancelled
            released_when_a_lease_is_dropped
            nothing_stays_after_a_cancelled_acquisition
            work_is_cancelled_when_its_lease_is_lost
            clean_up_of_own_locks_leaves_others_alone
            clean_up_of_the_fleet_needs_force
            shutdown_releases_and_refuses
            // exclusion
            two_instances_on_one_posting
            one_holder_name_does_not_make_one_holder
            many_postings_at_once
            a_key_twice_in_a_batch
            marketplaces_are_independent
            ids_that_look_alike_are_independent
            rapid_cycles
            whole_workflow
            same_attempt_is_granted_again
            // expiry
            expires_and_is_taken_over
            recovers_after_a_holders_death
            release_after_expiry_says_so
            holder_stops_before_the_store_does
            an_expired_lock_is_not_shown
            // fencing
            tokens_grow
            reentry_only_on_request_and_with_the_same_token
            // operator
            counts_each_attempt_once
            shows_what_is_held
            shows_page_by_page
            force_release_is_recorded
            answers_a_check
            // race
            unguarded_counter_under_the_lock
            // renewal
            held_beyond_its_ttl_by_renewal
            many_leases_are_renewed
            holder_learns_of_a_forced_release
            renewed_by_hand
            // waiting
            a_failed_wait_lasts_its_limit_and_little_more
            woken_by_a_release
            three_queued
            a_cancelled_wait_takes_nothing
            leaving_the_queue_keeps_what_was_taken
            waiting_is_not_needed_for_a_free_lock
            waits_for_expiry_where_nobody_releases
        );
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case($fixture).await;
            }
        )*
    };
}

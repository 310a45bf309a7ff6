//! The cases that every ledger engine must pass: one suite, one named test per case and engine.
//!
//! An engine's test file implements [`Rig`] and calls [`ledger_conformance!`](crate::ledger_conformance).
//! A change of behaviour lands here first, as a case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a library of tests: a failed expectation must panic, a skipped case must be seen"
)]

pub mod answers;
pub mod approval;
pub mod claims;
pub mod door;
pub mod fixtures;
pub mod history;
pub mod importing;
pub mod listing;
pub mod notes;
pub mod sweeping;
pub mod table;
pub mod uniqueness;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::LedgerStore;

/// One ledger with a clock that the test moves. Each case gets a rig of its own, with an empty ledger.
#[async_trait]
pub trait Rig: Send + Sync {
    /// Opens the ledger once more, as another process would.
    async fn open(&self) -> Arc<dyn LedgerStore>;

    /// Lets time pass for the store, on all of its clocks.
    fn advance(&self, by: Duration);

    /// Steps the wall clock alone, as NTP does. False where the store has no such clock.
    fn step_wall(&self, by_ms: i64) -> bool;

    /// Restarts the host under the ledger. False where the store's clock knows no restarts.
    fn reboot(&self) -> bool;
}

/// Writes one `#[tokio::test]` per case. The argument names a function that makes a [`Rig`].
#[macro_export]
macro_rules! ledger_conformance {
    ($rig:path) => {
        $crate::ledger_conformance! { @each $rig =>
            uniqueness::s1_one_live_bid_per_posting,
            uniqueness::s1_a_posting_twice_in_one_call_is_claimed_once,
            uniqueness::s1_a_settled_posting_stays_taken,
            uniqueness::marketplaces_are_independent,
            uniqueness::a_withdrawal_frees_the_posting_only_with_permission,
            uniqueness::a_new_bid_after_a_withdrawal_has_a_new_key,
            uniqueness::a_new_bid_after_not_submitted_repeats_key_and_payload,
            uniqueness::a_refused_posting_is_freed_by_a_person_alone,
            uniqueness::flags_that_free_a_posting_never_clear_under_a_later_bid,
            uniqueness::s1_a_reopened_bid_takes_its_posting_whatever_came_later,
            uniqueness::s1_a_posting_with_another_bid_is_not_freed,
            uniqueness::s1_what_is_handed_back_beside_another_bid_is_not_sent,
            claims::an_expired_claim_is_taken_over_and_a_live_one_is_not,
            claims::of_many_take_overs_one_wins,
            claims::one_call_takes_over_many_expired_claims,
            claims::s4_after_a_take_over_the_old_claim_changes_nothing,
            claims::an_abandoned_bid_is_taken_over_at_once,
            claims::a_payload_that_was_sent_is_kept,
            claims::a_payload_that_was_approved_is_kept,
            claims::a_taken_over_bid_goes_where_its_new_claimant_sends_it,
            claims::s5_epochs_increase_across_paths_and_rows,
            claims::a_claim_of_another_boot_has_expired,
            claims::a_step_of_the_wall_clock_expires_no_claim,
            door::s2_nobody_but_the_claimant_passes_the_door,
            door::s2_an_expired_claim_is_refused_the_door,
            door::each_send_is_counted_and_renews_the_claim,
            door::a_cap_counts_first_sends_of_its_marketplace,
            door::a_cap_counts_what_came_back_when_it_is_sent_again,
            door::a_cap_holds_when_many_pass_at_once,
            answers::a_late_yes_of_the_claimant_settles_the_unknown,
            answers::a_late_no_of_the_claimant_settles_the_unknown,
            answers::a_late_yes_after_the_sweep_counts,
            answers::an_unknown_names_its_cause,
            answers::a_hand_back_with_proof_abandons_or_returns_to_approved,
            answers::a_late_proof_of_non_acceptance_abandons_the_unknown,
            answers::s9_a_wrong_not_submitted_is_reopened_with_an_alarm,
            answers::s9_reopening_beside_a_later_bid_is_a_duplicate_alarm,
            answers::s8_one_bid_at_the_marketplace_is_found_for_one_row,
            answers::s8_a_late_yes_under_the_name_of_another_row_does_not_count_twice,
            answers::s8_a_repeated_yes_under_the_name_of_another_row_does_not_count_twice,
            answers::s8_siblings_in_one_batch_get_one_name_once,
            answers::s1_siblings_in_one_batch_take_their_posting_once,
            answers::s8_a_withdrawal_granted_to_one_counts_whoever_was_refused,
            answers::s1_reopening_declines_a_later_bid_that_was_not_sent,
            answers::a_late_proof_gives_an_approved_bid_back_to_its_approval,
            answers::a_change_of_an_unknown_bid_says_so,
            approval::of_many_senders_of_an_approved_bid_one_wins,
            approval::an_expired_approval_is_refused_and_swept_back,
            sweeping::a_silent_claimant_is_swept_with_its_name,
            sweeping::what_has_not_expired_is_left_alone,
            sweeping::a_sweep_moves_no_more_than_its_limit,
            sweeping::of_many_sweepers_each_row_is_moved_once,
            table::s7_the_table_is_the_law,
            history::every_move_is_in_the_history_and_the_chain_holds,
            history::a_repeated_request_is_recorded_once,
            importing::s1_an_imported_posting_is_never_claimed,
            importing::an_import_is_made_once,
            importing::s2_an_import_never_begins_a_bid_that_could_be_sent,
            importing::s1_an_import_shuts_a_row_that_could_be_sent,
            importing::an_import_follows_earlier_bids,
            importing::a_new_bid_after_an_imported_one_has_its_own_payload,
            notes::the_last_note_of_a_name_counts,
            notes::a_note_that_has_not_seen_the_last_one_is_refused,
            listing::standings_say_what_a_scanner_may_do,
            listing::filters_and_pages_cover_every_bid_once,
            listing::sent_bids_are_counted_per_marketplace_and_time,
            listing::oversized_batches_are_refused,
            listing::every_opening_is_of_one_ledger_and_writable,
        }
    };
    (@each $rig:path => $($module:ident::$case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$module::$case(&$rig()).await;
            }
        )*
    };
}

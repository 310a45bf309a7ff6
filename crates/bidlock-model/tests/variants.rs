//! What must fail does fail: a mechanism that the model took for granted would show here. Each test prints the
//! shortest counterexample (`cargo test -p bidlock-model --test variants -- --nocapture`).

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests, their helpers included")]

use bidlock_model::{
    Protocol, Settings, settings, shortest_counterexample,
    step::{Fault, Step},
    trace::Trace,
    world::World,
};

fn breaks(name: &str) -> Vec<(World, Option<Step>)> {
    let (_, protocol, property) =
        *Protocol::VARIANTS.iter().find(|(known, ..)| *known == name).expect("a variant of this name");
    shown(name, protocol.settings(), property)
}

/// The counterexample, printed; and the same space holds where nothing is removed.
fn shown(name: &str, settings: Settings, property: &'static str) -> Vec<(World, Option<Step>)> {
    let path = shortest_counterexample(settings, property)
        .unwrap_or_else(|| panic!("{name} does not break \"{property}\": nothing depends on what it lacks"));
    println!("{name}: against \"{property}\"\n{}", Trace(&path));
    let intact = Settings { protocol: Protocol::Bidlock, unheard: false, ..settings };
    let report = bidlock_model::exhaust(intact, std::num::NonZeroUsize::MIN);
    assert!(report.violations.is_empty(), "{name}: the space has a counterexample of its own");
    path
}

macro_rules! variants {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            breaks($name);
        })*

        #[test]
        fn every_variant_has_its_test() {
            let tested = [$($name),*];
            assert!(Protocol::VARIANTS.iter().all(|(name, ..)| tested.contains(name)));
        }
    };
}

variants! {
    lock_only_submits_twice: "lock-only";
    get_then_del_releases_the_lock_of_another: "get-then-del";
    resending_an_unknown_submits_twice: "resend-unknown";
    a_door_that_ignores_the_claim_submits_twice: "door-ignores-claim";
    a_sweeper_that_goes_back_submits_twice: "sweeper-goes-back";
    a_row_per_status_submits_twice: "unique-per-status";
    not_found_taken_as_proof_submits_twice: "not-found-is-proof";
    a_take_over_with_a_row_of_its_own_submits_twice: "take-over-makes-new-row";
    handing_back_after_a_lost_answer_denies_a_bid: "lost-answer-hands-back";
    a_door_blind_to_earlier_bids_sends_beside_one: "blind-to-earlier-bids";
    epochs_by_row_repeat: "epoch-per-row";
    taking_over_a_declined_bid_changes_a_final_row: "declined-is-taken-over";
    submitted_before_the_answer_is_not_true: "submitted-before-answer";
    what_an_import_shut_is_not_handed_back: "import-is-handed-back";
    a_late_yes_under_the_name_of_another_row_counts_one_bid_twice: "late-yes-names-twice";
    a_repeated_yes_under_the_name_of_another_row_counts_one_bid_twice: "repeated-yes-names-twice";
    a_confirmation_after_a_refusal_is_not_lost: "refusal-hides-confirmation";
    a_lease_without_margin_overlaps: "no-drift-margin";
}

/// The lock alone fails by a pause: the very fault that makes the ledger necessary.
#[test]
fn lock_only_fails_by_a_single_pause() {
    let path = breaks("lock-only");
    let faults: Vec<&Step> = path
        .iter()
        .filter_map(|(_, step)| step.as_ref())
        .filter(|step| matches!(step, Step::Fault(_)))
        .collect();
    assert!(matches!(faults[..], [Step::Fault(Fault::PauseOverLease(_))]), "{faults:?}");
}

/// What no protocol can give: the marketplace refuses a withdrawal, grants it to another who asked, and that one dies with
/// the answer. Until somebody asks again nobody knows.
#[test]
fn limit_a_withdrawal_granted_after_a_refusal_that_nobody_heard() {
    let (name, settings, property) = settings::LIMITS[0];
    assert_eq!(name, "unheard-withdrawal");
    shown(name, settings, property);
}

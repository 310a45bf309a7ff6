//! The protocol as it is has no counterexample, in each of the spaces.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "tests, their helpers included")]

use std::{collections::HashSet, num::NonZeroUsize};

use bidlock_model::{
    Bidding, Names, Settings, exhaust, settings::SPACES, shortest_counterexample, trace::Trace, world::World,
};
use stateright::Model;

const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Searches a space to its end, and fails with the shortest way to each violation.
fn holds(name: &str) -> usize {
    let (_, settings) = SPACES.iter().find(|(known, _)| *known == name).expect("a space of this name");
    let report = exhaust(*settings, THREADS);
    println!("{name}: {} states, {} steps, {} deep", report.states, report.steps, report.depth);
    for (property, path) in &report.violations {
        let shortest = shortest_counterexample(*settings, property);
        println!("{property}\n{}", Trace(shortest.as_ref().unwrap_or(path)));
    }
    assert!(report.violations.is_empty(), "{name}: the counterexamples stand above");
    report.states
}

#[test]
fn four_scanners_two_postings_three_faults_without_a_counterexample() {
    let (_, settings) = SPACES[0];
    let Settings { scanners, postings, faults, .. } = settings;
    assert!(scanners >= 4 && postings >= 2 && faults >= 3, "the space that the promise is about");
    holds("claims");
}

#[test]
fn five_faults_on_one_posting_without_a_counterexample() {
    holds("claims-many-faults");
}

#[test]
fn approvals_without_a_counterexample() {
    holds("approvals");
}

#[test]
fn withdrawals_and_a_second_bid_without_a_counterexample() {
    holds("afterwards");
}

#[test]
fn everything_at_once_without_a_counterexample() {
    holds("everything");
}

#[test]
fn imports_beside_claimants_without_a_counterexample() {
    holds("imports");
}

#[test]
fn a_marketplace_that_recognises_keys_without_a_counterexample() {
    holds("keys");
}

#[test]
fn s10_leases_do_not_overlap_unless_the_store_forgets_one() {
    holds("leases");
}

#[test]
fn once_faults_end_every_posting_is_settled() {
    holds("recovery");
}

/// Scanners and postings can be exchanged for one another, exactly: the worlds found without that, each replaced by the
/// one that stands for it, are the worlds found with it. Neither is one left out, nor are two that differ taken for one.
#[test]
fn interchangeable_names_lose_no_world() {
    let spaces = [SPACES[0].1.sized(2, 2, 1), Settings::all().sized(2, 1, 1)];
    let leases = SPACES.iter().find(|(name, _)| *name == "leases").expect("the space").1.sized(3, 2, 1);
    for space in spaces.into_iter().chain([leases]) {
        let apart = worlds(Settings { names: Names::Renumbered, ..space });
        let together: HashSet<World> = apart.iter().map(|world| world.canonical(&space)).collect();
        assert!(together == worlds(space), "not the same worlds in {space:?}");
        assert!(together.len() < apart.len(), "{} and {}", together.len(), apart.len());
    }
}

/// Every world of a space, found by a search of its own.
fn worlds(settings: Settings) -> HashSet<World> {
    let model = Bidding::new(settings);
    let mut found: HashSet<World> = model.init_states().into_iter().collect();
    let mut open: Vec<World> = found.iter().copied().collect();
    while let Some(world) = open.pop() {
        open.extend(model.next_states(&world).into_iter().filter(|next| found.insert(*next)));
    }
    found
}

//! The protocol as it is has no counterexample, in each of the spaces.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "tests, their helpers included")]

use std::num::NonZeroUsize;

use bidlock_model::{Settings, exhaust, settings::SPACES, shortest_counterexample, trace::Trace};

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
fn four_faults_on_one_posting_without_a_counterexample() {
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
fn s10_leases_do_not_overlap_unless_the_store_forgets_one() {
    holds("leases");
}

#[test]
fn once_faults_end_every_posting_is_settled() {
    holds("recovery");
}

/// Names that differ only by renaming must be one state, and no other: the same verdict with and without symmetry,
/// and fewer states.
#[test]
fn symmetry_spares_states_and_changes_no_verdict() {
    let (_, space) = SPACES[0];
    let small = space.sized(3, 2, 1);
    let with = exhaust(small, THREADS);
    let without = exhaust(Settings { symmetry: false, ..small }, THREADS);
    assert!(with.violations.is_empty() && without.violations.is_empty());
    assert!(with.states < without.states / 2, "{} and {}", with.states, without.states);
}

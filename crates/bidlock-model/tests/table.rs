//! The model's transitions and the ledger's table are one: the model moves by `TRANSITIONS` alone (`TABLE` is a
//! property of every space), and every rule of the table is used somewhere.

use std::{collections::BTreeSet, num::NonZeroUsize};

use bidlock_ledger::{
    Action, BidState,
    state::{IMPORTED, Rule, TRANSITIONS},
};
use bidlock_model::{Protocol, Settings, explore, properties, settings::SPACES, shortest_counterexample};

const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Small spaces that together hold everything: the sizes of the test suite are for the protocol, not for coverage.
fn used() -> Vec<&'static Rule> {
    let everything = Settings::all().sized(2, 1, 1);
    let import = Settings { imports: true, afterwards: false, ..everything };
    [everything, import].into_iter().flat_map(|space| explore(space, THREADS).rules).collect()
}

#[test]
fn every_transition_of_the_table_is_made_by_the_model() {
    let used = used();
    let unused: Vec<&Rule> = TRANSITIONS.iter().filter(|rule| !used.contains(rule)).collect();
    assert!(unused.is_empty(), "the model never makes: {unused:#?}");
}

/// The test above finds a rule that the table has and the model never makes: here the model is without one.
#[test]
fn a_rule_that_the_model_does_not_make_is_noticed() {
    let space = Settings { approvals: false, operator: false, ..Settings::all() };
    let without = Settings { protocol: Protocol::RefusalHidesConfirmation, ..space };
    let made = explore(without, THREADS).rules;
    let missed: Vec<&Rule> =
        explore(space, THREADS).rules.into_iter().filter(|rule| !made.contains(rule)).collect();
    assert!(
        matches!(missed[..], [Rule { from: BidState::Submitted, action: Action::ConfirmWithdrawn, .. }]),
        "{missed:#?}"
    );
}

/// Which rules of the table the states of a bid can be reached by: none is reached in the model only.
#[test]
fn every_state_of_the_ledger_is_in_the_model() {
    let reached: BTreeSet<BidState> = used().iter().map(|rule| rule.to).chain([BidState::Claimed]).collect();
    assert_eq!(reached, BidState::ALL.into_iter().collect());
    assert!(IMPORTED.contains(&BidState::Unknown), "the model imports bids as `unknown`");
}

/// The check of the model's own moves against the table finds a move that the table lacks.
#[test]
fn a_move_that_the_table_lacks_is_noticed() {
    let (_, protocol, _) = bidlock_model::Protocol::VARIANTS
        .into_iter()
        .find(|(name, ..)| *name == "sweeper-goes-back")
        .expect("the variant");
    assert!(shortest_counterexample(protocol.settings(), properties::TABLE).is_some());
    assert!(!SPACES.iter().any(|(_, space)| space.protocol == protocol));
}

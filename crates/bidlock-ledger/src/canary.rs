//! What the canaries of the test builds change in a ledger: rules of the transition table, and parts of statements.
//! Without one, everything stays as it is.

use bidlock_canary::{Canary, removed};

use crate::state::{Guard, Rule};

/// A rule as it counts in this process; `None` where it does not count at all.
pub(crate) fn law(rule: &'static Rule) -> Option<&'static Rule> {
    use crate::{Action::*, BidState::*};
    /// The sweeper leads a silent submission back before the door.
    static SWEEPS_BACK: Rule =
        Rule { from: Submitting, action: SweepSubmitting, to: Abandoned, guard: Guard::Expired };
    /// A running claim is taken over.
    static TAKES_OVER_EARLY: Rule =
        Rule { from: Claimed, action: TakeOver, to: Claimed, guard: Guard::Claim };
    match rule.action {
        SweepSubmitting if removed(Canary::SweepBack) => Some(&SWEEPS_BACK),
        SweepSubmitting if removed(Canary::NoSweep) => None,
        TakeOver if rule.from == Claimed && removed(Canary::EarlyTakeOver) => Some(&TAKES_OVER_EARLY),
        _ => Some(rule),
    }
}

/// A statement with its guard as it counts in this process: `claims` is the comparison of claims in it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn guard(text: String, claims: &str) -> String {
    if removed(Canary::AnyClaim) { text.replace(claims, "TRUE") } else { text }
}

/// How a claim's ordinal is made: `one_more` than all before, and not the one that `the_rows` claim has.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn next_epoch(one_more: String, the_rows: &str) -> String {
    if removed(Canary::SameEpoch) { the_rows.to_owned() } else { one_more }
}

/// A statement that makes a bid, without its regard for the unique index over live bids.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn insertion(text: String) -> String {
    let unique = "ON CONFLICT (marketplace, posting) WHERE NOT rebid_allowed DO NOTHING";
    if removed(Canary::NoUniqueness) { text.replace(unique, "") } else { text }
}

/// What takes the unique index over live bids out of a ledger that is opened; usually nothing.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn drop_uniqueness(index: &str) -> Option<String> {
    removed(Canary::NoUniqueness).then(|| format!("DROP INDEX IF EXISTS {index}"))
}

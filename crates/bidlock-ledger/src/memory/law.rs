//! The rules that this ledger goes by: those of the transition table, all of them. With the feature `canary`,
//! `canary.rs` stands in place of this file.

use crate::state::{Action, Rule, rules_for};

/// The whole law.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Law;

impl Law {
    /// The rules of one action, in the order in which they are tried.
    pub(super) fn rules(self, action: Action) -> impl Iterator<Item = Rule> {
        rules_for(action).copied()
    }

    /// A posting has one live row.
    pub(super) fn is_unique(self) -> bool {
        true
    }

    /// A change names the row's claim.
    pub(super) fn compares_claims(self) -> bool {
        true
    }

    /// An `unknown` bid is settled, not sent again.
    pub(super) fn keeps_unknown(self) -> bool {
        true
    }
}

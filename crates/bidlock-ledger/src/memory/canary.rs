//! Ledgers that each lack one mechanism. A test that watches over the mechanism must notice.

use bidlock_canary::Canary;

use crate::{
    BidState,
    state::{Action, Guard, Rule, rules_for},
};

/// The mechanisms that this ledger can be without.
pub const CANARIES: [Canary; 5] =
    [Canary::AnyClaim, Canary::EarlyTakeOver, Canary::NoUniqueness, Canary::ResendUnknown, Canary::SweepBack];

/// The law, less one mechanism.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Law {
    removed: Option<Canary>,
}

impl Law {
    pub(super) fn without(canary: Canary) -> Law {
        Law { removed: Some(canary) }
    }

    pub(super) fn rules(self, action: Action) -> impl Iterator<Item = Rule> {
        let resend = Rule { from: BidState::Unknown, action, to: BidState::Claimed, guard: Guard::Claim };
        let added = (action == Action::TakeOver && !self.keeps_unknown()).then_some(resend);
        rules_for(action).map(move |rule| self.amended(*rule)).chain(added)
    }

    fn amended(self, rule: Rule) -> Rule {
        match (self.removed, rule.action) {
            (Some(Canary::EarlyTakeOver), Action::TakeOver) => Rule { guard: Guard::Claim, ..rule },
            (Some(Canary::SweepBack), Action::SweepSubmitting) => Rule { to: BidState::Abandoned, ..rule },
            _ => rule,
        }
    }

    pub(super) fn is_unique(self) -> bool {
        self.removed != Some(Canary::NoUniqueness)
    }

    pub(super) fn compares_claims(self) -> bool {
        self.removed != Some(Canary::AnyClaim)
    }

    pub(super) fn keeps_unknown(self) -> bool {
        self.removed != Some(Canary::ResendUnknown)
    }
}

//! Ledgers that each lack one mechanism. A test that watches over the mechanism must notice.

use crate::{
    BidState,
    state::{Action, Guard, Rule, rules_for},
};

/// A mechanism of the ledger that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Canary {
    /// A change counts whatever claim it names: anybody passes the door.
    AnyClaim,
    /// A posting may have two live bids.
    NoUniqueness,
    /// The sweeper makes a silent submission `abandoned`, so that somebody sends it again.
    SweepBack,
    /// An `unknown` bid may be taken over, and so is sent again.
    ResendUnknown,
    /// A claim is taken over before it has expired.
    EarlyTakeOver,
}

impl Canary {
    /// Every one of them.
    pub const ALL: [Canary; 5] = [
        Canary::AnyClaim,
        Canary::NoUniqueness,
        Canary::SweepBack,
        Canary::ResendUnknown,
        Canary::EarlyTakeOver,
    ];

    /// The name on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Canary::AnyClaim => "any-claim",
            Canary::NoUniqueness => "no-uniqueness",
            Canary::SweepBack => "sweep-back",
            Canary::ResendUnknown => "resend-unknown",
            Canary::EarlyTakeOver => "early-take-over",
        }
    }
}

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

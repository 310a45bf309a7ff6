//! The life of a bid: its states, what may be done to it, and the one table of transitions.
//!
//! Nothing else in the workspace decides whether a transition is allowed: stores turn a [`Rule`] into one
//! guarded `UPDATE`, and the life-cycle page of the docs is checked against this table.

use serde::{Deserialize, Serialize};

/// Where a bid stands. See `docs/bid-lifecycle.md` for the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BidState {
    /// One scanner prepares the bid; nothing has been sent. Moved on by its claimant; once the claim has
    /// expired, by another scanner (take-over) or the sweeper.
    Claimed,
    /// A person decides first; the payload is frozen. Moved on by an operator.
    AwaitingApproval,
    /// A person said yes; one scanner takes the sending. An approval that expires goes back.
    Approved,
    /// Past the one-way door: a request may have left. Moved on by its claimant; once expired, the sweeper
    /// makes it `unknown`. Never back without proof that nothing was accepted.
    Submitting,
    /// The marketplace has the bid.
    Submitted,
    /// The marketplace said no for good. Final, unless a person resolves it as not submitted.
    Rejected,
    /// The client chose this bid.
    Won,
    /// The client chose another bid, or none.
    Lost,
    /// A withdrawal was asked for; asking the marketplace again is harmless.
    Withdrawing,
    /// The marketplace confirmed the withdrawal.
    Withdrawn,
    /// Before anything was sent, a person or a final rule said no, or an earlier bid on the posting was reopened.
    Declined,
    /// The request may have arrived. Settled by the claimant's late answer, a positive look-up, or a person.
    Unknown,
    /// Handed back, or never got to sending; the marketplace accepted nothing. Any scanner may take it over.
    Abandoned,
    /// A person decided that nothing was ever accepted. Its claimant's late yes, a later positive look-up, or a person's
    /// word that it was submitted reopens it.
    NotSubmitted,
}

impl BidState {
    /// Every state, in the order of a bid's life.
    pub const ALL: [BidState; 14] = [
        BidState::Claimed,
        BidState::AwaitingApproval,
        BidState::Approved,
        BidState::Submitting,
        BidState::Submitted,
        BidState::Rejected,
        BidState::Won,
        BidState::Lost,
        BidState::Withdrawing,
        BidState::Withdrawn,
        BidState::Declined,
        BidState::Unknown,
        BidState::Abandoned,
        BidState::NotSubmitted,
    ];

    /// The name used in the database, in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            BidState::Claimed => "claimed",
            BidState::AwaitingApproval => "awaiting_approval",
            BidState::Approved => "approved",
            BidState::Submitting => "submitting",
            BidState::Submitted => "submitted",
            BidState::Rejected => "rejected",
            BidState::Won => "won",
            BidState::Lost => "lost",
            BidState::Withdrawing => "withdrawing",
            BidState::Withdrawn => "withdrawn",
            BidState::Declined => "declined",
            BidState::Unknown => "unknown",
            BidState::Abandoned => "abandoned",
            BidState::NotSubmitted => "not_submitted",
        }
    }

    /// Final states change only by an audited resolution or by the marketplace's later word
    /// (`submitted` to `won`, `lost` or `withdrawing`). The settled cache holds only these.
    pub fn is_settled(self) -> bool {
        use BidState::*;
        matches!(self, Submitted | Rejected | Won | Lost | Declined)
    }

    /// The marketplace has this bid, or may have it: no other bid on the posting is made or sent beside it,
    /// whatever the row's flag says.
    pub fn is_in_use(self) -> bool {
        use BidState::*;
        matches!(self, Submitting | Unknown | Submitted | Won | Lost | Withdrawing)
    }

    /// The bid was sent and did not come back with proof that nothing was accepted: what caps count.
    pub fn may_have_arrived(self) -> bool {
        use BidState::*;
        self.is_in_use() || matches!(self, Rejected | Withdrawn | NotSubmitted)
    }

    /// States in which a claim runs and may expire.
    pub fn has_running_claim(self) -> bool {
        matches!(self, BidState::Claimed | BidState::Submitting)
    }
}

impl std::fmt::Display for BidState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for BidState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        BidState::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// The text names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a bid state; the states are: claimed, awaiting_approval, approved, submitting, submitted, rejected, won, lost, withdrawing, withdrawn, declined, unknown, abandoned, not_submitted"
)]
pub struct UnknownState(pub String);

/// What may be done to a bid. The details of each (amounts, reasons, references) travel in
/// [`crate::store::Move`]; this is the name under which the event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Another scanner takes the row over with a new claim.
    TakeOver,
    /// The claimant puts the frozen payload before a person.
    AwaitApproval,
    /// A person says yes, until the approval expires.
    Approve,
    /// The sweeper takes back an approval that expired unused.
    ExpireApproval,
    /// A person or a final rule says no.
    Decline,
    /// The claimant passes the one-way door, or sends again within its claim after proof of non-acceptance.
    EnterSubmitting,
    /// A scanner takes the sending of an approved bid: new claim and one-way door in one update.
    TakeSending,
    /// The marketplace said yes.
    Accept,
    /// The marketplace said no for good.
    Refuse,
    /// The answer was lost, or a duplicate refusal needs a look-up.
    LoseAnswer,
    /// The claimant gives the row back with proof that nothing was accepted.
    HandBack,
    /// The sweeper abandons a claim that expired before the door.
    SweepClaimed,
    /// The sweeper marks a submission whose claimant went silent.
    SweepSubmitting,
    /// A look-up found our bid at the marketplace.
    Find,
    /// A person settles an unknown as submitted, with evidence.
    ResolveSubmitted,
    /// A person settles an unknown, or a wrong refusal, as never accepted, with evidence.
    ResolveNotSubmitted,
    /// A withdrawal is asked for.
    Withdraw,
    /// The marketplace confirmed the withdrawal.
    ConfirmWithdrawn,
    /// The marketplace refused the withdrawal: the bid still stands.
    RefuseWithdrawal,
    /// The client chose this bid.
    Win,
    /// The client chose another bid, or none.
    Lose,
    /// The replaced system has a bid on this posting. It begins a row (see [`IMPORTED`]), or shuts one that could
    /// still be sent.
    Import,
}

impl Action {
    /// The name used in events, in JSON and in the docs.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::TakeOver => "take_over",
            Action::AwaitApproval => "await_approval",
            Action::Approve => "approve",
            Action::ExpireApproval => "expire_approval",
            Action::Decline => "decline",
            Action::EnterSubmitting => "enter_submitting",
            Action::TakeSending => "take_sending",
            Action::Accept => "accept",
            Action::Refuse => "refuse",
            Action::LoseAnswer => "lose_answer",
            Action::HandBack => "hand_back",
            Action::SweepClaimed => "sweep_claimed",
            Action::SweepSubmitting => "sweep_submitting",
            Action::Find => "find",
            Action::ResolveSubmitted => "resolve_submitted",
            Action::ResolveNotSubmitted => "resolve_not_submitted",
            Action::Withdraw => "withdraw",
            Action::ConfirmWithdrawn => "confirm_withdrawn",
            Action::RefuseWithdrawal => "refuse_withdrawal",
            Action::Win => "win",
            Action::Lose => "lose",
            Action::Import => "import",
        }
    }
}

/// What the guarded `UPDATE` compares besides state and claim id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing more: the caller names the claim id that it holds or saw.
    Claim,
    /// The claim has not expired by the store's clock.
    Live,
    /// The claim has expired by the store's clock, or belongs to an earlier boot of the host.
    Expired,
    /// The approval has not expired.
    ApprovalLive,
    /// The approval has expired.
    ApprovalExpired,
    /// The row was approved by a person once (`approved_until` is set), and no import has shut it: what its claimant can
    /// prove about its own request says nothing of the replaced system's.
    WasApproved,
    /// The row never needed an approval, and no import has shut it.
    NeverApproved,
}

/// One allowed transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The state it leaves.
    pub from: BidState,
    /// What is done.
    pub action: Action,
    /// The state it reaches.
    pub to: BidState,
    /// What must hold besides state and claim id.
    pub guard: Guard,
}

const fn rule(from: BidState, action: Action, to: BidState, guard: Guard) -> Rule {
    Rule { from, action, to, guard }
}

/// Every transition there is. A store tries the rules of one action in this order, each as one guarded
/// update, and the first that changes the row wins; where none does, nothing has changed.
pub const TRANSITIONS: &[Rule] = {
    use Action::*;
    use BidState::*;
    use Guard as G;
    &[
        // Before the door.
        rule(Claimed, Action::TakeOver, Claimed, G::Expired),
        rule(Abandoned, Action::TakeOver, Claimed, G::Claim),
        rule(Claimed, AwaitApproval, AwaitingApproval, G::Live),
        rule(AwaitingApproval, Approve, Approved, G::Claim),
        rule(Approved, ExpireApproval, AwaitingApproval, G::ApprovalExpired),
        rule(Claimed, Decline, Declined, G::Claim),
        rule(AwaitingApproval, Decline, Declined, G::Claim),
        rule(Approved, Decline, Declined, G::Claim),
        rule(Abandoned, Decline, Declined, G::Claim),
        rule(Claimed, SweepClaimed, Abandoned, G::Expired),
        // The replaced system has, or may have, bid on the posting: nobody sends this row any more.
        rule(Claimed, Import, Unknown, G::Claim),
        rule(AwaitingApproval, Import, Unknown, G::Claim),
        rule(Approved, Import, Unknown, G::Claim),
        rule(Abandoned, Import, Unknown, G::Claim),
        // The one-way door. The second rule is a further attempt within the same claim.
        rule(Claimed, EnterSubmitting, Submitting, G::Live),
        rule(Submitting, EnterSubmitting, Submitting, G::Live),
        rule(Approved, TakeSending, Submitting, G::ApprovalLive),
        // The marketplace's answer, in time or late.
        rule(Submitting, Accept, Submitted, G::Claim),
        rule(Unknown, Accept, Submitted, G::Claim),
        rule(NotSubmitted, Accept, Submitted, G::Claim),
        rule(Submitting, Refuse, Rejected, G::Claim),
        rule(Unknown, Refuse, Rejected, G::Claim),
        rule(Submitting, LoseAnswer, Unknown, G::Claim),
        rule(Claimed, HandBack, Abandoned, G::Claim),
        rule(Submitting, HandBack, Approved, G::WasApproved),
        rule(Submitting, HandBack, Abandoned, G::NeverApproved),
        // A person's yes is not lost with the answer, and does not outlive its time either.
        rule(Unknown, HandBack, Approved, G::WasApproved),
        rule(Unknown, HandBack, Abandoned, G::NeverApproved),
        rule(Submitting, SweepSubmitting, Unknown, G::Expired),
        // Settling what is unknown.
        rule(Unknown, Find, Submitted, G::Claim),
        rule(NotSubmitted, Find, Submitted, G::Claim),
        rule(Unknown, ResolveSubmitted, Submitted, G::Claim),
        rule(NotSubmitted, ResolveSubmitted, Submitted, G::Claim),
        rule(Unknown, ResolveNotSubmitted, NotSubmitted, G::Claim),
        // The one way out of a final state: the marketplace's no was wrong, or is of no account any more.
        rule(Rejected, ResolveNotSubmitted, NotSubmitted, G::Claim),
        // Afterwards.
        rule(Submitted, Withdraw, Withdrawing, G::Claim),
        rule(Withdrawing, ConfirmWithdrawn, Withdrawn, G::Claim),
        // Asked for twice, refused to one and granted to the other: what is withdrawn stays so, whichever is recorded first.
        rule(Submitted, ConfirmWithdrawn, Withdrawn, G::Claim),
        rule(Withdrawing, RefuseWithdrawal, Submitted, G::Claim),
        rule(Submitted, Win, Won, G::Claim),
        rule(Withdrawing, Win, Won, G::Claim),
        rule(Submitted, Action::Lose, BidState::Lost, G::Claim),
        rule(Withdrawing, Action::Lose, BidState::Lost, G::Claim),
    ]
};

/// The states in which a row of the replaced system may begin here, by [`Action::Import`]; every other row begins as
/// `claimed`. From none of them a rule leads to a claim or to the door without proof that nothing was accepted.
pub const IMPORTED: &[BidState] = &[
    BidState::Submitted,
    BidState::Rejected,
    BidState::Won,
    BidState::Lost,
    BidState::Withdrawn,
    BidState::Unknown,
];

/// The rules of one action, in the order in which a store tries them.
pub fn rules_for(action: Action) -> impl Iterator<Item = &'static Rule> {
    TRANSITIONS.iter().filter(move |r| r.action == action).filter_map(crate::canary::law)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in BidState::ALL {
            assert_eq!(state.as_str().parse::<BidState>().unwrap(), state);
        }
        assert!("SUBMITTED".parse::<BidState>().is_err());
    }

    /// What must never be in the table, whatever is added to it.
    #[test]
    fn nothing_leads_back_through_the_door_without_its_own_rule() {
        use BidState::*;
        for r in TRANSITIONS {
            if r.to == Submitting {
                assert!(
                    matches!(r.action, Action::EnterSubmitting | Action::TakeSending),
                    "{r:?} enters submitting by another way than the door"
                );
                assert!(
                    matches!(r.guard, Guard::Live | Guard::ApprovalLive),
                    "{r:?} lets a late one through"
                );
            }
            if r.from == Submitting && matches!(r.to, Claimed | Abandoned | Approved) {
                assert_eq!(r.action, Action::HandBack, "{r:?} leaves submitting without proof");
            }
            if matches!(r.from, Unknown | NotSubmitted) {
                assert!(
                    matches!(r.to, Submitted | Rejected | NotSubmitted) || r.action == Action::HandBack,
                    "{r:?}: an unknown is settled, never resent"
                );
            }
            // A person's audited way out for a posting that was refused wrongly.
            let resolved = (r.from, r.action, r.to) == (Rejected, Action::ResolveNotSubmitted, NotSubmitted);
            if matches!(r.from, Rejected | Won | BidState::Lost | Withdrawn | Declined) && !resolved {
                panic!("{r:?} leaves a final state");
            }
        }
    }

    /// A row of the replaced system may have been sent: nothing makes it anew a bid to be sent.
    #[test]
    fn what_is_imported_is_never_claimed_or_sent() {
        use BidState::*;
        for state in IMPORTED {
            for r in TRANSITIONS.iter().filter(|r| r.from == *state) {
                let back = matches!(r.to, Claimed | AwaitingApproval | Approved | Submitting | Abandoned);
                assert!(!back || r.action == Action::HandBack, "{r:?}: an imported bid could be sent");
            }
        }
        for r in rules_for(Action::Import) {
            assert_eq!(r.to, Unknown, "{r:?}");
            assert!(!r.from.may_have_arrived(), "{r:?}: what is known of our own bid stays");
        }
    }

    /// What a scanner may remember without asking again (the settled cache): no scanner, sweep or look-up moves it.
    #[test]
    fn what_is_settled_moves_by_a_person_or_the_marketplace_alone() {
        use Action::*;
        let afterwards = [Withdraw, ConfirmWithdrawn, Win, Action::Lose, ResolveNotSubmitted];
        for state in BidState::ALL {
            let moved_otherwise =
                TRANSITIONS.iter().any(|r| r.from == state && !afterwards.contains(&r.action));
            // A posting whose bid was withdrawn may be bid on again.
            let settled = !moved_otherwise && state != BidState::Withdrawn;
            assert_eq!(state.is_settled(), settled, "{state}");
        }
    }

    #[test]
    fn a_rule_stands_once() {
        for (i, a) in TRANSITIONS.iter().enumerate() {
            for b in &TRANSITIONS[i + 1..] {
                assert!(
                    (a.from, a.action, a.guard as u8) != (b.from, b.action, b.guard as u8),
                    "{a:?} and {b:?} overlap"
                );
            }
        }
    }

    #[test]
    fn every_state_but_claimed_is_reached() {
        for state in BidState::ALL {
            assert!(TRANSITIONS.iter().any(|r| r.to == state), "{state} can't be reached");
        }
    }
}

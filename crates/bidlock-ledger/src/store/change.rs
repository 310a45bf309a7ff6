//! Changes: one guarded transition each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    bid::{Bid, BidId, ClaimRef, Claimant, WallTime},
    state::Action,
};

/// Who makes a change, for the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The scanner that holds the claim.
    pub fn scanner(holder: &str) -> Actor {
        Actor(holder.to_owned())
    }

    /// A person.
    pub fn operator(name: &str) -> Actor {
        Actor(format!("operator:{name}"))
    }

    /// The reconciler of this holder.
    pub fn reconciler(holder: &str) -> Actor {
        Actor(format!("reconciler:{holder}"))
    }
}

/// One guarded transition: compares bid, claim (by equality), and what the table's rule says.
#[derive(Clone, Debug)]
pub struct Change {
    /// The bid, and the claim that the mover holds, or saw when it decided.
    pub at: ClaimRef,
    /// Who moves it.
    pub actor: Actor,
    /// What is done.
    pub action: Move,
    /// Why, in words.
    pub reason: Option<String>,
    /// References and evidence for the event, a JSON object (or null).
    pub detail: serde_json::Value,
    /// A repeated request with the same key is recorded once and answered as [`Applied::Already`].
    pub event_key: Option<String>,
}

impl Change {
    /// A change without reason, detail or key.
    pub fn new(at: ClaimRef, actor: Actor, action: Move) -> Change {
        Change { at, actor, action, reason: None, detail: serde_json::Value::Null, event_key: None }
    }

    /// Says why.
    pub fn because(mut self, reason: impl Into<String>) -> Change {
        self.reason = Some(reason.into());
        self
    }

    /// Adds evidence.
    pub fn with_detail(mut self, detail: serde_json::Value) -> Change {
        self.detail = detail;
        self
    }

    /// Makes it safe to repeat.
    pub fn keyed(mut self, key: impl Into<String>) -> Change {
        self.event_key = Some(key.into());
        self
    }
}

/// What is done, with what it carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// See [`Action::AwaitApproval`].
    AwaitApproval,
    /// The approval holds this long.
    Approve {
        /// From now, by the host's wall clock.
        valid_for: Duration,
    },
    /// See [`Action::Decline`].
    Decline,
    /// The one-way door: `attempts + 1`, expiry = now + `ttl`.
    EnterSubmitting {
        /// Longer than the HTTP time limit.
        ttl: Duration,
        /// Refuses the door where this marketplace has sent so many since then. Counted in the same
        /// transaction; only a further attempt of a running submission is not counted again.
        cap: Option<Cap>,
    },
    /// The one-way door of an approved bid, with a new claim for this claimant.
    TakeSending {
        /// Who sends.
        claimant: Claimant,
        /// Longer than the HTTP time limit.
        ttl: Duration,
        /// As in [`Move::EnterSubmitting`].
        cap: Option<Cap>,
    },
    /// The marketplace's name for the bid.
    Accept {
        /// As the marketplace gave it.
        external_ref: String,
    },
    /// See [`Action::Refuse`].
    Refuse,
    /// The answer was lost; says how.
    LoseAnswer {
        /// What happened to the answer.
        cause: UnknownCause,
    },
    /// See [`Action::HandBack`]. The caller has proof that nothing was accepted.
    HandBack,
    /// A look-up found it.
    Find {
        /// As the marketplace gave it.
        external_ref: String,
    },
    /// A person says it was submitted.
    ResolveSubmitted {
        /// The marketplace's name for the bid, if the person knows it.
        external_ref: Option<String>,
    },
    /// A person says it never was.
    ResolveNotSubmitted {
        /// The posting may be bid on again: an explicit second choice. Not done while another bid on the
        /// posting is at the marketplace or may be ([`BidState::is_in_use`](crate::BidState::is_in_use)): the row says what holds.
        allow_new_bid: bool,
    },
    /// See [`Action::Withdraw`].
    Withdraw,
    /// The marketplace confirmed.
    ConfirmWithdrawn {
        /// The owner's policy permits a new bid on this posting; limited as in
        /// [`Move::ResolveNotSubmitted`].
        rebid_allowed: bool,
    },
    /// See [`Action::RefuseWithdrawal`].
    RefuseWithdrawal,
    /// See [`Action::Win`].
    Win,
    /// See [`Action::Lose`].
    Lose,
    /// See [`Action::Import`]: the row becomes `unknown`, for the cause [`UnknownCause::Legacy`].
    Import,
}

impl Move {
    /// Under which name it stands in the transition table and in the events.
    pub fn action(&self) -> Action {
        match self {
            Move::AwaitApproval => Action::AwaitApproval,
            Move::Approve { .. } => Action::Approve,
            Move::Decline => Action::Decline,
            Move::EnterSubmitting { .. } => Action::EnterSubmitting,
            Move::TakeSending { .. } => Action::TakeSending,
            Move::Accept { .. } => Action::Accept,
            Move::Refuse => Action::Refuse,
            Move::LoseAnswer { .. } => Action::LoseAnswer,
            Move::HandBack => Action::HandBack,
            Move::Find { .. } => Action::Find,
            Move::ResolveSubmitted { .. } => Action::ResolveSubmitted,
            Move::ResolveNotSubmitted { .. } => Action::ResolveNotSubmitted,
            Move::Withdraw => Action::Withdraw,
            Move::ConfirmWithdrawn { .. } => Action::ConfirmWithdrawn,
            Move::RefuseWithdrawal => Action::RefuseWithdrawal,
            Move::Win => Action::Win,
            Move::Lose => Action::Lose,
            Move::Import => Action::Import,
        }
    }

    /// The marketplace's name for the bid, where the move brings one.
    pub fn external_ref(&self) -> Option<&str> {
        match self {
            Move::Accept { external_ref } | Move::Find { external_ref } => Some(external_ref),
            Move::ResolveSubmitted { external_ref } => external_ref.as_deref(),
            _ => None,
        }
    }
}

/// A limit on the sendings of one marketplace, as [`LedgerStore::sent_since`](super::LedgerStore::sent_since) counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// So many at the most.
    pub limit: u64,
    /// Counted from here: the start of the day.
    pub since: WallTime,
}

/// The answer to a [`Change`].
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Done; the row as it is now.
    Moved {
        /// The row after the change.
        bid: Box<Bid>,
        /// A wrong `not_submitted` was reopened, or two live bids are now known for one posting: tell a person.
        alarm: Option<String>,
    },
    /// A change with this event key was recorded before; the row as it is now.
    Already(Box<Bid>),
    /// Nothing changed, and why.
    Not(NotMoved),
}

/// Why nothing changed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotMoved {
    /// Another claim has the row now. The row as it is.
    StaleClaim(Box<Bid>),
    /// The claim (or the approval) had expired. The row as it is.
    Expired(Box<Bid>),
    /// The table has no such transition from the row's state. The row as it is. In three cases it is
    /// another bid on the posting that stands in the way, and then that row: at the door, one that the
    /// marketplace has or may have; at a look-up's find, one that bears the name found, or a later one with the
    /// same key that is being sent at this moment; at the marketplace's yes, or a person's word that the bid was
    /// submitted, one that bears the name given.
    WrongState(Box<Bid>),
    /// The cap is reached. The row as it is.
    CapReached(Box<Bid>),
    /// No such bid.
    NoSuchBid(BidId),
}

/// Why the outcome of a submission is unknown. Each unknown bid names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCause {
    /// No answer within the time limit.
    Timeout,
    /// The connection broke after the body had begun to leave.
    ConnectionLost,
    /// A redirect, which is never followed.
    Redirect,
    /// 5xx, or another status that proves nothing.
    ServerError,
    /// An answer that can't be read.
    UnreadableAnswer,
    /// The marketplace says that a bid exists (409), and the look-up has not found ours yet; or its yes names the bid that
    /// another row of the posting has.
    Duplicate,
    /// The claimant went silent after the door: killed, paused, or cut off from the ledger.
    ClaimantSilent,
    /// The claimant was told to stop while the request was under way.
    Shutdown,
    /// Imported from the replaced system, where it may have been sent.
    Legacy,
}

impl UnknownCause {
    /// Every cause.
    pub const ALL: [UnknownCause; 9] = [
        UnknownCause::Timeout,
        UnknownCause::ConnectionLost,
        UnknownCause::Redirect,
        UnknownCause::ServerError,
        UnknownCause::UnreadableAnswer,
        UnknownCause::Duplicate,
        UnknownCause::ClaimantSilent,
        UnknownCause::Shutdown,
        UnknownCause::Legacy,
    ];

    /// The name used in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            UnknownCause::Timeout => "timeout",
            UnknownCause::ConnectionLost => "connection_lost",
            UnknownCause::Redirect => "redirect",
            UnknownCause::ServerError => "server_error",
            UnknownCause::UnreadableAnswer => "unreadable_answer",
            UnknownCause::Duplicate => "duplicate",
            UnknownCause::ClaimantSilent => "claimant_silent",
            UnknownCause::Shutdown => "shutdown",
            UnknownCause::Legacy => "legacy",
        }
    }
}

impl std::fmt::Display for UnknownCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_shown_by_its_name() {
        for cause in UnknownCause::ALL {
            assert!(!cause.as_str().is_empty());
            assert_eq!(cause.to_string(), cause.as_str());
        }
    }
}

//! What became of one sighting. Contention and duplicates are outcomes, never errors.

use std::time::Duration;

use bidlock_ledger::{BidBrief, Money, UnknownCause};
use bidlock_market::Ambiguity;
use jiff::Timestamp;

/// What became of one sighting of a posting.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The marketplace has our bid, sent by this call.
    Submitted(BidBrief),
    /// A dry run got this far: the bid would have been sent with this amount.
    WouldSubmit {
        /// The amount of the bid.
        amount: Option<Money>,
        /// This run came to the posting before: a real one would find its own bid.
        again: bool,
    },
    /// There is a bid already: its state, who, when.
    AlreadyBid(BidBrief),
    /// Another scanner works on this posting now.
    HeldElsewhere {
        /// Who has it.
        holder: String,
        /// How long at the most, without renewal.
        remaining: Duration,
    },
    /// Not suitable. No row was written.
    Declined(DeclineReason),
    /// A person decides first.
    AwaitingApproval(BidBrief),
    /// The marketplace said no for good.
    Refused {
        /// The bid, now `rejected`.
        bid: BidBrief,
        /// The marketplace's words.
        detail: String,
    },
    /// The answer was lost: reconcile, never resend.
    Unknown {
        /// The bid, now `unknown`; or `submitting` where the ledger was away for too long to be told, and `unknown` with the
        /// next sweep after its claim has run out.
        bid: BidBrief,
        /// What happened to the answer.
        cause: UnknownCause,
        /// In words.
        detail: String,
    },
    /// Nothing was accepted; another run may send it.
    Deferred(DeferReason),
    /// The identity is not certain, so nothing is bid on silently.
    AmbiguousIdentity(Ambiguity),
}

impl Outcome {
    /// The name used in JSON and in the summary.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Submitted(_) | Outcome::WouldSubmit { again: false, .. } => "submitted",
            Outcome::AlreadyBid(_) | Outcome::WouldSubmit { again: true, .. } => "already_bid",
            Outcome::HeldElsewhere { .. } => "held_elsewhere",
            Outcome::Declined(_) => "declined",
            Outcome::AwaitingApproval(_) => "awaiting_approval",
            Outcome::Refused { .. } => "refused",
            Outcome::Unknown { .. } => "unknown",
            Outcome::Deferred(_) => "deferred",
            Outcome::AmbiguousIdentity(_) => "ambiguous_identity",
        }
    }

    /// The place of its name in [`Outcome::NAMES`].
    pub(crate) fn place(&self) -> usize {
        let name = self.name();
        Outcome::NAMES.iter().position(|known| *known == name).unwrap_or_default()
    }

    /// Every name, in the order of a summary.
    pub const NAMES: [&'static str; 9] = [
        "submitted",
        "already_bid",
        "held_elsewhere",
        "declined",
        "awaiting_approval",
        "refused",
        "unknown",
        "deferred",
        "ambiguous_identity",
    ];

    /// The bid it speaks of, if there is one.
    pub fn bid(&self) -> Option<&BidBrief> {
        match self {
            Outcome::Submitted(bid)
            | Outcome::AlreadyBid(bid)
            | Outcome::AwaitingApproval(bid)
            | Outcome::Refused { bid, .. }
            | Outcome::Unknown { bid, .. } => Some(bid),
            _ => None,
        }
    }

    /// Why, in words, where there is more to say than the name.
    pub fn reason(&self) -> Option<String> {
        match self {
            Outcome::Declined(reason) => Some(reason.to_string()),
            Outcome::Refused { detail, .. } => Some(detail.clone()),
            Outcome::Unknown { cause, detail, .. } => Some(format!("{cause}: {detail}")),
            Outcome::Deferred(reason) => Some(reason.to_string()),
            Outcome::AmbiguousIdentity(why) => Some(why.to_string()),
            Outcome::HeldElsewhere { holder, remaining } => {
                Some(format!("{holder} has it for another {:.1} s", remaining.as_secs_f64()))
            }
            Outcome::AlreadyBid(bid) => Some(format!("the bid is {}", bid.state)),
            Outcome::WouldSubmit { .. } => Some("dry run: nothing was sent".to_owned()),
            Outcome::Submitted(_) | Outcome::AwaitingApproval(_) => None,
        }
    }
}

/// Why a posting is not bid on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeclineReason {
    /// It was fetched too long ago to trust.
    #[error("fetched {age_s} s ago, more than the {max_age_s} s allowed")]
    Stale {
        /// Seconds since it was fetched.
        age_s: i64,
        /// The limit in seconds.
        max_age_s: i64,
    },
    /// A rule says no; names the rule.
    #[error("{rule}: {why}")]
    Rule {
        /// The key in the rules file, such as `budget.required`.
        rule: &'static str,
        /// What did not fit.
        why: String,
    },
}

/// Why a posting waits for another run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeferReason {
    /// The marketplace asks to come back later (429).
    #[error("the marketplace asks to try later: {detail}{}", until.map(|t| format!(" (after {t})")).unwrap_or_default())]
    TryLater {
        /// When, if it said so.
        until: Option<Timestamp>,
        /// Its words.
        detail: String,
    },
    /// The request never left.
    #[error("the marketplace can't be reached: {detail}")]
    NotSent {
        /// What failed.
        detail: String,
    },
    /// The request never left, as it was too late for it: whoever sends must have a claim that nobody takes over meanwhile.
    #[error("the claim ran out before the request left: {detail}")]
    ClaimRanOut {
        /// What took so long.
        detail: String,
    },
    /// The marketplace answers others at its address, and has nothing there for this posting. Not asked again for a while.
    #[error("the marketplace takes no bid on this posting now: {detail}")]
    NotTaken {
        /// What it said.
        detail: String,
    },
    /// A person approved it for another marketplace implementation than this scanner submits through.
    #[error("this bid was approved for {via}; a scanner that submits there sends it")]
    OtherMarketplace {
        /// Where it is to go.
        via: String,
    },
    /// The daily cap of this marketplace is reached.
    #[error("the daily cap of {limit} bids on {marketplace} is reached until {until}")]
    DailyCap {
        /// Which marketplace.
        marketplace: String,
        /// Its cap.
        limit: u64,
        /// The next midnight UTC.
        until: Timestamp,
    },
    /// `--max-bids` of this run is reached.
    #[error("this run's limit of {limit} bids is reached")]
    RunLimit {
        /// The limit.
        limit: u64,
    },
    /// The account was refused: nothing is sent until a person has looked.
    #[error("sending has stopped: {detail}")]
    SendingStopped {
        /// The marketplace's words.
        detail: String,
    },
    /// The replaced system's table can't be reached, and its instances still run.
    #[error("the replaced system's table of bids can't be used: {detail}")]
    LegacyAway {
        /// What failed.
        detail: String,
    },
    /// Beside instances of the replaced system, a lock of the posting was lost before the request left: one of them may
    /// be bidding.
    #[error("the lock on {key} was lost before the bid was sent")]
    LockLost {
        /// Which of the posting's keys.
        key: String,
    },
    /// An approved bid beside instances of the replaced system: only a sighting tells how the source writes the id, and so
    /// which keys they lock.
    #[error("beside old instances an approved bid is sent when a source shows its posting again")]
    NotInSight,
    /// The scanner is shutting down.
    #[error("the scanner is shutting down")]
    ShuttingDown,
}

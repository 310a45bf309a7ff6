//! A bid as the ledger keeps it: its claim, its frozen payload, its events.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BidState, Money, PostingId, state::Action, store::UnknownCause};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map($name)
            }
        }
    };
}

uuid_id! {
    /// Names a bid for ever. A UUIDv7, so that bids sort by the time they were made.
    BidId
}
uuid_id! {
    /// The right to prepare and send the one bid, until it expires or is taken over. Random.
    ClaimId
}
uuid_id! {
    /// Names a ledger: two scanners bid safely side by side only where theirs are equal.
    LedgerId
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "memory"))]
impl BidId {
    /// A time-ordered id: those of one context grow, as far as the wall clock does not step back; those of several fall in
    /// between by their clocks' distance. A time before 1970 counts as 1970.
    pub(crate) fn made_at(
        wall: WallTime,
        context: impl uuid::ClockSequence<Output = impl Into<u128>>,
    ) -> BidId {
        let ms = wall.0.max(0).unsigned_abs();
        let nanos = u32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000;
        BidId(Uuid::new_v7(uuid::Timestamp::from_unix(context, ms / 1_000, nanos)))
    }
}

/// The ordinal of a claim among all claims on one posting: strictly increasing, on whatever row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

/// Wall-clock time in milliseconds since 1970 UTC, for people to read. Never decides expiry of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

/// Who claims: what operators read, and how the death of its process can be proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// `host:pid:uuid8`, or the name that was configured.
    pub holder: String,
    /// The process instance whose file lock the kernel releases when it dies. `None` where the store has
    /// no such proof.
    pub instance: Option<Uuid>,
}

/// What will be sent, stored before it is sent. A row that was ever sent or approved keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The amount of the bid; `None` where the posting names no budget.
    pub amount: Option<Money>,
    /// The proposal's text.
    pub proposal: String,
    /// The posting's page.
    pub posting_url: Option<String>,
    /// The marketplace implementation it goes through, as it names itself (never with credentials).
    /// Look-ups go the same way.
    pub via: String,
    /// Why it was found suitable, as the evaluation said.
    pub evaluation: Option<String>,
}

/// A bid: one row of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bid {
    /// Its name.
    pub id: BidId,
    /// What it bids on.
    pub posting: PostingId,
    /// Where it stands.
    pub state: BidState,
    /// Set only by a recorded withdrawal under a policy that permits it, or by an operator: the posting
    /// may be bid on again.
    pub rebid_allowed: bool,
    /// The claim that last moved it.
    pub claim_id: ClaimId,
    /// That claim's ordinal.
    pub epoch: Epoch,
    /// Who holds or held that claim.
    pub claimant: Claimant,
    /// What is left of the claim by the store's clock; zero when it has expired. Only while `claimed` or
    /// `submitting`.
    pub claim_remaining: Option<Duration>,
    /// How often the door was passed.
    pub attempts: u32,
    /// What is sent.
    pub payload: Payload,
    /// UUIDv5 of marketplace, posting and the number of confirmed withdrawals.
    pub idempotency_key: Uuid,
    /// The marketplace's name for the bid.
    pub external_ref: Option<String>,
    /// Until when a person's approval holds. Kept once set.
    pub approved_until: Option<WallTime>,
    /// Why the outcome is or was unknown.
    pub unknown_cause: Option<UnknownCause>,
    /// Why it is where it is, in words.
    pub reason: Option<String>,
    /// When the door was first passed.
    pub first_sent_at: Option<WallTime>,
    /// When the door was last passed: what caps and look-ups by time go by.
    pub last_sent_at: Option<WallTime>,
    /// When the row was made.
    pub created_at: WallTime,
    /// When it last moved.
    pub updated_at: WallTime,
    /// How many events it has.
    pub events: u32,
}

impl Bid {
    /// The claim that last moved this bid: what a guarded change compares.
    pub fn claim_ref(&self) -> ClaimRef {
        ClaimRef { bid: self.id, claim: self.claim_id }
    }

    /// The short form for listings and outcomes.
    pub fn brief(&self) -> BidBrief {
        BidBrief {
            id: self.id,
            state: self.state,
            claim_id: self.claim_id,
            holder: self.claimant.holder.clone(),
            claim_remaining: self.claim_remaining,
            created_at: self.created_at,
        }
    }
}

/// What a scanner needs to know of an existing bid: its state, who, when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidBrief {
    /// Its name.
    pub id: BidId,
    /// Where it stands.
    pub state: BidState,
    /// The claim that last moved it.
    pub claim_id: ClaimId,
    /// Who holds or held that claim.
    pub holder: String,
    /// What is left of a running claim.
    pub claim_remaining: Option<Duration>,
    /// When the row was made.
    pub created_at: WallTime,
}

/// A bid and the claim that the caller holds on it, or saw on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimRef {
    /// The bid.
    pub bid: BidId,
    /// The claim: compared by equality.
    pub claim: ClaimId,
}

/// A claim that was granted: the right to prepare and send the one bid on a posting.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The row as it is now; its payload is the one to send, which is an earlier one where the row was
    /// sent or approved before.
    pub bid: Bid,
    /// Whether the row was taken over from another claim.
    pub taken_over: bool,
}

/// One line of a bid's history. The hash covers the line and the hash before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BidEvent {
    /// The bid.
    pub bid: BidId,
    /// 1, 2, 3, … without gaps.
    pub seq: u32,
    /// When, by the host's wall clock.
    pub at: WallTime,
    /// What was done; `None` for the event that made the row.
    pub action: Option<Action>,
    /// The state before; `None` for the event that made the row.
    pub from: Option<BidState>,
    /// The state after.
    pub to: BidState,
    /// The claim after.
    pub claim_id: ClaimId,
    /// The claim's ordinal.
    pub epoch: Epoch,
    /// Who did it: a holder, `operator:NAME`, `sweeper`, `reconciler`.
    pub actor: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// References, evidence, amounts: a JSON object.
    pub detail: serde_json::Value,
    /// Names a request that may be repeated: the same key is recorded once per bid.
    pub event_key: Option<String>,
    /// BLAKE3 over the previous hash and this line, in hex. See [`crate::chain`].
    pub hash: String,
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres", feature = "memory")))]
mod tests {
    use uuid::ContextV7;

    use super::*;

    #[test]
    fn a_bids_id_says_when_it_was_made() {
        let context = ContextV7::new();
        for ms in [0, 999, 1_000, 1_763_750_123_456] {
            let (seconds, nanos) =
                BidId::made_at(WallTime(ms), &context).0.get_timestamp().unwrap().to_unix();
            assert_eq!((seconds, nanos / 1_000_000), (ms as u64 / 1_000, (ms % 1_000) as u32), "{ms}");
        }
        assert_eq!(BidId::made_at(WallTime(-5), ContextV7::new()).0.get_timestamp().unwrap().to_unix().0, 0);
    }
}

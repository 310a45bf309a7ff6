//! Claims and imports: what begins a row.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    BidState,
    bid::{Bid, Claim, Claimant, Payload, WallTime},
    posting::PostingId,
    store::Actor,
};
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
use crate::{
    ErrorKind, LedgerError, Result,
    bid::{BidId, ClaimId, Epoch},
    state::IMPORTED,
    store::{UnknownCause, check_batch},
};

/// A request to become the one that prepares and sends the bid.
#[derive(Clone, Debug)]
pub struct NewClaim {
    /// What to bid on.
    pub posting: PostingId,
    /// Who asks.
    pub claimant: Claimant,
    /// How long the claim lives without passing the door.
    pub ttl: Duration,
    /// What would be sent. Kept as it is once sent or approved.
    pub payload: Payload,
}

/// The answer to a [`NewClaim`].
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimOutcome {
    /// The claim is yours.
    Granted(Box<Claim>),
    /// There is a bid already: here it is.
    Existing(Box<Bid>),
}

/// A bid that the replaced system made, or may have made.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// What it bids on.
    pub posting: PostingId,
    /// One of [`crate::state::IMPORTED`]. `unknown` has the cause [`UnknownCause::Legacy`](super::UnknownCause::Legacy).
    pub state: BidState,
    /// As far as the replaced system kept it.
    pub payload: Payload,
    /// When it was sent, if it may have been: daily caps count it, and look-ups by time go by it.
    pub sent_at: Option<WallTime>,
    /// Who brings it in.
    pub actor: Actor,
    /// Where it comes from, in words.
    pub reason: String,
    /// What the replaced system knew, for the event: a JSON object.
    pub detail: serde_json::Value,
}

/// What is left of a posting's earlier bids, those beside which another one may be made, for a row that follows them.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
#[derive(Default)]
pub(crate) struct Earlier {
    pub(crate) last_epoch: i64,
    pub(crate) withdrawals: u32,
    /// Of the last one, if its answer was lost and it was settled as "not submitted": a request of that one which still
    /// sits in some proxy is then recognised by a marketplace that can.
    pub(crate) payload: Option<Payload>,
}

#[cfg(any(feature = "memory", feature = "postgres"))]
impl Earlier {
    pub(crate) fn of<'a>(bids: impl Iterator<Item = &'a Bid> + Clone) -> Earlier {
        let withdrawn = bids.clone().filter(|bid| bid.state == BidState::Withdrawn).count();
        let Some(last) = bids.max_by_key(|bid| bid.epoch) else { return Earlier::default() };
        let was_lost = last.attempts > 0 && last.unknown_cause.is_some();
        Earlier {
            last_epoch: last.epoch.0,
            withdrawals: u32::try_from(withdrawn).unwrap_or(u32::MAX),
            payload: (last.state == BidState::NotSubmitted && was_lost).then(|| last.payload.clone()),
        }
    }
}

#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
impl NewClaim {
    /// The row that it makes.
    pub(crate) fn bid(&self, id: BidId, claim_id: ClaimId, earlier: Earlier, at: WallTime) -> Bid {
        Bid {
            id,
            posting: self.posting.clone(),
            state: BidState::Claimed,
            rebid_allowed: false,
            claim_id,
            epoch: Epoch(earlier.last_epoch + 1),
            claimant: self.claimant.clone(),
            claim_remaining: Some(self.ttl),
            attempts: 0,
            payload: match earlier.payload {
                // It goes where the new claimant sends it; look-ups of the first bid go where that one went.
                Some(repeated) => Payload { via: self.payload.via.clone(), ..repeated },
                None => self.payload.clone(),
            },
            idempotency_key: idempotency_key(&self.posting, earlier.withdrawals),
            external_ref: None,
            approved_until: None,
            unknown_cause: None,
            reason: None,
            first_sent_at: None,
            last_sent_at: None,
            created_at: at,
            updated_at: at,
            events: 1,
        }
    }
}

/// As whom imported bids stand in the ledger: no scanner of ours ever held them.
pub const LEGACY_HOLDER: &str = "legacy";

#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
impl NewImport {
    /// The row that it begins.
    pub(crate) fn bid(&self, id: BidId, earlier: &Earlier, at: WallTime) -> Bid {
        Bid {
            id,
            posting: self.posting.clone(),
            state: self.state,
            rebid_allowed: false,
            claim_id: ClaimId(Uuid::new_v4()),
            epoch: Epoch(earlier.last_epoch + 1),
            claimant: Claimant { holder: LEGACY_HOLDER.to_owned(), instance: None },
            claim_remaining: None,
            attempts: 0,
            payload: self.payload.clone(),
            idempotency_key: idempotency_key(&self.posting, earlier.withdrawals),
            external_ref: None,
            approved_until: None,
            unknown_cause: (self.state == BidState::Unknown).then_some(UnknownCause::Legacy),
            reason: Some(self.reason.clone()),
            first_sent_at: self.sent_at,
            last_sent_at: self.sent_at,
            created_at: at,
            updated_at: at,
            events: 1,
        }
    }
}

/// Refuses imports in a state that could still be sent.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_imports(operation: &'static str, bids: &[NewImport]) -> Result<()> {
    check_batch(operation, bids.len())?;
    match bids.iter().find(|bid| !IMPORTED.contains(&bid.state)) {
        None => Ok(()),
        Some(bid) => {
            let message = format!("{} can't begin as {}: it could be sent", bid.posting, bid.state);
            Err(LedgerError::new(ErrorKind::Invalid, operation, message).with_hint("bring it in as unknown"))
        }
    }
}

/// The answer to a [`NewImport`].
#[derive(Clone, Debug, PartialEq)]
pub enum ImportOutcome {
    /// The row was made.
    Imported(Box<Bid>),
    /// There is a bid already: here it is, unchanged. [`Move::Import`](super::Move::Import) shuts it, if it could still be sent.
    Existing(Box<Bid>),
}

/// A namespace for [`idempotency_key`].
const IDEMPOTENCY_NAMESPACE: Uuid = Uuid::from_u128(0xb1d1_0c8e_51f4_4d0a_9a57_6f1c_7d3e_2b90);

/// The key a marketplace may recognise a repeated bid by: UUIDv5 of marketplace, posting and the number
/// of confirmed withdrawals. Only a recorded withdrawal changes it.
pub fn idempotency_key(posting: &PostingId, confirmed_withdrawals: u32) -> Uuid {
    // Lengths first, so that no two pairs of texts give the same name.
    let (m, p) = (posting.marketplace(), posting.posting());
    let name = format!("{}:{m}:{}:{p}:{confirmed_withdrawals}", m.len(), p.len());
    Uuid::new_v5(&IDEMPOTENCY_NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_depends_on_posting_and_withdrawals_alone() {
        let a = PostingId::new("upwork", "1:1").unwrap();
        assert_eq!(idempotency_key(&a, 0), idempotency_key(&a.clone(), 0));
        assert_ne!(idempotency_key(&a, 0), idempotency_key(&a, 1));
        assert_ne!(idempotency_key(&a, 0), idempotency_key(&PostingId::new("upwork:1", "1").unwrap(), 0));
    }

    /// A request of the first one that still sits in some proxy is recognised by its text and key; look-ups go by each row's
    /// own address.
    #[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
    #[test]
    fn a_later_bid_has_the_text_of_the_earlier_one_and_goes_where_its_own_claimant_sends_it() {
        let payload = |proposal: &str, via: &str| Payload {
            amount: None,
            proposal: proposal.to_owned(),
            posting_url: None,
            via: via.to_owned(),
            evaluation: None,
        };
        let claim = NewClaim {
            posting: PostingId::new("upwork", "1").unwrap(),
            claimant: Claimant { holder: "a".to_owned(), instance: None },
            ttl: std::time::Duration::from_secs(1),
            payload: payload("new", "new address"),
        };
        let made = |payload: Option<Payload>| {
            let earlier = Earlier { payload, ..Earlier::default() };
            let bid = claim.bid(BidId(Uuid::nil()), ClaimId(Uuid::nil()), earlier, WallTime(0));
            (bid.payload.proposal, bid.payload.via)
        };
        assert_eq!(made(None), ("new".to_owned(), "new address".to_owned()));
        let earlier = payload("old", "old address");
        assert_eq!(made(Some(earlier)), ("old".to_owned(), "new address".to_owned()));
    }
}

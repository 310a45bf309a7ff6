//! What a person is told when a bid that was settled as not submitted turns out to be at the marketplace: the words of every
//! engine.

use crate::{BidState, bid::Bid};

/// The bid is the posting's again.
pub(crate) fn reopened(bid: &Bid) -> String {
    format!("{}: it is reopened", wrong(bid))
}

/// A later bid on the posting was not sent yet, and never will be.
pub(crate) fn later_declined(bid: &Bid, later: &Bid) -> String {
    format!("{}: it is reopened, and bid {}, not sent yet, is declined", wrong(bid), later.id)
}

/// Another bid is the posting's, and was or is being sent. Under one key, and with its outcome open, both may be one bid
/// at the marketplace.
pub(crate) fn duplicate(bid: &Bid, later: Option<&Bid>) -> String {
    let wrong = wrong(bid);
    let Some(later) = later else { return format!("duplicate: {wrong}, and another bid exists") };
    let is_open = matches!(later.state, BidState::Submitting | BidState::Unknown);
    let maybe_one = match is_open && later.idempotency_key == bid.idempotency_key {
        true => {
            ", under the same key: it may be the same bid there; withdraw neither before its outcome is known"
        }
        false => "",
    };
    format!("duplicate: {wrong}, and another bid {} is {}{maybe_one}", later.id, later.state)
}

/// Why a later bid that was not sent yet is declined.
pub(crate) fn reason_to_decline(bid: &Bid) -> String {
    format!("the earlier bid {} turned out to be submitted", bid.id)
}

fn wrong(bid: &Bid) -> String {
    format!("bid {} on {} is submitted after all, and was settled as not submitted", bid.id, bid.posting)
}

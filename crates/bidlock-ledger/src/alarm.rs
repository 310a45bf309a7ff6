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

/// Another bid is the posting's, and was or is being sent. Under one key, and without a name of its own, it may be the same
/// bid at the marketplace; one that is known to have come to nothing is no second one.
pub(crate) fn duplicate(bid: &Bid, later: Option<&Bid>) -> String {
    let wrong = wrong(bid);
    let Some(later) = later else { return format!("duplicate: {wrong}, and another bid exists") };
    let came_to_nothing = matches!(later.state, BidState::NotSubmitted | BidState::Rejected);
    let may_be_there = later.state != BidState::Rejected && later.external_ref.is_none();
    let maybe_one = match may_be_there && later.idempotency_key == bid.idempotency_key {
        true => {
            ", under the same key: it may be the same bid there; withdraw neither before its outcome is known"
        }
        false => "",
    };
    let duplicate = if came_to_nothing { "" } else { "duplicate: " };
    format!("{duplicate}{wrong}, and another bid {} is {}{maybe_one}", later.id, later.state)
}

/// Why a later bid that was not sent yet is declined.
pub(crate) fn reason_to_decline(bid: &Bid) -> String {
    format!("the earlier bid {} turned out to be submitted", bid.id)
}

fn wrong(bid: &Bid) -> String {
    format!("bid {} on {} is submitted after all, and was settled as not submitted", bid.id, bid.posting)
}

//! The spans of the pipeline, at the level `info`: `ledger.claim` for each bid asked for, `bid.send` for each way
//! through the door and back. The lock layer has its own.

use std::time::Duration;

use bidlock_ledger::{Bid, ClaimOutcome, NewClaim};
use tracing::{Span, field::Empty, info_span};

use crate::outcome::Outcome;

/// A claim asked for.
pub(crate) fn claim(request: &NewClaim) -> Span {
    info_span!(
        "ledger.claim",
        marketplace = request.posting.marketplace(),
        posting = request.posting.posting(),
        bid = Empty,
        claim = Empty,
        wait_ms = Empty,
        outcome = Empty,
    )
}

/// The ledger's answer. An existing bid's claim is another's, and is named all the same.
pub(crate) fn claimed(span: &Span, outcome: &ClaimOutcome, waited: Duration) {
    if span.is_disabled() {
        return;
    }
    let (bid, outcome): (&Bid, _) = match outcome {
        ClaimOutcome::Granted(claim) => (&claim.bid, "granted"),
        ClaimOutcome::Existing(bid) => (bid, "existing"),
    };
    span.record("bid", tracing::field::display(bid.id))
        .record("claim", tracing::field::display(bid.claim_id))
        .record("wait_ms", millis(waited))
        .record("outcome", outcome);
}

/// A claimed or approved bid on its way to the marketplace.
pub(crate) fn send(bid: &Bid) -> Span {
    info_span!(
        "bid.send",
        marketplace = bid.posting.marketplace(),
        posting = bid.posting.posting(),
        bid = %bid.id,
        claim = %bid.claim_id,
        wait_ms = Empty,
        outcome = Empty,
    )
}

/// What came of it.
pub(crate) fn sent(span: &Span, outcome: &Outcome, waited: Duration) {
    span.record("wait_ms", millis(waited)).record("outcome", outcome.name());
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

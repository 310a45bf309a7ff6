//! Recording what became of a bid, also while the ledger is away, and what is told where it can't be recorded.

use std::time::Duration;

use bidlock_canary::{Canary, removed};
use bidlock_ledger::{
    Actor, Applied, Bid, BidState, Change, ClaimRef, LedgerError, Move, NotMoved, UnknownCause,
};
use bidlock_market::Answer;

use crate::{
    outage::Outage,
    outcome::Outcome,
    pipeline::{Pipeline, PipelineError},
};

/// How long recording an answer is tried while the ledger is away; the sweeper and the reconciler settle
/// what can't be recorded by then.
const RECORD_PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries of recording.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

impl Pipeline {
    /// Records what the marketplace said about our own claim, and reports a row that contradicts it.
    pub(crate) async fn recorded(&self, change: Change) -> Result<Bid, PipelineError> {
        let (at, action) = (change.at, change.action.clone());
        as_recorded(at, &action, self.apply_surely(change).await?)
    }

    /// Applies one change, asking again while the ledger is busy or away. Safe to repeat: each change is
    /// keyed, or changes nothing the second time.
    pub(crate) async fn apply_surely(&self, change: Change) -> Result<Applied, LedgerError> {
        let mut outage = Outage::default();
        loop {
            match self.ledger.apply(std::slice::from_ref(&change)).await {
                Ok(mut applied) => {
                    return applied.pop().ok_or_else(|| {
                        LedgerError::new(
                            bidlock_ledger::ErrorKind::Internal,
                            "apply",
                            "no answer to a change",
                        )
                    });
                }
                Err(error) => {
                    let now = self.clock.now();
                    let (since, say) = outage.goes_on(now);
                    let patience =
                        if removed(Canary::SendBlindly) { Duration::ZERO } else { RECORD_PATIENCE };
                    if !error.is_retryable() || now.since(since) >= patience {
                        return Err(error);
                    }
                    if say {
                        tracing::warn!(bid = %change.at.bid, %error, "the ledger is away; asking again");
                    }
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
            }
        }
    }

    pub(crate) fn change(&self, at: ClaimRef, action: Move) -> Change {
        Change::new(at, Actor::scanner(&self.claimant.holder), action)
    }

    /// The ledger was away for so long that what became of a sent bid is not in it. `said`: what that was.
    ///
    /// # Errors
    /// The ledger was not away, but something is wrong.
    pub(crate) fn unrecorded(
        &self,
        bid: &Bid,
        said: &str,
        error: PipelineError,
    ) -> Result<Outcome, PipelineError> {
        if !error.is_retryable() {
            return Err(error);
        }
        let detail = format!("{said}; the ledger could not be told: {error}");
        tracing::error!(
            posting = %bid.posting, bid = %bid.id, %detail,
            "what became of a bid is not in the ledger; its row becomes unknown"
        );
        Ok(Outcome::Unknown { bid: bid.brief(), cause: UnknownCause::ClaimantSilent, detail })
    }
}

/// The row after a change that can't be refused: the marketplace said so about our own claim.
pub(crate) fn as_recorded(at: ClaimRef, action: &Move, applied: Applied) -> Result<Bid, PipelineError> {
    match applied {
        Applied::Moved { bid, alarm } => {
            if let Some(alarm) = alarm {
                tracing::error!(target: "bidlock::alarm", bid = %bid.id, posting = %bid.posting, %alarm, "alarm");
            }
            Ok(*bid)
        }
        Applied::Already(bid) => Ok(*bid),
        Applied::Not(NotMoved::WrongState(bid)) if agrees(&bid, at, action) => Ok(*bid),
        // Two rows of a posting, one bid there: a look-up gave it to the other row. It is in the ledger, once.
        Applied::Not(NotMoved::WrongState(other)) if other.id != at.bid && is_named_so(&other, action) => {
            tracing::error!(
                target: "bidlock::alarm", bid = %at.bid, posting = %other.posting, counted_as = %other.id,
                "the marketplace has accepted a bid whose outcome was in doubt; in the ledger another row of the posting \
                 bears its name already"
            );
            Ok(*other)
        }
        Applied::Not(why) => Err(PipelineError::Invariant(format!(
            "the marketplace answered {} for bid {}, and the ledger would not record it: {why:?}; \
             look at `bidlock bid history {}`",
            action.action().as_str(),
            at.bid,
            at.bid
        ))),
    }
}

/// What a marketplace answered, for whoever looks for a bid that the ledger was not told of.
pub(crate) fn in_words(answer: &Answer) -> String {
    match answer {
        Answer::Accepted { external_ref } => format!("the marketplace accepted it as {external_ref}"),
        Answer::Duplicate { detail } => format!("the marketplace has a bid already: {detail}"),
        Answer::Refused { code, detail } => format!("the marketplace refused it ({code}): {detail}"),
        Answer::Lost { detail, .. } => format!("its answer was lost: {detail}"),
        Answer::TryLater { detail, .. }
        | Answer::Stop { detail, .. }
        | Answer::NotHere { detail }
        | Answer::NotSent { detail } => format!("nothing was accepted: {detail}"),
    }
}

/// The row bears the name under which the marketplace has accepted a bid.
fn is_named_so(bid: &Bid, action: &Move) -> bool {
    matches!(action, Move::Accept { external_ref } if bid.external_ref.as_ref() == Some(external_ref))
}

/// A person may have settled the row the same way in the meantime.
fn agrees(bid: &Bid, at: ClaimRef, action: &Move) -> bool {
    use BidState::*;
    bid.claim_id == at.claim
        && match action {
            Move::Accept { .. } | Move::Find { .. } => {
                matches!(bid.state, Submitted | Won | Lost | Withdrawing | Withdrawn)
            }
            Move::Refuse => matches!(bid.state, Rejected | NotSubmitted),
            // A late answer or a person has settled it already: better known than unknown.
            Move::LoseAnswer { .. } => !matches!(bid.state, Claimed | Submitting),
            _ => false,
        }
}

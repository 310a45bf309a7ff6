//! Recording what became of a bid, also while the ledger is away, and what is told where it can't be recorded.

use std::time::Duration;

use bidlock_canary::{Canary, removed};
use bidlock_ledger::{
    Actor, Applied, Bid, BidState, Change, ClaimRef, LedgerError, Move, NotMoved, UnknownCause,
};
use bidlock_market::Answer;
use serde_json::json;

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
        self.as_recorded(at, &action, self.apply_surely(change).await?)
    }

    /// The row after a change that can't be refused: the marketplace said so about our own claim.
    pub(crate) fn as_recorded(
        &self,
        at: ClaimRef,
        action: &Move,
        applied: Applied,
    ) -> Result<Bid, PipelineError> {
        match applied {
            Applied::Moved { bid, alarm } => {
                if let Some(text) = alarm {
                    alarm_of(&bid, &text);
                }
                Ok(*bid)
            }
            Applied::Already(bid) => Ok(*bid),
            Applied::Not(why) => {
                let bid = settled_before(at, action, why)?;
                if let Some(alarm) = second_bid(&bid, at, action) {
                    self.unmatched(&bid, &alarm);
                }
                Ok(bid)
            }
        }
    }

    /// The marketplace's yes, which is recorded unless another row of the posting bears its name for the bid: a look-up, or
    /// that row's late answer, was first, or the marketplace recognised the key that both rows have. One bid there, two rows
    /// here: this one becomes `unknown` if it was being sent, and a person settles it.
    pub(crate) async fn accept(&self, bid: &Bid, external_ref: String) -> Result<Outcome, PipelineError> {
        let action = Move::Accept { external_ref: external_ref.clone() };
        let change = self
            .change(bid.claim_ref(), action.clone())
            .keyed(format!("accept:{}:{}", bid.claim_id, bid.attempts));
        let other = match self.apply_surely(change).await? {
            Applied::Not(NotMoved::WrongState(other)) if other.id != bid.id => other,
            applied => {
                let row = self.as_recorded(bid.claim_ref(), &action, applied)?;
                return Ok(Outcome::Submitted(row.brief()));
            }
        };
        let detail = format!(
            "one bid, two rows: the marketplace accepted bid {} as {external_ref}, and so bid {} is named, which is {}; \
             withdraw neither before a look at both",
            bid.id, other.id, other.state
        );
        self.unmatched(bid, &detail);
        let cause = UnknownCause::Duplicate;
        let change = self
            .change(bid.claim_ref(), Move::LoseAnswer { cause })
            .because(detail.clone())
            .with_detail(json!({ "external_ref": external_ref, "named_so": other.id }))
            .keyed(format!("lose:{}:{}", bid.claim_id, bid.attempts));
        let row = self.recorded(change).await?;
        Ok(match row.state {
            BidState::Unknown => Outcome::Unknown { bid: row.brief(), cause, detail },
            // Settled by a person before: the posting's bid is the other one.
            _ => Outcome::Submitted(other.brief()),
        })
    }

    /// Tells a person that the marketplace's bids and the ledger's rows are not one to one.
    fn unmatched(&self, bid: &Bid, text: &str) {
        alarm_of(bid, text);
        if let Some(metrics) = &self.options.metrics {
            metrics.unmatched();
        }
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

/// The alarm where a bid that is at the marketplace under one name is told, or found, to be there under another one.
pub(crate) fn second_bid(row: &Bid, at: ClaimRef, action: &Move) -> Option<String> {
    let (known, said) = (row.external_ref.as_deref()?, action.external_ref()?);
    (row.claim_id == at.claim && known != said).then(|| {
        format!(
            "duplicate: bid {} on {} is {} as {known}, and the marketplace has it as {said} too: two bids there",
            row.id, row.posting, row.state
        )
    })
}

/// The row that would not take an answer, where it says as much as the answer does.
fn settled_before(at: ClaimRef, action: &Move, why: NotMoved) -> Result<Bid, PipelineError> {
    match why {
        NotMoved::WrongState(bid) if agrees(&bid, at, action) => Ok(*bid),
        why => Err(PipelineError::Invariant(format!(
            "the marketplace answered {} for bid {}, and the ledger would not record it: {why:?}; \
             look at `bidlock bid history {}`",
            action.action().as_str(),
            at.bid,
            at.bid
        ))),
    }
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

/// Says what a person has to look at now.
pub(crate) fn alarm_of(bid: &Bid, alarm: &str) {
    tracing::error!(target: "bidlock::alarm", bid = %bid.id, posting = %bid.posting, %alarm, "alarm");
}

#[cfg(test)]
mod tests {
    use bidlock_ledger::ClaimId;
    use uuid::Uuid;

    use super::*;
    use crate::finding::tests::row;

    #[test]
    fn a_row_that_is_settled_already_agrees_with_some_answers_and_contradicts_the_others() {
        use BidState::*;
        let yes = Move::Accept { external_ref: "sb-1".to_owned() };
        let found = Move::Find { external_ref: "sb-1".to_owned() };
        let lost = Move::LoseAnswer { cause: UnknownCause::Timeout };
        for (action, agreeing) in [
            (&yes, &[Submitted, Won, Lost, Withdrawing, Withdrawn][..]),
            (&found, &[Submitted, Won, Lost, Withdrawing, Withdrawn]),
            (&Move::Refuse, &[Rejected, NotSubmitted]),
            (&Move::HandBack, &[]),
        ] {
            for state in BidState::ALL {
                let row = row(1, state);
                let told =
                    settled_before(row.claim_ref(), action, NotMoved::WrongState(Box::new(row.clone())));
                assert_eq!(told.is_ok(), agreeing.contains(&state), "{action:?} of a bid that is {state}");
                // Of somebody else's claim, nothing agrees.
                let at = ClaimRef { claim: ClaimId(Uuid::from_u128(9)), ..row.claim_ref() };
                assert!(settled_before(at, action, NotMoved::WrongState(Box::new(row))).is_err());
            }
        }
        for state in BidState::ALL {
            let row = row(1, state);
            let told = settled_before(row.claim_ref(), &lost, NotMoved::WrongState(Box::new(row.clone())));
            assert_eq!(told.is_err(), matches!(state, Claimed | Submitting), "{state}");
            let stale = settled_before(row.claim_ref(), &yes, NotMoved::StaleClaim(Box::new(row)));
            let told = stale.unwrap_err().to_string();
            assert!(told.contains("would not record it") && told.contains("bidlock bid history"), "{told}");
        }
    }
}

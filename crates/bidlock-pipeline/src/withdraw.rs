//! Takes a submitted bid back: recorded as asked for first, then asked for, then recorded as answered.

use bidlock_ledger::{Actor, Applied, Bid, BidState, Change, LedgerError, LedgerStore, Move, NotMoved};
use bidlock_market::{Marketplace, WithdrawAnswer};

use crate::pipeline::PipelineError;

/// What became of a withdrawal.
#[derive(Clone, Debug, PartialEq)]
pub enum Withdrawal {
    /// The marketplace confirmed it, now or at an earlier request with the same event id.
    Withdrawn(Box<Bid>),
    /// The marketplace will not: the bid stands as it says.
    Refused {
        /// The row now.
        bid: Box<Bid>,
        /// Its words.
        detail: String,
    },
    /// Asked for, not yet confirmed: `bidlock reconcile` asks again.
    Pending {
        /// The row, `withdrawing`.
        bid: Box<Bid>,
        /// Why there is no answer.
        detail: String,
    },
    /// The bid is not in a state from which it can be withdrawn.
    NotPossible(Box<Bid>),
}

/// Asks the marketplace to withdraw a bid, with a reason. Safe to repeat: a request with an `event_id` that
/// was recorded before is not recorded again, and asking the marketplace again is harmless.
///
/// `allow_rebid` is the owner's policy: only then does a confirmed withdrawal free the posting for a new
/// bid. Marketplaces do not return the fee.
///
/// # Errors
/// The ledger failed. Once `withdrawing` is recorded, a marketplace that does not answer is
/// [`Withdrawal::Pending`].
pub async fn withdraw(
    ledger: &dyn LedgerStore,
    marketplace: &dyn Marketplace,
    bid: &Bid,
    actor: &Actor,
    reason: &str,
    event_id: Option<&str>,
    allow_rebid: bool,
) -> Result<Withdrawal, PipelineError> {
    let mut change = Change::new(bid.claim_ref(), actor.clone(), Move::Withdraw).because(reason);
    if let Some(event_id) = event_id {
        change = change.keyed(format!("withdraw:{event_id}"));
    }
    let row = match apply(ledger, change).await? {
        Applied::Moved { bid, .. } | Applied::Already(bid) => bid,
        // What it is by now decides: a second request without an event id finds the first one under way.
        Applied::Not(NotMoved::WrongState(row) | NotMoved::StaleClaim(row) | NotMoved::Expired(row)) => row,
        Applied::Not(why) => {
            return Err(PipelineError::Invariant(format!("bid {} can't be withdrawn: {why:?}", bid.id)));
        }
    };
    match row.state {
        BidState::Withdrawing => {}
        BidState::Withdrawn => return Ok(Withdrawal::Withdrawn(row)),
        _ => return Ok(Withdrawal::NotPossible(row)),
    }
    let Some(external_ref) = row.external_ref.clone() else {
        let detail = "the marketplace's id of this bid is not known; withdraw it there by hand".to_owned();
        return Ok(Withdrawal::Pending { bid: row, detail });
    };
    let (action, note) = match after_answer(marketplace.withdraw(&external_ref).await, allow_rebid) {
        Ok(known) => known,
        Err(detail) => return Ok(Withdrawal::Pending { bid: row, detail }),
    };
    let confirmed = matches!(action, Move::ConfirmWithdrawn { .. });
    let answered = Change::new(row.claim_ref(), actor.clone(), action).because(note.clone());
    match apply(ledger, answered).await? {
        Applied::Moved { bid, .. } | Applied::Already(bid) if bid.state == BidState::Withdrawn => {
            Ok(Withdrawal::Withdrawn(bid))
        }
        Applied::Moved { bid, .. } | Applied::Already(bid) => Ok(Withdrawal::Refused { bid, detail: note }),
        // The reconciler was faster: the row says what it found. What is withdrawn stays so, also where this request
        // was refused.
        Applied::Not(NotMoved::WrongState(bid)) if bid.state == BidState::Withdrawn => {
            Ok(Withdrawal::Withdrawn(bid))
        }
        // Another request for the same withdrawal got its no first.
        Applied::Not(NotMoved::WrongState(bid))
            if !confirmed && matches!(bid.state, BidState::Submitted | BidState::Won | BidState::Lost) =>
        {
            Ok(Withdrawal::Refused { bid, detail: note })
        }
        Applied::Not(why) => Err(PipelineError::Invariant(format!(
            "the withdrawal of {} was answered ({note}), and the ledger would not record it: {why:?}",
            row.id
        ))),
    }
}

async fn apply(ledger: &dyn LedgerStore, change: Change) -> Result<Applied, PipelineError> {
    let applied = ledger.apply(std::slice::from_ref(&change)).await?.pop();
    applied.ok_or_else(|| {
        PipelineError::Ledger(LedgerError::new(
            bidlock_ledger::ErrorKind::Internal,
            "withdraw",
            "the ledger gave no answer to a change",
        ))
    })
}

/// What the marketplace's answer does to a `withdrawing` row, or why it stays.
pub(crate) fn after_answer(answer: WithdrawAnswer, allow_rebid: bool) -> Result<(Move, String), String> {
    match answer {
        WithdrawAnswer::Withdrawn => Ok((
            Move::ConfirmWithdrawn { rebid_allowed: allow_rebid },
            "the marketplace confirmed".to_owned(),
        )),
        WithdrawAnswer::Refused { code, detail, status } => {
            let action = match status.as_deref() {
                Some("won") => Move::Win,
                Some("lost") => Move::Lose,
                _ => Move::RefuseWithdrawal,
            };
            Ok((action, format!("the marketplace refused ({code}): {detail}")))
        }
        WithdrawAnswer::NotFound { detail } => Err(format!("the marketplace knows no such bid: {detail}")),
        WithdrawAnswer::TryLater { detail, .. } => Err(format!("not for now: {detail}")),
        WithdrawAnswer::Lost { detail, .. } => Err(format!("the answer was lost: {detail}")),
        WithdrawAnswer::Unsupported => {
            Err("this marketplace withdraws nothing by request; do it there by hand".to_owned())
        }
    }
}

//! The one-way door and what lies behind it.
//!
//! Every send follows its own guarded update (`enter_submitting`), also a second attempt after a 429.
//! What the marketplace answers decides what happens to the row:
//!
//! | answer | row | outcome |
//! |---|---|---|
//! | accepted | `submitted` | submitted |
//! | accepted under the name of another row of the posting | `unknown` | unknown |
//! | refused for good | `rejected` | refused |
//! | a bid exists (409) | `unknown`, then `submitted` if a look-up finds ours | submitted or unknown |
//! | nothing accepted: later, not sent | sent again within the claim, else handed back | deferred |
//! | nothing accepted: account refused, or nothing at the address | handed back, sending stops | deferred |
//! | nothing accepted: nothing there for this posting, at an address that has answered | handed back | deferred |
//! | lost | `unknown`; after several in a row sending stops | unknown |
//! | none: the claim ran out before the request left | handed back | deferred |
//!
//! What comes back while the ledger is away is recorded when it is back. Where that takes longer than its sender waits the
//! row stays `submitting` until the sweeper makes it `unknown`, and the outcome is unknown: whoever has sent never calls
//! its own bid held elsewhere.

use std::time::Duration;

use bidlock::Moment;
use bidlock_canary::{Canary, removed};
use bidlock_ledger::{Applied, Bid, BidState, Epoch, Move, NotMoved, UnknownCause};
use bidlock_market::{Answer, LostCause, Submission};
use serde_json::json;
use uuid::Uuid;

use crate::{
    finding::{Found, find_among},
    outcome::{DeferReason, Outcome},
    pipeline::{Pipeline, PipelineError},
    record::in_words,
};

/// How often one claim passes the door at the most.
const MAX_ATTEMPTS: u32 = 3;
/// Between two attempts after a request that never left.
const RESEND_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause within a claim; a marketplace that asks for more gets the row handed back.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(15);
/// What must be left of a claim after waiting, for another attempt to make sense.
const ATTEMPT_MARGIN: Duration = Duration::from_millis(50);
/// Why a claim may run out before its request leaves.
const SLEPT: &str = "this process slept, or the ledger was away";
/// How long a canary without a mechanism of the door stands before it: few faults would hit the moment otherwise.
const CANARY_LINGERS: Duration = Duration::from_millis(600);
/// Beyond the marketplace's own time limit, before the pipeline itself gives up on a call.
const TIME_LIMIT_SLACK: Duration = Duration::from_millis(500);

/// How a door was passed, or why not.
enum Door {
    /// With a claim that is good until then, by our own clock.
    Passed(Box<Bid>, Moment),
    Shut(Outcome),
}

/// What to do after one attempt.
enum Next {
    Done(Outcome),
    /// Nothing was accepted: send again after this long if the claim allows, else hand back for this reason.
    Again(Duration, DeferReason),
}

impl Pipeline {
    /// Passes the door with a claim that the caller holds, sends, and records what comes back. The caller
    /// must not drop this future halfway (it runs as a task of its own).
    pub(crate) async fn send(&self, claimed: Bid) -> Result<Outcome, PipelineError> {
        let mut bid = claimed;
        // Set once an attempt has come back with proof that nothing was accepted.
        let mut proof = None;
        loop {
            if let Some(why) = self.wait_at_the_gate().await {
                return self.leave(&bid, why).await;
            }
            let good_until;
            (bid, good_until) = match self.pass_door(&bid).await? {
                Door::Passed(bid, good_until) => (*bid, good_until),
                // The row was swept while this call slept on its proof: the proof still frees it.
                Door::Shut(_) if let Some(why) = proof => return self.hand_back(&bid, why).await,
                Door::Shut(outcome) => return Ok(outcome),
            };
            match self.attempt(&bid, good_until).await? {
                Next::Done(outcome) => return Ok(outcome),
                Next::Again(pause, why) => {
                    let claim_left = bid.claim_remaining.unwrap_or_default();
                    let worth_it = pause + ATTEMPT_MARGIN < claim_left.min(MAX_PAUSE);
                    if !worth_it || bid.attempts >= MAX_ATTEMPTS || self.stop.is_stopping() {
                        return self.hand_back(&bid, why).await;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.stopping() => return self.hand_back(&bid, why).await,
                    }
                    proof = Some(why);
                }
            }
        }
    }

    /// Before the door: hands a claim back, and leaves an approved row as it is.
    pub(crate) async fn leave(&self, bid: &Bid, why: DeferReason) -> Result<Outcome, PipelineError> {
        if bid.state == BidState::Approved {
            return Ok(Outcome::Deferred(why));
        }
        self.hand_back(bid, why).await
    }

    async fn pass_door(&self, bid: &Bid) -> Result<Door, PipelineError> {
        let cap = self.cap_for(bid.posting.marketplace());
        let ttl = self.options.ttl;
        // Whoever sends an approved bid makes the next claim on it.
        let (action, passing) = match bid.state {
            BidState::Approved => {
                (Move::TakeSending { claimant: self.claimant.clone(), ttl, cap }, Epoch(bid.epoch.0 + 1))
            }
            _ => (Move::EnterSubmitting { ttl, cap }, bid.epoch),
        };
        // A nonce for each passage: if the reply to a commit is lost, asking again tells whether this very
        // call passed, even beside another instance that was given the same holder name.
        let key = format!("door:{}", Uuid::new_v4());
        let change = self.change(bid.claim_ref(), action).keyed(key);
        if removed(Canary::AnyClaim) || removed(Canary::SendBlindly) {
            tokio::time::sleep(CANARY_LINGERS).await;
        }
        let good_until = self.clock.now().own_deadline(ttl);
        if removed(Canary::NoDoor) {
            return Ok(Door::Passed(Box::new(bid.clone()), good_until));
        }
        let applied = match self.apply_surely(change).await {
            Err(_) if removed(Canary::SendBlindly) => {
                return Ok(Door::Passed(Box::new(bid.clone()), good_until));
            }
            applied => applied?,
        };
        match applied {
            Applied::Moved { bid, .. } => Ok(Door::Passed(bid, good_until)),
            // We passed, and asked again long after: the row may be swept, or another's by now.
            Applied::Already(row)
                if row.state == BidState::Submitting && !expired(&row) && row.epoch == passing =>
            {
                Ok(Door::Passed(row, good_until))
            }
            // Ours still, and too late to send. Whatever may have gone out before came back with proof of its own.
            Applied::Already(row)
                if row.epoch == passing && matches!(row.state, BidState::Submitting | BidState::Unknown) =>
            {
                let detail = SLEPT.to_owned();
                Ok(Door::Shut(self.hand_back(&row, DeferReason::ClaimRanOut { detail }).await?))
            }
            Applied::Already(row) => Ok(Door::Shut(self.outcome_of_other(&row))),
            Applied::Not(NotMoved::CapReached(row)) => {
                let why = self.cap_reason(row.posting.marketplace());
                Ok(Door::Shut(self.leave(&row, why).await?))
            }
            Applied::Not(NotMoved::StaleClaim(row) | NotMoved::Expired(row) | NotMoved::WrongState(row)) => {
                self.stale_claims.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if let Some(metrics) = &self.options.metrics {
                    metrics.stale_claim(&bid.posting);
                }
                Ok(Door::Shut(self.outcome_of_other(&row)))
            }
            Applied::Not(NotMoved::NoSuchBid(id)) => {
                Err(PipelineError::Invariant(format!("bid {id} has vanished from the ledger")))
            }
        }
    }

    /// One request, and what its answer does to the row. None after `good_until`: this process may have slept behind the
    /// door, and others must be able to rely on what a claim's expiry tells them.
    async fn attempt(&self, bid: &Bid, good_until: Moment) -> Result<Next, PipelineError> {
        let submission = Submission {
            posting: bid.posting.clone(),
            bid_id: bid.id.0,
            idempotency_key: bid.idempotency_key,
            amount: bid.payload.amount,
            proposal: bid.payload.proposal.clone(),
            posting_url: bid.payload.posting_url.clone(),
        };
        let limit = self.marketplace.time_limit() + TIME_LIMIT_SLACK;
        // The last look before the request. Whatever may have gone out before came back with proof of its own.
        if self.clock.now() >= good_until {
            let why = DeferReason::ClaimRanOut { detail: SLEPT.to_owned() };
            tracing::warn!(posting = %bid.posting, bid = %bid.id, "{why}");
            return Ok(Next::Done(self.hand_back(bid, why).await?));
        }
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, self.marketplace.submit(&submission)) => answer.unwrap_or_else(
                |_| Answer::Lost { cause: LostCause::Timeout, detail: format!("no answer within {limit:?}") },
            ),
            () = self.stop.aborted() => {
                let detail = "stopped while the request was under way".to_owned();
                let lost = self.lose(bid, UnknownCause::Shutdown, detail.clone()).await;
                return lost.or_else(|error| self.unrecorded(bid, &detail, error)).map(Next::Done);
            }
        };
        let said = in_words(&answer);
        match self.take_answer(bid, answer).await {
            Err(error) => self.unrecorded(bid, &said, error).map(Next::Done),
            taken => taken,
        }
    }

    async fn take_answer(&self, bid: &Bid, answer: Answer) -> Result<Next, PipelineError> {
        if answer.is_a_marketplaces() {
            self.gate.heard();
        }
        match &answer {
            Answer::Lost { detail, .. } => self.unanswered(bid, detail),
            Answer::NotSent { .. } => {} // it left nothing unknown, and says nothing of answers
            _ => self.gate.answered(),
        }
        let outcome = match answer {
            Answer::Accepted { external_ref } => self.accept(bid, external_ref).await?,
            Answer::Refused { code, detail } => {
                let change = self
                    .change(bid.claim_ref(), Move::Refuse)
                    .because(detail.clone())
                    .with_detail(json!({ "code": code }))
                    .keyed(format!("refuse:{}:{}", bid.claim_id, bid.attempts));
                let bid = self.recorded(change).await?.brief();
                Outcome::Refused { bid, detail: format!("{code}: {detail}") }
            }
            Answer::Duplicate { detail } => self.settle_duplicate(bid, detail).await?,
            Answer::Lost { detail, .. } if removed(Canary::ResendUnknown) => {
                return Ok(Next::Again(RESEND_PAUSE, DeferReason::NotSent { detail }));
            }
            Answer::Lost { detail, .. } if removed(Canary::LostHandsBack) => {
                self.hand_back(bid, DeferReason::NotSent { detail }).await?
            }
            Answer::Lost { .. } if removed(Canary::AssumeAccepted) => {
                self.accept(bid, "assumed".to_owned()).await?
            }
            Answer::Lost { cause, detail } => self.lose(bid, unknown_cause(cause), detail).await?,
            Answer::TryLater { after, detail } => {
                let until = after.and_then(|d| self.wall_now().checked_add(d).ok());
                let pause = after.unwrap_or(RESEND_PAUSE);
                self.close_gate_for(pause, &detail);
                return Ok(Next::Again(pause, DeferReason::TryLater { until, detail }));
            }
            Answer::NotSent { detail } => {
                return Ok(Next::Again(RESEND_PAUSE, DeferReason::NotSent { detail }));
            }
            Answer::Stop { code, detail } => {
                let why = self.stop_sending(bid, &format!("refused the account ({code}): {detail}"));
                self.hand_back(bid, why).await?
            }
            Answer::NotHere { detail } => {
                let why = self.nothing_there(bid, detail).await;
                self.hand_back(bid, why).await?
            }
        };
        Ok(Next::Done(outcome))
    }

    /// The answer is lost: the row becomes `unknown`, and only a look-up or a person settles it.
    async fn lose(&self, bid: &Bid, cause: UnknownCause, detail: String) -> Result<Outcome, PipelineError> {
        let change = self
            .change(bid.claim_ref(), Move::LoseAnswer { cause })
            .because(detail.clone())
            .keyed(format!("lose:{}:{}", bid.claim_id, bid.attempts));
        let row = self.recorded(change).await?;
        tracing::warn!(posting = %row.posting, bid = %row.id, %cause, %detail, "the outcome is unknown");
        Ok(Outcome::Unknown { bid: row.brief(), cause, detail })
    }

    /// A 409 proves that a bid exists, not that it is ours: `unknown` first, then look.
    async fn settle_duplicate(&self, bid: &Bid, detail: String) -> Result<Outcome, PipelineError> {
        let lost = self.lose(bid, UnknownCause::Duplicate, detail).await?;
        if !self.marketplace.capabilities().looks_up {
            return Ok(lost);
        }
        match self.find_after_duplicate(bid).await {
            Ok(found) => Ok(found.unwrap_or(lost)),
            // Recorded as unknown it is already; a later look-up goes on.
            Err(error) if error.is_retryable() => {
                tracing::warn!(posting = %bid.posting, %error, "what a look-up found could not be recorded");
                Ok(lost)
            }
            Err(error) => Err(error),
        }
    }

    /// `None` where the look-up proves nothing.
    async fn find_after_duplicate(&self, bid: &Bid) -> Result<Option<Outcome>, PipelineError> {
        let remote = match self.marketplace.look_up(&bid.posting).await {
            Ok(remote) => remote,
            Err(error) => {
                tracing::warn!(posting = %bid.posting, %error, "the look-up after a duplicate refusal failed");
                return Ok(None);
            }
        };
        let ours = match find_among(&*self.ledger, bid, &remote).await? {
            Found::Ours(ours) => ours,
            Found::Not(_) => return Ok(None),
        };
        let change = self
            .change(bid.claim_ref(), Move::Find { external_ref: ours.external_ref.clone() })
            .because("found by the look-up after a duplicate refusal");
        let (at, action) = (change.at, change.action.clone());
        match self.apply_surely(change).await? {
            // Found for another row of the posting in the meantime: it is not this one.
            Applied::Not(NotMoved::WrongState(other)) if other.id != bid.id => Ok(None),
            applied => Ok(Some(Outcome::Submitted(self.as_recorded(at, &action, applied)?.brief()))),
        }
    }

    /// Gives the row back with proof that nothing was accepted.
    pub(crate) async fn hand_back(&self, bid: &Bid, why: DeferReason) -> Result<Outcome, PipelineError> {
        let change = self
            .change(bid.claim_ref(), Move::HandBack)
            .because(why.to_string())
            .keyed(format!("hand_back:{}:{}", bid.claim_id, bid.attempts));
        match self.apply_surely(change).await {
            // Somebody took the row over meanwhile: all the same to this posting, nothing was accepted.
            Ok(Applied::Not(_) | Applied::Moved { .. } | Applied::Already(_)) => Ok(Outcome::Deferred(why)),
            // Past the door the sweeper does not know of this proof.
            Err(error) if bid.state == BidState::Submitting => {
                self.unrecorded(bid, &format!("nothing was accepted ({why})"), error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn expired(bid: &Bid) -> bool {
    bid.claim_remaining.is_none_or(|left| left.is_zero())
}

fn unknown_cause(cause: LostCause) -> UnknownCause {
    match cause {
        LostCause::Timeout => UnknownCause::Timeout,
        LostCause::ConnectionLost => UnknownCause::ConnectionLost,
        LostCause::Redirect => UnknownCause::Redirect,
        LostCause::ServerError => UnknownCause::ServerError,
        LostCause::UnreadableAnswer => UnknownCause::UnreadableAnswer,
    }
}

//! From a locked posting to a claim, and from a claim to its outcome.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bidlock::LeaseView;
use bidlock_ledger::{
    Applied, Bid, BidBrief, BidFilter, BidState, ClaimOutcome, Cursor, Money, Move, NewClaim, Page, Payload,
    PostingId,
};
use bidlock_market::Approval;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::{Instrument, Span};

use crate::{
    batch::Batch,
    options::ApprovalPolicy,
    outcome::{DeferReason, Outcome},
    pipeline::{Pipeline, PipelineError, lock_key},
    rules::Decision,
    spans,
};

/// How many approved bids one pass sends at the most; the next pass goes on.
const MAX_APPROVED: usize = 10_000;

/// What one sender answers: the sighting's place in the batch, and its outcome.
pub(crate) type Sent = (usize, Result<Outcome, PipelineError>);

/// Locked and found suitable.
pub(crate) enum Prepared {
    /// To be claimed with this payload.
    New(usize, Payload),
    /// A person has approved this row.
    Approved(usize, BidBrief),
}

impl Prepared {
    fn index(&self) -> usize {
        match self {
            Prepared::New(index, _) | Prepared::Approved(index, _) => *index,
        }
    }
}

/// Within the caps, on its way to the door.
struct Candidate {
    index: usize,
    work: Work,
}

enum Work {
    Claim(Box<NewClaim>),
    Approved(Box<Bid>),
}

/// The senders under way. Dropped with its caller, it lets them come to their end: a `JoinSet` alone would
/// cut them off between the request and its record.
#[derive(Default)]
struct Senders(JoinSet<Sent>);

impl Drop for Senders {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

impl Pipeline {
    /// What the rules decline writes no row.
    pub(crate) fn evaluate(
        &self,
        batch: &mut Batch<'_>,
        held: Vec<(usize, Option<BidBrief>)>,
    ) -> Vec<Prepared> {
        let now = self.wall_now();
        let mut prepared = Vec::new();
        for (index, approved) in held {
            let posting = batch.posting(index);
            if let Some(bid) = approved {
                prepared.push(Prepared::Approved(index, bid));
                continue;
            }
            match self.evaluator.evaluate(posting, now) {
                Decision::Declined(reason) => batch.settle(index, Outcome::Declined(reason)),
                Decision::Suitable { amount, .. } if !self.marketplace.capabilities().sends => {
                    batch.settle(index, self.would_submit(&posting.id, amount));
                }
                Decision::Suitable { amount, proposal, explanation } => {
                    let payload = Payload {
                        amount,
                        proposal,
                        posting_url: posting.url.clone(),
                        via: self.marketplace.via().to_owned(),
                        evaluation: explanation,
                    };
                    prepared.push(Prepared::New(index, payload));
                }
            }
        }
        prepared
    }

    /// Claims as many as can be sent at once, and sends them, until none is left.
    pub(crate) async fn claim_and_send(
        self: &Arc<Self>,
        batch: &mut Batch<'_>,
        prepared: Vec<Prepared>,
    ) -> Result<(), PipelineError> {
        let mut queue = self.within_caps(batch, prepared).await?;
        queue.reverse();
        let mut senders = Senders::default();
        let mut failed = None;
        while !queue.is_empty() && failed.is_none() {
            let permits = permits(&self.slots, queue.len()).await;
            if permits.is_empty() {
                break;
            }
            let chunk: Vec<Candidate> = permits.iter().filter_map(|_| queue.pop()).collect();
            if let Err(error) = self.claim_chunk(batch, chunk, permits, &mut senders).await {
                failed = Some(error);
            }
            while let Some(done) = senders.0.try_join_next() {
                batch.settle_joined(done);
            }
        }
        while let Some(done) = senders.0.join_next().await {
            batch.settle_joined(done);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn claim_chunk(
        self: &Arc<Self>,
        batch: &mut Batch<'_>,
        chunk: Vec<Candidate>,
        permits: Vec<OwnedSemaphorePermit>,
        senders: &mut Senders,
    ) -> Result<(), PipelineError> {
        let mut ready = Vec::new();
        let (mut indices, mut requests) = (Vec::new(), Vec::new());
        for candidate in chunk {
            if let Some(why) = self.not_claiming() {
                batch.settle(candidate.index, Outcome::Deferred(why));
            } else if !self.take_from_run_limit() {
                let limit = self.options.run_limit.unwrap_or_default();
                batch.settle(candidate.index, Outcome::Deferred(DeferReason::RunLimit { limit }));
            } else {
                match candidate.work {
                    Work::Approved(bid) => ready.push((candidate.index, *bid)),
                    Work::Claim(request) => {
                        indices.push(candidate.index);
                        requests.push(*request);
                    }
                }
            }
        }
        if !requests.is_empty() {
            let claimed = self.claim(&requests).await.inspect_err(|_| {
                indices.iter().for_each(|_| self.give_back_to_run_limit());
            })?;
            for (index, outcome) in indices.into_iter().zip(claimed) {
                match outcome {
                    ClaimOutcome::Granted(claim) => ready.push((index, claim.bid)),
                    ClaimOutcome::Existing(bid) => {
                        self.give_back_to_run_limit();
                        batch.settle(index, self.outcome_of_other(&bid));
                    }
                }
            }
        }
        for ((index, bid), permit) in ready.into_iter().zip(permits) {
            let pipeline = Arc::clone(self);
            let (written, leases) = (batch.written(index).to_vec(), batch.take_leases(index));
            // A task of its own: a caller that goes away must not leave a request without its record.
            senders.0.spawn(async move {
                let outcome = pipeline.carry_out(bid, &written, &leases).await;
                drop(permit);
                (index, outcome)
            });
        }
        Ok(())
    }

    /// Asks the ledger; counts and traces each claim.
    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>, PipelineError> {
        let spans: Vec<Span> = requests.iter().map(spans::claim).collect();
        let began = self.clock.now();
        let claimed = self.ledger.claim(requests).await?;
        let took = self.clock.now().since(began);
        for ((request, span), outcome) in requests.iter().zip(spans).zip(&claimed) {
            spans::claimed(&span, outcome, took);
            if let Some(metrics) = &self.options.metrics {
                metrics.claimed(&request.posting, took);
            }
        }
        Ok(claimed)
    }

    /// From a claim to its outcome. `written`: see [`bidlock_market::Posting::written`]; `leases`: what keeps instances of
    /// the replaced system away.
    async fn carry_out(
        &self,
        bid: Bid,
        written: &[String],
        leases: &[LeaseView],
    ) -> Result<Outcome, PipelineError> {
        let posting = bid.posting.clone();
        let outcome = if bid.payload.via != self.marketplace.via() {
            // Approved for another marketplace implementation than this scanner's.
            let why = DeferReason::OtherMarketplace { via: bid.payload.via.clone() };
            self.leave(&bid, why).await?
        } else if bid.state == BidState::Claimed && self.needs_approval() {
            match self.apply_surely(self.change(bid.claim_ref(), Move::AwaitApproval)).await? {
                Applied::Moved { bid, .. } | Applied::Already(bid) => Outcome::AwaitingApproval(bid.brief()),
                Applied::Not(_) => {
                    Outcome::HeldElsewhere { holder: self.claimant.holder.clone(), remaining: Duration::ZERO }
                }
            }
        } else if let Some(not_sent) = self
            .show_to_the_legacy(&bid, written, leases)
            .await
            .inspect_err(|_| self.give_back_to_run_limit())?
        {
            not_sent
        } else {
            let (span, began) = (spans::send(&bid), self.clock.now());
            let outcome = self.send(bid.clone()).instrument(span.clone()).await?;
            spans::sent(&span, &outcome, self.clock.now().since(began));
            self.tell_the_legacy(&bid, &outcome).await;
            outcome
        };
        if !matches!(outcome, Outcome::Submitted(_) | Outcome::Unknown { .. }) {
            self.give_back_to_run_limit();
        }
        if let Some(bid) = outcome.bid() {
            self.cache.remember(&posting, bid, self.clock.now());
        }
        Ok(outcome)
    }

    /// Sends what people have approved, whether or not a feed still shows the posting, and calls `answered` for each bid
    /// as soon as its outcome is known. Beside instances of the replaced system such a bid waits for a feed that shows it:
    /// [`DeferReason::NotInSight`].
    ///
    /// # Errors
    /// As [`process_batch`](Self::process_batch). What was answered before stands.
    pub async fn send_approved(
        self: &Arc<Self>,
        mut answered: impl FnMut(&PostingId, &Outcome),
    ) -> Result<(), PipelineError> {
        if !self.marketplace.capabilities().sends {
            return Ok(());
        }
        for bid in self.approved_for_here().await? {
            if self.options.legacy.is_some() {
                answered(&bid.posting, &Outcome::Deferred(DeferReason::NotInSight));
                continue;
            }
            if self.not_claiming().is_some() || !self.take_from_run_limit() {
                break;
            }
            let posting = bid.posting.clone();
            match self.send_one_approved(bid).await {
                // Another scanner was faster, or the approval ran out: the door says so, and nothing was sent.
                Ok(Some(Outcome::HeldElsewhere { .. } | Outcome::AlreadyBid(_))) => {}
                Ok(Some(outcome)) => answered(&posting, &outcome),
                Ok(None) => self.give_back_to_run_limit(),
                // An engine that is away is waited for with the feed's sightings.
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, %posting, "an approved bid is left as it is; the next pass goes on");
                    break;
                }
                Err(error) => {
                    self.count(&posting, Err(&error));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Approved bids that go where this pipeline submits, at most [`MAX_APPROVED`] of them.
    async fn approved_for_here(&self) -> Result<Vec<Bid>, PipelineError> {
        let filter = BidFilter { states: vec![BidState::Approved], ..Default::default() };
        let mut page = Page { after: None, limit: bidlock_ledger::store::MAX_PAGE };
        let mut approved = Vec::new();
        while approved.len() < MAX_APPROVED {
            let bids = self.ledger.list(&filter, &page).await?;
            let Some(last) = bids.last() else { break };
            page.after = Some(Cursor(last.id));
            approved.extend(bids.into_iter().filter(|bid| bid.payload.via == self.marketplace.via()));
        }
        Ok(approved)
    }

    /// `None` where another scanner has its lock.
    async fn send_one_approved(self: &Arc<Self>, bid: Bid) -> Result<Option<Outcome>, PipelineError> {
        let keys = vec![lock_key(&bid.posting)?];
        let Some(Ok(leases)) = self.try_all(&[keys]).await?.pop() else { return Ok(None) };
        let pipeline = Arc::clone(self);
        // A task of its own, as every sender.
        let task = tokio::spawn(async move { pipeline.carry_out(bid, &[], &[]).await });
        let outcome = task.await.map_err(|e| PipelineError::Invariant(format!("a sender died: {e}")))?;
        if let Err(error) = self.locks.release_many(leases).await {
            tracing::warn!(%error, "a lock could not be released; it expires by its TTL");
        }
        outcome.map(Some)
    }

    async fn within_caps(
        &self,
        batch: &mut Batch<'_>,
        prepared: Vec<Prepared>,
    ) -> Result<Vec<Candidate>, PipelineError> {
        let mut left: HashMap<String, u64> = HashMap::new();
        let mut candidates = Vec::with_capacity(prepared.len());
        for item in prepared {
            let index = item.index();
            let marketplace = batch.posting(index).id.marketplace().to_owned();
            if let Some(cap) = self.cap_for(&marketplace) {
                if !left.contains_key(&marketplace) {
                    let sent = self.ledger.sent_since(&marketplace, cap.since).await?;
                    left.insert(marketplace.clone(), cap.limit.saturating_sub(sent));
                }
                // Only a first filter, which spares a row; the door counts again inside its transaction.
                match left.get_mut(&marketplace) {
                    Some(left) if *left > 0 => *left -= 1,
                    _ => {
                        batch.settle(index, Outcome::Deferred(self.cap_reason(&marketplace)));
                        continue;
                    }
                }
            }
            let work = match item {
                Prepared::New(_, payload) => Work::Claim(Box::new(NewClaim {
                    posting: batch.posting(index).id.clone(),
                    claimant: self.claimant.clone(),
                    ttl: self.options.ttl,
                    payload,
                })),
                Prepared::Approved(_, brief) => match self.ledger.bid(brief.id).await? {
                    Some(bid) if bid.state == BidState::Approved => Work::Approved(Box::new(bid)),
                    Some(bid) => {
                        batch.settle(index, self.outcome_of_other(&bid));
                        continue;
                    }
                    None => continue,
                },
            };
            candidates.push(Candidate { index, work });
        }
        Ok(candidates)
    }

    /// The second time a dry run comes to a posting, the first time would have been the bid.
    fn would_submit(&self, posting: &PostingId, amount: Option<Money>) -> Outcome {
        let again = self.dry.contains_key(posting);
        self.dry.insert(posting.clone(), ());
        Outcome::WouldSubmit { amount, again }
    }

    fn take_from_run_limit(&self) -> bool {
        let Some(left) = &self.run_left else { return true };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }

    fn give_back_to_run_limit(&self) {
        if let Some(left) = &self.run_left {
            left.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn needs_approval(&self) -> bool {
        match self.options.approval {
            ApprovalPolicy::Always => true,
            ApprovalPolicy::Never => false,
            ApprovalPolicy::ByMarketplace => self.marketplace.capabilities().approval == Approval::ByDefault,
        }
    }
}

/// At least one permit, and as many more as are free, up to `most`.
async fn permits(slots: &Arc<Semaphore>, most: usize) -> Vec<OwnedSemaphorePermit> {
    let mut permits = Vec::new();
    // The semaphore is never closed; were it, the loop would only find no permit.
    if let Ok(first) = Arc::clone(slots).acquire_owned().await {
        permits.push(first);
    }
    while permits.len() < most
        && let Ok(more) = Arc::clone(slots).try_acquire_owned()
    {
        permits.push(more);
    }
    permits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_batch_takes_the_permits_that_are_free_and_no_more_than_it_needs() {
        let slots = Arc::new(Semaphore::new(5));
        let three = permits(&slots, 3).await;
        assert_eq!((three.len(), slots.available_permits()), (3, 2));
        let rest = permits(&slots, 3).await;
        assert_eq!((rest.len(), slots.available_permits()), (2, 0));
        drop(three);
        assert_eq!(permits(&slots, 1).await.len(), 1);
    }
}

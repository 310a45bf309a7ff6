//! One batch of sightings on its way through the pipeline: who leads, who follows, what is settled.

use std::{collections::HashMap, time::Duration};

use bidlock::{Lease, LeaseView};
use bidlock_ledger::{BidBrief, PostingId};
use bidlock_market::Posting;
use tokio::sync::mpsc;

use crate::{claiming::Sent, outcome::Outcome, pipeline::PipelineError};

/// By how many texts the sightings of one posting in one batch may name it: far more than sources have, and each may be a
/// lock beside the replaced system.
const MAX_WRITTEN_TOGETHER: usize = 16;

/// Several sightings of one posting that has to be asked about have one leader, the first; the others follow it.
/// What is answered without asking speaks for itself.
pub(crate) struct Batch<'a> {
    postings: &'a [Posting],
    leader_of: Vec<usize>,
    outcomes: Vec<Option<Result<Outcome, PipelineError>>>,
    told: Option<Told>,
    /// Of each leader whose followers write the posting in other ways: all of these, its own first.
    written: HashMap<usize, Vec<String>>,
    /// Of each sighting whose posting is locked, beside instances of the replaced system.
    leases: HashMap<usize, Vec<LeaseView>>,
}

/// Hears what a sender brought back at once, with the sighting's place in the batch: the rest of the batch may
/// take as long as the marketplace does. At most one message a sighting, so that the batch bounds the channel.
pub(crate) type Told = mpsc::UnboundedSender<(usize, Outcome)>;

impl<'a> Batch<'a> {
    pub(crate) fn new(postings: &'a [Posting], told: Option<Told>) -> Batch<'a> {
        let outcomes = postings.iter().map(|_| None).collect();
        let leader_of = (0..postings.len()).collect();
        Batch { postings, leader_of, outcomes, told, written: HashMap::new(), leases: HashMap::new() }
    }

    /// Remembers what keeps others from this sighting's posting.
    pub(crate) fn locked(&mut self, index: usize, leases: &[Lease]) {
        self.leases.insert(index, leases.iter().map(|lease| lease.view()).collect());
    }

    /// What was remembered, for the one who sends.
    pub(crate) fn take_leases(&mut self, index: usize) -> Vec<LeaseView> {
        self.leases.remove(&index).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.postings.len()
    }

    /// Keeps the leaders of these, and lets the others follow.
    pub(crate) fn lead(&mut self, mut open: Vec<usize>) -> Vec<usize> {
        let mut first: HashMap<&PostingId, usize> = HashMap::with_capacity(open.len());
        open.retain(|&index| {
            let leader = *first.entry(&self.postings[index].id).or_insert(index);
            self.leader_of[index] = leader;
            if leader != index {
                let own = &self.postings[leader].written;
                let all = self.written.entry(leader).or_insert_with(|| own.clone());
                for text in &self.postings[index].written {
                    // One more than may be: it is seen that there are too many.
                    if !all.contains(text) && all.len() <= MAX_WRITTEN_TOGETHER {
                        all.push(text.clone());
                    }
                }
            }
            leader == index
        });
        open
    }

    /// By which texts this leader's posting is named in this batch: see [`bidlock_market::Posting::written`].
    pub(crate) fn written(&self, leader: usize) -> &[String] {
        self.written.get(&leader).unwrap_or(&self.postings[leader].written)
    }

    /// Whether there are more of them than are kept.
    pub(crate) fn has_too_many_texts(&self, leader: usize) -> bool {
        self.written(leader).len() > MAX_WRITTEN_TOGETHER
    }

    /// The leaders, and those that were answered without asking, whose answer by now is a bid that there is.
    pub(crate) fn already_bid(&self) -> impl Iterator<Item = (usize, &BidBrief)> {
        self.outcomes.iter().enumerate().filter_map(|(index, outcome)| match outcome {
            Some(Ok(Outcome::AlreadyBid(bid))) => Some((index, bid)),
            _ => None,
        })
    }

    fn leads(&self, index: usize) -> bool {
        self.leader_of[index] == index
    }

    pub(crate) fn posting(&self, index: usize) -> &'a Posting {
        &self.postings[index]
    }

    pub(crate) fn settle(&mut self, index: usize, outcome: Outcome) {
        self.outcomes[index] = Some(Ok(outcome));
    }

    /// Takes what a sender's task answered. A task that died says nothing: its sighting stays open.
    pub(crate) fn settle_joined(&mut self, done: Result<Sent, tokio::task::JoinError>) {
        match done {
            Ok((index, outcome)) => {
                if let (Some(told), Ok(outcome)) = (&self.told, &outcome) {
                    // Nobody listens any more: the outcome is still part of the batch's answer.
                    let _ = told.send((index, outcome.clone()));
                }
                self.outcomes[index] = Some(outcome);
            }
            Err(error) => tracing::error!(%error, "a sender died; its bid is settled by the sweeper"),
        }
    }

    /// An outcome for every sighting. What was left open by a failure is held, to be tried again; the
    /// failure itself is told once.
    pub(crate) fn finish(
        mut self,
        failed: Option<PipelineError>,
        holder: &str,
    ) -> Vec<Result<Outcome, PipelineError>> {
        let again = || Outcome::HeldElsewhere { holder: holder.to_owned(), remaining: Duration::ZERO };
        let mut failed = failed;
        for index in 0..self.postings.len() {
            if self.leads(index) && self.outcomes[index].is_none() {
                self.outcomes[index] = Some(failed.take().map_or_else(|| Ok(again()), Err));
            }
        }
        if let Some(error) = failed {
            // Everything was settled all the same; still nobody may miss it.
            tracing::error!(%error, "the batch met a failure after its last sighting was settled");
        }
        for index in 0..self.postings.len() {
            if !self.leads(index) {
                let outcome = match &self.outcomes[self.leader_of[index]] {
                    Some(Ok(outcome)) => as_follower(outcome),
                    _ => again(),
                };
                self.outcomes[index] = Some(Ok(outcome));
            }
        }
        self.outcomes.into_iter().map(|o| o.unwrap_or_else(|| Ok(again()))).collect()
    }
}

/// What a second sighting of a posting gets, after the first one got this.
fn as_follower(first: &Outcome) -> Outcome {
    match first {
        Outcome::Submitted(bid) | Outcome::AwaitingApproval(bid) => Outcome::AlreadyBid(bid.clone()),
        Outcome::Refused { bid, .. } | Outcome::Unknown { bid, .. } => Outcome::AlreadyBid(bid.clone()),
        Outcome::WouldSubmit { amount, .. } => Outcome::WouldSubmit { amount: *amount, again: true },
        other => other.clone(),
    }
}

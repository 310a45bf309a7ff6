//! [`Pipeline`]: a batch of sightings in, an outcome for each out.
//!
//! Losers first: most sightings end at the cache or with one batched ledger query. What is left is locked
//! in one call, evaluated, and claimed in batches no larger than what can be sent at once, so that no
//! claim grows old while it waits for its turn.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use bidlock::{Clock, Lease, LockKey, LockManager};
use bidlock_ledger::{
    Bid, BidBrief, BidState, Claimant, ErrorKind, LedgerError, LedgerStore, PostingId, Standing,
};
use bidlock_market::{Marketplace, Posting};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    batch::{Batch, Told},
    cache::{DEFAULT_CAPACITY, SettledCache},
    gate::Gate,
    legacy::LegacyError,
    options::PipelineOptions,
    outcome::{DeclineReason, DeferReason, Outcome},
    rules::Evaluator,
    stop::Stop,
};

/// How many sightings one batch may hold.
pub const MAX_BATCH: usize = bidlock_ledger::store::MAX_BATCH;

/// How long this process does not ask again for a posting that the marketplace takes no bid on: each time costs a request,
/// and writes three events.
const NOT_TAKEN_FOR: Duration = Duration::from_secs(3_600);
/// How many such postings are remembered; one that is forgotten is asked for again.
const MAX_NOT_TAKEN: u64 = 10_000;

/// Something broke. Contention and duplicates are [`Outcome`]s.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The ledger: nothing is sent without it.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The lock engine.
    #[error("locks: {0}")]
    Locks(#[from] bidlock::Error),
    /// The replaced system's table: nothing is sent without it while it is in use.
    #[error("replaced system: {0}")]
    Legacy(#[from] LegacyError),
    /// What can't be, is: a person must look.
    #[error("an invariant is violated: {0}")]
    Invariant(String),
}

impl PipelineError {
    /// Whether trying the posting again can help.
    pub fn is_retryable(&self) -> bool {
        match self {
            PipelineError::Ledger(e) => e.is_retryable(),
            PipelineError::Locks(e) => e.is_retryable(),
            PipelineError::Legacy(e) => e.retryable,
            PipelineError::Invariant(_) => false,
        }
    }
}

/// What a pipeline is put together from.
#[derive(Debug)]
pub struct Parts {
    /// Where bids are claimed and recorded.
    pub ledger: Arc<dyn LedgerStore>,
    /// What keeps scanners from doing the same work.
    pub locks: LockManager,
    /// Where bids go.
    pub marketplace: Arc<dyn Marketplace>,
    /// What decides about postings.
    pub evaluator: Arc<dyn Evaluator>,
    /// For deadlines, ages and caps.
    pub clock: Arc<dyn Clock>,
    /// Who this scanner is.
    pub claimant: Claimant,
}

/// One scanner's way from sightings to bids. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Pipeline {
    pub(crate) ledger: Arc<dyn LedgerStore>,
    pub(crate) locks: LockManager,
    pub(crate) marketplace: Arc<dyn Marketplace>,
    pub(crate) evaluator: Arc<dyn Evaluator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) claimant: Claimant,
    pub(crate) options: PipelineOptions,
    pub(crate) stop: Stop,
    /// Only grows.
    pub(crate) stale_claims: AtomicU64,
    pub(crate) cache: SettledCache,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) run_left: Option<AtomicU64>,
    pub(crate) gate: Gate,
    pub(crate) dry: moka::sync::Cache<PostingId, ()>,
    /// Postings that the marketplace takes no bid on, and its words.
    pub(crate) not_taken: moka::sync::Cache<PostingId, String>,
    /// Marketplaces without a cap beside others that have one, as far as a person has been told.
    pub(crate) uncapped: Mutex<HashSet<String>>,
}

impl Pipeline {
    /// Puts the parts together.
    ///
    /// # Errors
    /// The marketplace's time limit is not shorter than the claim's TTL: a claim could expire under a
    /// request that is still allowed to run.
    pub fn new(parts: Parts, options: PipelineOptions, stop: Stop) -> Result<Arc<Pipeline>, PipelineError> {
        let Parts { ledger, locks, marketplace, evaluator, clock, claimant } = parts;
        let limit = marketplace.time_limit();
        if marketplace.capabilities().sends && limit >= options.ttl {
            return Err(PipelineError::Ledger(LedgerError::new(
                ErrorKind::Invalid,
                "pipeline",
                format!(
                    "the time limit of a request ({limit:?}) must be shorter than the TTL of a claim ({:?})",
                    options.ttl
                ),
            )));
        }
        Ok(Arc::new(Pipeline {
            slots: Arc::new(Semaphore::new(options.concurrency.max(1))),
            run_left: options.run_limit.map(AtomicU64::new),
            cache: SettledCache::default(),
            gate: Gate::default(),
            dry: moka::sync::Cache::new(DEFAULT_CAPACITY as u64),
            not_taken: moka::sync::Cache::builder()
                .max_capacity(MAX_NOT_TAKEN)
                .time_to_live(NOT_TAKEN_FOR)
                .build(),
            stale_claims: AtomicU64::new(0),
            uncapped: Mutex::default(),
            ledger,
            locks,
            marketplace,
            evaluator,
            clock,
            claimant,
            options,
            stop,
        }))
    }

    /// How often a bid of ours could not pass the door, because another claim had its row or ours had expired.
    /// Since this pipeline was put together; only grows.
    pub fn stale_claims(&self) -> u64 {
        self.stale_claims.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Gives back what is held and stops background work. Call it when no batch is under way.
    pub async fn shutdown(&self) {
        if let Err(error) = self.locks.shutdown().await {
            tracing::warn!(%error, "locks could not be released; they expire by their TTL");
        }
    }

    /// One sighting.
    ///
    /// # Errors
    /// The ledger or the lock engine failed; nothing is sent without the ledger.
    pub async fn process(self: &Arc<Self>, posting: Posting) -> Result<Outcome, PipelineError> {
        let mut outcomes = self.process_batch(std::slice::from_ref(&posting)).await;
        outcomes
            .pop()
            .unwrap_or_else(|| Err(PipelineError::Invariant("no outcome for a sighting".to_owned())))
    }

    /// At most [`MAX_BATCH`] sightings, answered in order. A posting that another scanner holds is
    /// answered at once as held; [`crate::Scan`] tries those again.
    ///
    /// # Errors
    /// The ledger or the locks broke, or a row is not as it must be ([`PipelineError::Invariant`]). What broke a
    /// batch stands once, for the first sighting that it left open; the others left open are answered as held, to
    /// be tried again. What was settled before keeps its outcome.
    pub async fn process_batch(
        self: &Arc<Self>,
        postings: &[Posting],
    ) -> Vec<Result<Outcome, PipelineError>> {
        let outcomes = self.process_batch_telling(postings, None).await;
        for (posting, outcome) in postings.iter().zip(&outcomes) {
            self.count(&posting.id, outcome.as_ref());
        }
        outcomes
    }

    /// Counts a final answer.
    pub(crate) fn count(&self, posting: &PostingId, outcome: Result<&Outcome, &PipelineError>) {
        match (&self.options.metrics, outcome) {
            (None, _) => {}
            (Some(metrics), Ok(outcome)) => metrics.answered(posting, outcome),
            (Some(metrics), Err(error)) => metrics.broke(error),
        }
    }

    pub(crate) async fn process_batch_telling(
        self: &Arc<Self>,
        postings: &[Posting],
        told: Option<Told>,
    ) -> Vec<Result<Outcome, PipelineError>> {
        let mut batch = Batch::new(postings, told);
        let failed = self.run_batch(&mut batch).await.err();
        batch.finish(failed, &self.claimant.holder)
    }

    async fn run_batch(self: &Arc<Self>, batch: &mut Batch<'_>) -> Result<(), PipelineError> {
        let fresh = self.answer_without_asking(batch);
        let mut open = self.ask_the_ledger(batch, fresh).await?;
        self.show_under_new_names(batch).await?;
        let at_once = self.locked_at_once();
        while !open.is_empty() {
            let rest = open.split_off(open.len().min(at_once));
            self.lock_and_work(batch, std::mem::replace(&mut open, rest)).await?;
        }
        Ok(())
    }

    async fn lock_and_work(
        self: &Arc<Self>,
        batch: &mut Batch<'_>,
        open: Vec<(usize, Option<BidBrief>)>,
    ) -> Result<(), PipelineError> {
        let (leases, held) = self.lock(batch, open).await?;
        let sent = self.work(batch, held).await;
        // Given back together, whatever happened; a lease whose release fails runs out by its TTL.
        if let Err(error) = self.locks.release_many(leases).await {
            tracing::warn!(%error, "locks could not be released; they expire by their TTL");
        }
        sent
    }

    /// What happens under the locks.
    async fn work(
        self: &Arc<Self>,
        batch: &mut Batch<'_>,
        held: Vec<(usize, Option<BidBrief>)>,
    ) -> Result<(), PipelineError> {
        let held = self.ask_the_legacy(batch, held).await?;
        let candidates = self.evaluate(batch, held);
        self.claim_and_send(batch, candidates).await
    }

    /// Cache, age and identity: no round trip at all. Only what is left open gets a leader.
    fn answer_without_asking(&self, batch: &mut Batch<'_>) -> Vec<usize> {
        let now = self.wall_now();
        let settled = self.cache.look(self.clock.now());
        let mut open = Vec::new();
        for index in 0..batch.len() {
            let posting = batch.posting(index);
            if let Some(ambiguity) = &posting.ambiguity {
                batch.settle(index, Outcome::AmbiguousIdentity(ambiguity.clone()));
            } else if let Some(bid) = settled.get(&posting.id) {
                batch.settle(index, Outcome::AlreadyBid(bid.clone()));
            } else if let Some(reason) = stale(posting, now, self.options.max_age) {
                batch.settle(index, Outcome::Declined(reason));
            } else if let Some(detail) = self.not_taken.get(&posting.id) {
                batch.settle(index, Outcome::Deferred(DeferReason::NotTaken { detail }));
            } else {
                open.push(index);
            }
        }
        batch.lead(open)
    }

    async fn ask_the_ledger(
        &self,
        batch: &mut Batch<'_>,
        asked: Vec<usize>,
    ) -> Result<Vec<(usize, Option<BidBrief>)>, PipelineError> {
        let ids: Vec<PostingId> = asked.iter().map(|&i| batch.posting(i).id.clone()).collect();
        let now = self.clock.now();
        let mut open = Vec::new();
        for (index, standing) in asked.into_iter().zip(self.ledger.standing(&ids).await?) {
            match standing {
                Standing::Free | Standing::TakeOver(_) => open.push((index, None)),
                Standing::Approved(bid) => open.push((index, Some(bid))),
                Standing::Busy(bid) => {
                    let remaining = bid.claim_remaining.unwrap_or_default();
                    batch.settle(index, Outcome::HeldElsewhere { holder: bid.holder, remaining });
                }
                Standing::Taken(bid) => {
                    self.cache.remember(&batch.posting(index).id, &bid, now);
                    batch.settle(index, Outcome::AlreadyBid(bid));
                }
            }
        }
        Ok(open)
    }

    async fn lock(
        &self,
        batch: &mut Batch<'_>,
        open: Vec<(usize, Option<BidBrief>)>,
    ) -> Result<(Vec<Lease>, Vec<(usize, Option<BidBrief>)>), PipelineError> {
        if let Some(legacy) = self.options.legacy.as_ref().filter(|_| !open.is_empty()) {
            legacy.refresh().await?;
        }
        let mut keys = Vec::with_capacity(open.len());
        for (index, _) in &open {
            let posting = batch.posting(*index);
            keys.push(self.keys(&posting.id, batch.written(*index))?);
        }
        let (mut leases, mut held) = (Vec::new(), Vec::new());
        if keys.is_empty() {
            return Ok((leases, held));
        }
        for ((index, approved), locked) in open.into_iter().zip(self.try_all(&keys).await?) {
            match locked {
                Ok(mut all) => {
                    if self.options.legacy.is_some() {
                        batch.locked(index, &all);
                    }
                    leases.append(&mut all);
                    held.push((index, approved));
                }
                Err(other) => batch.settle(
                    index,
                    Outcome::HeldElsewhere { holder: other.holder, remaining: other.remaining },
                ),
            }
        }
        Ok((leases, held))
    }

    /// What a row that somebody else moves means for this sighting.
    pub(crate) fn outcome_of_other(&self, bid: &Bid) -> Outcome {
        match bid.state {
            BidState::Claimed | BidState::Submitting | BidState::Approved | BidState::Abandoned => {
                Outcome::HeldElsewhere {
                    holder: bid.claimant.holder.clone(),
                    remaining: bid.claim_remaining.unwrap_or_default(),
                }
            }
            _ => {
                let brief = bid.brief();
                self.cache.remember(&bid.posting, &brief, self.clock.now());
                Outcome::AlreadyBid(brief)
            }
        }
    }

    /// The wall clock, for ages and caps; never for the expiry of a claim.
    pub(crate) fn wall_now(&self) -> Timestamp {
        Timestamp::try_from(self.clock.wall()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The lock key of a posting. Ledger and locks admit the same ids, so that a refusal is a fault of ours.
pub(crate) fn lock_key(id: &PostingId) -> Result<LockKey, PipelineError> {
    LockKey::posting(id.marketplace(), id.posting())
        .map_err(|e| PipelineError::Invariant(format!("posting {id} has no lock key: {e}")))
}

fn stale(posting: &Posting, now: Timestamp, max_age: Duration) -> Option<DeclineReason> {
    let age_s = now.duration_since(posting.fetched_at).as_secs();
    let max_age_s = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    (age_s > max_age_s).then_some(DeclineReason::Stale { age_s, max_age_s })
}

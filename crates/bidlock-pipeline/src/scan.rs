//! [`Scan`]: a whole stream of sightings, each answered once.
//!
//! A posting that another scanner holds is tried again until it is settled or its time limit has passed; a
//! ledger or lock engine that is away is waited for, up to a patience. Nothing is sent meanwhile.

use std::{
    collections::{HashSet, VecDeque},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bidlock::Moment;
use bidlock_ledger::PostingId;
use bidlock_market::Posting;
use futures::{Stream, StreamExt};
use rand::Rng;
use tokio::sync::mpsc;

use crate::{
    outage::Outage,
    outcome::{DeferReason, Outcome},
    pipeline::{MAX_BATCH, Pipeline, PipelineError},
};

/// The first pause before held postings are tried again; each further one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long a batch waits for further sightings of a source that is slow to give them: a batch of one is on its
/// way for as long as the marketplace takes, and what comes behind it waits.
const GATHER: Duration = Duration::from_millis(100);
/// How many rows one sweep moves at the most; the next one goes on.
const SWEEP_LIMIT: u32 = 1_000;
/// The longest time between two sweeps of a scan that waits.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How a scan waits.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// How many sightings go through the pipeline together.
    pub batch: usize,
    /// How long a held posting is tried again.
    pub wait: Duration,
    /// How long an engine may be away.
    pub patience: Duration,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions { batch: 256, wait: Duration::from_secs(10), patience: Duration::from_secs(30) }
    }
}

/// What came of a scan, counted by outcome name in the order of [`Outcome::NAMES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanSummary {
    /// Sightings answered.
    pub sightings: u64,
    /// Counts by outcome.
    pub outcomes: [u64; Outcome::NAMES.len()],
    /// Claims and submissions of vanished scanners that the sweeper took care of.
    pub swept: u64,
    /// Those of them whose outcome is unknown: they were past the door.
    pub swept_unknown: u64,
}

impl ScanSummary {
    /// Counts a final answer, here and in the pipeline's metrics.
    fn count(&mut self, pipeline: &Pipeline, posting: &Posting, outcome: &Outcome) {
        self.sightings += 1;
        self.outcomes[outcome.place()] += 1;
        pipeline.count(&posting.id, Ok(outcome));
    }

    /// The count of one outcome name; zero for a name that is none.
    pub fn of(&self, name: &str) -> u64 {
        Outcome::NAMES.iter().position(|n| *n == name).map_or(0, |slot| self.outcomes[slot])
    }
}

/// A sighting that has to be tried again.
struct Waiting {
    posting: Posting,
    /// Since when it has been tried.
    since: Moment,
}

/// Drives a pipeline over a stream of sightings.
#[derive(Debug)]
pub struct Scan {
    pipeline: Arc<Pipeline>,
    options: ScanOptions,
    outage: Outage,
    last_sweep: Option<Moment>,
    /// The last sweep failed, and that was said.
    sweep_failed: bool,
    summary: ScanSummary,
}

impl Scan {
    /// A scan through this pipeline.
    pub fn new(pipeline: Arc<Pipeline>, options: ScanOptions) -> Scan {
        let batch = options.batch.clamp(1, MAX_BATCH);
        let options = ScanOptions { batch, ..options };
        let summary = ScanSummary::default();
        Scan { pipeline, options, outage: Outage::default(), last_sweep: None, sweep_failed: false, summary }
    }

    /// Answers every sighting, in any order, by calling `answered` once for each; then sweeps once more.
    ///
    /// # Errors
    /// An engine stayed away beyond the patience, or something broke that waiting does not mend; or the ledger is for newer
    /// versions only by now, which is looked at before the first batch and between later ones. Sightings not answered by
    /// then are not answered.
    pub async fn run(
        &mut self,
        sightings: impl Stream<Item = Posting>,
        mut answered: impl FnMut(&Posting, &Outcome),
    ) -> Result<ScanSummary, PipelineError> {
        let mut sightings = pin!(sightings.fuse());
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let mut pause = FIRST_PAUSE;
        let mut exhausted = false;
        loop {
            self.sweep_if_due().await?;
            exhausted = exhausted || self.pipeline.stop.is_stopping();
            let mut batch = Vec::new();
            if !exhausted {
                exhausted = self.fill(&mut batch, sightings.as_mut(), waiting.is_empty()).await;
            }
            // New sightings first: most held postings are settled by then. A full queue goes before them.
            let retrying = batch.is_empty() || waiting.len() >= MAX_BATCH;
            if retrying {
                let room = MAX_BATCH.saturating_sub(batch.len()).min(waiting.len());
                batch.extend(waiting.drain(..room));
            }
            if batch.is_empty() {
                break;
            }
            if self.pipeline.stop.is_stopping() {
                for held in batch {
                    let outcome = Outcome::Deferred(DeferReason::ShuttingDown);
                    self.summary.count(&self.pipeline, &held.posting, &outcome);
                    answered(&held.posting, &outcome);
                }
                continue;
            }
            let before = self.summary.sightings;
            self.run_batch(batch, &mut waiting, &mut answered).await?;
            if retrying {
                pause = if self.summary.sightings > before {
                    FIRST_PAUSE
                } else {
                    (pause * 3 / 2).min(MAX_PAUSE)
                };
                if !waiting.is_empty() {
                    self.rest(pause).await;
                }
            }
        }
        self.sweep().await;
        Ok(self.summary.clone())
    }

    /// Takes a batch from the source; waits for it only where there is nothing else to do. Says whether the
    /// source has ended.
    async fn fill(
        &self,
        batch: &mut Vec<Waiting>,
        mut sightings: Pin<&mut impl Stream<Item = Posting>>,
        nothing_else: bool,
    ) -> bool {
        let since = self.pipeline.clock.now();
        let mut gathered_by = soon(GATHER);
        while batch.len() < self.options.batch {
            let next = if batch.is_empty() && nothing_else {
                tokio::select! {
                    next = sightings.next() => next,
                    () = self.pipeline.stop.stopping() => None,
                }
            } else {
                match tokio::time::timeout_at(gathered_by, sightings.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                }
            };
            match next {
                Some(posting) => {
                    if batch.is_empty() {
                        gathered_by = soon(GATHER);
                    }
                    batch.push(Waiting { posting, since });
                }
                None => return true,
            }
        }
        false
    }

    /// Sends what people approved, whether or not a feed still shows it, and calls `answered` once for each bid.
    ///
    /// # Errors
    /// As [`run`](Self::run). What was answered before stands.
    pub async fn send_approved(
        &mut self,
        mut answered: impl FnMut(&PostingId, &Outcome),
    ) -> Result<(), PipelineError> {
        self.look_whether_admitted().await?;
        loop {
            let pipeline = &self.pipeline;
            let sent = pipeline.send_approved(|posting, outcome| {
                pipeline.count(posting, Ok(outcome));
                answered(posting, outcome);
            });
            match sent.await {
                Err(error) if error.is_retryable() => {
                    self.keep_patience(Some(error), &mut VecDeque::new())?
                }
                other => {
                    self.all_is_well();
                    return other;
                }
            }
            self.rest(MAX_PAUSE).await;
        }
    }

    async fn run_batch(
        &mut self,
        batch: Vec<Waiting>,
        waiting: &mut VecDeque<Waiting>,
        answered: &mut impl FnMut(&Posting, &Outcome),
    ) -> Result<(), PipelineError> {
        let (postings, since): (Vec<Posting>, Vec<Moment>) =
            batch.into_iter().map(|w| (w.posting, w.since)).unzip();
        let (outcomes, told) = self.process_telling(&postings, answered).await;
        let (mut away, mut broken) = (None, None);
        // What an engine that went away left open is held by nobody else, however long the batch took meanwhile.
        let is_away = outcomes.iter().any(|outcome| matches!(outcome, Err(error) if error.is_retryable()));
        let now = self.pipeline.clock.now();
        for (index, ((posting, since), outcome)) in postings.into_iter().zip(since).zip(outcomes).enumerate()
        {
            match outcome {
                Ok(_) if told.contains(&index) => {}
                Ok(Outcome::HeldElsewhere { holder, remaining }) => {
                    let outcome = Outcome::HeldElsewhere { holder, remaining };
                    let since = if is_away { now } else { since };
                    self.wait_or_answer(Waiting { posting, since }, outcome, waiting, answered);
                }
                Ok(outcome) => {
                    self.summary.count(&self.pipeline, &posting, &outcome);
                    answered(&posting, &outcome);
                }
                Err(error) if error.is_retryable() => {
                    waiting.push_back(Waiting { posting, since: self.pipeline.clock.now() });
                    away = Some(error);
                }
                // Told at the end: what became of the others must not be lost with it.
                Err(error) => {
                    self.pipeline.count(&posting.id, Err(&error));
                    broken = broken.or(Some(error));
                }
            }
        }
        broken.map_or_else(|| self.keep_patience(away, waiting), Err)
    }

    /// Runs a batch and tells what each sender brings back when it does, not when the slowest one is back: a
    /// reader that goes away is noticed while there is something left to stop. Says which were told.
    async fn process_telling(
        &mut self,
        postings: &[Posting],
        answered: &mut impl FnMut(&Posting, &Outcome),
    ) -> (Vec<Result<Outcome, PipelineError>>, HashSet<usize>) {
        let (sender, mut senders) = mpsc::unbounded_channel();
        let pipeline = Arc::clone(&self.pipeline);
        let mut work = pin!(pipeline.process_batch_telling(postings, Some(sender)));
        let mut told = HashSet::new();
        let mut tell = |summary: &mut ScanSummary, (index, outcome): (usize, Outcome)| {
            // A held posting is tried again instead.
            if !matches!(outcome, Outcome::HeldElsewhere { .. }) {
                summary.count(&self.pipeline, &postings[index], &outcome);
                answered(&postings[index], &outcome);
                told.insert(index);
            }
        };
        let outcomes = loop {
            tokio::select! {
                biased;
                Some(news) = senders.recv() => tell(&mut self.summary, news),
                outcomes = &mut work => break outcomes,
            }
        };
        while let Ok(news) = senders.try_recv() {
            tell(&mut self.summary, news);
        }
        (outcomes, told)
    }

    fn wait_or_answer(
        &mut self,
        held: Waiting,
        outcome: Outcome,
        waiting: &mut VecDeque<Waiting>,
        answered: &mut impl FnMut(&Posting, &Outcome),
    ) {
        let waited = self.pipeline.clock.now().since(held.since);
        let outcome = if self.pipeline.stop.is_stopping() {
            Outcome::Deferred(DeferReason::ShuttingDown)
        } else if waited < self.options.wait {
            waiting.push_back(held);
            return;
        } else {
            outcome
        };
        self.summary.count(&self.pipeline, &held.posting, &outcome);
        answered(&held.posting, &outcome);
    }

    /// An engine may be away for so long; while it is, held postings do not grow old.
    fn keep_patience(
        &mut self,
        away: Option<PipelineError>,
        waiting: &mut VecDeque<Waiting>,
    ) -> Result<(), PipelineError> {
        let Some(error) = away else {
            self.all_is_well();
            return Ok(());
        };
        let now = self.pipeline.clock.now();
        let (since, say) = self.outage.goes_on(now);
        let away_for = now.since(since);
        if away_for >= self.options.patience || self.pipeline.stop.is_stopping() {
            return Err(error);
        }
        if say {
            let (away_s, patience_s) = (away_for.as_secs(), self.options.patience.as_secs());
            tracing::warn!(%error, away_s, patience_s, "an engine is away; nothing is sent until it is back");
        } else {
            tracing::debug!(%error, "the engine is away still");
        }
        for held in waiting.iter_mut() {
            held.since = now;
        }
        Ok(())
    }

    fn all_is_well(&mut self) {
        if let Some(since) = self.outage.ends() {
            let away_s = self.pipeline.clock.now().since(since).as_secs();
            tracing::warn!(away_s, "the engine is back; the scan goes on");
        }
    }

    async fn rest(&self, pause: Duration) {
        let jitter = rand::rng().random_range(0.8..1.2);
        tokio::select! {
            () = self.pipeline.clock.sleep_until(self.pipeline.clock.now().later(pause.mul_f64(jitter))) => {}
            () = self.pipeline.stop.stopping() => {}
        }
    }

    async fn sweep_if_due(&mut self) -> Result<(), PipelineError> {
        let interval = (self.pipeline.options.ttl / 3).min(MAX_SWEEP_INTERVAL);
        let now = self.pipeline.clock.now();
        if self.last_sweep.is_none_or(|last| now.since(last) >= interval) {
            self.look_whether_admitted().await?;
            self.sweep().await;
        }
        Ok(())
    }

    /// A newer bidlock may have migrated the ledger while this one runs: then it ends, as it could not begin now.
    async fn look_whether_admitted(&self) -> Result<(), PipelineError> {
        match self.pipeline.ledger.still_admits().await {
            Err(error) if !error.is_retryable() => Err(error.into()),
            // Away: what comes next meets the same, and has patience.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Others sweep too, so that a sweep that fails only waits for the next one.
    async fn sweep(&mut self) {
        if !self.pipeline.marketplace.capabilities().sends {
            return; // a dry run writes nothing
        }
        self.last_sweep = Some(self.pipeline.clock.now());
        match self.pipeline.ledger.sweep(SWEEP_LIMIT).await {
            Ok(swept) => {
                self.sweep_failed = false;
                self.summary.swept += u64::from(swept.abandoned + swept.unknown);
                self.summary.swept_unknown += u64::from(swept.unknown);
                if swept.total() > 0 {
                    tracing::info!(?swept, "swept what vanished scanners left behind");
                }
            }
            // Said once, and not at all beside the outage that it is a part of.
            Err(error) if self.sweep_failed || self.outage.is_on() => {
                tracing::debug!(%error, "the sweep failed; the next one goes on");
            }
            Err(error) => {
                self.sweep_failed = true;
                tracing::warn!(%error, "the sweep failed; the next one goes on");
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the runtime's timers know no other clock, and nothing is decided by it"
)]
fn soon(wait: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + wait
}

//! The writer thread: what is queued becomes one transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    Effect, Error, ErrorKind, HostClock, HostInstant,
    clock::monotonic,
    error::{is_io_failure, kind_of},
    queue::Queue,
    turnstile::Turnstile,
    watch::Watch,
};

/// The most jobs that one commit carries: bounds how long other processes wait for the lock.
pub const MAX_JOBS_PER_COMMIT: usize = 256;
/// The longest time to wait for further jobs before a commit; the last commit's own length bounds it too.
const MAX_LINGER: Duration = Duration::from_millis(1);
/// A thread's sleeps are rounded up by this; the kernel's default of 50 us would double each poll.
const TIMER_SLACK_NS: std::num::NonZeroU64 = std::num::NonZeroU64::MIN.saturating_add(999);

/// What a task asks of the writer. Runs once or twice, see [`Writer::commit`].
pub(crate) trait Job: Send {
    fn run(&mut self, tx: &Transaction<'_>, now: HostInstant) -> rusqlite::Result<()>;
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

pub(crate) struct WriteJob<F, T> {
    pub(crate) work: F,
    pub(crate) value: Option<T>,
    pub(crate) reply: oneshot::Sender<Result<T, Error>>,
    pub(crate) _room: OwnedSemaphorePermit,
}

impl<F, T> Job for WriteJob<F, T>
where
    F: FnMut(&Transaction<'_>, HostInstant) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Transaction<'_>, now: HostInstant) -> rusqlite::Result<()> {
        self.value = None;
        self.value = Some((self.work)(tx, now)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        // Without an error the job has run to its end, so the value is there. The receiver may be gone: its
        // task was cancelled, and the transaction stands all the same.
        match (outcome, self.value) {
            (Err(e), _) => drop(self.reply.send(Err(e))),
            (Ok(()), Some(value)) => drop(self.reply.send(Ok(value))),
            (Ok(()), None) => {}
        }
    }
}

pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) conn: Connection,
    pub(crate) clock: Arc<dyn HostClock>,
    pub(crate) turnstile: Turnstile,
    pub(crate) queue: Arc<Queue<Box<dyn Job>>>,
    pub(crate) watch: Watch,
}

type Jobs = Vec<Box<dyn Job>>;

/// How one run of a batch through a transaction ended.
enum Pass {
    /// Committed; some jobs may have been rolled back on their own.
    Committed(Vec<Option<Error>>),
    /// Nothing was committed, as this job failed.
    Spoilt(usize, Error),
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        if let Err(e) = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS)) {
            tracing::debug!(error = %e, "can't set the writer's timer slack; polls take longer");
        }
        let mut poisoned: Option<Error> = None;
        let mut jobs = Jobs::with_capacity(MAX_JOBS_PER_COMMIT);
        // Whoever was in the last commit is likely to ask again at once: waiting for them, for no longer
        // than that commit took, makes full batches of what would be alternating small and large ones.
        let (mut hoped_for, mut linger) = (1, Duration::ZERO);
        while self.queue.gather(&mut jobs, MAX_JOBS_PER_COMMIT, hoped_for, linger) {
            if let Some(error) = &poisoned {
                jobs.drain(..).for_each(|job| job.finish(Err(error.clone())));
                continue;
            }
            let began = monotonic();
            let count = self.commit(&mut jobs, &mut poisoned);
            (hoped_for, linger) = (count, monotonic().saturating_sub(began).min(MAX_LINGER));
        }
        self.watch.close(&self.conn);
    }

    /// Commits a batch. First without savepoints, which cost a fifth; if a job fails, everything is rolled
    /// back and the others run a second time, each in a savepoint of its own.
    fn commit(&mut self, jobs: &mut Jobs, poisoned: &mut Option<Error>) -> usize {
        let mut outcome = self.pass(jobs, false);
        if let Ok(Pass::Spoilt(index, error)) = outcome {
            jobs.remove(index).finish(Err(error));
            if jobs.is_empty() {
                return 1;
            }
            outcome = self.pass(jobs, true);
        }
        let count = jobs.len();
        match outcome {
            Ok(Pass::Committed(mut failures)) => {
                failures.resize_with(count, || None);
                for (job, failure) in jobs.drain(..).zip(failures) {
                    job.finish(failure.map_or(Ok(()), Err));
                }
            }
            Ok(Pass::Spoilt(_, error)) | Err(error) => {
                if error.kind() == ErrorKind::Poisoned {
                    tracing::error!(path = %self.path.display(), %error, "the file can't be relied on");
                }
                if error.as_sqlite().is_some_and(is_io_failure) {
                    let later = error.clone().with_effect(Effect::NotApplied);
                    *poisoned = Some(later);
                }
                jobs.drain(..).for_each(|job| job.finish(Err(error.clone())));
            }
        }
        count
    }

    /// Runs the jobs in one transaction. `isolate` gives each a savepoint.
    fn pass(&mut self, jobs: &mut Jobs, isolate: bool) -> Result<Pass, Error> {
        let path = self.path.clone();
        let failed = |doing: &'static str| move |e| Error::sqlite(&path, doing, e);
        let turn = self.turnstile.enter();
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate);
        drop(turn);
        let tx = tx.map_err(failed("can't begin to write"))?;
        self.watch.check()?;
        if !isolate {
            // The lock may have been long in coming: take along who has come meanwhile.
            self.queue.top_up(jobs, MAX_JOBS_PER_COMMIT);
        }
        let mut failures = Vec::new();
        for (index, job) in jobs.iter_mut().enumerate() {
            match self.run_job(&tx, job, isolate) {
                Ok(()) => {}
                Err(error) if tx.is_autocommit() || is_fatal(error.kind()) => return Err(error),
                Err(error) if !isolate => return Ok(Pass::Spoilt(index, error)),
                Err(error) => {
                    failures.resize_with(index, || None);
                    failures.push(Some(error));
                }
            }
        }
        self.finish(tx)?;
        Ok(Pass::Committed(failures))
    }

    fn run_job(&self, tx: &Transaction<'_>, job: &mut Box<dyn Job>, isolate: bool) -> Result<(), Error> {
        let failed = |e| Error::sqlite(&self.path, "a statement failed", e);
        if isolate {
            tx.execute_batch("SAVEPOINT job").map_err(failed)?;
        }
        let now = self.clock.now();
        let result = match catch_unwind(AssertUnwindSafe(|| job.run(tx, now))) {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(Error::new(ErrorKind::Panicked, &self.path, "a write job panicked; this is a bug")),
        };
        if isolate && !tx.is_autocommit() {
            let undo = if result.is_err() { "ROLLBACK TO job; RELEASE job" } else { "RELEASE job" };
            tx.execute_batch(undo).map_err(failed)?;
        }
        result
    }

    fn finish(&self, tx: Transaction<'_>) -> Result<(), Error> {
        tx.commit().map_err(|e| {
            // A commit that met a full or failing disk may have left its last page behind.
            let effect = match kind_of(&e) {
                ErrorKind::Poisoned | ErrorKind::Corrupt => Effect::Unknown,
                _ => Effect::NotApplied,
            };
            Error::sqlite(&self.path, "can't commit", e).with_effect(effect)
        })?;
        // Moved in between: whoever opens the path now does not see what was just committed.
        self.watch.check().map_err(|e| e.with_effect(Effect::Unknown))
    }
}

/// Faults after which the rest of the batch has no sense either.
fn is_fatal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Poisoned | ErrorKind::Corrupt | ErrorKind::Busy | ErrorKind::Unfit)
}

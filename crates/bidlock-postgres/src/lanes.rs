//! Few connections for many tasks: what waits while a lane is busy becomes its next batch.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_postgres::Row;

use crate::{Argument, Effect, Error, ErrorKind, ManualClock, Result, Session, Target, pipelined};

/// Jobs that may wait or run at once; a task with one more waits until one is done.
pub const MAX_QUEUED_JOBS: usize = 1_024;
/// How often a transaction that met another one is run again.
const MAX_CONFLICTS: u32 = 10;
/// The first pause after a conflict; it doubles, up to 2^6 of it, and is spread so that the two do not meet again.
const CONFLICT_PAUSE: Duration = Duration::from_micros(500);
/// How often a lane lets other tasks run first while the queue still grows.
const MAX_YIELDS: usize = 16;

/// What a task asks of a lane.
pub trait Job: Send + 'static {
    /// How many requests it carries; a batch is bounded by their sum.
    fn weight(&self) -> usize;
}

/// How a batch is worked off. It answers every job itself.
type Work<J> = dyn for<'a> Fn(&'a mut Lane, Vec<J>) -> BoxFuture<'a, ()> + Send + Sync;

/// Some connections and a queue in front of them.
#[derive(Debug)]
pub struct Lanes<J: Job> {
    queue: Arc<Queue<J>>,
    place: Arc<str>,
}

impl<J: Job> Lanes<J> {
    /// Starts `count` lanes on the current runtime. Each connects when it has its first job; one of them goes on
    /// with `session`. A batch carries at most `max_weight` requests, or one job.
    pub fn start(
        target: &Target,
        clock: Option<&ManualClock>,
        session: Option<Session>,
        (count, max_weight): (usize, usize),
        work: impl for<'a> Fn(&'a mut Lane, Vec<J>) -> BoxFuture<'a, ()> + Send + Sync + 'static,
    ) -> Lanes<J> {
        let queue = Arc::new(Queue::new());
        let work: Arc<Work<J>> = Arc::new(work);
        let mut session = session;
        for _ in 0..count {
            let lane =
                Lane { target: target.clone(), clock: clock.cloned(), session: session.take().map(Arc::new) };
            tokio::spawn(drive(lane, Arc::clone(&queue), max_weight, Arc::clone(&work)));
        }
        Lanes { queue, place: Arc::clone(target.place()) }
    }

    /// Waits for room in the queue, queues a job, and waits for its answer.
    ///
    /// # Errors
    /// What the job met; or that nobody works jobs off any more: then its effect is unknown if it was queued.
    pub async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> J) -> Result<T> {
        let gone = |effect| {
            let message = "the runtime on which this was opened has ended, or a batch panicked";
            Error::new(ErrorKind::Unavailable, &self.place, message).with_effect(effect)
        };
        let room =
            Arc::clone(&self.queue.room).acquire_owned().await.map_err(|_| gone(Effect::NotApplied))?;
        let (sender, receiver) = oneshot::channel();
        self.push(job(Reply { sender, _room: room }));
        receiver.await.unwrap_or_else(|_| Err(gone(Effect::Unknown)))
    }

    /// Queues a job that nobody waits for.
    pub fn push(&self, job: J) {
        self.queue.lock().jobs.push_back(job);
        self.queue.wake.notify_one();
    }
}

/// Where a job's answer goes. Keeps the job's room in the queue until then.
#[derive(Debug)]
pub struct Reply<T> {
    sender: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

impl<T> Reply<T> {
    /// Answers. Whoever asked may be gone, its task cancelled: what was done stands all the same.
    pub fn send(self, answer: Result<T>) {
        drop(self.sender.send(answer));
    }
}

impl<J: Job> Drop for Lanes<J> {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_waiters();
        self.queue.wake.notify_one();
    }
}

async fn drive<J: Job>(mut lane: Lane, queue: Arc<Queue<J>>, max_weight: usize, work: Arc<Work<J>>) {
    while let Some(jobs) = queue.take(max_weight).await {
        if AssertUnwindSafe(work(&mut lane, jobs)).catch_unwind().await.is_err() {
            tracing::error!(place = %lane.target.place(), "a batch panicked; this is a bug");
            lane.session = None;
        }
    }
    // The next one of those who wait to be told.
    queue.wake.notify_one();
}

/// One lane's connection.
#[derive(Debug)]
pub struct Lane {
    target: Target,
    clock: Option<ManualClock>,
    session: Option<Arc<Session>>,
}

impl Lane {
    /// Runs a transaction. Where it met another one it was undone, and is run again. Where the connection was lost,
    /// it is run again over a new one if `repeatable`: the transaction recognises what an earlier run of it did.
    ///
    /// # Errors
    /// What the last run met. The effect is unknown where an answer was lost.
    pub async fn transact<T, F: Future<Output = Result<T>>>(
        &mut self,
        repeatable: bool,
        run: impl Fn(Arc<Session>) -> F,
    ) -> Result<T> {
        let (mut conflicts, mut losses) = (0, 0);
        let mut effect = Effect::NotApplied;
        loop {
            let ran = match self.session().await {
                Ok(session) => run(session).await,
                Err(error) => Err(error),
            };
            let Err(error) = ran else { return ran };
            if error.effect() == Effect::Unknown {
                effect = Effect::Unknown;
            }
            if error.kind() == ErrorKind::Conflict && conflicts < MAX_CONFLICTS {
                self.undo().await;
                conflicts += 1;
                tokio::time::sleep(pause(conflicts)).await;
                continue;
            }
            if error.ends_session() {
                self.session = None;
                if repeatable && losses == 0 && error.effect() == Effect::Unknown {
                    losses += 1;
                    continue;
                }
            } else {
                self.undo().await;
            }
            return Err(error.with_effect(effect));
        }
    }

    /// Runs statements that each stand alone, in one message there and one back. One that met another transaction is
    /// run again; the others keep their answers.
    pub async fn pipeline(&mut self, statements: &[(&str, Vec<Argument<'_>>)]) -> Vec<Result<Vec<Row>>> {
        let mut answers: Vec<Option<Result<Vec<Row>>>> = statements.iter().map(|_| None).collect();
        for conflicts in 0..=MAX_CONFLICTS {
            let open: Vec<usize> = (0..statements.len()).filter(|&at| is_open(&answers[at])).collect();
            if open.is_empty() {
                break;
            }
            if conflicts > 0 {
                tokio::time::sleep(pause(conflicts)).await;
            }
            let session = match self.session().await {
                Ok(session) => session,
                Err(error) => {
                    return answers.into_iter().map(|a| a.unwrap_or_else(|| Err(error.clone()))).collect();
                }
            };
            let asked = open.iter().map(|&at| session.query(statements[at].0, &statements[at].1).boxed());
            for (&at, answer) in open.iter().zip(pipelined(asked.collect()).await) {
                if answer.as_ref().is_err_and(Error::ends_session) {
                    self.session = None;
                }
                answers[at] = Some(answer);
            }
        }
        let none = || Err(Error::unreadable("a statement got no answer"));
        answers.into_iter().map(|answer| answer.unwrap_or_else(none)).collect()
    }

    async fn session(&mut self) -> Result<Arc<Session>> {
        if let Some(session) = self.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        self.session = None;
        let session = Arc::new(Session::connect(&self.target, self.clock.clone()).await?);
        self.session = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Ends a transaction that failed half-way. A session on which that fails is given up.
    async fn undo(&mut self) {
        if let Some(session) = &self.session
            && session.run("ROLLBACK").await.is_err()
        {
            self.session = None;
        }
    }
}

fn is_open<T>(answer: &Option<Result<T>>) -> bool {
    match answer {
        None => true,
        Some(Err(error)) => error.kind() == ErrorKind::Conflict,
        Some(Ok(_)) => false,
    }
}

fn pause(conflicts: u32) -> Duration {
    CONFLICT_PAUSE * 2_u32.pow(conflicts.min(6)) * rand::random_range(50..150) / 100
}

#[derive(Debug)]
struct Queue<J> {
    state: Mutex<State<J>>,
    wake: Notify,
    room: Arc<Semaphore>,
}

struct State<J> {
    jobs: VecDeque<J>,
    closed: bool,
}

impl<J> Debug for State<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("closed", &self.closed).finish()
    }
}

impl<J: Job> Queue<J> {
    fn new() -> Queue<J> {
        Queue {
            state: Mutex::new(State { jobs: VecDeque::new(), closed: false }),
            wake: Notify::new(),
            room: Arc::new(Semaphore::new(MAX_QUEUED_JOBS)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch; `None` once the queue is closed and empty.
    async fn take(&self, max_weight: usize) -> Option<Vec<J>> {
        loop {
            let woken = self.wake.notified();
            let (length, closed) = {
                let state = self.lock();
                (state.jobs.len(), state.closed)
            };
            if length == 0 {
                if closed {
                    return None;
                }
                woken.await;
                continue;
            }
            self.let_others_join(length).await;
            let batch = self.drain(max_weight);
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// The tasks that the last batch has answered ask again at once; without this they would meet a lane that takes
    /// the first of them alone.
    async fn let_others_join(&self, mut length: usize) {
        for _ in 0..MAX_YIELDS {
            tokio::task::yield_now().await;
            let now = self.lock().jobs.len();
            if now <= length {
                return;
            }
            length = now;
        }
    }

    fn drain(&self, max_weight: usize) -> Vec<J> {
        let mut state = self.lock();
        let (mut batch, mut weight) = (Vec::new(), 0);
        while let Some(job) = state.jobs.front() {
            weight += job.weight();
            if weight > max_weight && !batch.is_empty() {
                break;
            }
            batch.extend(state.jobs.pop_front());
        }
        if !state.jobs.is_empty() {
            self.wake.notify_one();
        }
        batch
    }
}

//! A bounded queue from tasks to a thread.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::monotonic;

/// Jobs that may wait or run at once; a task with one more waits until one is done.
pub(crate) const MAX_QUEUED_JOBS: usize = 1_024;

/// Jobs in the order in which they came.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// A sleeping consumer wants to be woken when so many jobs are here.
    wanted: usize,
    closed: bool,
}

impl<J> std::fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("jobs", &self.lock().jobs.len()).finish()
    }
}

impl<J> Queue<J> {
    pub(crate) fn new() -> Queue<J> {
        Queue {
            state: Mutex::new(State { jobs: VecDeque::new(), wanted: 1, closed: false }),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(MAX_QUEUED_JOBS)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room. The permit travels with the job, so that a job whose task has gone still counts.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// Adds a job; gives it back if the queue is closed.
    pub(crate) fn push(&self, job: J) -> Result<(), J> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.jobs.push_back(job);
        let wake = state.jobs.len() >= state.wanted;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for one job, then up to `linger` for `hoped_for` of them, and moves at most `most` to `into`.
    /// False once the queue is closed and empty.
    pub(crate) fn gather(&self, into: &mut Vec<J>, most: usize, hoped_for: usize, linger: Duration) -> bool {
        let mut state = self.lock();
        state.wanted = 1;
        while state.jobs.is_empty() {
            if state.closed {
                return false;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let start = monotonic();
        while state.jobs.len() < hoped_for.min(most) && !state.closed {
            let Some(left) = linger.checked_sub(monotonic().saturating_sub(start)).filter(|l| !l.is_zero())
            else {
                break;
            };
            state.wanted = hoped_for.min(most);
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wanted = 1;
        move_jobs(&mut state.jobs, into, most);
        true
    }

    /// Moves what is here, so that `into` holds at most `most`.
    pub(crate) fn top_up(&self, into: &mut Vec<J>, most: usize) {
        move_jobs(&mut self.lock().jobs, into, most);
    }

    /// Lets the consumer finish what is queued; no more is taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_all();
    }
}

fn move_jobs<J>(from: &mut VecDeque<J>, into: &mut Vec<J>, most: usize) {
    let count = from.len().min(most.saturating_sub(into.len()));
    into.extend(from.drain(..count));
}

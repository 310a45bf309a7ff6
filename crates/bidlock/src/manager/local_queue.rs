//! One queue a key in front of the backend: of all the tasks of a manager that wait for a key, one asks the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use crate::backend::Held;
use crate::key::LockKey;
use crate::sync::locked;

/// How many tasks of one manager may wait at a time: each costs memory, and so many are a mistake elsewhere.
pub(super) const MAX_WAITING: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct LocalQueues(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queues: HashMap<LockKey, (Arc<LocalQueue>, usize)>,
    waiting: usize,
}

/// The queue for one key; first come, first served.
#[derive(Debug)]
pub(super) struct LocalQueue {
    turn: Semaphore,
    /// Who held the lock when the store was last asked, for those whose time runs out before their turn.
    last_seen: Mutex<Option<Held>>,
}

/// A place in a queue; leaves it when dropped.
pub(super) struct Place<'a> {
    queues: &'a LocalQueues,
    key: &'a LockKey,
    queue: Arc<LocalQueue>,
}

impl LocalQueues {
    /// A place at the queue's end, or `None` where too many wait.
    pub(super) fn join<'a>(&'a self, key: &'a LockKey) -> Option<Place<'a>> {
        let mut state = locked(&self.0);
        if state.waiting >= MAX_WAITING {
            return None;
        }
        state.waiting += 1;
        let (queue, count) = state.queues.entry(key.clone()).or_insert_with(|| {
            (Arc::new(LocalQueue { turn: Semaphore::new(1), last_seen: Mutex::new(None) }), 0)
        });
        *count += 1;
        Some(Place { queues: self, key, queue: Arc::clone(queue) })
    }
}

impl Place<'_> {
    /// Waits to be first; whoever holds the permit asks the store.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.queue.turn.acquire().await
    }

    pub(super) fn saw(&self, held: &Held) {
        *locked(&self.queue.last_seen) = Some(held.clone());
    }

    pub(super) fn last_seen(&self) -> Option<Held> {
        locked(&self.queue.last_seen).clone()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.queues.0);
        state.waiting -= 1;
        if let Some((_, count)) = state.queues.get_mut(self.key) {
            *count -= 1;
            if *count == 0 {
                state.queues.remove(self.key);
            }
        }
    }
}

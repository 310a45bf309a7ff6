//! The background releaser: gives back what was dropped, and what a cancelled or broken acquisition may have taken.
//!
//! One task per manager, alive while there is something to do; it ends a little after its manager does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::backend::{Grant, LockBackend, MAX_BATCH, Released};
use crate::clock::Clock;
use crate::sync::locked;

/// How many releases may wait. More are left to their TTL, with a warning: a store that is down must not eat memory.
const MAX_QUEUED: usize = 65_536;
/// How long a batch is tried before it is left to its TTL: longer than a scan waits for an engine that is away, so
/// that it does not find its own locks held when the engine is back.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before the second try; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// When a lock that may have been taken is looked for again: the request itself may still be on its way.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How long [`Releaser::flush`] waits at the most.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Releaser(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<Item>>,
    /// A task serves the queue. Cleared by the task's own guard, so also when its runtime ends under it.
    running: AtomicBool,
    idle: Notify,
    /// The first runtime that the manager was used on, for what is dropped outside of any.
    runtime: OnceLock<Handle>,
}

#[derive(Clone, Debug)]
struct Item {
    grant: Grant,
    /// The grant may not have been made yet: if nothing is found, look once more.
    maybe: bool,
}

impl Releaser {
    /// Queues one release; never blocks. `maybe`: it is not known whether the lock was granted.
    pub(crate) fn push(
        &self,
        backend: &Arc<dyn LockBackend>,
        clock: &Arc<dyn Clock>,
        grant: Grant,
        maybe: bool,
    ) {
        {
            let mut queue = locked(&self.0.queue);
            if queue.len() >= MAX_QUEUED {
                tracing::warn!(key = %grant.key, "too many releases wait: this lock is left to its TTL");
                return;
            }
            queue.push_back(Item { grant, maybe });
        }
        self.nudge(backend, clock);
    }

    /// Remembers the runtime of its caller, for later drops elsewhere.
    pub(crate) fn remember_runtime(&self) {
        if self.0.runtime.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            let _ = self.0.runtime.set(runtime); // another caller was first: its runtime does as well
        }
    }

    /// Starts the task if something waits and none runs, on the caller's runtime or the one remembered.
    pub(crate) fn nudge(&self, backend: &Arc<dyn LockBackend>, clock: &Arc<dyn Clock>) {
        let shared = &self.0;
        if locked(&shared.queue).is_empty() || shared.running.load(Ordering::Acquire) {
            return;
        }
        let Some(runtime) = Handle::try_current().ok().or_else(|| shared.runtime.get().cloned()) else {
            return;
        };
        if !shared.running.swap(true, Ordering::AcqRel) {
            let guard = Running(Arc::clone(shared));
            runtime.spawn(serve(guard, Arc::clone(backend), Arc::clone(clock)));
        }
    }

    /// Waits until nothing is queued or under way, for [`FLUSH_LIMIT`] at the most.
    pub(crate) async fn flush(&self, backend: &Arc<dyn LockBackend>, clock: &Arc<dyn Clock>) {
        let idle = async {
            loop {
                let mut idle = std::pin::pin!(self.0.idle.notified());
                idle.as_mut().enable();
                self.nudge(backend, clock);
                if !self.0.running.load(Ordering::Acquire) {
                    return;
                }
                idle.await;
            }
        };
        if tokio::time::timeout(FLUSH_LIMIT, idle).await.is_err() {
            tracing::warn!("some locks could not be released in time: they are left to their TTL");
        }
    }
}

struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
        self.0.idle.notify_waiters();
    }
}

async fn serve(running: Running, backend: Arc<dyn LockBackend>, clock: Arc<dyn Clock>) {
    let shared = Arc::clone(&running.0);
    let mut again: Vec<Grant> = Vec::new();
    loop {
        let batch: Vec<Item> = {
            let mut queue = locked(&shared.queue);
            let count = queue.len().min(MAX_BATCH);
            if count == 0 && again.is_empty() {
                // Under the queue's mutex: a push after this sees that no task runs, and starts one.
                drop(running);
                return;
            }
            queue.drain(..count).collect()
        };
        if batch.is_empty() {
            clock.sleep_until(clock.now().later(SECOND_LOOK)).await;
            release(&*backend, &*clock, &std::mem::take(&mut again)).await;
            continue;
        }
        let grants: Vec<Grant> = batch.iter().map(|item| item.grant.clone()).collect();
        let released = release(&*backend, &*clock, &grants).await;
        for (item, released) in batch.into_iter().zip(released) {
            if item.maybe && released != Released::Released && again.len() < MAX_BATCH {
                again.push(item.grant);
            }
        }
    }
}

/// Releases the batch, trying again while the engine is away; what could not be released is empty in the answer.
async fn release(backend: &dyn LockBackend, clock: &dyn Clock, grants: &[Grant]) -> Vec<Released> {
    let (start, mut pause) = (clock.now(), FIRST_PAUSE);
    loop {
        match backend.release(grants).await {
            Ok(released) => return released,
            Err(error) if error.is_retryable() && clock.now().since(start) < PATIENCE => {
                tracing::debug!(%error, "a release in the background failed, trying again");
                // A layer has asked again at once already: this only waits for the engine to come back.
                pause = if error.was_retried() { MAX_PAUSE } else { pause };
                clock.sleep_until(clock.now().later(pause)).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(error) => {
                let count = grants.len();
                tracing::warn!(%error, count, "locks could not be released: they are left to their TTL");
                return Vec::new();
            }
        }
    }
}

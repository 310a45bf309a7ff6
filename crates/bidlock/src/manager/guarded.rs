//! `with_lock`: work under a lock that is given back however the work ends.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::{Attempt, LockManager, Wait};
use crate::backend::{Held, Released};
use crate::error::Result;
use crate::key::LockKey;
use crate::lease::{Lease, LeaseView};

/// What [`LockManager::with_lock`] came to.
#[derive(Debug)]
#[must_use]
pub enum Guarded<T> {
    /// The work ran to its end, and this is its result.
    Done(T),
    /// The lock was held by another beyond the time limit; the work did not start.
    Held(Held),
    /// The lease was lost while the work ran; the work was cancelled at its next `await`.
    Lost,
}

impl<T> Guarded<T> {
    /// The work's result, if it ran to its end.
    pub fn done(self) -> Option<T> {
        match self {
            Guarded::Done(value) => Some(value),
            Guarded::Held(_) | Guarded::Lost => None,
        }
    }
}

impl LockManager {
    /// Runs `work` under the lock. The lock is released before this returns, also when the work returns an error of
    /// its own (in `Done`) or panics (the panic goes on afterwards); if this future is dropped, in the background.
    /// When the lease is lost, the work is dropped at its next `await`.
    ///
    /// # Errors
    /// The lock could not be asked for. A release that fails is logged and repeated in the background: the work is
    /// done, and its result is not thrown away for that.
    pub async fn with_lock<T, F, Fut>(&self, key: &LockKey, wait: Wait, work: F) -> Result<Guarded<T>>
    where
        F: FnOnce(LeaseView) -> Fut,
        Fut: Future<Output = T>,
    {
        let lease = match self.lock(key, wait).await? {
            Attempt::Acquired(lease) => lease,
            Attempt::Held(held) => return Ok(Guarded::Held(held)),
        };
        let view = lease.view();
        let outcome = {
            // Inside of the caught future, so that a panic in the closure itself is caught as well.
            let work = AssertUnwindSafe(async { work(view.clone()).await }).catch_unwind();
            tokio::select! {
                biased;
                outcome = work => Some(outcome),
                () = view.lost() => None,
            }
        };
        give_back(lease).await;
        match outcome {
            Some(Ok(value)) => Ok(Guarded::Done(value)),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(Guarded::Lost),
        }
    }
}

async fn give_back(lease: Lease) {
    let key = lease.key().clone();
    match lease.release().await {
        Ok(Released::Released) => {}
        Ok(found) => tracing::warn!(%key, ?found, "the lease had ended before the work under it"),
        Err(error) => tracing::warn!(%key, %error, "the lock is released in the background"),
    }
}

//! `LockManager`: what callers use. Asks a backend, and does once for all engines what engines should not each do.

mod asking;
mod builder;
mod guarded;
mod inner;
mod local_queue;
mod operator;
mod reentry;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

pub use builder::{DEFAULT_TTL, LockManagerBuilder, MIN_TTL};
pub use guarded::Guarded;
pub(crate) use inner::Inner;
pub use operator::CleanupScope;
pub use waiting::Wait;

use self::asking::Asking;
use crate::backend::{Acquire, Capability, Held, LockBackend, MAX_BATCH, Released};
use crate::backends;
use crate::error::Result;
use crate::key::LockKey;
use crate::lease::Lease;
use crate::stats::{Outcome, Stats};
use crate::token::HolderId;

/// Takes and gives back locks, on any backend. Cheap to clone; clones share everything.
///
/// Needs a tokio runtime. Leases are renewed in the background (unless switched off), also while the work under them
/// blocks its task; dropped leases are released in the background; an acquisition whose future is dropped half-way
/// is cleaned up. A manager does not survive a fork: the child gets an error and makes its own.
///
/// What a lock does *not* give: a holder that is paused beyond its TTL goes on without knowing, and then two work on
/// one key. Watch [`LeaseView::lost`](crate::LeaseView::lost), and rest what must happen once on the ledger.
///
/// ```
/// use bidlock::{Attempt, LockKey, LockManager};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let locks = LockManager::connect("memory:").await?;
/// let key = LockKey::posting("upwork", "job_123")?;
/// match locks.try_lock(&key).await? {
///     Attempt::Acquired(lease) => {
///         println!("mine, with token {}", lease.fencing_token());
///         lease.release().await?;
///     }
///     Attempt::Held(other) => println!("{} has it for another {:?}", other.holder, other.remaining),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LockManager {
    inner: Arc<Inner>,
}

/// What an attempt at a lock came to. Contention is an outcome, not an error.
#[derive(Debug)]
pub enum Attempt {
    /// The lock is ours.
    Acquired(Lease),
    /// Somebody else holds it, or held it still when the time limit passed.
    Held(Held),
}

impl Attempt {
    /// The lease, if there is one.
    pub fn acquired(self) -> Option<Lease> {
        match self {
            Attempt::Acquired(lease) => Some(lease),
            Attempt::Held(_) => None,
        }
    }

    /// Whether the lock is ours.
    pub fn is_acquired(&self) -> bool {
        matches!(self, Attempt::Acquired(_))
    }
}

impl LockManager {
    /// A manager on the backend that `url` names, with the default settings: `memory:`, `sqlite:…` or a plain path.
    ///
    /// # Errors
    /// The URL names no backend, or its store can't be opened.
    pub async fn connect(url: &str) -> Result<LockManager> {
        Ok(LockManager::new(backends::open(url).await?))
    }

    /// A manager on this backend, with the default settings.
    pub fn new(backend: Arc<dyn LockBackend>) -> LockManager {
        LockManager::builder(backend).build_with_valid_ttl()
    }

    /// A manager on this backend, with settings of your own.
    pub fn builder(backend: Arc<dyn LockBackend>) -> LockManagerBuilder {
        LockManagerBuilder::new(backend)
    }

    /// This manager with another TTL.
    ///
    /// # Errors
    /// As for [`LockManager::set_ttl`].
    pub fn with_ttl(self, ttl: Duration) -> Result<LockManager> {
        self.set_ttl(ttl)?;
        Ok(self)
    }

    /// How long new leases last without renewal.
    pub fn ttl(&self) -> Duration {
        self.inner.ttl()
    }

    /// Sets how long new leases last, for all clones; leases that are held keep theirs.
    ///
    /// # Errors
    /// Shorter than [`MIN_TTL`] or longer than a year.
    pub fn set_ttl(&self, ttl: Duration) -> Result<()> {
        self.inner.set_ttl(ttl)
    }

    /// As whom this manager takes locks.
    pub fn holder(&self) -> &HolderId {
        &self.inner.holder
    }

    /// What the backend can do.
    pub fn capability(&self) -> Capability {
        self.inner.backend.capability()
    }

    /// Takes the lock if it is free, and says who has it if not. Never waits for a holder.
    ///
    /// # Errors
    /// The store broke. The lock may have been taken for a moment: what was is given back in the background.
    pub async fn try_lock(&self, key: &LockKey) -> Result<Attempt> {
        self.inner.usable("try_lock")?;
        let asking = Asking::about(&self.inner, key);
        let request = self.inner.request(key);
        let answer = match (self.inner.reenter(key), asking.span()) {
            (Some(lease), _) => Ok(Attempt::Acquired(lease)),
            (None, None) => self.inner.ask_one(&request).await,
            (None, Some(span)) => self.inner.ask_one(&request).instrument(span).await,
        };
        asking.answered(answer, Outcome::Held)
    }

    /// Tries each of the keys, in as few calls to the store as there are [`MAX_BATCH`]es; answers in the same order.
    /// Each key stands for itself. A key named twice is granted once, and held by ourselves the second time.
    ///
    /// # Errors
    /// The store broke: no lease is returned, and what may have been granted is given back in the background.
    pub async fn try_lock_many(&self, keys: &[LockKey]) -> Result<Vec<Attempt>> {
        self.inner.usable("try_lock_many")?;
        let asking: Vec<Asking<'_>> = keys.iter().map(|key| Asking::about(&self.inner, key)).collect();
        let answers = self.ask_many(keys).await;
        match &answers {
            Ok(attempts) => {
                let each = asking.into_iter().zip(attempts);
                each.for_each(|(asking, attempt)| asking.ended(attempt, Outcome::Held));
            }
            Err(_) => asking.into_iter().for_each(Asking::failed),
        }
        answers
    }

    async fn ask_many(&self, keys: &[LockKey]) -> Result<Vec<Attempt>> {
        let mut attempts: Vec<Option<Attempt>> = Vec::with_capacity(keys.len());
        attempts.extend(keys.iter().map(|key| self.inner.reenter(key).map(Attempt::Acquired)));
        let open: Vec<usize> = (0..keys.len()).filter(|at| attempts[*at].is_none()).collect();
        for places in open.chunks(MAX_BATCH) {
            let requests: Vec<Acquire> = places.iter().map(|at| self.inner.request(&keys[*at])).collect();
            // On an error the leases of earlier batches are dropped here, and so released in the background.
            let answers = self.inner.ask(&requests).await?;
            for (at, answer) in places.iter().zip(answers) {
                attempts[*at] = Some(answer);
            }
        }
        Ok(attempts.into_iter().flatten().collect())
    }

    /// Takes the lock, waiting for a holder up to the limit. A failed wait lasts at least the limit and less than
    /// half a second more, and gives `Held`.
    ///
    /// Waiters of one manager stand in one queue a key, first come first served, and only the first of them asks the
    /// store: woken by a release where the store can, and otherwise by polling, from 50 ms growing to 1 s.
    ///
    /// # Errors
    /// The store broke or did not answer within the limit; or too many tasks of this manager wait already.
    pub async fn lock(&self, key: &LockKey, wait: Wait) -> Result<Attempt> {
        if wait.is_none() {
            return self.try_lock(key).await;
        }
        self.inner.usable("lock")?;
        let asking = Asking::about(&self.inner, key);
        let answer = match (self.inner.reenter(key), asking.span()) {
            (Some(lease), _) => Ok(Attempt::Acquired(lease)),
            (None, None) => waiting::wait_for(&self.inner, key, wait).await,
            (None, Some(span)) => waiting::wait_for(&self.inner, key, wait).instrument(span).await,
        };
        asking.answered(answer, Outcome::Timeout)
    }

    /// Releases many leases in as few calls as there are [`MAX_BATCH`]es; answers in the same order. Dropping the
    /// future half-way leaves the rest to the background.
    ///
    /// # Errors
    /// The store broke: leases that may still be held are released in the background.
    pub async fn release_many(&self, leases: Vec<Lease>) -> Result<Vec<Released>> {
        self.inner.same_process("release_many")?;
        let grants: Vec<_> = leases.into_iter().map(Lease::into_grant).collect();
        let mut pending = inner::InFlight::releases(&self.inner, grants.iter().flatten().cloned().collect());
        let mut answers = Vec::with_capacity(grants.len());
        while let Some(batch) = pending.next_batch(MAX_BATCH) {
            let released = self.inner.backend.release(batch).await?;
            if released.len() != batch.len() {
                return Err(self.inner.wrong_count("release"));
            }
            pending.batch_done(released.len());
            answers.extend(released);
        }
        // What needed no release of its own (a lease entered again) counts as released.
        let mut answers = answers.into_iter();
        let each = grants
            .iter()
            .map(|grant| grant.as_ref().and_then(|_| answers.next()).unwrap_or(Released::Released));
        Ok(each.collect())
    }

    /// What this manager has counted.
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot(self.inner.holdings.len())
    }

    #[cfg(feature = "conformance")]
    pub(crate) fn inner_clock_now(&self) -> crate::Moment {
        self.inner.clock.now()
    }
}

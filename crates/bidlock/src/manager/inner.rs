//! What the clones, leases and background tasks of one manager share, and how it asks its backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bidlock_canary::{Canary, removed};
use uuid::Uuid;

use super::local_queue::LocalQueues;
use super::reentry::Reentry;
use super::{Attempt, MIN_TTL};
use crate::audit::AuditTrail;
use crate::backend::{Acquire, Acquired, Grant, LockBackend, Shared};
use crate::clock::{Clock, Moment};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::fork;
use crate::holdings::Holdings;
use crate::key::LockKey;
use crate::lease::{Lease, LeaseState};
use crate::releaser::Releaser;
use crate::renewer::Renewer;
use crate::stats::Counters;
use crate::token::{FencingToken, HolderId, Nonce};

/// The longest TTL: a lock that outlives its holder by more than a year is a mistake in a unit.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);
/// How often an acquisition whose answer was lost is asked for again, under the same nonce, before its caller
/// hears of it.
const LOST_ANSWER_RETRIES: u32 = 2;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) backend: Arc<dyn LockBackend>,
    /// The backend's name, for errors and logs.
    pub(crate) name: &'static str,
    /// The backend is nothing but this process's memory.
    in_process: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) holder: HolderId,
    pub(crate) counters: Counters,
    pub(crate) audit: AuditTrail,
    pub(crate) holdings: Holdings,
    pub(crate) releaser: Releaser,
    pub(super) renewer: Option<Arc<Renewer>>,
    pub(super) queues: LocalQueues,
    reentry: Option<Reentry>,
    ttl_nanos: AtomicU64,
    nonce_base: u64,
    nonce_count: AtomicU64,
    born_in: u64,
    closed: AtomicBool,
}

impl Inner {
    pub(super) fn new(
        backend: Arc<dyn LockBackend>,
        clock: Arc<dyn Clock>,
        holder: HolderId,
        ttl: Duration,
        renewal: bool,
        reentry: Option<Reentry>,
        counters: Counters,
    ) -> Inner {
        fork::watch();
        Inner {
            name: backend.capability().name,
            in_process: backend.capability().shared == Shared::Process
                && backend.capability().name == "memory",
            backend,
            clock,
            holder,
            counters,
            audit: AuditTrail::default(),
            holdings: Holdings::default(),
            releaser: Releaser::default(),
            renewer: renewal.then(Renewer::new),
            queues: LocalQueues::default(),
            reentry,
            ttl_nanos: AtomicU64::new(Moment::ORIGIN.later(ttl).as_nanos()),
            nonce_base: Uuid::new_v4().as_u64_pair().0,
            nonce_count: AtomicU64::new(0),
            born_in: fork::generation(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_nanos(self.ttl_nanos.load(Ordering::Relaxed))
    }

    pub(super) fn set_ttl(&self, ttl: Duration) -> Result<()> {
        checked_ttl(self.name, ttl)?;
        self.ttl_nanos.store(Moment::ORIGIN.later(ttl).as_nanos(), Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// `true` if it was open.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Refuses what a forked child or a user of a closed manager asks.
    pub(super) fn usable(&self, operation: &'static str) -> Result<()> {
        self.same_process(operation)?;
        if self.is_closed() {
            let message = "the lock manager has been shut down";
            return Err(Error::new(ErrorKind::ShutDown, self.name, operation, message));
        }
        Ok(())
    }

    /// Refuses what a forked child asks.
    pub(crate) fn same_process(&self, operation: &'static str) -> Result<()> {
        if self.born_in == fork::generation() {
            return Ok(());
        }
        let message = "this process has forked since the lock manager was made";
        Err(Error::new(ErrorKind::Forked, self.name, operation, message)
            .with_hint("make a new lock manager after each fork"))
    }

    /// Leaves a release to the background. `maybe`: it is not known whether the lock was granted.
    pub(crate) fn release_later(&self, grant: Grant, maybe: bool) {
        // What a forked child drops is its parent's.
        if self.born_in == fork::generation() {
            self.releaser.push(&self.backend, &self.clock, grant, maybe);
        }
    }

    pub(super) fn request(&self, key: &LockKey) -> Acquire {
        let count = self.nonce_count.fetch_add(1, Ordering::Relaxed);
        let fresh = Nonce::new(self.nonce_base, count);
        Acquire {
            key: key.clone(),
            holder: self.holder.clone(),
            nonce: if removed(Canary::OneNonce) { Nonce::new(0, 0) } else { fresh },
            ttl: self.ttl(),
        }
    }

    pub(super) async fn ask_one(self: &Arc<Inner>, request: &Acquire) -> Result<Attempt> {
        let (sent, answers) = self.ask_backend(std::slice::from_ref(request)).await?;
        let answer = answers.into_iter().next().ok_or_else(|| self.wrong_count("try_acquire"))?;
        self.attempt(request, answer, sent)
    }

    pub(super) async fn ask(self: &Arc<Inner>, requests: &[Acquire]) -> Result<Vec<Attempt>> {
        let (sent, answers) = self.ask_backend(requests).await?;
        requests.iter().zip(answers).map(|(request, answer)| self.attempt(request, answer, sent)).collect()
    }

    /// Asks, and asks again under the same nonces if the answer was lost. Whatever is not answered in the end,
    /// because of an error or because this future is dropped, is given back in the background.
    async fn ask_backend(&self, requests: &[Acquire]) -> Result<(Moment, Vec<Acquired>)> {
        let mut pending = Unanswered { inner: self, requests };
        let mut retries_left = LOST_ANSWER_RETRIES;
        loop {
            let sent = self.clock.now();
            match self.backend.try_acquire(requests).await {
                Ok(answers) if answers.len() == requests.len() => {
                    pending.requests = &[];
                    return Ok((sent, answers));
                }
                Ok(_) => return Err(self.wrong_count("try_acquire")),
                // A refusal after a lost answer says nothing of the attempt whose answer was lost.
                Err(error) if error.effect() == Effect::NotApplied && retries_left == LOST_ANSWER_RETRIES => {
                    pending.requests = &[];
                    return Err(error);
                }
                Err(error) if retries_left == 0 || !error.is_retryable() || error.was_retried() => {
                    return Err(error.maybe_applied());
                }
                Err(error) => {
                    retries_left -= 1;
                    tracing::debug!(%error, "the answer was lost, asking again for the same attempt");
                }
            }
        }
    }

    fn attempt(self: &Arc<Inner>, request: &Acquire, answer: Acquired, sent: Moment) -> Result<Attempt> {
        match answer {
            Acquired::Held(held) => Ok(Attempt::Held(held)),
            Acquired::Granted(grant) => self.hold(grant, request.ttl, sent).map(Attempt::Acquired),
        }
    }

    /// Makes a lease of a grant whose request was sent at `sent`.
    pub(super) fn hold(self: &Arc<Inner>, grant: Grant, ttl: Duration, sent: Moment) -> Result<Lease> {
        self.hold_firm(grant, ttl, ttl, sent)
    }

    /// The same for a grant that lasts for `firm_for` until its first renewal, and for the TTL from then on.
    pub(super) fn hold_firm(
        self: &Arc<Inner>,
        grant: Grant,
        ttl: Duration,
        firm_for: Duration,
        sent: Moment,
    ) -> Result<Lease> {
        self.releaser.remember_runtime();
        let state = Arc::new(LeaseState::new(grant, ttl, firm_for, sent));
        self.holdings.insert(&state);
        self.counters.hold_began(&state.grant.key);
        let lease = Lease::new(Arc::clone(self), Arc::clone(&state));
        if let Some(reentry) = &self.reentry {
            reentry.note(&state);
        }
        // The closing look comes after the insertion, so a lease is either seen by the shutdown or refused here.
        self.usable("try_lock")?;
        // An engine in this process answers within the call: only this thread itself can have been late, and that
        // it can be after any look as well.
        if !self.in_process && self.clock.now() >= state.deadline() {
            let message = format!("the answer took longer than the TTL of {ttl:?}");
            return Err(Error::new(ErrorKind::Unavailable, self.name, "try_lock", message));
        }
        if let Some(renewer) = &self.renewer {
            renewer.expect(self, state.renew_at());
        }
        Ok(lease)
    }

    /// The lease that the running task already has, entered once more; only where re-entry was asked for.
    pub(super) fn reenter(self: &Arc<Inner>, key: &LockKey) -> Option<Lease> {
        let state = self.reentry.as_ref()?.enter(key)?;
        let lease = Lease::new(Arc::clone(self), state);
        // An entry into a lost lease would be a lock that excludes nobody: its drop counts the entry down again.
        (!lease.is_lost()).then_some(lease)
    }

    /// Counts one entry less; `true` if it was the last and the lock is to be freed.
    pub(crate) fn leave(&self, state: &Arc<LeaseState>) -> bool {
        self.reentry.as_ref().is_none_or(|reentry| reentry.leave(state))
    }

    pub(crate) fn wrong_count(&self, operation: &'static str) -> Error {
        let message = "the backend answered another number of requests than it was asked";
        Error::new(ErrorKind::Internal, self.name, operation, message).maybe_applied()
    }

    /// Queues the release of something that may have been granted.
    pub(super) fn give_back(&self, request: &Acquire) {
        let grant = Grant {
            key: request.key.clone(),
            holder: request.holder.clone(),
            nonce: request.nonce,
            token: FencingToken::new(0), // unknown, and nothing compares it
        };
        self.release_later(grant, true);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(renewer) = &self.renewer {
            renewer.stop();
        }
    }
}

/// Requests that the backend has been asked and has not answered.
struct Unanswered<'a> {
    inner: &'a Inner,
    requests: &'a [Acquire],
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if removed(Canary::LeakLocks) {
            return;
        }
        for request in self.requests {
            self.inner.give_back(request);
        }
    }
}

/// Releases under way in the foreground; what is left when it is dropped goes to the background.
pub(super) struct InFlight<'a> {
    inner: &'a Inner,
    grants: Vec<Grant>,
    done: usize,
}

impl<'a> InFlight<'a> {
    pub(super) fn releases(inner: &'a Inner, grants: Vec<Grant>) -> InFlight<'a> {
        InFlight { inner, grants, done: 0 }
    }

    pub(super) fn next_batch(&self, most: usize) -> Option<&[Grant]> {
        let rest = &self.grants[self.done..];
        (!rest.is_empty()).then(|| &rest[..rest.len().min(most)])
    }

    pub(super) fn batch_done(&mut self, count: usize) {
        self.done += count;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        for grant in self.grants.drain(self.done..) {
            self.inner.release_later(grant, false);
        }
    }
}

pub(super) fn checked_ttl(backend: &'static str, ttl: Duration) -> Result<()> {
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        return Ok(());
    }
    let message = format!("a TTL of {ttl:?} is not between {MIN_TTL:?} and a year");
    Err(Error::new(ErrorKind::Invalid, backend, "set_ttl", message).with_hint("300 s suits most"))
}

//! A held lock.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Span;

use crate::backend::{Grant, Released, Renewed};
use crate::clock::Moment;
use crate::error::Result;
use crate::holdings::NO_SLOT;
use crate::key::LockKey;
use crate::manager::Inner;
use crate::spans;
use crate::stats::Loss;
use crate::sync::locked;
use crate::token::{FencingToken, HolderId};

const HELD: u8 = 0;
const LOST: u8 = 1;
const DONE: u8 = 2;

/// A lock that this process holds, until [`Lease::release`], its loss, or its drop (which releases in the
/// background).
///
/// It is a filter, not a proof: a holder that is paused past its TTL is no longer alone. What must happen at most
/// once rests on the ledger's claim. Everything to ask of a lease is on [`LeaseView`], to which this derefs.
#[derive(Debug)]
pub struct Lease {
    view: LeaseView,
    /// Nothing is left to give back on drop.
    finished: bool,
    /// A release is under way: if it fails or is cancelled, it is repeated on drop.
    releasing: bool,
}

impl Lease {
    pub(crate) fn new(inner: Arc<Inner>, state: Arc<LeaseState>) -> Lease {
        Lease { view: LeaseView { inner, state }, finished: false, releasing: false }
    }

    /// What may be asked of this lease, to hand to the work under it. It does not keep the lease held.
    pub fn view(&self) -> LeaseView {
        self.view.clone()
    }

    /// Frees the lock and says what was found: `Expired` and `Stolen` mean that others may have worked on this key
    /// meanwhile. Of a lease entered again by its own task, only the last release frees the lock.
    ///
    /// Dropping the future half-way, or an error, leaves the release to the background.
    ///
    /// # Errors
    /// The store broke; the lock may have been freed, and is freed by its TTL at the latest. Or this is a forked
    /// child, and the lease its parent's.
    pub async fn release(mut self) -> Result<Released> {
        let LeaseView { inner, state } = &self.view;
        inner.same_process("release")?;
        let ended = if inner.leave(state) { state.finish(inner) } else { Ended::Before };
        if ended == Ended::Before {
            self.finished = true;
            return Ok(Released::Released);
        }
        self.releasing = true;
        let released = inner.backend.release(std::slice::from_ref(&state.grant)).await?;
        let released = released.first().copied().ok_or_else(|| inner.wrong_count("release"))?;
        if released != Released::Released && ended == Ended::Now {
            state.count_loss(inner, Loss::FoundAtRelease);
        }
        self.finished = true;
        Ok(released)
    }

    /// Takes the lease apart for a release in a batch: its grant, or `None` where nothing is to be freed.
    pub(crate) fn into_grant(mut self) -> Option<Grant> {
        self.finished = true;
        let LeaseView { inner, state } = &self.view;
        state.is_over(inner);
        (inner.leave(state) && state.finish(inner) != Ended::Before).then(|| state.grant.clone())
    }
}

impl std::ops::Deref for Lease {
    type Target = LeaseView;

    fn deref(&self) -> &LeaseView {
        &self.view
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let LeaseView { inner, state } = &self.view;
        state.is_over(inner); // a loss that nobody has noticed is noted now
        if self.releasing || (inner.leave(state) && state.finish(inner) != Ended::Before) {
            inner.release_later(state.grant.clone(), false);
        }
    }
}

/// What may be asked of a lease by the work that runs under it.
#[derive(Clone, Debug)]
pub struct LeaseView {
    pub(crate) inner: Arc<Inner>,
    pub(crate) state: Arc<LeaseState>,
}

impl LeaseView {
    /// What is locked.
    pub fn key(&self) -> &LockKey {
        &self.state.grant.key
    }

    /// Who holds it.
    pub fn holder(&self) -> &HolderId {
        &self.state.grant.holder
    }

    /// The token of this acquisition; a lease entered again has the same one.
    pub fn fencing_token(&self) -> FencingToken {
        self.state.grant.token
    }

    /// When this holder must have stopped, on its manager's clock: the TTL counted from *before* the last request
    /// that was granted was sent, less a margin for clocks that drift apart.
    pub fn deadline(&self) -> Moment {
        self.state.deadline()
    }

    /// How long the lease is good for, unless it is renewed; zero when it is lost or released.
    pub fn remaining(&self) -> Duration {
        if self.is_lost() { Duration::ZERO } else { self.deadline().since(self.inner.clock.now()) }
    }

    /// How long ago it was granted.
    pub fn held_for(&self) -> Duration {
        self.inner.clock.now().since(self.state.granted_at)
    }

    /// Whether the holder may no longer count on the lock: it expired, was taken away, or was released. Once lost, a
    /// lease stays lost.
    pub fn is_lost(&self) -> bool {
        self.state.is_over(&self.inner)
    }

    /// Resolves when [`is_lost`](LeaseView::is_lost) turns true: at the own deadline, or as soon as a renewal learns
    /// that the lock is gone. Work that must not overlap with another holder's stops here.
    pub async fn lost(&self) {
        self.state.watched.store(true, Ordering::SeqCst);
        loop {
            let mut changed = std::pin::pin!(self.state.changed.notified());
            changed.as_mut().enable();
            if self.is_lost() {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = self.inner.clock.sleep_until(self.deadline()) => {}
            }
        }
    }

    /// Gives the lease a full TTL from now. `Lost` if it was lost before, or is found to be.
    ///
    /// # Errors
    /// The store broke; the lease may have been renewed, and its deadline stays where it was.
    pub async fn renew(&self) -> Result<Renewed> {
        if self.is_lost() {
            return Ok(Renewed::Lost);
        }
        self.inner.same_process("renew")?;
        let sent = self.inner.clock.now();
        let grant = std::slice::from_ref(&self.state.grant);
        let renewed = self.inner.backend.renew(grant, self.state.ttl).await?;
        let renewed = renewed.first().copied().ok_or_else(|| self.inner.wrong_count("renew"))?;
        Ok(self.state.note_renewal(&self.inner, renewed, sent))
    }
}

/// What a manager knows of one lease; shared by the lease, its views and the renewer.
pub(crate) struct LeaseState {
    pub(crate) grant: Grant,
    pub(crate) ttl: Duration,
    pub(crate) granted_at: Moment,
    deadline_nanos: AtomicU64,
    pub(crate) renew_at_nanos: AtomicU64,
    pub(crate) slot: AtomicU32,
    /// How often its task has entered it; counted under the re-entry map's mutex.
    pub(crate) entries: AtomicU32,
    phase: AtomicU8,
    /// Somebody waits for `changed`, or once did.
    watched: AtomicBool,
    changed: Notify,
    /// The span of the hold while it lasts, where somebody listens to spans; boxed, since most leases have none.
    span: OnceLock<Box<Mutex<Option<Span>>>>,
}

/// How a lease was when it was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Held until now.
    Now,
    /// Lost.
    ByLoss,
    /// Finished before.
    Before,
}

impl LeaseState {
    /// A lease that was granted for `firm_for`, which is its TTL or shorter; renewals give it the TTL.
    pub(crate) fn new(grant: Grant, ttl: Duration, firm_for: Duration, sent: Moment) -> LeaseState {
        LeaseState {
            grant,
            ttl,
            granted_at: sent,
            deadline_nanos: AtomicU64::new(sent.own_deadline(firm_for).as_nanos()),
            renew_at_nanos: AtomicU64::new(sent.later(firm_for / 3).as_nanos()),
            slot: AtomicU32::new(NO_SLOT),
            entries: AtomicU32::new(1),
            phase: AtomicU8::new(HELD),
            watched: AtomicBool::new(false),
            changed: Notify::new(),
            span: OnceLock::new(),
        }
    }

    pub(crate) fn deadline(&self) -> Moment {
        Moment::from_nanos(self.deadline_nanos.load(Ordering::Acquire))
    }

    pub(crate) fn renew_at(&self) -> Moment {
        Moment::from_nanos(self.renew_at_nanos.load(Ordering::Relaxed))
    }

    /// By how much its renewal may come early, to share a call with others: a twelfth of what it is granted for.
    pub(crate) fn renewal_slack(&self) -> Duration {
        self.deadline().since(self.renew_at()) / 8
    }

    /// Looks whether the lease is over, and if only its deadline says so, makes that final.
    pub(crate) fn is_over(&self, inner: &Inner) -> bool {
        if self.phase.load(Ordering::SeqCst) != HELD {
            return true;
        }
        if inner.clock.now() < self.deadline() {
            return false;
        }
        self.lose(inner, Loss::Deadline);
        true
    }

    /// Takes the answer to a renewal that was sent at `sent`.
    pub(crate) fn note_renewal(&self, inner: &Inner, renewed: Renewed, sent: Moment) -> Renewed {
        match renewed {
            Renewed::Renewed => {
                self.deadline_nanos.fetch_max(sent.own_deadline(self.ttl).as_nanos(), Ordering::AcqRel);
                self.renew_at_nanos.store(sent.later(self.ttl / 3).as_nanos(), Ordering::Relaxed);
                // Somebody may have been told meanwhile that the old deadline has passed: then it stays lost.
                if self.phase.load(Ordering::Acquire) == HELD { Renewed::Renewed } else { Renewed::Lost }
            }
            Renewed::Lost => {
                self.lose(inner, Loss::Taken);
                Renewed::Lost
            }
        }
    }

    /// Held -> lost, once; a lease that is being released is not lost.
    pub(crate) fn lose(&self, inner: &Inner, loss: Loss) {
        if self.phase.compare_exchange(HELD, LOST, Ordering::SeqCst, Ordering::Acquire).is_err() {
            return;
        }
        inner.holdings.remove(self);
        self.count_loss(inner, loss);
        self.end_hold(inner, loss.as_str());
        self.tell();
    }

    fn count_loss(&self, inner: &Inner, loss: Loss) {
        inner.counters.lost(loss);
        let (key, holder) = (&self.grant.key, &self.grant.holder);
        tracing::warn!(backend = inner.name, %key, %holder, why = loss.as_str(), "lease lost");
    }

    /// Opens the span of the hold, once, as a child of whatever the caller is in; nothing where nobody listens.
    pub(crate) fn trace_hold(&self, inner: &Inner) {
        let span = spans::hold(inner.name, &self.grant);
        if !span.is_disabled() {
            let _ = self.span.set(Box::new(Mutex::new(Some(span)))); // a lease entered again goes on in its first span
        }
    }

    /// When the phase has left held, whatever it is now.
    fn end_hold(&self, inner: &Inner, how: &'static str) {
        let span = self.span.get();
        if span.is_none() && !inner.counters.wants_times() {
            return;
        }
        let held_for = inner.clock.now().since(self.granted_at);
        inner.counters.hold_ended(&self.grant.key, held_for);
        if let Some(span) = span.and_then(|span| locked(span).take()) {
            spans::hold_ended(&span, held_for, how);
        }
    }

    /// Anything -> done, and says what it was.
    pub(crate) fn finish(&self, inner: &Inner) -> Ended {
        let before = self.phase.swap(DONE, Ordering::SeqCst);
        inner.holdings.remove(self);
        match before {
            HELD => {
                self.end_hold(inner, "released");
                self.tell();
                Ended::Now
            }
            LOST => Ended::ByLoss,
            _ => Ended::Before,
        }
    }

    /// After the phase has changed; a watcher looks at the phase after it has said that it watches.
    fn tell(&self) {
        if self.watched.load(Ordering::SeqCst) {
            self.changed.notify_waiters();
        }
    }
}

impl std::fmt::Debug for LeaseState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseState")
            .field("grant", &self.grant)
            .field("ttl", &self.ttl)
            .field("deadline", &self.deadline())
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

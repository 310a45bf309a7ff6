//! The background renewer: one task per manager renews all of its leases at a third of their TTL, in batches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::backend::Grant;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::LeaseState;
use crate::manager::Inner;

/// The most leases in one renewal call: it must come back long before the shortest lease ends.
const MAX_RENEWALS: usize = 256;
/// The shortest pause between two rounds, so that a store that fails at once is not asked in a tight loop.
const MIN_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct Renewer {
    /// Cleared by the task's own guard, so also when its runtime ends under it.
    running: AtomicBool,
    next_round_nanos: AtomicU64,
    wake: Notify,
}

impl Renewer {
    pub(crate) fn new() -> Arc<Renewer> {
        Arc::new(Renewer {
            running: AtomicBool::new(false),
            next_round_nanos: AtomicU64::new(u64::MAX),
            wake: Notify::new(),
        })
    }

    /// Says that a lease wants its renewal at `at`.
    pub(crate) fn expect(self: &Arc<Renewer>, inner: &Arc<Inner>, at: Moment) {
        if !self.running.load(Ordering::Acquire) {
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            if !self.running.swap(true, Ordering::AcqRel) {
                runtime.spawn(serve(Running(Arc::clone(self)), Arc::downgrade(inner)));
            }
        }
        let at = at.as_nanos();
        if at < self.next_round_nanos.load(Ordering::Acquire)
            && at < self.next_round_nanos.fetch_min(at, Ordering::AcqRel)
        {
            self.wake.notify_one();
        }
    }

    /// Lets the task see that its manager has gone or been shut down.
    pub(crate) fn stop(&self) {
        self.wake.notify_one();
    }
}

struct Running(Arc<Renewer>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.next_round_nanos.store(u64::MAX, Ordering::Release);
        self.0.running.store(false, Ordering::Release);
    }
}

async fn serve(running: Running, manager: Weak<Inner>) {
    let renewer = &running.0;
    let mut nothing_held = false;
    loop {
        let Some(inner) = manager.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        // A lease that comes after the round's look and before the next store wakes us once more.
        renewer.next_round_nanos.store(u64::MAX, Ordering::Release);
        let clock = Arc::clone(&inner.clock);
        let due = round(&inner).await;
        // Locks come and go faster than this task could go to sleep and be woken: only after a whole period
        // without any does it wait for a word.
        let idle = due.is_none() && nothing_held;
        nothing_held = due.is_none();
        let next =
            due.unwrap_or_else(|| clock.now().later(inner.ttl() / 3)).max(clock.now().later(MIN_PAUSE));
        drop(inner);
        if idle {
            renewer.wake.notified().await;
            continue;
        }
        renewer.next_round_nanos.store(next.as_nanos(), Ordering::Release);
        tokio::select! {
            () = renewer.wake.notified() => {}
            () = clock.sleep_until(next) => {}
        }
    }
}

/// Renews what is due, or nearly: leases granted one after another share a call. Returns when the next is due.
async fn round(inner: &Inner) -> Option<Moment> {
    let now = inner.clock.now();
    let mut due: Vec<Arc<LeaseState>> = inner.holdings.snapshot();
    due.retain(|lease| !lease.is_over(inner) && lease.renew_at() <= now.later(lease.renewal_slack()));
    // One call has one TTL, and is for one store: one that is away keeps no other's leases from their renewal.
    let kind = |lease: &Arc<LeaseState>| (inner.backend.store_of(&lease.grant), lease.ttl);
    due.sort_by_cached_key(kind);
    for of_a_kind in due.chunk_by(|a, b| kind(a) == kind(b)) {
        for batch in of_a_kind.chunks(MAX_RENEWALS) {
            renew(inner, batch).await;
        }
    }
    inner.holdings.earliest_renewal()
}

async fn renew(inner: &Inner, batch: &[Arc<LeaseState>]) {
    let Some(ttl) = batch.first().map(|lease| lease.ttl) else { return };
    let grants: Vec<Grant> = batch.iter().map(|lease| lease.grant.clone()).collect();
    let sent = inner.clock.now();
    let answer: Result<_> = tokio::select! {
        answer = inner.backend.renew(&grants, ttl) => answer,
        // The next try needs its chance before the deadline.
        () = inner.clock.sleep_until(sent.later(ttl / 3)) => {
            Err(Error::new(ErrorKind::Unavailable, inner.name, "renew", "no answer in time").maybe_applied())
        }
    };
    match answer {
        Ok(renewed) if renewed.len() == batch.len() => {
            for (lease, renewed) in batch.iter().zip(renewed) {
                lease.note_renewal(inner, renewed, sent);
            }
        }
        other => {
            let error = other.err().unwrap_or_else(|| inner.wrong_count("renew"));
            tracing::warn!(%error, leases = batch.len(), "renewal failed, trying again until the leases end");
            let again = inner.clock.now().later(ttl / 12).as_nanos();
            for lease in batch {
                lease.renew_at_nanos.store(again, Ordering::Relaxed);
            }
        }
    }
}

//! One attempt at a lock, from asking to its outcome: what is counted and traced of it, once for all ways to ask.

use std::future::Future;

use tracing::{Instrument, Span};

use super::{Attempt, Inner};
use crate::clock::Moment;
use crate::error::Result;
use crate::key::LockKey;
use crate::spans;
use crate::stats::Outcome;

/// An attempt under way. One that is dropped before its end has been asked for, and no more.
pub(super) struct Asking<'a> {
    inner: &'a Inner,
    key: &'a LockKey,
    span: Span,
    /// Where somebody wants to know how long it takes.
    began: Option<Moment>,
}

impl<'a> Asking<'a> {
    /// Counts and traces an attempt from now.
    pub(super) fn about(inner: &'a Inner, key: &'a LockKey) -> Asking<'a> {
        inner.counters.asked(1);
        let span = spans::acquire(inner.name, key);
        let began = (inner.counters.wants_times() || !span.is_disabled()).then(|| inner.clock.now());
        Asking { inner, key, span, began }
    }

    /// Waits for the answer, and notes it. `refused` is what being held by another comes to.
    pub(super) async fn answered_by(
        self,
        answer: impl Future<Output = Result<Attempt>>,
        refused: Outcome,
    ) -> Result<Attempt> {
        let attempt =
            if self.span.is_disabled() { answer.await } else { answer.instrument(self.span.clone()).await };
        match &attempt {
            Ok(attempt) => self.ended(attempt, refused),
            Err(_) => self.failed(),
        }
        attempt
    }

    /// Notes the answer.
    pub(super) fn ended(self, attempt: &Attempt, refused: Outcome) {
        match attempt {
            Attempt::Acquired(lease) => {
                lease.state.trace_hold(self.inner);
                self.note(Outcome::Acquired);
            }
            Attempt::Held(_) => self.note(refused),
        }
    }

    /// Notes that there was no answer.
    pub(super) fn failed(self) {
        self.note(Outcome::Error);
    }

    fn note(self, outcome: Outcome) {
        let took = self.began.map(|began| self.inner.clock.now().since(began)).unwrap_or_default();
        self.inner.counters.ended(self.key, outcome, took);
        spans::acquire_ended(&self.span, took, outcome);
    }
}

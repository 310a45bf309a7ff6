//! One attempt at a lock, from asking to its outcome: what is counted and traced of it, once for all ways to ask.

use tracing::Span;

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

    /// The attempt's span, where somebody listens to it. Asking goes on in it; without one, without its cost.
    pub(super) fn span(&self) -> Option<Span> {
        (!self.span.is_disabled()).then(|| self.span.clone())
    }

    /// Notes an answer or its absence, and passes it on. `refused` is what being held by another comes to.
    pub(super) fn answered(self, attempt: Result<Attempt>, refused: Outcome) -> Result<Attempt> {
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
        if self.began.is_some() {
            spans::acquire_ended(&self.span, took, outcome);
        }
    }
}

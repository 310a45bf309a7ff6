//! The spans of the lock layer. At the level `info`; where nobody listens, making one costs next to nothing.
//!
//! `lock.acquire` lasts from asking to the answer, `lock.hold` from there to the lock's release or loss. Both name
//! marketplace and posting; the first says how long was waited (`wait_ms`) and what came of it, the second how long
//! the lock was held (`held_ms`) and how that ended.

use std::time::Duration;

use tracing::{Span, field::Empty, info_span};

use crate::backend::Grant;
use crate::key::LockKey;
use crate::stats::Outcome;

pub(crate) fn acquire(backend: &'static str, key: &LockKey) -> Span {
    info_span!(
        "lock.acquire",
        backend,
        marketplace = key.as_posting().map(|(marketplace, _)| marketplace),
        posting = key.as_posting().map(|(_, posting)| posting),
        name = key.as_named().map(|(namespace, name)| format!("{namespace}:{name}")),
        wait_ms = Empty,
        outcome = Empty,
    )
}

pub(crate) fn acquire_ended(span: &Span, waited: Duration, outcome: Outcome) {
    span.record("wait_ms", millis(waited)).record("outcome", outcome.as_str());
}

pub(crate) fn hold(backend: &'static str, grant: &Grant) -> Span {
    let key = &grant.key;
    info_span!(
        "lock.hold",
        backend,
        marketplace = key.as_posting().map(|(marketplace, _)| marketplace),
        posting = key.as_posting().map(|(_, posting)| posting),
        name = key.as_named().map(|(namespace, name)| format!("{namespace}:{name}")),
        token = grant.token.get(),
        held_ms = Empty,
        ended = Empty,
    )
}

pub(crate) fn hold_ended(span: &Span, held_for: Duration, how: &'static str) {
    span.record("held_ms", millis(held_for)).record("ended", how);
}

/// Milliseconds with a fraction: an engine in this process answers in microseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

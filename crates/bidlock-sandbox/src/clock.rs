//! The clocks of the sandbox: the one place that asks for the time.

use std::time::Instant;

use jiff::Timestamp;

/// Now, for the record and for the dates in look-ups.
#[allow(
    clippy::disallowed_methods,
    reason = "the sandbox plays a foreign host, which has a clock of its own; nothing of bidlock's depends on it"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The beginning of what is measured.
#[allow(
    clippy::disallowed_methods,
    reason = "how long a write takes on a disk is nothing that a test can move"
)]
pub(crate) fn began() -> Instant {
    Instant::now()
}

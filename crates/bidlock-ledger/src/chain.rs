//! The hash chain over a bid's events.

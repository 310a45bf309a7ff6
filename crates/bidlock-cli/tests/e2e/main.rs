//! Whole scans end to end, most of them by several processes on real engines. The marketplace runs in the test, which
//! reads its record: what counts is what has arrived there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends by them")]

mod beside;
mod bids;
mod engine_faults;
mod engines;
mod fallback;
mod io_faults;
mod killed;
mod kit;
mod legacy;
mod metrics;
mod real_data;
mod scan;

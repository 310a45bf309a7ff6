//! Whole scans end to end: several real processes, real engines, and a marketplace that writes down what it saw.

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

//! The pipeline over real ledgers, before a marketplace that answers by script. One binary: `rig` is built once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends by them")]

mod answers;
mod approval;
mod batches;
mod claims;
mod crash_sweep;
mod late_words;
mod legacy;
mod metrics;
mod races;
mod rig;
mod rules;
mod settling;
mod withdrawing;

//! What bytes from outside may never do, one module for each reader of such bytes.
//!
//! `tests/seeds.rs` tries each on its seeds and on what edits make of them; the targets in `fuzz_targets` let cargo-fuzz look for
//! bytes that reach what no others have (`docs/reliability/fuzzing.md`).

#![allow(clippy::expect_used, clippy::panic, reason = "to panic is how a find is told")]

pub mod config;
pub mod feed_reader;
pub mod lock_key;
pub mod marketplace_answer;
pub mod posting_id;

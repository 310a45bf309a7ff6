//! `bidlock_fuzz::marketplace_answer`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bidlock_fuzz::marketplace_answer::check(bytes));

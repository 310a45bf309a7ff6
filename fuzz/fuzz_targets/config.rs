//! `bidlock_fuzz::config`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bidlock_fuzz::config::check(bytes));

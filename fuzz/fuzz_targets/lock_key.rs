//! `bidlock_fuzz::lock_key`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bidlock_fuzz::lock_key::check(bytes));

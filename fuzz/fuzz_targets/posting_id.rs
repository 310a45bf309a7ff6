//! `bidlock_fuzz::posting_id`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bidlock_fuzz::posting_id::check(bytes));

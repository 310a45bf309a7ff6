//! `bidlock_fuzz::feed_reader`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bidlock_fuzz::feed_reader::check(bytes));

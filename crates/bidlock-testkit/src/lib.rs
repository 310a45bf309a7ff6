//! Real servers for the tests of bidlock's engines: each on a free loopback port, in a temporary folder, stopped
//! when its guard is dropped, also by a panic.
//!
//! Where a server's program is missing, a test prints `SKIPPED (no …)` and ends, unless the variable
//! `REQUIRE_BACKENDS` lists the engine: then it fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code that lives outside of `cfg(test)` so that other crates can use it"
)]

mod pgbouncer;
mod postgres;

pub use pgbouncer::PgBouncer;
pub use postgres::{PostgresOptions, PostgresServer};

use std::io::Write as _;

/// Whether the run demands this engine: `REQUIRE_BACKENDS=sqlite,redis,postgres`.
pub fn is_required(engine: &str) -> bool {
    std::env::var("REQUIRE_BACKENDS").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine))
}

/// Says that this test does not run, on the real standard error, which no test harness swallows.
///
/// # Panics
/// The run demands the engine.
pub fn skip(engine: &str, why: &str) {
    assert!(!is_required(engine), "{why}, and REQUIRE_BACKENDS demands {engine}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "SKIPPED ({why}): {test}");
}

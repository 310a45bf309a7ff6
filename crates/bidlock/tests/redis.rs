//! The Redis backend: the conformance suite, with each instance on a connection of its own.
#![cfg(feature = "redis")]
// The lints know test functions, and not what these call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::sync::Arc;

use bidlock::backends::redis::{RedisBackend, RedisOptions};
use bidlock::conformance::Fixture;
use bidlock_testkit::redis::RedisServer;

fn fixture(server: RedisServer) -> Fixture {
    let url = server.url();
    Fixture::new(move || Arc::new(RedisBackend::lazy(RedisOptions::from_url(&url).unwrap()))).keeping(server)
}

bidlock::conformance_suite!({
    let Some(server) = RedisServer::start(&[]) else { return };
    fixture(server)
});

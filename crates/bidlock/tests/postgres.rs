//! The PostgreSQL backend: the conformance suite, and what is particular to it.
#![cfg(feature = "postgres")]
// The lints know test functions, and not what these call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::sync::Arc;

use bidlock::LockBackend;
use bidlock::backends::postgres::PostgresBackend;
use bidlock::conformance::Fixture;
use bidlock_testkit::{PostgresOptions, PostgresServer};

fn server() -> PostgresServer {
    PostgresServer::start_or_exit(PostgresOptions::new())
}

fn fixture() -> Fixture {
    let server = server();
    let url = server.url();
    let open = move || -> Arc<dyn LockBackend> {
        let opening = PostgresBackend::open(&url);
        let handle = tokio::runtime::Handle::current();
        Arc::new(tokio::task::block_in_place(|| handle.block_on(opening)).unwrap())
    };
    Fixture::new(open).keeping(server)
}

bidlock::conformance_suite!(fixture());

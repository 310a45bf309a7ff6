//! The conformance suite on PostgreSQL: each case has a server of its own, with a clock that stands still.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "a test file: the lints' exemption covers only the test functions")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bidlock_ledger::{
    LedgerStore, PostgresLedger,
    conformance::Rig,
    ledger_conformance,
    postgres::{ManualClock, PostgresOptions},
};
use bidlock_testkit::PostgresServer;

struct PostgresRig {
    server: PostgresServer,
    clock: ManualClock,
}

fn rig() -> PostgresRig {
    let server = PostgresServer::start_or_exit(bidlock_testkit::PostgresOptions::new());
    PostgresRig { server, clock: ManualClock::new() }
}

#[async_trait]
impl Rig for PostgresRig {
    async fn open(&self) -> Arc<dyn LedgerStore> {
        let options = PostgresOptions::new(&self.server.url()).with_clock(self.clock.clone());
        Arc::new(PostgresLedger::open_with(options).await.unwrap())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The server has one clock, which decides everything.
    fn step_wall(&self, _: i64) -> bool {
        false
    }

    /// The server's clock goes on over restarts.
    fn reboot(&self) -> bool {
        false
    }
}

ledger_conformance!(rig);

//! A ledger on a real PostgreSQL server of the test's own, whose clock the test moves.

use std::sync::Arc;

use bidlock_ledger::{
    LedgerStore, PostgresLedger,
    postgres::{ManualClock, PostgresOptions},
};
use bidlock_testkit::PostgresServer;

/// The server. It keeps one ledger at a time.
#[derive(Debug)]
pub struct Database {
    server: PostgresServer,
    /// What every session takes for the server's time.
    pub clock: ManualClock,
}

impl Database {
    /// Starts a server; `None` where there is none, and that was said.
    pub fn start() -> Option<Database> {
        let server = PostgresServer::start(bidlock_testkit::PostgresOptions::new())?;
        // A sweep connects some thousand times, and proving a password takes most of a connection.
        server.put_file("pg_hba.conf", b"host all all 127.0.0.1/32 trust\n");
        server.sql("SELECT pg_reload_conf()");
        Some(Database { server, clock: ManualClock::new() })
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Forgets the ledger, once nobody is left who works on it: what the dead had asked for may be under way still.
    pub fn empty(&self) {
        self.server.sql(
            "SET client_min_messages = error; \
             SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid(); \
             DROP SCHEMA IF EXISTS bidlock CASCADE",
        );
    }

    /// A ledger handle that lives on the runtime of the caller.
    ///
    /// # Errors
    /// The way to the server was broken meanwhile.
    pub async fn open(&self, url: &str) -> bidlock_ledger::Result<Arc<dyn LedgerStore>> {
        let options = PostgresOptions::new(url).with_clock(self.clock.clone());
        Ok(Arc::new(PostgresLedger::open_with(options).await?))
    }
}

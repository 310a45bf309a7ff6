//! The conformance suite on the embedded ledger.
#![allow(clippy::unwrap_used, reason = "a test file: the lints' exemption covers only the test functions")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bidlock_ledger::{
    LedgerStore, SqliteLedger,
    conformance::Rig,
    ledger_conformance,
    sqlite::{ManualHostClock, Options},
};

struct SqliteRig {
    folder: tempfile::TempDir,
    clock: Arc<ManualHostClock>,
}

fn rig() -> SqliteRig {
    SqliteRig { folder: tempfile::tempdir().unwrap(), clock: Arc::new(ManualHostClock::new()) }
}

#[async_trait]
impl Rig for SqliteRig {
    async fn open(&self) -> Arc<dyn LedgerStore> {
        let options = Options::new(self.folder.path().join("ledger.db")).with_clock(self.clock.clone());
        Arc::new(SqliteLedger::open_with(options).unwrap())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn step_wall(&self, by_ms: i64) -> bool {
        self.clock.step_wall(by_ms);
        true
    }

    fn reboot(&self) -> bool {
        self.clock.reboot();
        true
    }
}

ledger_conformance!(rig);

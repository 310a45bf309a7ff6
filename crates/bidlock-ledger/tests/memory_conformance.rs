//! The conformance suite on the ledger in memory.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bidlock_ledger::{
    LedgerStore, MemoryLedger, WallTime, conformance::Rig, ledger_conformance, memory::ManualStoreClock,
};

struct MemoryRig {
    clock: Arc<ManualStoreClock>,
    ledger: MemoryLedger,
}

fn rig() -> MemoryRig {
    // A made-up morning in 2026.
    let clock = Arc::new(ManualStoreClock::at(WallTime(1_772_352_000_000)));
    MemoryRig { ledger: MemoryLedger::with_clock(clock.clone()), clock }
}

#[async_trait]
impl Rig for MemoryRig {
    async fn open(&self) -> Arc<dyn LedgerStore> {
        Arc::new(self.ledger.clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn step_wall(&self, by_ms: i64) -> bool {
        self.clock.step_wall(by_ms);
        true
    }

    /// It does not outlive its process, let alone a boot.
    fn reboot(&self) -> bool {
        false
    }
}

ledger_conformance!(rig);

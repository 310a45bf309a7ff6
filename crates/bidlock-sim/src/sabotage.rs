//! What can be taken out of a simulation, to see that the checker notices.

use bidlock_ledger::memory::{CANARIES, Canary};

/// One mechanism less, or one fault that nobody wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A mechanism of the ledger.
    Ledger(Canary),
    /// The lock engine forgets everything now and then, and the history does not say so: S10.
    SilentLockLoss,
    /// Answers of the marketplace are lost, and the history does not say so: an unknown without a fault.
    SilentAnswerLoss,
    /// The marketplace forgets a bid that it accepted: S8.
    MarketForgets,
    /// Nobody starts the scanners again: L1, L3.
    NobodyScans,
}

impl Sabotage {
    /// Every one, with its name on the command line.
    pub fn all() -> impl Iterator<Item = (&'static str, Sabotage)> {
        let ledger = CANARIES.into_iter().map(|canary| (canary.as_str(), Sabotage::Ledger(canary)));
        ledger.chain([
            ("silent-lock-loss", Sabotage::SilentLockLoss),
            ("silent-answer-loss", Sabotage::SilentAnswerLoss),
            ("market-forgets", Sabotage::MarketForgets),
            ("nobody-scans", Sabotage::NobodyScans),
        ])
    }
}

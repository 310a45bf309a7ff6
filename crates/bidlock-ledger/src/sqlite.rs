//! The embedded ledger.
/// The ledger in one SQLite file.
#[derive(Debug)]
pub struct SqliteLedger;

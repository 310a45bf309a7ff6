//! Locks with leases: at most one holder a key while clocks and store behave, over memory, SQLite, PostgreSQL and Redis.
//!
//! A lease has an owner-safe release, renewal in the background, a signal of its loss, and a fencing token. It
//! *saves work*; it does not make anything safe. A holder can be paused beyond its TTL, and then two hold one key.
//! What must happen at most once rests on a ledger (the crate `bidlock-ledger`), which this crate knows nothing of.
//!
//! ```
//! use std::time::Duration;
//!
//! use bidlock::{Guarded, LockKey, LockManager, Wait};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let locks = LockManager::connect("memory:").await?;
//! let key = LockKey::posting("upwork", "job_123")?;
//! let worked = locks
//!     .with_lock(&key, Wait::up_to(Duration::from_secs(10)), |lease| async move {
//!         lease.fencing_token() // and here the work, which is cancelled if the lease is lost
//!     })
//!     .await?;
//! assert!(matches!(worked, Guarded::Done(_)));
//! # Ok(()) }
//! ```
//!
//! # Layout
//!
//! | where | what |
//! |---|---|
//! | `backend.rs` | [`LockBackend`] and its words: what an engine must do |
//! | `backends/` | the engines, and the registry from URL scheme to engine |
//! | `manager.rs`, `manager/` | [`LockManager`]: try, wait, batches, `with_lock`, operators' calls |
//! | `lease.rs` | [`Lease`]: what a holder has, and how it learns of its loss |
//! | `renewer.rs`, `releaser.rs` | the two background tasks of a manager |
//! | `key.rs`, `token.rs` | [`LockKey`], [`HolderId`], [`Nonce`], [`FencingToken`] |
//! | `layers/` | backends that wrap or stand in for others |
//! | `measure.rs` | how fast a manager is, for benchmarks (feature `measure`) |
//! | `conformance/` | one suite for every backend (feature `conformance`) |
//! | `stats.rs`, `instruments.rs`, `spans.rs` | what a manager counts, for its stats and for metrics; its spans |
//! | `audit.rs`, `clock.rs`, `error.rs`, `fork.rs`, `holdings.rs`, `sync.rs` | as they are called |
//!
//! # Features
//!
//! `sqlite` (on by default), `postgres`, `redis`: the backends of these names. `conformance`: the suite, for
//! implementors' tests. `measure`: what benchmarks measure.

mod audit;
mod backend;
pub mod backends;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod fork;
mod holdings;
mod instruments;
mod key;
pub mod layers;
mod lease;
mod manager;
#[cfg(feature = "measure")]
pub mod measure;
mod releaser;
mod renewer;
mod spans;
mod stats;
mod sync;
mod token;

pub use audit::{Actor, AuditRecord, MAX_AUDIT_RECORDS};
pub use backend::{
    Acquire, Acquired, Capability, Enlisted, Grant, Health, Held, HeldLock, KeyFilter, LedgerBinding,
    LockBackend, MAX_BATCH, MAX_PAGE, Page, Released, Renewed, Shared, Turn, Waiter, WakeUp,
};
pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use error::{Effect, Error, ErrorKind, Result};
pub use key::{InvalidKey, LockKey, MAX_MARKETPLACE_BYTES, MAX_POSTING_BYTES};
pub use lease::{Lease, LeaseView};
pub use manager::{
    Attempt, CleanupScope, DEFAULT_TTL, Guarded, LockManager, LockManagerBuilder, MIN_TTL, Wait,
};
pub use stats::Stats;
pub use token::{FencingToken, HolderId, InvalidHolder, MAX_HOLDER_BYTES, Nonce};

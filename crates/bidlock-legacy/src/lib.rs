//! The database of the system that bidlock replaces.
//!
//! It has a table `bids`, unique per marketplace, job and status, and perhaps a table `distributed_locks`, in SQLite or
//! PostgreSQL. Only the columns `marketplace`, `job_id` and `status` are demanded of it; what else is there is used.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`status`] | the old words, as what each begins here, which of several rows speaks |
//! | `showing` | a bid of ours as it is to stand in the old table |
//! | `shape` | which columns there are, and whether a row of ours can be written |
//! | `row` | a row, and the import that it becomes |
//! | [`database`] | [`LegacyDatabase`]: one of two engines; as [`LegacyBids`](bidlock_pipeline::LegacyBids) what a scan asks |
//! | `sqlite`, `postgres` | the engines; statements in `queries/` |
//! | [`earlier`] | bids that were made without the old table, shown there |
//! | [`coexistence`] | beside which replaced systems a ledger is kept, as it remembers it |
//! | [`look`] | what an operator wants to know before a scan works beside old instances |
//! | [`presence`] | whether a database is the replaced system's at all |
//! | [`import`] | the whole table into a ledger, as often as one likes |
//!
//! What it does not do: keep instances away that lock in `distributed_locks` rather than in Redis.

pub mod coexistence;
pub mod database;
pub mod earlier;
pub mod import;
pub mod look;
mod postgres;
pub mod presence;
mod row;
mod shape;
mod showing;
mod sqlite;
pub mod status;

pub use coexistence::{Coexistence, Instances, System};
pub use database::{LegacyDatabase, Place};
pub use earlier::Earlier;
pub use import::{Importer, Report};
pub use look::Look;

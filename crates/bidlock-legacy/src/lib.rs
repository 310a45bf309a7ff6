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
//! | `shape` | which columns there are, and whether a row of ours can be written |
//! | `row` | a row, and the import that it becomes |
//! | [`database`] | [`LegacyDatabase`]: one of two engines; as [`LegacyBids`](bidlock_pipeline::LegacyBids) what a scan asks |
//! | `sqlite`, `postgres` | the engines; statements in `queries/` |
//! | [`import`] | the whole table into a ledger, as often as one likes |
//!
//! What it does not do: keep instances away that lock in `distributed_locks` rather than in Redis.

pub mod database;
pub mod import;
mod postgres;
mod row;
mod shape;
mod sqlite;
pub mod status;

pub use database::{LegacyDatabase, Place};
pub use import::{Importer, Report};

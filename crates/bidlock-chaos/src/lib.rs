//! The fault rig: real scanner processes on real engines, faults drawn from a seed, and a check of what came of it.
//!
//! A run leaves four files in one folder ([`history`]); a checker that knows nothing else says what they prove.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`fault`] | the kinds of faults, and what they hit |
//! | [`plan`] | what a seed decides beforehand |
//! | `nemeses` | what breaks things: one file each, one table |
//! | `world` | engines, marketplace, feed, processes, operator |
//! | `proxy` | a way to a server that can be broken |
//! | `run` | [`run()`]: begins and ends faults, then quiet, a last scan, and what the ledger holds |
//! | `progress` | where a run is, for whoever waits |
//! | [`worker`] | the child that takes locks and counts under them |
//! | `dump` | the ledger's rows and events as a file |
//! | [`history`] | what happened, as files: what the checker reads |
//! | [`checker`] | what the files prove: a verdict for each invariant |
//! | [`canaries`] | plans that show that a mechanism is missing |
//! | [`report`] | the same as text, as JSON, and as a page with a picture |

pub mod canaries;
pub mod checker;
mod dump;
mod error;
pub mod fault;
pub mod history;
mod nemeses;
pub mod plan;
mod progress;
mod proxy;
pub mod report;
mod run;
pub mod worker;
mod world;

pub use error::RigError;
pub use progress::{Progress, Stage};
pub use run::run;
pub use world::Launch;

//! The protocol of bidlock as a model, checked world by world.
//!
//! The model is small enough to be searched completely within its bounds: every order of every step of several
//! scanners, the sweeper, the reconciler, the operator and the marketplace, with faults at any moment. The rules come
//! from [`bidlock_ledger::state::TRANSITIONS`]; what the model leaves out stands in `docs/reliability/model.md`.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`settings`] | which space: sizes, faults, parts, and the [variants](settings::Protocol) that must fail |
//! | [`world`] | the state of ledger, marketplace, lock store and processes |
//! | `canonical` | which worlds are one but for their names |
//! | [`step`] | what can happen |
//! | [`ledger`] | claims and guarded updates by the transition table |
//! | `scanner`, `marketplace`, `upkeep`, `faults` | who does what |
//! | [`properties`] | S1 to S10, and L1, L2 by `recovery` |
//! | [`model`] | all of it, as stateright searches it |
//! | [`search`], [`trace`] | running a search; the shortest counterexample in words |

mod canonical;
mod faults;
pub mod ledger;
mod marketplace;
pub mod model;
pub mod properties;
mod recovery;
mod scanner;
pub mod search;
pub mod settings;
pub mod step;
pub mod trace;
mod upkeep;
pub mod world;

pub use model::Bidding;
pub use search::{Report, exhaust, explore, shortest_counterexample};
pub use settings::{Faults, Locks, Names, Protocol, Settings};

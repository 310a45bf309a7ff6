//! The real pipeline, lock manager and reconciler in a simulated world: engines and a marketplace in memory behind a
//! network that fails, processes that die and sleep, virtual time. One seed decides everything; the same seed gives the
//! same history. A checker then holds the history against the invariants of the design.
//!
//! ```text
//! cargo run -p bidlock-sim -- --seed 17 --trace      one seed, with everything that happened
//! cargo run -p bidlock-sim -- --seeds 0..5000        many, each in a process of its own
//! ```
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `simulation` | [`run`]: the loop that moves virtual time, and the hosts |
//! | `plan` | what a seed decides beforehand: sizes, the marketplace, faults with a time |
//! | `world` | what all processes share: time, dice, what is broken now |
//! | `body` | one process: its clock, and the gate at which it can be stopped |
//! | `program` | what processes do: scan, work under locks, mind an operator's desk |
//! | `locks`, `ledger`, `market` | the engines and the marketplace behind their network |
//! | `history` | what happened, in order |
//! | `checker` | the invariants |
//! | `report` | what one seed came to |
//! | `sabotage` | what can be taken out, to see that the checker notices |
//! | [`failures`] | which numbers of the catalogue each kind of fault has |
//! | [`randomness`] | why the same seed gives the same history |

mod body;
mod checker;
pub mod failures;
mod history;
mod ledger;
mod locks;
mod market;
mod plan;
mod program;
pub mod randomness;
mod report;
mod sabotage;
mod simulation;
mod world;

pub use checker::Violation;
pub use history::{Entry, Fault, Happening, Millis};
pub use report::Report;
pub use sabotage::Sabotage;
pub use simulation::run;

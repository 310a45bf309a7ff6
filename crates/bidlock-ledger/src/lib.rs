//! The ledger: the one place where a second bid is made impossible.
//!
//! One live row per posting (a unique index), every transition one guarded `UPDATE` that compares state
//! and claim by equality, every transition an event in the same transaction. What is allowed stands in
//! one table, [`state::TRANSITIONS`].
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`state`] | the states, the actions and the transition table |
//! | [`posting`], [`money`] | a posting's identity, an amount of money |
//! | [`bid`] | a bid, its claim, its frozen payload, its events |
//! | [`store`] | [`LedgerStore`], the implementor's minimum, and what it takes and answers |
//! | [`schema`] | what is said of a ledger's schema |
//! | [`note`] | what a ledger knows of what is around it |
//! | [`chain`] | the hash chain over a bid's events |
//! | [`lawful`] | whether a bid's events obey the table: for checkers of recorded runs |
//! | `memory` | a ledger for tests, which forgets everything (feature `memory`) |
//! | [`sqlite`] | the embedded ledger |
//! | `postgres` | the shared ledger (feature `postgres`) |
//! | `conformance` | the cases that every engine must pass (feature `conformance`) |
//! | `line`, `alarm` | an event's line in the history; what a person is called for |
//! | `queries` | the statements of both engines |
//! | `canary` | the ledger's mechanisms, as what removes them names them |
//! | [`layers`] | ledgers around another: metrics |
//! | [`error`] | [`LedgerError`]: what broke, whether it may have been applied, whether to retry |

#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
mod alarm;
pub mod bid;
mod canary;
pub mod chain;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod lawful;
pub mod layers;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
mod line;
#[cfg(feature = "memory")]
pub mod memory;
pub mod money;
pub mod note;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod posting;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod queries;
pub mod schema;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod state;
pub mod store;

pub use bid::{
    Bid, BidBrief, BidEvent, BidId, Claim, ClaimId, ClaimRef, Claimant, Epoch, LedgerId, Payload, WallTime,
};
pub use error::{Effect, ErrorKind, LedgerError, Result};
#[cfg(feature = "memory")]
pub use memory::MemoryLedger;
pub use money::{Currency, InvalidCurrency, Money};
pub use note::{NewNote, Note};
#[cfg(feature = "postgres")]
pub use postgres::PostgresLedger;
pub use posting::{InvalidPostingId, PostingId};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteLedger;
pub use state::{Action, BidState};
pub use store::{
    Actor, Applied, BidFilter, Change, ClaimOutcome, Cursor, Health, ImportOutcome, LEGACY_HOLDER,
    LedgerStore, Liveness, Move, NewClaim, NewImport, NotMoved, Page, Standing, Swept, UnknownCause,
};

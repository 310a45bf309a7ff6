//! [`LedgerStore`]: what an engine must do to be a ledger, and the plain types it takes and answers.
//!
//! All guards live in [`crate::state::TRANSITIONS`]; a store runs them as guarded updates and never reads
//! a row to decide on it later.

mod change;
mod claim;

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

pub use self::{
    change::{Actor, Applied, Cap, Change, Move, NotMoved, UnknownCause},
    claim::{ClaimOutcome, ImportOutcome, LEGACY_HOLDER, NewClaim, NewImport, idempotency_key},
};

#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(crate) use self::claim::{Earlier, check_imports};
use crate::{
    BidState, Result,
    bid::{Bid, BidBrief, BidEvent, BidId, Claimant, LedgerId, WallTime},
    note::{NewNote, Note},
    posting::PostingId,
};
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
use crate::{ErrorKind, LedgerError};

/// The most requests that one call may carry. Callers with more split them.
pub const MAX_BATCH: usize = 1_024;
/// The longest page of a listing.
pub const MAX_PAGE: u32 = 1_000;

/// The protocol of claims and transitions that this version speaks. It grows when an older version working beside a
/// newer one would no longer be safe; the ledger's `protocol_floor` then keeps the older ones out.
pub const PROTOCOL: i64 = 1;

/// Refuses a ledger that only newer versions may work with.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_protocol(operation: &'static str, place: &str, floor: i64) -> Result<()> {
    if floor <= PROTOCOL {
        return Ok(());
    }
    let message = format!("{place} is for protocol {floor} and newer; this bidlock speaks {PROTOCOL}");
    Err(LedgerError::new(ErrorKind::SchemaNewer, operation, message)
        .with_hint("newer scanners work with it: install their version here"))
}

/// Refuses a batch that is too long.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_batch(operation: &'static str, length: usize) -> Result<()> {
    if length <= MAX_BATCH {
        return Ok(());
    }
    let message = format!("{length} requests in one call; at most {MAX_BATCH} are allowed");
    Err(LedgerError::new(ErrorKind::Invalid, operation, message).with_hint("split the batch"))
}

/// A ledger engine. Batches are answered in order, one answer a request, and each request stands for
/// itself: one that is not granted does not undo its neighbours.
///
/// Guarantees of every implementation: at most one row per posting that is not `rebid_allowed`; a change
/// is visible to everybody once the call has returned, and durable (it survives a power failure); the
/// store's clock decides expiry. Not guaranteed: anything about what the marketplace did.
#[async_trait]
pub trait LedgerStore: Debug + Send + Sync + 'static {
    /// The ledger's name, made when its schema was.
    fn ledger_id(&self) -> LedgerId;

    /// This process, as claims name it so that its death can be proven ([`liveness`](Self::liveness));
    /// `None` where the store has no such proof.
    fn instance(&self) -> Option<Uuid> {
        None
    }

    /// Looks whether this binary may still work with the ledger: a newer one may have migrated it since it was opened, or
    /// keep older ones out. Asked between batches, as a scanner may run for weeks. The schema of a store that lives in
    /// this process can't change under it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::SchemaNewer`] or [`crate::ErrorKind::SchemaBehind`]: opening it would be refused now. Or the store can't
    /// answer.
    async fn still_admits(&self) -> Result<()> {
        Ok(())
    }

    /// Says where each posting stands; the cheap question that most sightings end with.
    ///
    /// # Errors
    /// There are more than [`MAX_BATCH`] postings, or the store can't answer. Nothing has changed.
    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>>;

    /// Creates the bid, takes the row over, or returns the existing bid.
    ///
    /// # Errors
    /// There are more than [`MAX_BATCH`] requests, or the store can't write. Where the error's effect is unknown
    /// ([`crate::LedgerError::effect`]) the claims may stand: they run out by their TTL.
    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>>;

    /// Brings in bids of the replaced system: each begins a row in a state in which nobody can claim or send it, or
    /// finds the posting's existing bid. Asking again finds what was made.
    ///
    /// # Errors
    /// There are more than [`MAX_BATCH`] of them, a state is none of [`crate::state::IMPORTED`], or the store can't
    /// write. Where the error's effect is unknown they may stand: asking again finds them.
    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>>;

    /// Makes guarded transitions, each with its event, all in one durable transaction.
    ///
    /// # Errors
    /// There are more than [`MAX_BATCH`] changes, or the store can't write. Where the error's effect is unknown
    /// the changes may stand: ask again with the same event keys.
    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>>;

    /// Abandons expired claims, marks silent submissions `unknown`, takes back expired approvals: at most
    /// `limit` rows.
    ///
    /// # Errors
    /// The store can't write. Rows that a lost reply hides have moved all the same; the next sweep passes them over.
    async fn sweep(&self, limit: u32) -> Result<Swept>;

    /// One bid by name.
    ///
    /// # Errors
    /// The store can't answer.
    async fn bid(&self, id: BidId) -> Result<Option<Bid>>;

    /// Bids that match, oldest first, after `page.after`.
    ///
    /// # Errors
    /// The store can't answer. A page longer than [`MAX_PAGE`] is no error: it is cut to that.
    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>>;

    /// How many bids of each state match.
    ///
    /// # Errors
    /// The store can't answer.
    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>>;

    /// A bid's events, oldest first, as stored; [`crate::chain::verify`] checks them.
    ///
    /// # Errors
    /// The store can't answer.
    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>>;

    /// How many bids of this marketplace were last sent since then and may have arrived
    /// ([`BidState::may_have_arrived`]): what daily caps count.
    ///
    /// # Errors
    /// The store can't answer.
    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64>;

    /// What counts under this name, of what the ledger knows of what is around it.
    ///
    /// # Errors
    /// The store can't answer.
    async fn note(&self, name: &str) -> Result<Option<Note>>;

    /// Writes a note, durably. False: somebody has written one since the version that its writer saw, and nothing has
    /// changed.
    ///
    /// # Errors
    /// The note is too long, or the store can't write. Where the error's effect is unknown it may stand.
    async fn write_note(&self, note: &NewNote) -> Result<bool>;

    /// Whether the process that made a claim is proven gone.
    ///
    /// # Errors
    /// The store can't answer.
    async fn liveness(&self, claimant: &Claimant) -> Result<Liveness>;

    /// Whether the ledger can be read and durably written, and facts that an operator wants to know.
    ///
    /// # Errors
    /// The store can't answer, or not be written.
    async fn check(&self) -> Result<Health>;
}

/// Where a posting stands, before anybody claims it.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// No live row: it may be claimed.
    Free,
    /// The row was abandoned, or its claim expired before the door: it may be taken over.
    TakeOver(BidBrief),
    /// A person approved it: one scanner may take the sending.
    Approved(BidBrief),
    /// Somebody prepares or sends it now; it will be settled soon.
    Busy(BidBrief),
    /// There is a bid; nothing is left to do for a scanner.
    Taken(BidBrief),
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// `claimed` that became `abandoned`.
    pub abandoned: u32,
    /// `submitting` that became `unknown`.
    pub unknown: u32,
    /// `approved` that went back to `awaiting_approval`.
    pub approvals_expired: u32,
}

impl Swept {
    /// How many rows were moved: what the limit of a sweep bounds.
    pub fn total(&self) -> u32 {
        self.abandoned + self.unknown + self.approvals_expired
    }
}

/// Which bids. Empty means all.
#[derive(Clone, Debug, Default)]
pub struct BidFilter {
    /// Only this marketplace.
    pub marketplace: Option<String>,
    /// Only this canonical posting id.
    pub posting: Option<String>,
    /// Only these states.
    pub states: Vec<BidState>,
    /// Made at or after.
    pub since: Option<WallTime>,
    /// Made before.
    pub until: Option<WallTime>,
}

/// Where a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub BidId);

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// After this bid.
    pub after: Option<Cursor>,
    /// At most so many, and never more than [`MAX_PAGE`].
    pub limit: u32,
}

impl Default for Page {
    fn default() -> Page {
        Page { after: None, limit: 100 }
    }
}

/// What is known about the process behind a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// The kernel has released its file lock on this host: it can't send any more. A request of its may
    /// still be in flight.
    Gone,
    /// It runs (or sleeps).
    Alive,
    /// Nothing can be proven from here.
    Unprovable,
}

/// The state of a ledger, for `doctor`.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// `sqlite`, `postgres`.
    pub engine: &'static str,
    /// Where it is, without a password.
    pub location: String,
    /// Its name.
    pub ledger_id: LedgerId,
    /// The schema's version.
    pub schema_version: i64,
    /// Whether a test write became durable.
    pub writable: bool,
    /// Facts with their names: journal mode, synchronous, size, clock.
    pub facts: Vec<(String, String)>,
}

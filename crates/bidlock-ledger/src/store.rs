//! [`LedgerStore`]: what an engine must do to be a ledger, and the plain types it takes and answers.
//!
//! All guards live in [`crate::state::TRANSITIONS`]; a store runs them as guarded updates and never reads
//! a row to decide on it later.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    BidState, Result,
    bid::{Bid, BidBrief, BidEvent, BidId, Claim, ClaimRef, Claimant, LedgerId, Payload, WallTime},
    note::{NewNote, Note},
    posting::PostingId,
    state::Action,
};
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
use crate::{
    ErrorKind, LedgerError,
    bid::{ClaimId, Epoch},
    state::IMPORTED,
};

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

/// A request to become the one that prepares and sends the bid.
#[derive(Clone, Debug)]
pub struct NewClaim {
    /// What to bid on.
    pub posting: PostingId,
    /// Who asks.
    pub claimant: Claimant,
    /// How long the claim lives without passing the door.
    pub ttl: Duration,
    /// What would be sent. Kept as it is once sent or approved.
    pub payload: Payload,
}

/// The answer to a [`NewClaim`].
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimOutcome {
    /// The claim is yours.
    Granted(Box<Claim>),
    /// There is a bid already: here it is.
    Existing(Box<Bid>),
}

/// A bid that the replaced system made, or may have made.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// What it bids on.
    pub posting: PostingId,
    /// One of [`crate::state::IMPORTED`]. `unknown` has the cause [`UnknownCause::Legacy`].
    pub state: BidState,
    /// As far as the replaced system kept it.
    pub payload: Payload,
    /// When it was sent, if it may have been: daily caps count it, and look-ups by time go by it.
    pub sent_at: Option<WallTime>,
    /// Who brings it in.
    pub actor: Actor,
    /// Where it comes from, in words.
    pub reason: String,
    /// What the replaced system knew, for the event: a JSON object.
    pub detail: serde_json::Value,
}

#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
impl NewClaim {
    /// The row that it makes. A posting's earlier bid whose answer was lost and that was settled as "not submitted" gives
    /// its payload: a request of that one which still sits in some proxy is then recognised by a marketplace that can.
    pub(crate) fn bid(
        &self,
        id: BidId,
        claim_id: ClaimId,
        (last_epoch, withdrawals): (i64, u32),
        earlier: Option<Payload>,
        at: WallTime,
    ) -> Bid {
        Bid {
            id,
            posting: self.posting.clone(),
            state: BidState::Claimed,
            rebid_allowed: false,
            claim_id,
            epoch: Epoch(last_epoch + 1),
            claimant: self.claimant.clone(),
            claim_remaining: Some(self.ttl),
            attempts: 0,
            payload: match earlier {
                // It goes where the new claimant sends it; look-ups of the first bid go where that one went.
                Some(earlier) => Payload { via: self.payload.via.clone(), ..earlier },
                None => self.payload.clone(),
            },
            idempotency_key: idempotency_key(&self.posting, withdrawals),
            external_ref: None,
            approved_until: None,
            unknown_cause: None,
            reason: None,
            first_sent_at: None,
            last_sent_at: None,
            created_at: at,
            updated_at: at,
            events: 1,
        }
    }
}

/// As whom imported bids stand in the ledger: no scanner of ours ever held them.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(crate) const LEGACY_HOLDER: &str = "legacy";

#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
impl NewImport {
    /// The row that it begins.
    pub(crate) fn bid(&self, id: BidId, epoch: i64, withdrawals: u32, at: WallTime) -> Bid {
        Bid {
            id,
            posting: self.posting.clone(),
            state: self.state,
            rebid_allowed: false,
            claim_id: ClaimId(Uuid::new_v4()),
            epoch: Epoch(epoch),
            claimant: Claimant { holder: LEGACY_HOLDER.to_owned(), instance: None },
            claim_remaining: None,
            attempts: 0,
            payload: self.payload.clone(),
            idempotency_key: idempotency_key(&self.posting, withdrawals),
            external_ref: None,
            approved_until: None,
            unknown_cause: (self.state == BidState::Unknown).then_some(UnknownCause::Legacy),
            reason: Some(self.reason.clone()),
            first_sent_at: self.sent_at,
            last_sent_at: self.sent_at,
            created_at: at,
            updated_at: at,
            events: 1,
        }
    }
}

/// Refuses imports in a state that could still be sent.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_imports(operation: &'static str, bids: &[NewImport]) -> Result<()> {
    check_batch(operation, bids.len())?;
    match bids.iter().find(|bid| !IMPORTED.contains(&bid.state)) {
        None => Ok(()),
        Some(bid) => {
            let message = format!("{} can't begin as {}: it could be sent", bid.posting, bid.state);
            Err(LedgerError::new(ErrorKind::Invalid, operation, message).with_hint("bring it in as unknown"))
        }
    }
}

/// The answer to a [`NewImport`].
#[derive(Clone, Debug, PartialEq)]
pub enum ImportOutcome {
    /// The row was made.
    Imported(Box<Bid>),
    /// There is a bid already: here it is, unchanged. [`Move::Import`] shuts it, if it could still be sent.
    Existing(Box<Bid>),
}

/// Who makes a change, for the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The scanner that holds the claim.
    pub fn scanner(holder: &str) -> Actor {
        Actor(holder.to_owned())
    }

    /// A person.
    pub fn operator(name: &str) -> Actor {
        Actor(format!("operator:{name}"))
    }

    /// The reconciler of this holder.
    pub fn reconciler(holder: &str) -> Actor {
        Actor(format!("reconciler:{holder}"))
    }
}

/// One guarded transition: compares bid, claim (by equality), and what the table's rule says.
#[derive(Clone, Debug)]
pub struct Change {
    /// The bid, and the claim that the mover holds, or saw when it decided.
    pub at: ClaimRef,
    /// Who moves it.
    pub actor: Actor,
    /// What is done.
    pub action: Move,
    /// Why, in words.
    pub reason: Option<String>,
    /// References and evidence for the event, a JSON object (or null).
    pub detail: serde_json::Value,
    /// A repeated request with the same key is recorded once and answered as [`Applied::Already`].
    pub event_key: Option<String>,
}

impl Change {
    /// A change without reason, detail or key.
    pub fn new(at: ClaimRef, actor: Actor, action: Move) -> Change {
        Change { at, actor, action, reason: None, detail: serde_json::Value::Null, event_key: None }
    }

    /// Says why.
    pub fn because(mut self, reason: impl Into<String>) -> Change {
        self.reason = Some(reason.into());
        self
    }

    /// Adds evidence.
    pub fn with_detail(mut self, detail: serde_json::Value) -> Change {
        self.detail = detail;
        self
    }

    /// Makes it safe to repeat.
    pub fn keyed(mut self, key: impl Into<String>) -> Change {
        self.event_key = Some(key.into());
        self
    }
}

/// What is done, with what it carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// See [`Action::AwaitApproval`].
    AwaitApproval,
    /// The approval holds this long.
    Approve {
        /// From now, by the host's wall clock.
        valid_for: Duration,
    },
    /// See [`Action::Decline`].
    Decline,
    /// The one-way door: `attempts + 1`, expiry = now + `ttl`.
    EnterSubmitting {
        /// Longer than the HTTP time limit.
        ttl: Duration,
        /// Refuses the door where this marketplace has sent so many since then. Counted in the same
        /// transaction; only a further attempt of a running submission is not counted again.
        cap: Option<Cap>,
    },
    /// The one-way door of an approved bid, with a new claim for this claimant.
    TakeSending {
        /// Who sends.
        claimant: Claimant,
        /// Longer than the HTTP time limit.
        ttl: Duration,
        /// As in [`Move::EnterSubmitting`].
        cap: Option<Cap>,
    },
    /// The marketplace's name for the bid.
    Accept {
        /// As the marketplace gave it.
        external_ref: String,
    },
    /// See [`Action::Refuse`].
    Refuse,
    /// The answer was lost; says how.
    LoseAnswer {
        /// What happened to the answer.
        cause: UnknownCause,
    },
    /// See [`Action::HandBack`]. The caller has proof that nothing was accepted.
    HandBack,
    /// A look-up found it.
    Find {
        /// As the marketplace gave it.
        external_ref: String,
    },
    /// A person says it was submitted.
    ResolveSubmitted {
        /// The marketplace's name for the bid, if the person knows it.
        external_ref: Option<String>,
    },
    /// A person says it never was.
    ResolveNotSubmitted {
        /// The posting may be bid on again: an explicit second choice. Not done while another bid on the
        /// posting is at the marketplace or may be ([`BidState::is_in_use`]): the row says what holds.
        allow_new_bid: bool,
    },
    /// See [`Action::Withdraw`].
    Withdraw,
    /// The marketplace confirmed.
    ConfirmWithdrawn {
        /// The owner's policy permits a new bid on this posting; limited as in
        /// [`Move::ResolveNotSubmitted`].
        rebid_allowed: bool,
    },
    /// See [`Action::RefuseWithdrawal`].
    RefuseWithdrawal,
    /// See [`Action::Win`].
    Win,
    /// See [`Action::Lose`].
    Lose,
    /// See [`Action::Import`]: the row becomes `unknown`, for the cause [`UnknownCause::Legacy`].
    Import,
}

impl Move {
    /// Under which name it stands in the transition table and in the events.
    pub fn action(&self) -> Action {
        match self {
            Move::AwaitApproval => Action::AwaitApproval,
            Move::Approve { .. } => Action::Approve,
            Move::Decline => Action::Decline,
            Move::EnterSubmitting { .. } => Action::EnterSubmitting,
            Move::TakeSending { .. } => Action::TakeSending,
            Move::Accept { .. } => Action::Accept,
            Move::Refuse => Action::Refuse,
            Move::LoseAnswer { .. } => Action::LoseAnswer,
            Move::HandBack => Action::HandBack,
            Move::Find { .. } => Action::Find,
            Move::ResolveSubmitted { .. } => Action::ResolveSubmitted,
            Move::ResolveNotSubmitted { .. } => Action::ResolveNotSubmitted,
            Move::Withdraw => Action::Withdraw,
            Move::ConfirmWithdrawn { .. } => Action::ConfirmWithdrawn,
            Move::RefuseWithdrawal => Action::RefuseWithdrawal,
            Move::Win => Action::Win,
            Move::Lose => Action::Lose,
            Move::Import => Action::Import,
        }
    }
}

/// A limit on the sendings of one marketplace, as [`LedgerStore::sent_since`] counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// So many at the most.
    pub limit: u64,
    /// Counted from here: the start of the day.
    pub since: WallTime,
}

/// The answer to a [`Change`].
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Done; the row as it is now.
    Moved {
        /// The row after the change.
        bid: Box<Bid>,
        /// A wrong `not_submitted` was reopened, or two live bids are now known for one posting: tell a person.
        alarm: Option<String>,
    },
    /// A change with this event key was recorded before; the row as it is now.
    Already(Box<Bid>),
    /// Nothing changed, and why.
    Not(NotMoved),
}

/// Why nothing changed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotMoved {
    /// Another claim has the row now. The row as it is.
    StaleClaim(Box<Bid>),
    /// The claim (or the approval) had expired. The row as it is.
    Expired(Box<Bid>),
    /// The table has no such transition from the row's state. The row as it is. In two cases it is
    /// another bid on the posting that stands in the way, and then that row: at the door, one that the
    /// marketplace has or may have; at a look-up's find, one that bears the name found, or a later one with the
    /// same key that is being sent at this moment.
    WrongState(Box<Bid>),
    /// The cap is reached. The row as it is.
    CapReached(Box<Bid>),
    /// No such bid.
    NoSuchBid(BidId),
}

/// Why the outcome of a submission is unknown. Each unknown bid names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCause {
    /// No answer within the time limit.
    Timeout,
    /// The connection broke after the body had begun to leave.
    ConnectionLost,
    /// A redirect, which is never followed.
    Redirect,
    /// 5xx, or another status that proves nothing.
    ServerError,
    /// An answer that can't be read.
    UnreadableAnswer,
    /// The marketplace says that a bid exists (409), and the look-up has not found ours yet.
    Duplicate,
    /// The claimant went silent after the door: killed, paused, or cut off from the ledger.
    ClaimantSilent,
    /// The claimant was told to stop while the request was under way.
    Shutdown,
    /// Imported from the replaced system, where it may have been sent.
    Legacy,
}

impl UnknownCause {
    /// Every cause.
    pub const ALL: [UnknownCause; 9] = [
        UnknownCause::Timeout,
        UnknownCause::ConnectionLost,
        UnknownCause::Redirect,
        UnknownCause::ServerError,
        UnknownCause::UnreadableAnswer,
        UnknownCause::Duplicate,
        UnknownCause::ClaimantSilent,
        UnknownCause::Shutdown,
        UnknownCause::Legacy,
    ];

    /// The name used in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            UnknownCause::Timeout => "timeout",
            UnknownCause::ConnectionLost => "connection_lost",
            UnknownCause::Redirect => "redirect",
            UnknownCause::ServerError => "server_error",
            UnknownCause::UnreadableAnswer => "unreadable_answer",
            UnknownCause::Duplicate => "duplicate",
            UnknownCause::ClaimantSilent => "claimant_silent",
            UnknownCause::Shutdown => "shutdown",
            UnknownCause::Legacy => "legacy",
        }
    }
}

impl std::fmt::Display for UnknownCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
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

/// A namespace for [`idempotency_key`].
const IDEMPOTENCY_NAMESPACE: Uuid = Uuid::from_u128(0xb1d1_0c8e_51f4_4d0a_9a57_6f1c_7d3e_2b90);

/// The key a marketplace may recognise a repeated bid by: UUIDv5 of marketplace, posting and the number
/// of confirmed withdrawals. Only a recorded withdrawal changes it.
pub fn idempotency_key(posting: &PostingId, confirmed_withdrawals: u32) -> Uuid {
    // Lengths first, so that no two pairs of texts give the same name.
    let (m, p) = (posting.marketplace(), posting.posting());
    let name = format!("{}:{m}:{}:{p}:{confirmed_withdrawals}", m.len(), p.len());
    Uuid::new_v5(&IDEMPOTENCY_NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_depends_on_posting_and_withdrawals_alone() {
        let a = PostingId::new("upwork", "1:1").unwrap();
        assert_eq!(idempotency_key(&a, 0), idempotency_key(&a.clone(), 0));
        assert_ne!(idempotency_key(&a, 0), idempotency_key(&a, 1));
        assert_ne!(idempotency_key(&a, 0), idempotency_key(&PostingId::new("upwork:1", "1").unwrap(), 0));
    }
}

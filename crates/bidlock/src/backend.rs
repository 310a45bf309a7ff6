//! What an engine must do to hold locks: the implementor's minimum. Waiting, backoff, renewal, local queues,
//! cancellation safety and counters are [`LockManager`](crate::LockManager)'s work, once for all engines.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::audit::Actor;
use crate::error::Result;
use crate::key::LockKey;
use crate::token::{FencingToken, HolderId, Nonce};

/// The most requests a manager puts into one backend call; longer lists are sent in several.
pub const MAX_BATCH: usize = 1_024;
/// The most locks that one [`Page`] returns.
pub const MAX_PAGE: usize = 1_000;

/// A store of locks.
///
/// Every call takes a batch, answers it in the same order, and each request stands for itself. The store's own clock
/// decides expiry. An implementation never answers `Held` because it could not find out: that is an error.
#[async_trait]
pub trait LockBackend: std::fmt::Debug + Send + Sync + 'static {
    /// What this engine can do.
    fn capability(&self) -> Capability;

    /// Grants each key that is free or expired. A key held under the *same nonce* is granted again, with the same
    /// token and a full TTL from now: that is how a lost answer is resolved.
    ///
    /// # Errors
    /// The store broke; the error says whether grants may have been made.
    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>>;

    /// Gives each lease that its nonce still holds a full TTL from now. A lease past its expiry is lost, even if
    /// nobody has taken the key since.
    ///
    /// # Errors
    /// The store broke; leases may have been renewed.
    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>>;

    /// Frees each key that is held under its grant's nonce, and no other.
    ///
    /// # Errors
    /// The store broke; keys may have been freed.
    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>>;

    /// Which of its stores keeps this grant, where a backend is made of several. A call to renew is for the grants of
    /// one store, so that a store that is away keeps only its own leases from being renewed.
    fn store_of(&self, grant: &Grant) -> usize {
        let _ = grant;
        0
    }

    /// The live locks that match, ordered by key, at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// The store broke.
    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>>;

    /// Frees the key whoever holds it; `Released` if somebody did, `Expired` if nobody does.
    ///
    /// # Errors
    /// The store broke; the key may have been freed.
    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released>;

    /// Queues the request for the key, where the engine can wake waiters; [`Waiter::never`] where it cannot. An engine
    /// whose releases wake everybody takes the lock at once if it is free: then the waiter's turn has come. If this
    /// future is dropped, or fails, nothing stays taken.
    ///
    /// # Errors
    /// The store broke.
    async fn enlist(&self, request: &Acquire) -> Result<Waiter>;

    /// Says that the scanners of these locks share the ledger of this id, and keeps that for `memory` from now, in
    /// the one place that all of them look at. With `replace`, another's id is put aside.
    ///
    /// Where the engine is no place for that, because locks and ledger are where one host is, it is `Unsupported`.
    ///
    /// # Errors
    /// The store broke; the id may have been kept.
    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        let _ = (ledger, memory, replace);
        Ok(LedgerBinding::Unsupported)
    }

    /// Whether the store answers, and how well.
    ///
    /// # Errors
    /// It does not.
    async fn check(&self) -> Result<Health>;
}

/// What an engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// The engine's name: the URL's scheme.
    pub name: &'static str,
    /// Between whom its locks exclude.
    pub shared: Shared,
    /// Whether tokens of one key strictly grow over its life.
    pub fencing: bool,
    /// Whom a release wakes.
    pub wake_up: WakeUp,
}

/// Between whom locks exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// Nobody: every request is granted. For tests only.
    Nothing,
    /// Tasks of one process.
    Process,
    /// Processes of one host.
    Host,
    /// Hosts.
    Fleet,
}

/// Whom a release wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeUp {
    /// Nobody: waiters poll.
    Nobody,
    /// Waiters of the same process; others poll.
    Process,
    /// All waiters.
    Everybody,
}

/// A request for one lock.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// What to lock.
    pub key: LockKey,
    /// Who asks.
    pub holder: HolderId,
    /// Which attempt this is.
    pub nonce: Nonce,
    /// How long the lock may be held without renewal, counted by the store from when it grants.
    pub ttl: Duration,
}

/// A lock that was granted; what renewal and release compare.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What is locked.
    pub key: LockKey,
    /// Who holds it.
    pub holder: HolderId,
    /// Under which attempt: the whole proof of ownership.
    pub nonce: Nonce,
    /// The token of this acquisition.
    pub token: FencingToken,
}

/// The answer to [`LockBackend::bind_ledger`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerBinding {
    /// All scanners of these locks use this ledger.
    Bound,
    /// Some use the ledger of this id: bidding on two ledgers is bidding twice.
    Another(String),
    /// Not known yet: the engine that keeps it is away, and another stands in. Ask again.
    Unknown,
    /// The engine never keeps it.
    Unsupported,
}

/// The answer to one [`Acquire`].
#[derive(Clone, Debug)]
pub enum Acquired {
    /// The caller holds the lock.
    Granted(Grant),
    /// Somebody else does.
    Held(Held),
}

/// Who holds a lock that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The holder as it named itself.
    pub holder: String,
    /// How long the lease still runs unless it is renewed, by the store's clock.
    pub remaining: Duration,
}

/// The answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease has a full TTL again.
    Renewed,
    /// The lease expired, or somebody took it away.
    Lost,
}

/// The answer to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Released {
    /// The lock was held by the caller and is free now.
    Released,
    /// Nobody held it any more. A release repeated after its answer was lost gives this too.
    Expired,
    /// Somebody else holds it, and still does.
    Stolen,
}

/// A live lock, as [`LockBackend::inspect`] shows it.
#[derive(Clone, Debug, Serialize)]
pub struct HeldLock {
    /// What is locked.
    pub key: LockKey,
    /// Who holds it.
    pub holder: String,
    /// The token of this acquisition.
    pub token: FencingToken,
    /// How long it has been held.
    pub held_for: Duration,
    /// How long the lease still runs unless it is renewed.
    pub remaining: Duration,
}

/// Which locks to show. All that is set must match.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// This key and no other.
    pub key: Option<LockKey>,
    /// What the key begins with; see [`LockKey::marketplace_prefix`].
    pub prefix: Option<String>,
    /// The exact holder.
    pub holder: Option<String>,
}

impl KeyFilter {
    /// Every lock.
    pub fn all() -> KeyFilter {
        KeyFilter::default()
    }

    /// This key's lock.
    pub fn key(key: &LockKey) -> KeyFilter {
        KeyFilter { key: Some(key.clone()), ..KeyFilter::default() }
    }

    /// The locks of one marketplace.
    ///
    /// # Errors
    /// The name can't be a marketplace's.
    pub fn marketplace(name: &str) -> std::result::Result<KeyFilter, crate::InvalidKey> {
        Ok(KeyFilter { prefix: Some(LockKey::marketplace_prefix(name)?), ..KeyFilter::default() })
    }

    /// The locks of one holder.
    pub fn holder(name: impl Into<String>) -> KeyFilter {
        KeyFilter { holder: Some(name.into()), ..KeyFilter::default() }
    }

    /// Whether a lock matches.
    pub fn matches(&self, key: &LockKey, holder: &str) -> bool {
        self.key.as_ref().is_none_or(|wanted| wanted == key)
            && self.prefix.as_ref().is_none_or(|prefix| key.as_str().starts_with(prefix.as_str()))
            && self.holder.as_ref().is_none_or(|wanted| wanted == holder)
    }
}

/// Which part of a listing: up to `limit` locks whose keys come after `after`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last key of the page before, or `None` for the first page.
    pub after: Option<LockKey>,
    /// How many; more than [`MAX_PAGE`] is cut to it.
    pub limit: usize,
}

impl Page {
    /// The first `limit` locks.
    pub fn first(limit: usize) -> Page {
        Page { after: None, limit }
    }

    /// The page after the one that ended with `last`.
    pub fn after(last: &LockKey, limit: usize) -> Page {
        Page { after: Some(last.clone()), limit }
    }

    /// How many locks to return.
    pub fn bounded_limit(&self) -> usize {
        self.limit.min(MAX_PAGE)
    }
}

impl Default for Page {
    fn default() -> Page {
        Page::first(MAX_PAGE)
    }
}

/// How a store is doing.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// The engine's name.
    pub backend: &'static str,
    /// Where it is: a path, or a URL without secrets.
    pub place: String,
    /// How long the check took.
    pub took: Duration,
    /// What else is known of the store, name and value, for people.
    pub facts: Vec<(String, String)>,
    /// What an operator should know; empty when all is well.
    pub warnings: Vec<String>,
}

/// What a wait came to.
#[derive(Debug)]
pub enum Turn {
    /// Whoever released has handed the lock over.
    Granted {
        /// The lock.
        grant: Grant,
        /// How long ago, at most, the store granted it.
        age: Duration,
        /// For how long it is granted, where that is shorter than the TTL: until its first renewal, which shows
        /// that the new holder lives.
        firm_for: Option<Duration>,
    },
    /// The lock may be free: ask for it.
    TryAgain,
}

/// A place in a backend's queue for one key. Dropping it leaves the queue; a lock that was handed over and not
/// taken goes to the next.
#[derive(Debug)]
pub struct Waiter(Option<Box<dyn Enlisted>>);

impl Waiter {
    /// A place in a queue.
    pub fn new(enlisted: impl Enlisted) -> Waiter {
        Waiter(Some(Box::new(enlisted)))
    }

    /// For engines that wake nobody: its turn never comes, and the manager polls.
    pub fn never() -> Waiter {
        Waiter(None)
    }

    /// Waits for the turn. Cancel-safe: a turn is never lost by dropping this future.
    ///
    /// # Errors
    /// The store broke; the manager goes on polling.
    pub async fn next(&mut self) -> Result<Turn> {
        match &mut self.0 {
            Some(enlisted) => enlisted.next().await,
            None => std::future::pending().await,
        }
    }

    /// Whether its turn can never come.
    pub(crate) fn is_never(&self) -> bool {
        self.0.is_none()
    }

    /// Who held the lock when the request was queued, where the engine said so.
    pub fn held(&self) -> Option<Held> {
        self.0.as_ref().and_then(|enlisted| enlisted.held())
    }
}

/// How an engine implements [`Waiter`].
#[async_trait]
pub trait Enlisted: std::fmt::Debug + Send + 'static {
    /// Waits for the turn; must be cancel-safe.
    ///
    /// # Errors
    /// The store broke.
    async fn next(&mut self) -> Result<Turn>;

    /// Who held the lock when the request was queued, if that is known.
    fn held(&self) -> Option<Held> {
        None
    }
}

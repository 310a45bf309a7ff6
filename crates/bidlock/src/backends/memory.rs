//! Locks in this process's memory: a sharded map, with the waiters of each key under the same mutex, so that a
//! release hands the lock over to the first of them before anybody else can see it free.
//!
//! Excludes the tasks of one process that share the backend, and nothing else: other processes don't see it, and a
//! restart forgets it. Chosen by name (`memory:`), never fallen back to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Enlisted, Grant, Health, Held, HeldLock, KeyFilter, LockBackend, Page,
    Released, Renewed, Shared, Turn, Waiter, WakeUp,
};
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::Result;
use crate::key::LockKey;
use crate::sync::locked;
use crate::token::{FencingToken, HolderId, Nonce};

/// A power of two well above the cores of any host, so that tasks on different keys seldom meet.
const SHARDS: usize = 64;
/// A shard with fewer locks than this is not swept.
const SWEEP_FLOOR: usize = 64;

pub(super) fn open(_rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    async { Ok(Arc::new(MemoryBackend::new()) as Arc<dyn LockBackend>) }.boxed()
}

/// Locks in memory; each backend is a store of its own, shared by all managers made on it.
#[derive(Clone, Debug)]
pub struct MemoryBackend(Arc<Store>);

#[derive(Debug)]
struct Store {
    clock: Arc<dyn Clock>,
    shards: Box<[Mutex<Shard>]>,
    last_token: AtomicU64,
    /// Wall clock less own clock, in microseconds, so that one reading of the clock makes a token.
    token_offset: u64,
}

#[derive(Debug, Default)]
struct Shard {
    locks: HashMap<LockKey, Row, BuildHasherDefault<KeyHash>>,
    waiters: HashMap<LockKey, VecDeque<Waiting>, BuildHasherDefault<KeyHash>>,
    /// Above this many locks the expired ones are taken out.
    sweep_above: usize,
}

#[derive(Debug)]
struct Row {
    holder: HolderId,
    nonce: Nonce,
    token: FencingToken,
    granted: Moment,
    expires: Moment,
    /// Handed over to a waiter that may not know of it yet.
    untaken: bool,
}

#[derive(Debug)]
struct Waiting {
    request: Acquire,
    hand_over: oneshot::Sender<(Grant, Moment)>,
}

impl MemoryBackend {
    /// An empty store on the host's clock.
    pub fn new() -> MemoryBackend {
        MemoryBackend::with_clock(Arc::new(SystemClock))
    }

    /// An empty store on another clock: for tests.
    pub fn with_clock(clock: Arc<dyn Clock>) -> MemoryBackend {
        let micros = |since: Duration| u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let wall = micros(clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let token_offset = wall.saturating_sub(clock.now().as_nanos() / 1000);
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect();
        MemoryBackend(Arc::new(Store { clock, shards, last_token: AtomicU64::new(0), token_offset }))
    }
}

impl Default for MemoryBackend {
    fn default() -> MemoryBackend {
        MemoryBackend::new()
    }
}

#[async_trait]
impl LockBackend for MemoryBackend {
    fn capability(&self) -> Capability {
        Capability { name: "memory", shared: Shared::Process, fencing: true, wake_up: WakeUp::Everybody }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let now = self.0.clock.now();
        Ok(requests.iter().map(|request| self.0.try_acquire(request, now)).collect())
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        let now = self.0.clock.now();
        let renew = |grant: &Grant| {
            let mut shard = locked(self.0.shard(&grant.key));
            match shard.locks.get_mut(&grant.key) {
                Some(row) if row.nonce == grant.nonce && row.expires > now => {
                    row.expires = now.later(ttl);
                    Renewed::Renewed
                }
                _ => Renewed::Lost,
            }
        };
        Ok(grants.iter().map(renew).collect())
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        let now = self.0.clock.now();
        Ok(grants.iter().map(|grant| self.0.release(&grant.key, grant.nonce, now)).collect())
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        let now = self.0.clock.now();
        let mut found: BTreeMap<LockKey, HeldLock> = BTreeMap::new();
        for shard in &self.0.shards {
            for (key, row) in &locked(shard).locks {
                let wanted = row.expires > now
                    && page.after.as_ref().is_none_or(|after| key > after)
                    && filter.matches(key, row.holder.as_str());
                if wanted {
                    found.insert(key.clone(), row.show(key, now));
                }
                if found.len() > page.bounded_limit() {
                    found.pop_last();
                }
            }
        }
        Ok(found.into_values().collect())
    }

    async fn force_release(&self, key: &LockKey, _by: &Actor) -> Result<Released> {
        let now = self.0.clock.now();
        let mut shard = locked(self.0.shard(key));
        let live = shard.locks.remove(key).is_some_and(|row| row.expires > now);
        self.0.hand_over(&mut shard, key, now);
        Ok(if live { Released::Released } else { Released::Expired })
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        let now = self.0.clock.now();
        let (hand_over, granted) = oneshot::channel();
        let mut shard = locked(self.0.shard(&request.key));
        let waiters = shard.waiters.entry(request.key.clone()).or_default();
        waiters.push_back(Waiting { request: request.clone(), hand_over });
        if !shard.held(&request.key, now) {
            self.0.hand_over(&mut shard, &request.key, now);
        }
        let another = |row: &&Row| row.nonce != request.nonce;
        let held = shard.locks.get(&request.key).filter(another).map(|row| row.held(now));
        drop(shard);
        let (key, nonce) = (request.key.clone(), request.nonce);
        Ok(Waiter::new(MemoryWaiter { store: Arc::clone(&self.0), key, nonce, granted, held }))
    }

    async fn check(&self) -> Result<Health> {
        Ok(Health {
            backend: "memory",
            place: "this process".to_owned(),
            took: Duration::ZERO,
            facts: Vec::new(),
            warnings: vec!["memory locks exclude within this process only".to_owned()],
        })
    }
}

impl Store {
    fn shard(&self, key: &LockKey) -> &Mutex<Shard> {
        // The map inside uses the hash's other end.
        &self.shards[(key.process_hash() >> 32) as usize % SHARDS]
    }

    fn try_acquire(&self, request: &Acquire, now: Moment) -> Acquired {
        let mut shard = locked(self.shard(&request.key));
        if let Some(row) = shard.locks.get_mut(&request.key)
            && row.expires > now
        {
            if row.nonce != request.nonce {
                return Acquired::Held(row.held(now));
            }
            row.expires = now.later(request.ttl);
            row.untaken = false;
            return Acquired::Granted(row.grant(&request.key));
        }
        if !shard.waiters.is_empty() && shard.waiters.contains_key(&request.key) {
            // An expired lock belongs to whoever waits longest, be it this request or another.
            self.hand_over(&mut shard, &request.key, now);
            if let Some(row) = shard.locks.get_mut(&request.key)
                && row.expires > now
            {
                if row.nonce != request.nonce {
                    return Acquired::Held(row.held(now));
                }
                row.untaken = false;
                return Acquired::Granted(row.grant(&request.key));
            }
        }
        Acquired::Granted(self.grant(&mut shard, request, now))
    }

    fn grant(&self, shard: &mut Shard, request: &Acquire, now: Moment) -> Grant {
        shard.sweep(now);
        let token = self.next_token(now);
        let row = Row {
            holder: request.holder.clone(),
            nonce: request.nonce,
            token,
            granted: now,
            expires: now.later(request.ttl),
            untaken: false,
        };
        let grant = row.grant(&request.key);
        shard.locks.insert(request.key.clone(), row);
        grant
    }

    fn release(&self, key: &LockKey, nonce: Nonce, now: Moment) -> Released {
        let mut shard = locked(self.shard(key));
        let found = match shard.locks.get(key) {
            Some(row) if row.nonce == nonce => {
                let live = row.expires > now;
                shard.locks.remove(key);
                if live { Released::Released } else { Released::Expired }
            }
            Some(row) if row.expires > now => return Released::Stolen,
            _ => Released::Expired,
        };
        if !shard.waiters.is_empty() {
            self.hand_over(&mut shard, key, now);
        }
        found
    }

    /// Makes the first waiter that is still there the holder. Only for a key that nobody holds.
    fn hand_over(&self, shard: &mut Shard, key: &LockKey, now: Moment) {
        while let Some(next) = shard.waiters.get_mut(key).and_then(VecDeque::pop_front) {
            let grant = self.grant(shard, &next.request, now);
            if next.hand_over.send((grant, now)).is_ok() {
                if let Some(row) = shard.locks.get_mut(key) {
                    row.untaken = true;
                }
                break;
            }
            shard.locks.remove(key); // it has left: not its, after all
        }
        if shard.waiters.get(key).is_some_and(VecDeque::is_empty) {
            shard.waiters.remove(key);
        }
    }

    /// The store's time in microseconds, at least one more than the last.
    fn next_token(&self, now: Moment) -> FencingToken {
        let time = self.token_offset + now.as_nanos() / 1000;
        let mut last = self.last_token.load(Relaxed);
        loop {
            let next = time.max(last + 1);
            match self.last_token.compare_exchange_weak(last, next, Relaxed, Relaxed) {
                Ok(_) => return FencingToken::new(next),
                Err(newer) => last = newer,
            }
        }
    }
}

impl Shard {
    fn held(&self, key: &LockKey, now: Moment) -> bool {
        self.locks.get(key).is_some_and(|row| row.expires > now)
    }

    /// Takes expired locks out whenever the shard has doubled since the last time: never released ones cost memory
    /// in proportion to the live ones at the most, and each lock is looked at a constant number of times.
    fn sweep(&mut self, now: Moment) {
        if self.locks.len() > self.sweep_above.max(SWEEP_FLOOR) {
            self.locks.retain(|_, row| row.expires > now);
            self.sweep_above = self.locks.len() * 2;
        }
    }
}

impl Row {
    fn held(&self, now: Moment) -> Held {
        Held { holder: self.holder.as_str().to_owned(), remaining: self.expires.since(now) }
    }

    fn grant(&self, key: &LockKey) -> Grant {
        Grant { key: key.clone(), holder: self.holder.clone(), nonce: self.nonce, token: self.token }
    }

    fn show(&self, key: &LockKey, now: Moment) -> HeldLock {
        HeldLock {
            key: key.clone(),
            holder: self.holder.as_str().to_owned(),
            token: self.token,
            held_for: now.since(self.granted),
            remaining: self.expires.since(now),
        }
    }
}

#[derive(Debug)]
struct MemoryWaiter {
    store: Arc<Store>,
    key: LockKey,
    nonce: Nonce,
    granted: oneshot::Receiver<(Grant, Moment)>,
    /// Who had it when this was queued.
    held: Option<Held>,
}

#[async_trait]
impl Enlisted for MemoryWaiter {
    async fn next(&mut self) -> Result<Turn> {
        if self.granted.is_terminated() {
            // It has had its turn, or lost its place: whoever waits on looks for himself.
            return std::future::pending().await;
        }
        match (&mut self.granted).await {
            Ok((grant, at)) => {
                if let Some(row) = locked(self.store.shard(&self.key)).locks.get_mut(&self.key)
                    && row.nonce == grant.nonce
                {
                    row.untaken = false;
                }
                Ok(Turn::Granted { grant, age: self.store.clock.now().since(at), firm_for: None })
            }
            // Our place is gone without a grant, which nothing does; asking again is right whatever happened.
            Err(_) => Ok(Turn::TryAgain),
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.clone()
    }
}

impl Drop for MemoryWaiter {
    fn drop(&mut self) {
        let mut shard = locked(self.store.shard(&self.key));
        if let Some(waiters) = shard.waiters.get_mut(&self.key) {
            waiters.retain(|waiting| waiting.request.nonce != self.nonce);
            if waiters.is_empty() {
                shard.waiters.remove(&self.key);
            }
        }
        // Handed over and not taken: the next one's. A grant that was taken has left the channel, or was found by
        // asking again.
        self.granted.close();
        let untaken = |row: &Row| row.untaken && row.nonce == self.nonce;
        if self.granted.try_recv().is_ok() && shard.locks.get(&self.key).is_some_and(untaken) {
            shard.locks.remove(&self.key);
            self.store.hand_over(&mut shard, &self.key, self.store.clock.now());
        }
    }
}

/// The key brings its own hash, keyed at random for the process.
#[derive(Debug, Default)]
struct KeyHash(u64);

impl Hasher for KeyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached by `LockKey`; right for anything.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

//! Locks on a Redis server: for any number of hosts, at the speed of the engine. From Redis 5 up, and Valkey.
//!
//! A lock is a string under the key that operators know, `bid_lock:{marketplace}:{posting}`; its value begins with
//! the holder and is unique to one acquisition, its TTL is the server's. Clients that do `SET key holder NX EX ttl`
//! and this backend exclude each other. The server's clock decides expiry.
//!
//! One connection a process, made when it is first needed and again when it breaks; what many tasks ask at once
//! shares script calls. A server that loses its data, or is failed over to a replica that had not heard of a lock,
//! grants it again: locks filter, the ledger decides.
//!
//! | file | what |
//! |---|---|
//! | `*.lua`, `scripts.rs` | what happens atomically on the server |
//! | `value.rs` | what keys and values look like |
//! | `single.rs` | batches on one server, answers taken apart |
//! | `native.rs` | the server's own conditional commands, where it has them |
//! | `waiters.rs` | waiting by hand-off |
//! | `lane.rs` | calls that share a round trip |
//! | `link.rs`, `checks.rs`, `options.rs` | the connection, what a server must be like, where it is |
//! | `listing.rs` | what operators see |
//! | `faults.rs` | errors that name cause and way out |

mod checks;
mod faults;
mod lane;
mod link;
mod listing;
mod native;
mod options;
mod scripts;
mod single;
mod value;
mod waiters;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use redis::FromRedisValue;
use uuid::Uuid;

pub use self::options::RedisOptions;

use self::faults::{Fault, odd_answer};
use self::lane::Lane;
use self::link::{Link, OnPush};
use self::single::{Release, Share};
use self::waiters::{RedisWaiter, Waiters};
use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LedgerBinding, LockBackend, Page,
    Released, Renewed, Shared, Waiter, WakeUp,
};
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::key::LockKey;

/// The engine's name and URL scheme.
const NAME: &str = "redis";

pub(super) fn open(rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    open_url(format!("redis:{rest}"))
}

pub(super) fn open_tls(rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    open_url(format!("rediss:{rest}"))
}

pub(super) fn open_unix(rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    open_url(format!("redis+unix:{rest}"))
}

fn open_url(url: String) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    async move {
        let backend = RedisBackend::connect(RedisOptions::from_url(&url)?).await?;
        Ok(Arc::new(backend) as Arc<dyn LockBackend>)
    }
    .boxed()
}

/// Locks on one Redis server. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct RedisBackend {
    link: Arc<Link>,
    acquires: Arc<Lane<Acquire, Acquired>>,
    releases: Arc<Lane<Release, Released>>,
    waiters: Arc<Waiters>,
}

impl RedisBackend {
    /// Connects, and looks whether the server is fit to hold locks. Warnings are logged, and shown by
    /// [`LockBackend::check`].
    ///
    /// # Errors
    /// The server can't be reached, refuses the log-in, or is unfit: too old, a replica, a cluster, evicts keys, or
    /// has a clock of its own.
    pub async fn connect(options: RedisOptions) -> Result<RedisBackend> {
        let backend = RedisBackend::lazy(options);
        let live = backend.link.live().await.map_err(|fault| fault.into_error("connect"))?;
        for warning in &live.facts.warnings {
            tracing::warn!(place = backend.link.options().place(), "{warning}");
        }
        Ok(backend)
    }

    /// Connects when a lock is first asked for, and then looks whether the server is fit; for callers that have
    /// another engine to fall back to. Needs a tokio runtime from here on.
    pub fn lazy(options: RedisOptions) -> RedisBackend {
        if options.uses_tls() {
            // An error means that the program has chosen a provider already, and it is right as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let waiters: Arc<Waiters> = Arc::default();
        let on_push: OnPush = Arc::new({
            let waiters = Arc::clone(&waiters);
            move |pushed| waiters.hear(pushed)
        });
        let channel = value::channel(&Uuid::new_v4().simple().to_string());
        let link = Arc::new(Link::new(options, channel, on_push));
        link.watch();
        let losing = Arc::new(Share::default());
        let acquires = Lane::new({
            let link = Arc::clone(&link);
            move |requests: Vec<Acquire>| {
                let (link, losing) = (Arc::clone(&link), Arc::clone(&losing));
                async move { single::acquire(&link, &losing, &requests).await }
            }
        });
        let waited = Arc::new(Share::default());
        let releases = Lane::new({
            let link = Arc::clone(&link);
            move |releases: Vec<Release>| {
                let (link, waited) = (Arc::clone(&link), Arc::clone(&waited));
                async move { single::release(&link, &waited, &releases).await }
            }
        });
        RedisBackend { link, acquires, releases, waiters }
    }

    /// The server without user and password.
    pub fn place(&self) -> String {
        self.link.options().place()
    }

    /// The id of the ledger that the scanners of these locks share, as far as the server knows it; see
    /// [`LockBackend::bind_ledger`].
    ///
    /// # Errors
    /// The server can't be asked.
    pub async fn bound_ledger(&self) -> Result<Option<String>> {
        let known = self.link.query(redis::cmd("GET").arg(self.link.names().ledger())).await;
        let known =
            known.and_then(|known| FromRedisValue::from_redis_value(known).map_err(|_| odd_answer("GET")));
        known.map_err(|fault: Fault| fault.into_error("bound_ledger"))
    }

    /// How many commands this backend has sent; for benchmarks.
    pub fn commands_sent(&self) -> u64 {
        self.link.commands_sent()
    }

    /// A waiter that polls: it asks with the script that queues, so that its place is kept and marked.
    async fn ask_again(&self, request: &Acquire) -> Result<Vec<Acquired>, Fault> {
        let queued = waiters::ask(&self.link, request).await?;
        self.waiters.asked(request.nonce, &queued);
        Ok(vec![queued.answer])
    }
}

#[async_trait]
impl LockBackend for RedisBackend {
    fn capability(&self) -> Capability {
        let polls = self.link.facts().is_some_and(|facts| !facts.push);
        let wake_up = if polls { WakeUp::Nobody } else { WakeUp::Everybody };
        Capability { name: NAME, shared: Shared::Fleet, fencing: true, wake_up }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let answers = match requests {
            [request] if self.waiters.has(request.nonce) => self.ask_again(request).await,
            _ => self.acquires.call(requests).await,
        };
        answers.map_err(|fault| fault.into_error("try_acquire"))
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        single::renew(&self.link, grants, ttl).await.map_err(|fault| fault.into_error("renew"))
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        let releases: Vec<Release> = grants.iter().map(Release::of).collect();
        self.releases.call(&releases).await.map_err(|fault| fault.into_error("release"))
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        listing::inspect(&self.link, filter, &page).await.map_err(|fault| fault.into_error("inspect"))
    }

    async fn force_release(&self, key: &LockKey, _by: &Actor) -> Result<Released> {
        let release = Release { key: key.clone(), proof: String::new() };
        let released = single::release_by_script(&self.link, &[&release]).await;
        let released = released.map_err(|fault| fault.into_error("force_release"))?;
        Ok(released.first().copied().unwrap_or(Released::Expired))
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        let live = self.link.live().await.map_err(|fault| fault.into_error("enlist"))?;
        if !live.facts.push {
            return Ok(Waiter::never());
        }
        let waiter = RedisWaiter::enlist(&self.link, &self.waiters, request).await;
        waiter.map(Waiter::new).map_err(|fault| fault.into_error("enlist"))
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        let mut call = scripts::BIND_LEDGER.call(1);
        call.arg(self.link.names().ledger()).arg(ledger).arg(single::ttl_ms(memory)).arg(u8::from(replace));
        let known = scripts::BIND_LEDGER.run(&self.link, call).await;
        let known =
            known.and_then(|known| String::from_redis_value(known).map_err(|_| odd_answer("bind_ledger")));
        let known = known.map_err(|fault| fault.into_error("bind_ledger"))?;
        if known != ledger {
            return Ok(LedgerBinding::Another(known));
        }
        self.link.serve(ledger, memory);
        Ok(LedgerBinding::Bound)
    }

    async fn check(&self) -> Result<Health> {
        let start = SystemClock.now();
        let failed = |fault: Fault| fault.into_error("check");
        let mut live = self.link.live().await.map_err(failed)?;
        // What was true when the connection was made may not be any more.
        let facts = checks::examine(&mut live.connection, self.link.options(), live.facts.push).await;
        let facts = facts.map_err(failed)?;
        Ok(Health {
            backend: NAME,
            place: self.place(),
            took: SystemClock.now().since(start),
            facts: facts.told,
            warnings: facts.warnings,
        })
    }
}

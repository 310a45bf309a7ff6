//! Locks in a PostgreSQL database: for the scanners of many hosts, beside the ledger they share.
//!
//! A lock is a row with a deadline by the server's clock, not a session's advisory lock: it survives a lost
//! connection, and works behind a transaction pooler. Concurrent calls of a process meet in few connections and travel
//! in batches. The commits of locks do not wait for the disk: a crash of the server can forget what it granted in its
//! last half second, as the ledger can not.
//!
//! A release wakes waiters of the same process; those of others poll. There is no `NOTIFY`: on a busy path it costs
//! more than it saves, as all who notify queue for one lock until they have committed.
//!
//! For callers inside a transaction of their own there are [`try_lock_in_transaction`] and [`lock_in_transaction`].

mod advisory;
mod jobs;
mod statements;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bidlock_postgres::tokio_postgres::types::Type;
use bidlock_postgres::{Lanes, Reader, Session, Target};
use futures::FutureExt;
use futures::future::BoxFuture;

pub use self::advisory::{lock_in_transaction, try_lock_in_transaction};
use self::jobs::LockJob;
use super::wake_ups::WakeUps;
use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LockBackend, Page, Released, Renewed,
    Shared, Waiter, WakeUp,
};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;

/// The engine's name and URL scheme.
const NAME: &str = "postgres";
/// Connections of one process that acquire, renew and release: a second one keeps another core of the server busy with
/// large batches (a quarter more pairs, measured), and costs single calls nothing. More only make batches smaller: what
/// waits while these are busy is their next one.
const LANES: usize = 2;
/// The most requests of one statement, or one call if it brings more: bounds how long rows are locked.
const MAX_BATCH_WEIGHT: usize = 1_024;
/// A part of the table is swept each time so many locks have been asked for.
const SWEEP_EVERY: u64 = 1_024;

pub(super) fn open(rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    let url = format!("postgres:{rest}");
    async move { Ok(Arc::new(PostgresBackend::open(&url).await?) as Arc<dyn LockBackend>) }.boxed()
}

/// Locks in one PostgreSQL database. Cheap to clone. Lives on the tokio runtime on which it was opened.
#[derive(Clone, Debug)]
pub struct PostgresBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: Target,
    lanes: Lanes<LockJob>,
    reader: Reader,
    wake_ups: Arc<WakeUps>,
    asked: AtomicU64,
}

impl PostgresBackend {
    /// Opens the database's locks, and makes their table if it is missing.
    ///
    /// # Errors
    /// The URL is not understood, the server can't be reached, refuses the user, is too old, or is a standby.
    pub async fn open(url: &str) -> Result<PostgresBackend> {
        let target = Target::parse(url).map_err(fault("connect"))?;
        let session = Session::connect(&target, None).await.map_err(fault("connect"))?;
        statements::make_schema(&session, &target).await.map_err(fault("connect"))?;
        let lanes = Lanes::start(&target, None, None, (LANES, MAX_BATCH_WEIGHT), |lane, jobs| {
            jobs::work(lane, jobs).boxed()
        });
        let reader = Reader::new(target.clone(), None, Some(session));
        let wake_ups = WakeUps::of(target.place());
        Ok(PostgresBackend {
            inner: Arc::new(Inner { target, lanes, reader, wake_ups, asked: AtomicU64::new(0) }),
        })
    }

    /// The database, without a password.
    pub fn place(&self) -> &str {
        self.inner.target.place()
    }
}

#[async_trait]
impl LockBackend for PostgresBackend {
    fn capability(&self) -> Capability {
        Capability { name: NAME, shared: Shared::Fleet, fencing: true, wake_up: WakeUp::Process }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let count = requests.len() as u64;
        let before = self.inner.asked.fetch_add(count, Relaxed);
        if is_due(before, count) {
            self.inner.lanes.push(LockJob::Sweep);
        }
        let requests = requests.to_vec();
        let ask = |reply| LockJob::Acquire(requests, reply);
        self.inner.lanes.ask(ask).await.map_err(fault("try_acquire"))
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        let grants = grants.iter().map(|grant| (grant.clone(), ttl)).collect();
        self.inner.lanes.ask(|reply| LockJob::Renew(grants, reply)).await.map_err(fault("renew"))
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        let ours = grants.to_vec();
        let released = self.inner.lanes.ask(|reply| LockJob::Release(ours, reply)).await;
        let released = released.map_err(fault("release"))?;
        self.inner.wake_ups.wake(grants.iter().map(|grant| &grant.key));
        Ok(released)
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        let (filter, page) = (&filter, &page);
        let ask = |session: Arc<Session>| async move { statements::inspect(&session, filter, page).await };
        self.inner.reader.read(ask).await.map_err(fault("inspect"))
    }

    async fn force_release(&self, key: &LockKey, _by: &Actor) -> Result<Released> {
        let ask = |session: Arc<Session>| async move {
            let arguments: [bidlock_postgres::Argument<'_>; 1] = [(&key.as_str(), Type::TEXT)];
            session.query(statements::FORCE_RELEASE, &arguments).await
        };
        let freed = self.inner.reader.read(ask).await.map_err(fault("force_release"))?;
        self.inner.wake_ups.wake(std::iter::once(key));
        Ok(if freed.is_empty() { Released::Expired } else { Released::Released })
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        Ok(Waiter::new(self.inner.wake_ups.enlist(&request.key)))
    }

    async fn check(&self) -> Result<Health> {
        let start = SystemClock.now();
        let ask = |session: Arc<Session>| async move { statements::look(&session).await };
        let found = self.inner.reader.read(ask).await.map_err(fault("check"))?;
        let mut warnings = Vec::new();
        if found.standby {
            warnings.push(
                "the server is a read-only standby: nothing can be locked; name the primary".to_owned(),
            );
        }
        if !found.is_complete() {
            let missing =
                "the table bidlock.lease or its function is missing; open the locks anew to make it";
            warnings.push(missing.to_owned());
        }
        let took = SystemClock.now().since(start);
        let facts = vec![
            ("server".to_owned(), format!("PostgreSQL {}", found.server)),
            ("role".to_owned(), if found.standby { "standby" } else { "primary" }.to_owned()),
        ];
        Ok(Health { backend: NAME, place: self.place().to_owned(), took, facts, warnings })
    }
}

/// Whether a sweep is due once `count` more have been asked for than `before`.
fn is_due(before: u64, count: u64) -> bool {
    (before + count) / SWEEP_EVERY > before / SWEEP_EVERY
}

fn fault(operation: &'static str) -> impl FnOnce(bidlock_postgres::Error) -> Error {
    use bidlock_postgres::{Effect, ErrorKind as Kind};
    move |error| {
        let kind = match error.kind() {
            Kind::Unavailable => ErrorKind::Unavailable,
            Kind::Busy | Kind::Conflict => ErrorKind::Busy,
            Kind::Poisoned => ErrorKind::Poisoned,
            Kind::Unfit => ErrorKind::Unfit,
            Kind::Corrupt => ErrorKind::Corrupt,
            Kind::Invalid => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        };
        let message = format!("{}: {}", error.place(), error.message());
        let mut fault = Error::new(kind, NAME, operation, message);
        if let Some(hint) = error.hint() {
            fault = fault.with_hint(hint);
        }
        if error.effect() == Effect::Unknown {
            fault = fault.maybe_applied();
        }
        fault.with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use bidlock_postgres::{Effect, ErrorKind as Kind};

    use super::*;

    #[test]
    fn a_sweep_is_due_each_time_so_many_were_asked_for() {
        let most = SWEEP_EVERY;
        for (before, count, due) in [
            (0, most - 1, false),
            (0, most, true),
            (most - 1, 1, true),
            (most, 1, false),
            (most, most - 1, false),
            (most + 1, most - 1, true),
            (5, 3 * most, true),
        ] {
            assert_eq!(is_due(before, count), due, "{count} after {before}");
        }
    }

    #[test]
    fn each_fault_keeps_its_kind_its_place_and_whether_it_may_have_been_applied() {
        for (kind, as_lock) in [
            (Kind::Unavailable, ErrorKind::Unavailable),
            (Kind::Busy, ErrorKind::Busy),
            (Kind::Conflict, ErrorKind::Busy),
            (Kind::Poisoned, ErrorKind::Poisoned),
            (Kind::Unfit, ErrorKind::Unfit),
            (Kind::Corrupt, ErrorKind::Corrupt),
            (Kind::Invalid, ErrorKind::Invalid),
            (Kind::Statement, ErrorKind::Internal),
        ] {
            for effect in [Effect::NotApplied, Effect::Unknown] {
                let error = bidlock_postgres::Error::new(kind, &"postgres://here/".into(), "broke");
                let fault = fault("renew")(error.with_effect(effect).with_hint("mend it"));
                assert_eq!(fault.kind(), as_lock, "{kind:?}");
                assert_eq!(fault.effect() == crate::Effect::Unknown, effect == Effect::Unknown, "{kind:?}");
                let told = fault.to_string();
                assert!(told.contains("postgres://here/: broke"), "{told}");
                assert_eq!(fault.hint(), Some("mend it"));
            }
        }
    }
}

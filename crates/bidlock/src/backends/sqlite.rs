//! Locks in an SQLite file: for the processes of one host, without a server.
//!
//! Time is the host's boot-time clock together with the boot id, so neither a step of the wall clock nor a reboot
//! misleads it: what another boot granted has expired. For the same reason the file needs no `synchronous=FULL`: only
//! a power loss can take back a commit of `NORMAL`, and after it the boot id is another and every lock has expired.
//! The file must be on a local disk; a network file system is refused. The processes must share the host's boot-time
//! clock, which containers do unless they are given a time namespace of their own.
//!
//! A release wakes waiters of the same process; those of other processes poll.

mod rows;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bidlock_sqlite::{Options, Store, Synchronous};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::wake_ups::WakeUps;
use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LockBackend, Page, Released, Renewed,
    Shared, Waiter, WakeUp,
};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::sync::locked;

/// The engine's name and URL scheme.
const NAME: &str = "sqlite";
/// A part of the file is swept each time so many locks have been asked for: expired rows are then never more than
/// the locks of a few rounds, and sweeping costs each acquisition two rows' look.
const SWEEP_EVERY: u64 = 256;

pub(super) fn open(rest: &str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>> {
    let path = path_of(rest);
    async move {
        let path = path?;
        // Opening waits for other processes that open the file.
        let opened = tokio::task::spawn_blocking(move || SqliteBackend::open(path)).await;
        let backend = opened.unwrap_or_else(|error| {
            let message = "the thread that opens the file broke";
            Err(Error::new(ErrorKind::Internal, NAME, "connect", message).with_source(error))
        })?;
        Ok(Arc::new(backend) as Arc<dyn LockBackend>)
    }
    .boxed()
}

/// Locks in one SQLite file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqliteBackend {
    store: Store,
    wake_ups: Arc<WakeUps>,
    sweeping: Arc<Sweeping>,
}

#[derive(Debug, Default)]
struct Sweeping {
    asked: AtomicU64,
    /// The key that the last part ended with.
    cursor: Mutex<String>,
}

impl SqliteBackend {
    /// Opens the file, and makes it if it is missing. Blocks while other processes open it.
    ///
    /// # Errors
    /// The place is unfit (a network file system, a folder, no permission), the file is something else, or others
    /// keep it busy.
    pub fn open(path: impl Into<PathBuf>) -> Result<SqliteBackend> {
        SqliteBackend::open_with(Options::new(path).with_synchronous(Synchronous::Normal))
    }

    /// Opens the file with options of your own.
    ///
    /// # Errors
    /// As for [`SqliteBackend::open`].
    pub fn open_with(options: Options) -> Result<SqliteBackend> {
        let now = options.clock.now();
        let store = Store::open(options, |conn| rows::make_schema(conn, now)).map_err(fault("connect"))?;
        let canonical = std::fs::canonicalize(store.path()).unwrap_or_else(|_| store.path().to_owned());
        Ok(SqliteBackend {
            wake_ups: WakeUps::of(&canonical.to_string_lossy()),
            store,
            sweeping: Arc::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.store.path()
    }
}

#[async_trait]
impl LockBackend for SqliteBackend {
    fn capability(&self) -> Capability {
        Capability { name: NAME, shared: Shared::Host, fencing: true, wake_up: WakeUp::Process }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let requests = requests.to_vec();
        let count = requests.len() as u64;
        let before = self.sweeping.asked.fetch_add(count, Relaxed);
        let sweep =
            ((before + count) / SWEEP_EVERY > before / SWEEP_EVERY).then(|| Arc::clone(&self.sweeping));
        self.store
            .write(move |tx, now| {
                if let Some(sweeping) = &sweep {
                    // A job may run twice; a part that is passed over is swept in the next round.
                    let mut cursor = locked(&sweeping.cursor);
                    *cursor = rows::sweep(tx, now, &cursor)?;
                }
                requests.iter().map(|request| rows::acquire(tx, now, request)).collect()
            })
            .await
            .map_err(fault("try_acquire"))
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        let grants = grants.to_vec();
        self.store
            .write(move |tx, now| grants.iter().map(|grant| rows::renew(tx, now, grant, ttl)).collect())
            .await
            .map_err(fault("renew"))
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        let ours = grants.to_vec();
        let released = self
            .store
            .write(move |tx, now| ours.iter().map(|grant| rows::release(tx, now, grant)).collect())
            .await
            .map_err(fault("release"))?;
        self.wake_ups.wake(grants.iter().map(|grant| &grant.key));
        Ok(released)
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        let filter = filter.clone();
        self.store
            .read(move |conn, now| rows::inspect(conn, now, &filter, &page))
            .await
            .map_err(fault("inspect"))
    }

    async fn force_release(&self, key: &LockKey, _by: &Actor) -> Result<Released> {
        let wanted = key.clone();
        let released = self
            .store
            .write(move |tx, now| rows::force_release(tx, now, &wanted))
            .await
            .map_err(fault("force_release"))?;
        self.wake_ups.wake(std::iter::once(key));
        Ok(released)
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        Ok(Waiter::new(self.wake_ups.enlist(&request.key)))
    }

    async fn check(&self) -> Result<Health> {
        let start = SystemClock.now();
        // Through the writer, so that a paused process that keeps the write lock shows.
        self.store
            .write(|tx, _| tx.query_row(include_str!("sqlite/check.sql"), [], |_| Ok(())))
            .await
            .map_err(fault("check"))?;
        Ok(Health {
            backend: NAME,
            place: self.store.path().display().to_string(),
            took: SystemClock.now().since(start),
            facts: Vec::new(),
            warnings: Vec::new(),
        })
    }
}

/// The path of a URL, which has lost its scheme: three slashes and a relative path, four and an absolute one, as
/// users of `DATABASE_URL` know it, or the bare path.
fn path_of(rest: &str) -> Result<PathBuf> {
    let invalid = |message: String| {
        Err(Error::new(ErrorKind::Invalid, NAME, "connect", message)
            .with_hint("write sqlite:///relative.db, sqlite:////absolute.db, or a path"))
    };
    let path = match rest.strip_prefix("///") {
        Some(path) => path,
        None if rest.starts_with("//") => return invalid(format!("`sqlite:{rest}` names a host")),
        None => rest,
    };
    match path {
        "" => invalid("no file is named".to_owned()),
        ":memory:" => {
            invalid("locks of SQLite are in a file; for locks in memory there is `memory:`".to_owned())
        }
        path => Ok(PathBuf::from(path)),
    }
}

fn fault(operation: &'static str) -> impl FnOnce(bidlock_sqlite::Error) -> Error {
    use bidlock_sqlite::{Effect, ErrorKind as Kind};
    move |error| {
        let kind = match error.kind() {
            Kind::Missing | Kind::Unavailable | Kind::Closed => ErrorKind::Unavailable,
            Kind::Busy => ErrorKind::Busy,
            Kind::Poisoned => ErrorKind::Poisoned,
            Kind::Unfit => ErrorKind::Unfit,
            Kind::Corrupt => ErrorKind::Corrupt,
            _ => ErrorKind::Internal,
        };
        let effect = error.effect();
        let (message, hint) = (format!("{}: {}", error.path().display(), error.message()), error.hint());
        let fault = Error::new(kind, NAME, operation, message).with_source(error);
        let fault = match hint {
            // Locks that are damaged need no backup; whoever opened them says what they need.
            Some(hint) if kind != ErrorKind::Corrupt => fault.with_hint(hint),
            _ => fault,
        };
        if effect == Effect::Unknown { fault.maybe_applied() } else { fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_users_know_them() {
        for (rest, path) in
            [("///a/b.db", "a/b.db"), ("////a/b.db", "/a/b.db"), ("b.db", "b.db"), ("/a/b.db", "/a/b.db")]
        {
            assert_eq!(path_of(rest).unwrap(), PathBuf::from(path), "{rest}");
        }
        for rest in ["", "///", "//host/b.db", ":memory:", "///:memory:"] {
            assert_eq!(path_of(rest).unwrap_err().kind(), ErrorKind::Invalid, "{rest}");
        }
    }
}

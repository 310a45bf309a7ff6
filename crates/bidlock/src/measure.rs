//! How fast a manager is: pairs, contention and hand-over, as `bidlock bench` and the benchmarks measure them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::future::try_join_all;
use serde::Serialize;

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::lease::Lease;
use crate::manager::{LockManager, Wait};
use crate::sync::locked;

/// The longest wait for one lock: only a fault outlasts it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Locks that were taken and given back.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// How many.
    pub pairs: u64,
    /// In how long.
    pub took: Duration,
}

impl Pairs {
    /// Pairs a second.
    pub fn per_second(&self) -> f64 {
        self.pairs as f64 / self.took.as_secs_f64()
    }
}

/// Tasks that each take a lock of their own and give it back, one after another, for `length`; each of them once at least.
///
/// # Errors
/// The store broke, or somebody else has one of the keys.
pub async fn pairs(
    locks: &LockManager,
    namespace: &Namespace,
    tasks: usize,
    length: Duration,
) -> Result<Pairs> {
    let start = SystemClock.now();
    let until = start.later(length);
    let pairs = Arc::new(AtomicU64::new(0));
    let works = (0..tasks).map(|task| {
        let (locks, pairs, key) = (locks.clone(), Arc::clone(&pairs), namespace.key(task));
        tokio::spawn(async move {
            let key = key?;
            loop {
                let lease = locks.try_lock(&key).await?.acquired().ok_or_else(|| in_use(&key))?;
                lease.release().await?;
                pairs.fetch_add(1, Relaxed);
                // Looked at afterwards: on a busy host a short measurement would otherwise be over before it begins.
                if SystemClock.now() >= until {
                    return Ok(());
                }
            }
        })
    });
    joined(works).await?;
    Ok(Pairs { pairs: pairs.load(Relaxed), took: SystemClock.now().since(start) })
}

/// What contention for one lock came to.
#[derive(Clone, Copy, Debug)]
pub struct Contended {
    /// Until all were done.
    pub took: Duration,
    /// For how long the lock was held in all.
    pub held: Duration,
}

impl Contended {
    /// What waiting and handing over cost.
    pub fn overhead(&self) -> Duration {
        self.took.saturating_sub(self.held)
    }
}

/// Tasks that all want one lock at once, each holding it for `hold`.
///
/// # Errors
/// The store broke.
pub async fn contended(
    locks: &LockManager,
    namespace: &Namespace,
    tasks: usize,
    hold: Duration,
) -> Result<Contended> {
    let start = SystemClock.now();
    let held_ns = Arc::new(AtomicU64::new(0));
    let works = (0..tasks).map(|_| {
        let (locks, held_ns, key) = (locks.clone(), Arc::clone(&held_ns), namespace.key(0));
        tokio::spawn(async move {
            let lease = wait_for(&locks, &key?).await?;
            let since = SystemClock.now();
            tokio::time::sleep(hold).await;
            held_ns.fetch_add(nanos(SystemClock.now().since(since)), Relaxed);
            lease.release().await.map(drop)
        })
    });
    joined(works).await?;
    Ok(Contended { took: SystemClock.now().since(start), held: Duration::from_nanos(held_ns.load(Relaxed)) })
}

/// How long hand-overs took.
#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    /// From the start of a release until another task has the lock.
    pub median: Duration,
    /// How many locks were taken in all.
    pub acquisitions: u64,
}

/// What the tasks of a hand-over see of each other.
#[derive(Debug, Default)]
struct Seen {
    /// Whose release began last, and when.
    released: Option<(usize, Moment)>,
    /// How long hand-overs have taken.
    took: Vec<Duration>,
}

/// Tasks, dealt out to the managers in turn, that take one lock `rounds` times each, holding it for `hold`; all but
/// one wait at any time.
///
/// # Errors
/// The store broke.
pub async fn hand_over(
    managers: &[LockManager],
    namespace: &Namespace,
    tasks: usize,
    hold: Duration,
    rounds: u64,
) -> Result<HandOver> {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let works = (0..tasks).map(|task| {
        let (locks, seen) = (managers[task % managers.len()].clone(), Arc::clone(&seen));
        let key = namespace.key(0);
        tokio::spawn(async move {
            let key = key?;
            for _ in 0..rounds {
                let lease = wait_for(&locks, &key).await?;
                {
                    let mut seen = locked(&seen);
                    if let Some((by, released)) = seen.released.take()
                        && by != task
                    {
                        seen.took.push(SystemClock.now().since(released));
                    }
                }
                tokio::time::sleep(hold).await;
                locked(&seen).released = Some((task, SystemClock.now()));
                lease.release().await?;
            }
            Ok(())
        })
    });
    joined(works).await?;
    let mut took = std::mem::take(&mut locked(&seen).took);
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    Ok(HandOver { median, acquisitions: tasks as u64 * rounds })
}

/// One figure of `bidlock bench --peer-json`, one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct PeerLine {
    /// Whose figure: `bidlock`.
    pub peer: &'static str,
    /// `pairs`, `contended` or `handover`.
    pub bench: &'static str,
    /// How many tasks.
    pub tasks: usize,
    /// The figure.
    pub value: f64,
    /// Its unit: `pairs/s` or `ms`.
    pub unit: &'static str,
    /// Commands sent to the store for each lock taken, its release included.
    pub commands_per_acquisition: f64,
    /// Of `contended`: the figure less the time for which the lock was held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_ms: Option<f64>,
}

/// Measures all that other clients of Redis are compared by: pairs for 2 s times `scale`, contention of 100 tasks
/// that hold for 1 ms, hand-over among tasks that hold for 5 ms. The backend's key prefix stands before all keys.
///
/// # Errors
/// The server broke.
#[cfg(feature = "redis")]
pub async fn peer_lines(backend: &crate::backends::redis::RedisBackend, scale: f64) -> Result<Vec<PeerLine>> {
    let locks = LockManager::new(Arc::new(backend.clone()));
    let run = uuid::Uuid::new_v4().simple().to_string();
    let name = |bench: &str, tasks: usize| Namespace::new(format!("{run}/{bench}/{tasks}"));
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let mut lines = Vec::new();
    let mut add = |bench, tasks, (value, unit), (commands, acquisitions): (u64, u64), overhead_ms| {
        let commands_per_acquisition = commands as f64 / acquisitions.max(1) as f64;
        let peer = "bidlock";
        lines.push(PeerLine { peer, bench, tasks, value, unit, commands_per_acquisition, overhead_ms });
    };
    let length = Duration::from_secs(2).mul_f64(scale.clamp(0.001, 1_000.0));
    for tasks in [1, 64] {
        let before = backend.commands_sent();
        let done = pairs(&locks, &name("pairs", tasks), tasks, length).await?;
        let sent = backend.commands_sent() - before;
        add("pairs", tasks, (done.per_second(), "pairs/s"), (sent, done.pairs), None);
    }
    let before = backend.commands_sent();
    let done = contended(&locks, &name("contended", 100), 100, Duration::from_millis(1)).await?;
    let sent = backend.commands_sent() - before;
    add("contended", 100, (ms(done.took), "ms"), (sent, 100), Some(ms(done.overhead())));
    for tasks in [3, 33] {
        let rounds = (20.0 * scale).clamp(2.0, 1_000.0) as u64;
        let before = backend.commands_sent();
        let one = std::slice::from_ref(&locks);
        let done = hand_over(one, &name("handover", tasks), tasks, Duration::from_millis(5), rounds).await?;
        let sent = backend.commands_sent() - before;
        add("handover", tasks, (ms(done.median), "ms"), (sent, done.acquisitions), None);
    }
    Ok(lines)
}

/// Keys of one run, named locks `bench:{run}/{n}`, so that runs do not meet.
#[derive(Clone, Debug)]
pub struct Namespace(String);

impl Namespace {
    /// A namespace of this name.
    pub fn new(name: impl Into<String>) -> Namespace {
        Namespace(name.into())
    }

    /// The n-th key.
    ///
    /// # Errors
    /// The namespace's name can't be one.
    pub fn key(&self, n: usize) -> Result<LockKey> {
        LockKey::named("bench", &format!("{}/{n}", self.0))
            .map_err(|error| Error::new(ErrorKind::Invalid, "any", "measure", error.to_string()))
    }
}

async fn wait_for(locks: &LockManager, key: &LockKey) -> Result<Lease> {
    locks.lock(key, Wait::up_to(PATIENCE)).await?.acquired().ok_or_else(|| in_use(key))
}

async fn joined(works: impl Iterator<Item = tokio::task::JoinHandle<Result<()>>>) -> Result<()> {
    let broke = |error| Error::new(ErrorKind::Internal, "any", "measure", "a task broke").with_source(error);
    try_join_all(works.map(async |work| work.await.map_err(broke)?)).await.map(drop)
}

fn in_use(key: &LockKey) -> Error {
    Error::new(ErrorKind::Busy, "any", "measure", format!("{key} is held by somebody else"))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

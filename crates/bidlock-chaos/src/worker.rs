//! A child of the rig that takes locks and counts under them, with no other guard: what a lock promises is looked at
//! from what it tells.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bidlock::{
    Attempt, Clock, Grant, Lease, LockBackend, LockKey, LockManager, Moment, Nonce, Released, Renewed,
    SystemClock, Wait,
};
use rand::Rng;
use serde_json::{Value, json};

use crate::{
    history::{LeaseLine, LeaseStep},
    world::listener::LEASE,
};

/// Few, so that many wait for each.
const KEYS: u32 = 3;
/// Tasks of one worker: some wait beside each other in one process, some against other processes.
const TASKS: u32 = 2;
/// How long a task waits for a lock, before it asks for another.
const WAIT: Duration = Duration::from_millis(700);
/// The longest pause between two tries, in milliseconds. With it, two workers write some eighty lines a second.
const MAX_PAUSE_MS: u64 = 300;
/// The pause after the lock engine broke.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// The most steps of work under one lease; a step takes up to [`MAX_STEP_MS`].
const MAX_STEPS: u32 = 4;
const MAX_STEP_MS: u64 = 12;

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The folder of the numbers that are counted.
    pub counters: PathBuf,
    /// The boot-time clock at the beginning of the run, in nanoseconds.
    pub began_ns: u64,
    /// This incarnation, by a name that nobody else has, whatever it goes by in locks.
    pub incarnation: String,
}

/// Works until `stop` is ready, and says by `say` what it does: a JSON line each.
pub async fn run(
    locks: LockManager,
    backend: Arc<dyn LockBackend>,
    options: WorkerOptions,
    say: impl Fn(&Value) + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
) {
    let worker = Arc::new(Worker { locks, backend, options, say: Box::new(say) });
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(Arc::clone(&worker).work())).collect();
    stop.await;
    for task in tasks {
        task.abort();
        // It was aborted: that is how it ends.
        let _ = task.await;
    }
    // What the aborted tasks held is given back; an error leaves it to its TTL.
    let _ = worker.locks.shutdown().await;
}

struct Worker {
    locks: LockManager,
    backend: Arc<dyn LockBackend>,
    options: WorkerOptions,
    say: Box<dyn Fn(&Value) + Send + Sync>,
}

impl Worker {
    async fn work(self: Arc<Self>) {
        loop {
            let n = rand::rng().random_range(0..KEYS);
            let Ok(key) = LockKey::named("chaos", &format!("counter-{n}")) else { return };
            match self.locks.lock(&key, Wait::up_to(WAIT)).await {
                Ok(Attempt::Acquired(lease)) => self.hold(n, lease).await,
                Ok(Attempt::Held(_)) => {}
                Err(error) => {
                    tracing::debug!(%error, "no lock");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
            let pause = rand::rng().random_range(0..MAX_PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn hold(&self, n: u32, lease: Lease) {
        let (key, token) = (lease.key().as_str().to_owned(), lease.fencing_token().get());
        let tell = |step| self.tell(&key, step);
        tell(LeaseStep::Granted { token, deadline_us: self.micros(lease.deadline()) });
        let counter = self.options.counters.join(format!("counter-{n}"));
        let steps = rand::rng().random_range(1..=MAX_STEPS);
        for _ in 0..steps {
            match self.step(&counter, &lease).await {
                Ok(Some(worked)) => tell(worked),
                Ok(None) => {
                    tell(LeaseStep::Lost { token });
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "the number can't be counted");
                    break;
                }
            }
        }
        let tries_to_forge = rand::rng().random_ratio(1, 4);
        if tries_to_forge && let Some(forged) = self.forge(&lease).await {
            tell(forged);
        }
        let found = match lease.release().await {
            Ok(found) => words(&found),
            Err(error) => error.to_string(),
        };
        tell(LeaseStep::Released { token, found });
    }

    /// Counts once. Nothing is done, or said, where the lease is over.
    async fn step(&self, counter: &Path, lease: &Lease) -> io::Result<Option<LeaseStep>> {
        let is_over = || lease.is_lost() || SystemClock.now() >= lease.deadline();
        let began_us = self.micros(SystemClock.now());
        if is_over() {
            return Ok(None);
        }
        let read = match std::fs::read_to_string(counter) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let step_ms = rand::rng().random_range(1..=MAX_STEP_MS);
        tokio::time::sleep(Duration::from_millis(step_ms)).await;
        if is_over() {
            return Ok(None);
        }
        // In one step: whoever reads meanwhile must not find half a number.
        let draft = counter.with_extension(&self.options.incarnation);
        std::fs::write(&draft, (read + 1).to_string())?;
        std::fs::rename(&draft, counter)?;
        let deadline_us = self.micros(lease.deadline());
        if is_over() {
            return Ok(None);
        }
        Ok(Some(LeaseStep::Worked { token: lease.fencing_token().get(), began_us, read, deadline_us }))
    }

    /// Tries to release and to renew a lease as a stranger does: with everything but its nonce. `None` where the store broke.
    async fn forge(&self, lease: &Lease) -> Option<LeaseStep> {
        let mut nonce = [0; 16];
        rand::rng().fill(&mut nonce);
        let forged = [Grant {
            key: lease.key().clone(),
            holder: lease.holder().clone(),
            nonce: Nonce::from_bytes(nonce),
            token: lease.fencing_token(),
        }];
        let renewed: Renewed = self.backend.renew(&forged, self.locks.ttl()).await.ok()?.pop()?;
        let released: Released = self.backend.release(&forged).await.ok()?.pop()?;
        Some(LeaseStep::Forged {
            token: lease.fencing_token().get(),
            release: words(&released),
            renewal: format!("{renewed:?}").to_lowercase(),
        })
    }

    fn tell(&self, key: &str, step: LeaseStep) {
        let at_us = self.micros(SystemClock.now());
        let line = LeaseLine { holder: self.options.incarnation.clone(), at_us, key: key.to_owned(), step };
        (self.say)(&json!({ LEASE: line }));
    }

    fn micros(&self, at: Moment) -> u64 {
        at.as_nanos().saturating_sub(self.options.began_ns) / 1_000
    }
}

fn words(found: &Released) -> String {
    format!("{found:?}").to_lowercase()
}

//! One process: it lives in a runtime of its own, so that it can be put to sleep or killed as a whole, in the middle of
//! anything, without asking it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bidlock::{Clock, Moment};
use bidlock_pipeline::Stop;
use tokio::{runtime::Handle, sync::Notify, time::Instant};

use crate::{
    history::Millis,
    world::{EPOCH, Engine, Fate, World},
};

/// What its surroundings know of a process, and how they stop it.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) world: Arc<World>,
    /// Its host's name.
    pub(crate) host: String,
    /// Its own name.
    pub(crate) holder: String,
    pub(crate) stop: Stop,
    born_at: Millis,
    base: OnceLock<Instant>,
    /// The last time that its clock showed, for whoever asks while it is torn down.
    last_seen: AtomicU64,
    wall_offset: AtomicI64,
    phase: Mutex<(Phase, Vec<Armed>)>,
    woken: Notify,
    halted: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Makes no progress until then.
    Asleep(Millis),
    Dead,
}

/// A fault that waits for the process's n-th next call.
#[derive(Clone, Copy, Debug)]
struct Armed {
    calls: u32,
    /// `None`: it dies.
    sleeps: Option<Millis>,
}

impl Body {
    pub(crate) fn new(world: &Arc<World>, host: &str, holder: String, wall_offset: i64) -> Arc<Body> {
        let born_at = world.now();
        Arc::new(Body {
            world: Arc::clone(world),
            host: host.to_owned(),
            holder,
            stop: Stop::default(),
            born_at,
            base: OnceLock::new(),
            last_seen: AtomicU64::new(born_at),
            wall_offset: AtomicI64::new(wall_offset),
            phase: Mutex::new((Phase::Running, Vec::new())),
            woken: Notify::new(),
            halted: Notify::new(),
        })
    }

    /// Ties its clock to its runtime's; called once, inside of it.
    pub(crate) fn begin(&self) {
        self.base.get_or_init(tokio_now);
    }

    /// The instant of its runtime at this time of the world.
    pub(crate) fn instant(&self, at: Millis) -> Instant {
        let base = *self.base.get_or_init(tokio_now);
        base + Duration::from_millis(at.saturating_sub(self.born_at))
    }

    /// What its own clock shows.
    pub(crate) fn now(&self) -> Millis {
        if let (Ok(_), Some(base)) = (Handle::try_current(), self.base.get()) {
            let elapsed = u64::try_from(tokio_now().duration_since(*base).as_millis()).unwrap_or(u64::MAX);
            self.last_seen.store(self.born_at + elapsed, Ordering::Relaxed);
        }
        self.last_seen.load(Ordering::Relaxed)
    }

    fn phase_mut(&self) -> MutexGuard<'_, (Phase, Vec<Armed>)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase_mut().0
    }

    pub(crate) fn arm(&self, calls: u32, sleeps: Option<Millis>) {
        self.phase_mut().1.push(Armed { calls, sleeps });
    }

    pub(crate) fn disarm(&self) {
        self.phase_mut().1.clear();
    }

    pub(crate) fn jump_wall(&self, offset: i64) {
        self.wall_offset.store(offset, Ordering::Relaxed);
    }

    /// Lets whoever stands at the gate go on.
    pub(crate) fn wake(&self) {
        self.phase_mut().0 = Phase::Running;
        self.woken.notify_waiters();
    }

    /// Resolves when the process must not go on.
    pub(crate) async fn halted(&self) {
        self.halted.notified().await;
    }

    /// The gate that every call to the outside goes through, on its way there and on its way back. Nothing else of
    /// a process can be seen from outside, so a process that is stopped here is stopped anywhere.
    pub(crate) async fn gate(&self) {
        self.world.reach(self.now());
        self.trip();
        loop {
            let mut woken = std::pin::pin!(self.woken.notified());
            woken.as_mut().enable();
            if self.phase() == Phase::Running {
                break;
            }
            woken.await;
        }
        self.world.reach(self.now());
    }

    /// Lets an armed fault strike.
    fn trip(&self) {
        let mut guard = self.phase_mut();
        let (phase, armed) = &mut *guard;
        if *phase != Phase::Running {
            return;
        }
        for fault in armed.iter_mut() {
            fault.calls = fault.calls.saturating_sub(1);
        }
        let Some(at) = armed.iter().position(|fault| fault.calls == 0) else { return };
        let fault = armed.remove(at);
        let now = self.world.now();
        *phase = fault.sleeps.map_or(Phase::Dead, |millis| Phase::Asleep(now + millis));
        let kind = if fault.sleeps.is_some() { "pause" } else { "crash" };
        self.world.fault(kind, Some(self.holder.clone()), fault.sleeps.unwrap_or(0));
        self.halted.notify_one();
    }

    /// Some time on the way.
    pub(crate) async fn travel(&self) {
        tokio::time::sleep(self.world.travel()).await;
        self.world.reach(self.now());
    }

    /// The way to an engine, and what becomes of the call.
    pub(crate) async fn call(&self, engine: Engine) -> Fate {
        self.gate().await;
        let fate = self.world.fate(engine, &self.host, &self.holder);
        self.travel().await;
        fate
    }

    /// The way back.
    pub(crate) async fn answer(&self) {
        self.travel().await;
        self.gate().await;
    }
}

/// A process's clocks: running time by its runtime, a wall clock that may jump.
#[derive(Debug)]
pub(crate) struct BodyClock(pub(crate) Arc<Body>);

#[async_trait]
impl Clock for BodyClock {
    fn now(&self) -> Moment {
        Moment::ORIGIN.later(Duration::from_millis(self.0.now()))
    }

    fn wall(&self) -> SystemTime {
        let offset = self.0.wall_offset.load(Ordering::Relaxed);
        let at = EPOCH + self.0.now().cast_signed() + offset;
        UNIX_EPOCH + Duration::from_millis(at.unsigned_abs())
    }

    async fn sleep_until(&self, until: Moment) {
        let left = until.since(self.now());
        // A millisecond more than asked for at the most: the runtime's timers know no less.
        tokio::time::sleep(left).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "virtual time: it moves as the simulation moves it")]
fn tokio_now() -> Instant {
    Instant::now()
}

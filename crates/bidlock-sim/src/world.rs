//! What all processes of a simulation share: time, dice, what is broken now, and the history.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bidlock::{Clock, Moment};
use bidlock_ledger::{
    WallTime,
    memory::{StoreClock, StoreTime},
};
use futures::future::BoxFuture;
use rand::{Rng, rngs::StdRng};

use crate::{
    history::{Fault, Happening, History, Millis},
    market::Market,
    plan::Plan,
    sabotage::Sabotage,
};

/// The wall clock at the beginning, in milliseconds since 1970: a made-up morning.
pub(crate) const EPOCH: i64 = 1_772_352_000_000;

/// An engine that processes call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    Locks,
    Ledger,
}

/// What becomes of one call to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// It fails without a trace.
    NotApplied,
    /// It is done, and the answer is lost.
    ReplyLost,
    /// It fails, and is done all the same after so long.
    Late(Millis),
}

/// Something that will happen whatever becomes of whoever caused it.
type Later = (Millis, BoxFuture<'static, ()>);

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) sabotage: Option<Sabotage>,
    state: Mutex<State>,
}

pub(crate) struct State {
    now: Millis,
    pub(crate) dice: StdRng,
    pub(crate) history: History,
    pub(crate) market: Market,
    healed: bool,
    away: HashMap<(Engine, Option<String>), Millis>,
    grants_all_until: Millis,
    later: Vec<Later>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(mut dice: StdRng, sabotage: Option<Sabotage>) -> Arc<World> {
        let plan = Plan::draw(&mut dice);
        let state = State {
            now: 0,
            dice,
            history: History::default(),
            market: Market::new(plan.market),
            healed: false,
            away: HashMap::new(),
            grants_all_until: 0,
            later: Vec::new(),
        };
        Arc::new(World { plan, sabotage, state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Millis {
        self.state().now
    }

    /// A process whose own clock shows `at` has come this far.
    pub(crate) fn reach(&self, at: Millis) {
        let mut state = self.state();
        state.now = state.now.max(at);
    }

    pub(crate) fn tell(&self, what: Happening) {
        let mut state = self.state();
        let at = state.now;
        state.history.add(at, what);
    }

    pub(crate) fn fault(&self, kind: &'static str, target: Option<String>, lasts: Millis) {
        self.state().fault(kind, target, lasts, None);
    }

    pub(crate) fn healed(&self) -> bool {
        self.state().healed
    }

    /// The faults are over; what is on its way arrives.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.healed = true;
        state.away.clear();
        state.grants_all_until = 0;
    }

    pub(crate) fn set_away(&self, engine: Engine, host: Option<String>, lasts: Millis) {
        let until = self.now() + lasts;
        self.state().away.insert((engine, host), until);
    }

    pub(crate) fn grant_all(&self, lasts: Millis) {
        let mut state = self.state();
        state.grants_all_until = state.now + lasts;
    }

    pub(crate) fn grants_all(&self) -> bool {
        let state = self.state();
        state.grants_all_until > state.now
    }

    /// What becomes of a call of this process.
    pub(crate) fn fate(&self, engine: Engine, host: &str, holder: &str) -> Fate {
        let mut state = self.state();
        if state.healed {
            return Fate::Done;
        }
        let now = state.now;
        let away = |target: Option<&str>| {
            state.away.get(&(engine, target.map(str::to_owned))).is_some_and(|until| *until > now)
        };
        if away(None) || away(Some(host)) {
            return Fate::NotApplied;
        }
        let (likelihood, kinds) = match engine {
            Engine::Locks => (self.plan.weather.locks, ["lock_not_applied", "lock_reply_lost", "lock_late"]),
            Engine::Ledger => {
                (self.plan.weather.ledger, ["ledger_not_applied", "ledger_reply_lost", "ledger_late"])
            }
        };
        if !state.dice.random_ratio(likelihood.min(1_000), 1_000) {
            return Fate::Done;
        }
        let late = state.dice.random_range(100..8_000);
        let (kind, fate, lasts) = match state.dice.random_range(0..3) {
            0 => (kinds[0], Fate::NotApplied, 0),
            1 => (kinds[1], Fate::ReplyLost, 0),
            _ => (kinds[2], Fate::Late(late), late),
        };
        state.fault(kind, Some(holder.to_owned()), lasts, None);
        fate
    }

    /// How long one way of a call takes.
    pub(crate) fn travel(&self) -> Duration {
        let mut state = self.state();
        let millis = match state.dice.random_range(0..40) {
            0 if !state.healed => state.dice.random_range(100..1_500),
            1..4 => state.dice.random_range(10..80),
            _ => state.dice.random_range(1..8),
        };
        Duration::from_millis(millis)
    }

    /// Has this done in so long, whoever lives then.
    pub(crate) fn do_later(&self, after: Millis, work: BoxFuture<'static, ()>) {
        let mut state = self.state();
        let at = state.now + after;
        state.later.push((at, work));
    }

    /// What is due until now, in order of its time.
    pub(crate) fn due(&self) -> Vec<BoxFuture<'static, ()>> {
        let mut state = self.state();
        let (now, healed) = (state.now, state.healed);
        let (mut due, rest): (Vec<Later>, Vec<Later>) =
            std::mem::take(&mut state.later).into_iter().partition(|(at, _)| *at <= now || healed);
        state.later = rest;
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, work)| work).collect()
    }
}

impl State {
    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed
    }

    pub(crate) fn fault(
        &mut self,
        kind: &'static str,
        target: Option<String>,
        lasts: Millis,
        request: Option<usize>,
    ) {
        let until = self.now + lasts;
        self.history.add(self.now, Happening::Fault(Fault { kind, target, until, request }));
    }
}

/// The clock of the engines: one for all processes, as that of a database server.
#[derive(Clone, Debug)]
pub(crate) struct EngineClock(pub(crate) Arc<World>);

impl StoreClock for EngineClock {
    fn now(&self) -> StoreTime {
        let now = self.0.now();
        StoreTime { running: Duration::from_millis(now), wall: WallTime(EPOCH + now.cast_signed()) }
    }
}

#[async_trait]
impl Clock for EngineClock {
    fn now(&self) -> Moment {
        Moment::ORIGIN.later(Duration::from_millis(self.0.now()))
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(EPOCH.unsigned_abs() + self.0.now())
    }

    /// Engines wait for nothing.
    async fn sleep_until(&self, _: Moment) {
        std::future::pending().await
    }
}

//! What breaks things: one file per nemesis, one table that lists them.
//!
//! Adding one is a [`FaultKind`], a file here, and a line in [`ALL`]; plans draw it, the history names it, the report
//! counts it.

mod clock_jump;
mod cut;
mod delay;
mod disk_full;
mod kill;
mod lose_reply;
mod pause;
mod postgres_kill;
mod postgres_pause;
mod postgres_terminate;
mod protocol_floor;
mod redis_clock;
mod redis_flush;
mod redis_kill;
mod redis_pause;
mod refuse;
mod terminate;
mod trickle;
mod writer_stalls;

use std::fmt::Debug;

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::World,
};

/// Every nemesis. The rig knows no others.
pub(crate) static ALL: &[&dyn Nemesis] = &[
    &pause::Pause,
    &kill::Kill,
    &terminate::Terminate,
    &clock_jump::ClockJump,
    &cut::Cut(FaultKind::Cut),
    &cut::Cut(FaultKind::CutRequests),
    &cut::Cut(FaultKind::CutReplies),
    &refuse::Refuse,
    &lose_reply::LoseReply,
    &delay::Delay,
    &trickle::Trickle,
    &redis_kill::RedisKill,
    &redis_pause::RedisPause,
    &redis_clock::RedisClock,
    &redis_flush::RedisFlush(FaultKind::RedisFlush),
    &redis_flush::RedisFlush(FaultKind::RedisScriptFlush),
    &postgres_kill::PostgresKill,
    &postgres_pause::PostgresPause,
    &postgres_terminate::PostgresTerminate,
    &disk_full::DiskFull,
    &writer_stalls::WriterStalls,
    &protocol_floor::ProtocolFloor,
];

/// One way to break things, and to mend what it broke.
#[async_trait(?Send)]
pub(crate) trait Nemesis: Debug + Sync {
    /// What it does.
    fn kind(&self) -> FaultKind;

    /// How often it is drawn, against the others. Zero where these engines have nothing that it could break.
    fn weight(&self, engines: Engines) -> u32;

    /// What it hits, for how long, and how hard.
    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn;

    /// Whether it can be done in this world at all.
    ///
    /// # Errors
    /// Why not, with the way out.
    fn needs(&self, _world: &World) -> Result<(), String> {
        Ok(())
    }

    /// Breaks it.
    ///
    /// # Errors
    /// It could not be broken; nothing is.
    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String>;

    /// Mends it. After a fault of a moment too, and also if it has mended by itself.
    ///
    /// # Errors
    /// It could not be mended: the run can't go on.
    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String>;
}

/// What a nemesis draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// What it hits.
    pub(crate) target: Target,
    /// For how long, in milliseconds; 0 for a moment.
    pub(crate) lasts_ms: u64,
    /// How much, in its own unit.
    pub(crate) amount: i64,
}

impl Drawn {
    fn on(target: Target, lasts_ms: u64) -> Drawn {
        Drawn { target, lasts_ms, amount: 0 }
    }
}

/// The nemesis of this kind. None for faults of the marketplace, which are the sandbox's.
pub(crate) fn of(kind: FaultKind) -> Option<&'static dyn Nemesis> {
    ALL.iter().copied().find(|nemesis| nemesis.kind() == kind)
}

/// A scanner; now and then a worker.
fn any_process(dice: &mut StdRng, plan: &Plan) -> String {
    if plan.workers > 0 && dice.random_ratio(1, 6) {
        return format!("worker-{}", dice.random_range(1..=plan.workers));
    }
    any_scanner(dice, plan)
}

/// A scanner; now and then one that asks a person.
fn any_scanner(dice: &mut StdRng, plan: &Plan) -> String {
    if plan.asking > 0 && dice.random_ratio(1, 8) {
        return format!("asker-{}", dice.random_range(1..=plan.asking));
    }
    format!("scanner-{}", dice.random_range(1..=plan.scanners.max(1)))
}

/// What lies between one process and something it talks to; now and then between all and it.
fn any_way(dice: &mut StdRng, plan: &Plan) -> Target {
    let places = plan.engines.places();
    let place = places[dice.random_range(0..places.len())];
    if dice.random_ratio(1, 5) {
        return Target::place(place);
    }
    let process = if place == Place::Market { any_scanner(dice, plan) } else { any_process(dice, plan) };
    Target::between(process, place)
}

/// From half of a TTL to twice of it: claims and leases run out under some, and not under others.
fn around_the_ttl(dice: &mut StdRng, plan: &Plan) -> u64 {
    dice.random_range(plan.ttl_ms / 2..plan.ttl_ms * 2)
}

/// The incarnation that a fault of a process hits.
pub(crate) fn incarnation(world: &World, fault: &Planned) -> Option<String> {
    let process = fault.target.process.as_deref().filter(|_| fault.target.place.is_none())?;
    world.crew.running(process)
}

/// The process that a fault hits, if it runs.
fn victim(world: &World, fault: &Planned) -> Result<String, String> {
    let process = fault.target.process.clone().ok_or("the plan names no process")?;
    world.crew.running(&process).map(|_| process).ok_or_else(|| "it does not run just now".to_owned())
}

/// Another incarnation in the place of one that was ended. What has not ended by now is killed.
async fn start_again(world: &mut World, fault: &Planned) -> Result<(), String> {
    let Some(process) = &fault.target.process else { return Ok(()) };
    world.crew.start_again(process).await.map_err(|why| why.to_string())
}

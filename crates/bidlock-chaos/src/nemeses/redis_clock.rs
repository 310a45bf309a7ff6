//! The wall clock of Redis jumps while it runs, there and back: leases end early, or last longer than they should.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis, around_the_ttl};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::{World, clock_file},
};

/// libfaketime. The amount is in seconds.
///
/// One leap forward and one back in either case: the fault begins with the one and ends with the other.
#[derive(Debug)]
pub(super) struct RedisClock;

/// How far back at the most: far beyond the distance at which a new connection is refused.
const MAX_BACK_SECONDS: i64 = 3_600;

#[async_trait(?Send)]
impl Nemesis for RedisClock {
    fn kind(&self) -> FaultKind {
        FaultKind::RedisClock
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::RedisAndPostgres { 4 } else { 0 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        let beyond_ttl = i64::try_from(plan.ttl_ms / 1_000).unwrap_or(i64::MAX) + 1;
        let amount = match dice.random_range(0..6) {
            // Not far: when it goes back by as much, what was granted meanwhile lasts so much longer, and the quiet end too.
            0..3 => dice.random_range(beyond_ttl..=2 * beyond_ttl),
            3..5 => -dice.random_range(beyond_ttl..=2 * beyond_ttl),
            _ => -dice.random_range(2 * beyond_ttl..MAX_BACK_SECONDS),
        };
        Drawn { amount, ..Drawn::on(Target::place(Place::Redis), around_the_ttl(dice, plan)) }
    }

    fn needs(&self, _world: &World) -> Result<(), String> {
        match (clock_file::library(), clock_file::allocator()) {
            (Some(_), Some(_)) => Ok(()),
            (None, _) => {
                Err("there is no libfaketime on this host; install the package libfaketime".to_owned())
            }
            (_, None) => {
                Err("this host's C library has no libc_malloc_debug; one from 2.34 on does".to_owned())
            }
        }
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let moved = world.servers.set_redis_clock(fault.amount).await;
        if moved.is_err() {
            // One that can't be moved can't be off either.
            let _ = world.servers.set_redis_clock(0).await;
        }
        moved
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        world.servers.set_redis_clock(0).await
    }
}

//! Redis is killed and comes back empty: every lock is forgotten, and so is which ledger it serves.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::{World, servers::Running},
};

/// SIGKILL, and a start on the same port.
#[derive(Debug)]
pub(super) struct RedisKill;

#[async_trait(?Send)]
impl Nemesis for RedisKill {
    fn kind(&self) -> FaultKind {
        FaultKind::RedisKill
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::RedisAndPostgres { 3 } else { 0 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Redis), dice.random_range(100..plan.ttl_ms * 3 / 2))
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        world.servers.ask("be killed", Running::kill_redis).await.map_err(|why| why.to_string())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let start = |running: &mut Running| running.redis.as_mut().map(|redis| redis.start_again());
        world.servers.ask("start again", start).await.map(drop).map_err(|why| why.to_string())
    }
}

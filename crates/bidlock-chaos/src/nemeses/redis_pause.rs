//! Redis is stopped where it stands: connections stay, answers don't come, then all come at once.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{Drawn, Nemesis, around_the_ttl};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::{World, servers::Running},
};

/// SIGSTOP, SIGCONT.
#[derive(Debug)]
pub(super) struct RedisPause;

#[async_trait(?Send)]
impl Nemesis for RedisPause {
    fn kind(&self) -> FaultKind {
        FaultKind::RedisPause
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::RedisAndPostgres { 3 } else { 0 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Redis), around_the_ttl(dice, plan))
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let pause = |running: &mut Running| running.redis.as_ref().map(|redis| redis.pause());
        world.servers.ask("pause", pause).await.map(drop).map_err(|why| why.to_string())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let go_on = |running: &mut Running| running.redis.as_ref().map(|redis| redis.go_on());
        world.servers.ask("go on", go_on).await.map(drop).map_err(|why| why.to_string())
    }
}

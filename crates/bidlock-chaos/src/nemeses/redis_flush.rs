//! Redis forgets, while it goes on answering: everything, or the scripts alone.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{Drawn, Nemesis};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::World,
};

/// [`FaultKind::RedisFlush`] or [`FaultKind::RedisScriptFlush`].
#[derive(Debug)]
pub(super) struct RedisFlush(pub(super) FaultKind);

#[async_trait(?Send)]
impl Nemesis for RedisFlush {
    fn kind(&self) -> FaultKind {
        self.0
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::RedisAndPostgres { 6 } else { 0 }
    }

    fn draw(&self, _dice: &mut StdRng, _plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Redis), 0)
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let command = if self.0 == FaultKind::RedisFlush { "FLUSHALL" } else { "SCRIPT FLUSH" };
        world.servers.redis(command).await.map(drop)
    }

    async fn end(&self, _world: &mut World, _fault: &Planned) -> Result<(), String> {
        Ok(()) // what was forgotten stays forgotten
    }
}

//! PostgreSQL crashes, and recovers from its journal.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::{World, servers::Running},
};

/// SIGQUIT, and a start on the same port and data.
#[derive(Debug)]
pub(super) struct PostgresKill;

#[async_trait(?Send)]
impl Nemesis for PostgresKill {
    fn kind(&self) -> FaultKind {
        FaultKind::PostgresKill
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::Sqlite { 0 } else { 2 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Postgres), dice.random_range(50..plan.ttl_ms))
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let kill = |running: &mut Running| running.postgres.as_mut().map(|postgres| postgres.kill());
        world.servers.ask("be killed", kill).await.map(drop).map_err(|why| why.to_string())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let start = |running: &mut Running| running.postgres.as_mut().map(|postgres| postgres.start_again());
        world.servers.ask("start again", start).await.map(drop).map_err(|why| why.to_string())
    }
}

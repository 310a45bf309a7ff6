//! Every process of PostgreSQL is stopped where it stands: in the middle of a commit, with connections that stay.

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
pub(super) struct PostgresPause;

#[async_trait(?Send)]
impl Nemesis for PostgresPause {
    fn kind(&self) -> FaultKind {
        FaultKind::PostgresPause
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::Sqlite { 0 } else { 2 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Postgres), around_the_ttl(dice, plan))
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let pause = |running: &mut Running| running.postgres.as_ref().map(|postgres| postgres.pause());
        world.servers.ask("pause", pause).await.map(drop).map_err(|why| why.to_string())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let go_on = |running: &mut Running| running.postgres.as_ref().map(|postgres| postgres.go_on());
        world.servers.ask("go on", go_on).await.map(drop).map_err(|why| why.to_string())
    }
}

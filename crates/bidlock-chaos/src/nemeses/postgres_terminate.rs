//! PostgreSQL ends every connection, as an administrator or a pooler does; whether the last commit was done is unknown.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{Drawn, Nemesis};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::World,
};

/// Of its own session it must leave the connection alone.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// `pg_terminate_backend`.
#[derive(Debug)]
pub(super) struct PostgresTerminate;

#[async_trait(?Send)]
impl Nemesis for PostgresTerminate {
    fn kind(&self) -> FaultKind {
        FaultKind::PostgresTerminate
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::Sqlite { 0 } else { 5 }
    }

    fn draw(&self, _dice: &mut StdRng, _plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Postgres), 0)
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        world.servers.sql(TERMINATE).await.map(drop).map_err(|why| why.to_string())
    }

    async fn end(&self, _world: &mut World, _fault: &Planned) -> Result<(), String> {
        Ok(()) // whoever lost a connection makes another
    }
}

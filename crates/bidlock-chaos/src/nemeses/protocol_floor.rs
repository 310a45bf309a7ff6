//! A newer bidlock has been at the ledger and keeps older ones out: nobody of ours may open it until that is taken back.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};
use rustix::process::Signal;

use super::{Drawn, Nemesis, any_scanner};
use crate::{
    fault::{FaultKind, Target},
    plan::{Engines, Plan, Planned},
    world::{World, ledger_file},
};

const RAISE: &str = "UPDATE bidlock.ledger SET protocol_floor = protocol_floor + 1000000";
const LOWER: &str = "UPDATE bidlock.ledger SET protocol_floor = protocol_floor - 1000000";

/// The floor is raised, and a scanner ends in the middle of an upgrade: it can't come back until the floor is lowered.
#[derive(Debug)]
pub(super) struct ProtocolFloor;

impl ProtocolFloor {
    async fn run(world: &mut World, statement: &'static str) -> Result<(), String> {
        if world.plan.engines == Engines::Sqlite {
            // A file has no schemas.
            let statement = statement.replace("bidlock.ledger", "ledger");
            let connection = ledger_file::open(&world.ledger_file())?;
            return connection.execute_batch(&statement).map_err(|why| why.to_string());
        }
        world.servers.sql(statement).await.map(drop).map_err(|why| why.to_string())
    }
}

#[async_trait(?Send)]
impl Nemesis for ProtocolFloor {
    fn kind(&self) -> FaultKind {
        FaultKind::ProtocolFloor
    }

    fn weight(&self, _engines: Engines) -> u32 {
        2
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::process(any_scanner(dice, plan)), dice.random_range(500..plan.ttl_ms * 3 / 2))
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let process = super::victim(world, fault)?;
        ProtocolFloor::run(world, RAISE).await?;
        world.crew.end_and_restart(&process, Signal::KILL);
        Ok(())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        ProtocolFloor::run(world, LOWER).await
    }
}

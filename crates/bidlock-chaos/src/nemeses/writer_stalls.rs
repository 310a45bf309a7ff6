//! Somebody holds the SQLite ledger's write lock: a backup, a stopped process in the middle of its transaction.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{Drawn, Nemesis, around_the_ttl};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::{World, ledger_file},
};

/// `BEGIN IMMEDIATE`, `ROLLBACK`.
#[derive(Debug)]
pub(super) struct WriterStalls;

#[async_trait(?Send)]
impl Nemesis for WriterStalls {
    fn kind(&self) -> FaultKind {
        FaultKind::WriterStalls
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::Sqlite { 5 } else { 0 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Sqlite), around_the_ttl(dice, plan))
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let connection = ledger_file::open(&world.ledger_file())?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|why| why.to_string())?;
        world.stalled = Some(connection);
        Ok(())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        // Closing it rolls back.
        world.stalled = None;
        Ok(())
    }
}

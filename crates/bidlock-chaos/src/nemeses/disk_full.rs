//! The ledger's disk is full: what can't be made durable must not be sent.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
    world::{World, small_disk::SmallDisk},
};

/// A balloon on a small disk of the ledger's own.
#[derive(Debug)]
pub(super) struct DiskFull;

#[async_trait(?Send)]
impl Nemesis for DiskFull {
    fn kind(&self) -> FaultKind {
        FaultKind::DiskFull
    }

    fn weight(&self, engines: Engines) -> u32 {
        if engines == Engines::Sqlite { 3 } else { 0 }
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::place(Place::Sqlite), dice.random_range(300..plan.ttl_ms))
    }

    fn needs(&self, world: &World) -> Result<(), String> {
        SmallDisk::is_possible(&world.plan)?;
        let is_planned = world.plan.faults.iter().any(|planned| planned.fault == FaultKind::DiskFull);
        if is_planned && world.small_disk.is_none() {
            return Err("a small disk could not be mounted: this host allows no tmpfs".to_owned());
        }
        Ok(())
    }

    async fn begin(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        let disk = world.small_disk.as_ref().ok_or("there is no small disk")?;
        disk.fill().map_err(|why| why.to_string())
    }

    async fn end(&self, world: &mut World, _fault: &Planned) -> Result<(), String> {
        world.small_disk.as_ref().map_or(Ok(()), |disk| disk.empty().map_err(|why| why.to_string()))
    }
}

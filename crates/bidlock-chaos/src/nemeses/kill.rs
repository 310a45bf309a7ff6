//! A process is killed, and another is started in its place a little later.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};
use rustix::process::Signal;

use super::{Drawn, Nemesis, any_process, victim};
use crate::{
    fault::{FaultKind, Target},
    plan::{Engines, Plan, Planned},
    world::World,
};

/// SIGKILL.
#[derive(Debug)]
pub(super) struct Kill;

#[async_trait(?Send)]
impl Nemesis for Kill {
    fn kind(&self) -> FaultKind {
        FaultKind::Kill
    }

    fn weight(&self, _engines: Engines) -> u32 {
        12
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(Target::process(any_process(dice, plan)), dice.random_range(50..plan.ttl_ms))
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let process = victim(world, fault)?;
        world.crew.end(&process, Signal::KILL);
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        super::start_again(world, fault).await
    }
}

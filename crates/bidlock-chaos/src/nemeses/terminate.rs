//! A process is asked to end, as a deployment does, and another is started in its place.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};
use rustix::process::Signal;

use super::{Drawn, Nemesis, any_process, victim};
use crate::{
    fault::{FaultKind, Target},
    plan::{Engines, Plan, Planned},
    world::World,
};

/// SIGTERM.
#[derive(Debug)]
pub(super) struct Terminate;

#[async_trait(?Send)]
impl Nemesis for Terminate {
    fn kind(&self) -> FaultKind {
        FaultKind::Terminate
    }

    fn weight(&self, _engines: Engines) -> u32 {
        6
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        // Time to finish what is under way. One that needs more is killed by whoever starts it again.
        Drawn::on(Target::process(any_process(dice, plan)), dice.random_range(500..2_000))
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let process = victim(world, fault)?;
        world.crew.end(&process, Signal::TERM);
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        super::start_again(world, fault).await
    }
}

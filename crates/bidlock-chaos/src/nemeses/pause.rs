//! A process is stopped where it stands, beyond its TTL, and goes on as if nothing had happened.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis, any_process, victim};
use crate::{
    fault::{FaultKind, Target},
    plan::{Engines, Plan, Planned},
    world::World,
};

/// SIGSTOP, SIGCONT.
#[derive(Debug)]
pub(super) struct Pause;

#[async_trait(?Send)]
impl Nemesis for Pause {
    fn kind(&self) -> FaultKind {
        FaultKind::Pause
    }

    fn weight(&self, _engines: Engines) -> u32 {
        10
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        // Half of them just beyond the TTL, where somebody has taken over and is at work.
        let most = if dice.random_bool(0.5) { plan.ttl_ms * 5 / 4 } else { plan.ttl_ms * 3 };
        Drawn::on(Target::process(any_process(dice, plan)), dice.random_range(plan.ttl_ms..most))
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let process = victim(world, fault)?;
        world.crew.pause(&process, true);
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        if let Some(process) = &fault.target.process {
            world.crew.pause(process, false);
        }
        Ok(())
    }
}

//! The wall clock of a scanner jumps. Nothing that matters may be decided by it.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis, any_scanner};
use crate::{
    fault::{FaultKind, Target},
    plan::{Engines, Plan, Planned},
    world::{World, clock_file},
};

/// libfaketime. The amount is in seconds.
#[derive(Debug)]
pub(super) struct ClockJump;

/// The longest jump: beyond every time limit, and short of the age at which a fetch counts as old.
const MAX_SECONDS: i64 = 20 * 3_600;

#[async_trait(?Send)]
impl Nemesis for ClockJump {
    fn kind(&self) -> FaultKind {
        FaultKind::ClockJump
    }

    fn weight(&self, _engines: Engines) -> u32 {
        4
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        // The library looks at most once a second.
        let lasts_ms = dice.random_range(1_500..5_000);
        let amount = dice.random_range(-MAX_SECONDS..MAX_SECONDS);
        Drawn { target: Target::process(any_scanner(dice, plan)), lasts_ms, amount }
    }

    fn needs(&self, _world: &World) -> Result<(), String> {
        clock_file::library()
            .map(drop)
            .ok_or_else(|| "there is no libfaketime on this host; install the package libfaketime".to_owned())
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let process = fault.target.process.as_deref().unwrap_or_default();
        world.crew.set_clock(process, fault.amount)
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let process = fault.target.process.as_deref().unwrap_or_default();
        world.crew.set_clock(process, 0)
    }
}

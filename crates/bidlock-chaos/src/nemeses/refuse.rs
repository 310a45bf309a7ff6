//! Connections are reset, and new ones are refused: plain to see, unlike a cut.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis, any_way};
use crate::{
    fault::FaultKind,
    plan::{Engines, Plan, Planned},
    proxy::Weather,
    world::World,
};

/// Resets.
#[derive(Debug)]
pub(super) struct Refuse;

#[async_trait(?Send)]
impl Nemesis for Refuse {
    fn kind(&self) -> FaultKind {
        FaultKind::Refuse
    }

    fn weight(&self, _engines: Engines) -> u32 {
        5
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(any_way(dice, plan), dice.random_range(100..plan.ttl_ms))
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.set(&fault.target, Weather { refuses: true, ..Weather::default() });
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.heal(&fault.target);
        Ok(())
    }
}

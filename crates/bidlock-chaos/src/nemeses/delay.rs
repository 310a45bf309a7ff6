//! Every message takes longer.

use std::time::Duration;

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis, any_way, around_the_ttl};
use crate::{
    fault::FaultKind,
    plan::{Engines, Plan, Planned},
    proxy::{Way, Weather},
    world::World,
};

/// The amount is in milliseconds, each way.
#[derive(Debug)]
pub(super) struct Delay;

#[async_trait(?Send)]
impl Nemesis for Delay {
    fn kind(&self) -> FaultKind {
        FaultKind::Delay
    }

    fn weight(&self, _engines: Engines) -> u32 {
        6
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        // Some within the time limit of a submission, some beyond.
        let most = i64::try_from(plan.time_limit_ms).unwrap_or(i64::MAX);
        let amount = dice.random_range(5..most.max(6));
        Drawn { amount, ..Drawn::on(any_way(dice, plan), around_the_ttl(dice, plan)) }
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let late = Way::Late(Duration::from_millis(fault.amount.unsigned_abs()));
        world.ways.set(&fault.target, Weather { requests: late, replies: late, refuses: false });
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.heal(&fault.target);
        Ok(())
    }
}

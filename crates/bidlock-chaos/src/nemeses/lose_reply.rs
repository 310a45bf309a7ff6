//! Something was done, and the answer is lost with its connection: of a claim, of the door, of a lease, of a submission.

use async_trait::async_trait;
use rand::{Rng, rngs::StdRng};

use super::{Drawn, Nemesis, any_way};
use crate::{
    fault::FaultKind,
    plan::{Engines, Plan, Planned},
    proxy::Proxy,
    world::World,
};

/// The next answer on each way that is hit. The amount says how many.
#[derive(Debug)]
pub(super) struct LoseReply;

#[async_trait(?Send)]
impl Nemesis for LoseReply {
    fn kind(&self) -> FaultKind {
        FaultKind::LoseReply
    }

    fn weight(&self, _engines: Engines) -> u32 {
        16
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        // A way on which nobody asks for so long loses nothing.
        Drawn { amount: dice.random_range(1..=2), ..Drawn::on(any_way(dice, plan), 700) }
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let count = u32::try_from(fault.amount).unwrap_or(1);
        world.ways.hit(&fault.target).for_each(|proxy| proxy.lose_replies(count));
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.hit(&fault.target).for_each(Proxy::heal);
        Ok(())
    }
}

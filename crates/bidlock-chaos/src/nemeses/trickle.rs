//! Messages come in small pieces, as over a bad line: whoever reads half a message must wait for the rest.

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

/// The pause between two pieces: at the smallest size, a short message takes as long as a slow engine.
const PAUSE: Duration = Duration::from_millis(2);

/// The amount is in bytes a piece.
#[derive(Debug)]
pub(super) struct Trickle;

#[async_trait(?Send)]
impl Nemesis for Trickle {
    fn kind(&self) -> FaultKind {
        FaultKind::Trickle
    }

    fn weight(&self, _engines: Engines) -> u32 {
        4
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn {
            amount: dice.random_range(7..200),
            ..Drawn::on(any_way(dice, plan), around_the_ttl(dice, plan))
        }
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        let pieces = Way::Trickle(usize::try_from(fault.amount).unwrap_or(1), PAUSE);
        world.ways.set(&fault.target, Weather { requests: pieces, replies: pieces, refuses: false });
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.heal(&fault.target);
        Ok(())
    }
}

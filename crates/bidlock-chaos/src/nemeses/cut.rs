//! Nothing comes through, in both directions or in one; nobody is told, and connections stay. When the way is whole
//! again, what was on it arrives, late.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{Drawn, Nemesis, any_way, around_the_ttl};
use crate::{
    fault::FaultKind,
    plan::{Engines, Plan, Planned},
    proxy::{Way, Weather},
    world::World,
};

/// [`FaultKind::Cut`], [`FaultKind::CutRequests`] or [`FaultKind::CutReplies`].
#[derive(Debug)]
pub(super) struct Cut(pub(super) FaultKind);

impl Cut {
    fn weather(&self) -> Weather {
        let held = |is_held| if is_held { Way::Held } else { Way::Open };
        Weather {
            requests: held(self.0 != FaultKind::CutReplies),
            replies: held(self.0 != FaultKind::CutRequests),
            refuses: false,
        }
    }
}

#[async_trait(?Send)]
impl Nemesis for Cut {
    fn kind(&self) -> FaultKind {
        self.0
    }

    fn weight(&self, _engines: Engines) -> u32 {
        4
    }

    fn draw(&self, dice: &mut StdRng, plan: &Plan) -> Drawn {
        Drawn::on(any_way(dice, plan), around_the_ttl(dice, plan))
    }

    async fn begin(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.set(&fault.target, self.weather());
        Ok(())
    }

    async fn end(&self, world: &mut World, fault: &Planned) -> Result<(), String> {
        world.ways.heal(&fault.target);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_holds_what_its_name_says() {
        let held = |kind| {
            let Weather { requests, replies, .. } = Cut(kind).weather();
            (requests == Way::Held, replies == Way::Held)
        };
        assert_eq!(held(FaultKind::Cut), (true, true));
        assert_eq!(held(FaultKind::CutRequests), (true, false));
        assert_eq!(held(FaultKind::CutReplies), (false, true));
    }
}

//! What faults take hold of, so that none of them ends what another has begun.

use super::{Plan, Planned};
use crate::fault::{FaultKind, Place};

/// What a fault takes hold of.
#[derive(PartialEq, Eq)]
enum Hold<'a> {
    Process(&'a str),
    Way(Option<&'a str>, Place),
    Engine(Place),
}

fn holds<'a>(plan: &Plan, fault: &'a Planned) -> Vec<Hold<'a>> {
    use FaultKind::*;
    let process = fault.target.process.as_deref();
    let mut holds: Vec<Hold<'a>> = match (fault.fault, fault.target.place) {
        (Cut | CutRequests | CutReplies | Refuse | LoseReply | Delay | Trickle, Some(place)) => {
            vec![Hold::Way(process, place)]
        }
        (_, Some(place)) => vec![Hold::Engine(place)],
        (_, None) => process.into_iter().map(Hold::Process).collect(),
    };
    if fault.fault == ProtocolFloor {
        holds.push(Hold::Engine(plan.engines.ledger()));
    }
    holds
}

impl Plan {
    /// Whether the two can't last at the same time: ending one would mend the other, or one can't be begun meanwhile.
    pub(crate) fn collide(&self, a: &Planned, b: &Planned) -> bool {
        let theirs = holds(self, b);
        holds(self, a).iter().any(|mine| {
            theirs.iter().any(|other| match (mine, other) {
                (Hold::Way(one, here), Hold::Way(two, there)) => {
                    here == there && (one.is_none() || two.is_none() || one == two)
                }
                _ => mine == other,
            })
        })
    }
}

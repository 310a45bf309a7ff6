//! What an attribution is worth: how often a scanner and a time drawn at random would have a fault that explains as much.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};
use serde::{Deserialize, Serialize};

use super::{
    around::Around,
    timeline::{Life, Timeline},
    unknowns,
};
use crate::{fault::FaultKind, history::Role};

/// So many are drawn: enough to know a share to two or three per cent.
const DRAWN: usize = 2_000;
/// The most lengths of silences that are kept to be drawn from, eight megabytes: one for each of the most postings that a run
/// is made for, so that none is left out.
pub(super) const MAX_SILENCES: usize = 1_000_000;
/// Sets these dice apart from those that the plan was drawn by.
const TAG: u64 = 0xc4a9;

/// The silence of claimants, against chance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chance {
    /// So many scanners and times were drawn, each for as long as a claimant was silent that was drawn too; none where none was.
    pub drawn: u64,
    /// In so many of them this fault would have been found behind a silence.
    pub by_fault: BTreeMap<FaultKind, u64>,
}

impl Chance {
    /// In how many of them there was any such fault.
    pub fn explained(&self) -> u64 {
        self.by_fault.values().sum()
    }

    /// For silences of these lengths, in milliseconds. What the marketplace did to a request is left out: who was drawn has
    /// none.
    pub(super) fn of(silences_ms: &[i64], around: &Around<'_>) -> Chance {
        let Timeline { lives, quiet_ms, .. } = around.timeline;
        let scanners: Vec<&Life> =
            lives.iter().filter(|life| life.role == Role::Scanner && life.is_kept_alive()).collect();
        let until_ms = quiet_ms.unwrap_or_default();
        let mut dice = StdRng::seed_from_u64(around.begun.plan.seed ^ TAG);
        let mut chance = Chance::default();
        for _ in 0..DRAWN {
            let Some(lasted_ms) = silences_ms.choose(&mut dice) else { break };
            let from_ms = dice.random_range(0..until_ms.max(1));
            let alive = |life: &&&Life| life.from_ms <= from_ms && life.to_ms.is_none_or(|to| to > from_ms);
            let there: Vec<&&Life> = scanners.iter().filter(alive).collect();
            if there.is_empty() {
                continue;
            }
            let life = there[dice.random_range(0..there.len())];
            let explained = unknowns::silenced(around, life.name(), (from_ms, from_ms + lasted_ms));
            chance.drawn += 1;
            if let Some(fault) = explained {
                *chance.by_fault.entry(fault).or_default() += 1;
            }
        }
        chance
    }
}

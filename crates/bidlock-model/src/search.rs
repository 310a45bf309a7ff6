//! Running a search.

use std::{num::NonZeroUsize, sync::Arc};

use bidlock_ledger::state::Rule;
use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    model::Bidding,
    settings::{Names, Settings},
    step::Step,
    world::World,
};

/// The longest counterexample that is looked for: each variant's is far shorter.
const MAX_DEPTH: usize = 40;

/// A way through the model: each world with the step that is taken from it, the last with none.
pub type Way = Vec<(World, Option<Step>)>;

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Worlds that differ in more than names.
    pub states: usize,
    /// Steps taken.
    pub steps: usize,
    /// The longest way that was followed.
    pub depth: usize,
    /// Each property that does not hold, with a way there.
    pub violations: Vec<(&'static str, Way)>,
    /// The rules of the transition table that were used.
    pub rules: Vec<&'static Rule>,
}

/// Searches the whole space, or up to the first violation. Depth first: it needs least memory, eight bytes a world.
pub fn exhaust(settings: Settings, threads: NonZeroUsize) -> Report {
    search(settings, threads, HasDiscoveries::AnyFailures)
}

/// Searches the whole space, whatever is violated on the way.
pub fn explore(settings: Settings, threads: NonZeroUsize) -> Report {
    search(settings, threads, HasDiscoveries::All)
}

fn search(settings: Settings, threads: NonZeroUsize, finish: HasDiscoveries) -> Report {
    let model = Bidding::new(settings);
    let used = Arc::clone(&model.used);
    let checker = model.checker().threads(threads.get()).finish_when(finish).spawn_dfs().join();
    let violations = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_vec())).collect();
    Report {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        violations,
        rules: used.rules().collect(),
    }
}

/// The shortest way, with the fewest faults, to a world in which this property does not hold, with names that stay the same along the way;
/// `None` where there is none within the bounds.
pub fn shortest_counterexample(settings: Settings, property: &'static str) -> Option<Way> {
    // Depth by depth: stateright looks whether to stop once per block of worlds and keeps the last it found.
    let tries = (1..=MAX_DEPTH).flat_map(|depth| (0..=settings.faults).map(move |faults| (depth, faults)));
    tries.into_iter().find_map(|(depth, faults)| {
        let model = Bidding::new(Settings { names: Names::Kept, faults, ..settings });
        let builder = model.checker().target_max_depth(depth + 1);
        let checker = builder.finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
        checker.discoveries().remove(property).map(|path| path.into_vec())
    })
}

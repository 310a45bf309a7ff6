//! [`Bidding`]: the protocol as a model that stateright searches.

use std::sync::Arc;

use bidlock_ledger::{
    BidState,
    state::{IMPORTED, TRANSITIONS},
};
use stateright::{Model, Property};

use crate::{
    faults,
    ledger::{Ledger, Used},
    marketplace, properties, scanner,
    settings::Settings,
    step::Step,
    upkeep,
    world::{Approval, Broken, LeaseView, Reconciler, World},
};

/// Scanners, ledger, marketplace, sweeper, reconciler, operator and faults, within the bounds of its settings.
#[derive(Clone, Debug)]
pub struct Bidding {
    /// The space.
    pub settings: Settings,
    /// The rules of the table that the search has used so far.
    pub used: Arc<Used>,
}

impl Bidding {
    /// A model of this space.
    pub fn new(settings: Settings) -> Bidding {
        Bidding { settings, used: Arc::default() }
    }

    /// The steps that a world can take, as [`Model::actions`].
    pub fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        let ledger = self.ledger();
        for who in 0..self.settings.scanners {
            scanner::steps(&ledger, world, who, steps);
        }
        marketplace::steps(&self.settings, world, steps);
        upkeep::steps(&self.settings, world, steps);
        faults::steps(&ledger, world, steps);
    }

    /// The world after a step, with its names as they are; `None` where nothing changes.
    pub fn after(&self, world: &World, step: Step) -> Option<World> {
        let ledger = self.ledger();
        let mut next = *world;
        let w = &mut next;
        match step {
            Step::Scanner(who, scan) => scanner::step(&ledger, w, who, scan)?,
            Step::Fault(fault) => faults::step(&ledger, w, fault)?,
            Step::Answers(who, reply) => marketplace::answer(&self.settings, w, who, reply)?,
            Step::StrayArrives(at) => marketplace::stray_arrives(&self.settings, w, at)?,
            Step::ClientDecides { posting, name, fate } => {
                marketplace::client_decides(w, posting, name, fate)?;
            }
            Step::ClaimExpires(at) => w.row_mut(at)?.expired = true,
            Step::ApprovalExpires(at) => w.row_mut(at)?.approval = Approval::Expired,
            Step::LeaseExpires(who) => {
                w.scanners[usize::from(who)].lease.take_if(|lease| lease.view == LeaseView::Ended)?;
            }
            Step::OrphanLeaseExpires(posting) => w.postings[usize::from(posting)].orphan_lease = false,
            Step::Sweep(at, action) | Step::Poll(at, action) => {
                ledger.apply(w, at, action, crate::ledger::Carry::Nothing)?;
            }
            Step::LookUp(at, seen) => w.reconciler = Reconciler::Looked(at, seen),
            Step::Choose => upkeep::reconciler_chooses(&ledger, w)?,
            Step::RecordFound => upkeep::reconciler_records(&ledger, w)?,
            Step::Import(posting) => upkeep::import(&ledger, w, posting)?,
            Step::Operator(at, does) => upkeep::operator(&ledger, w, at, does)?,
            Step::AskWithdrawal(at, word) => marketplace::ask_withdrawal(w, at, word)?,
            Step::RecordWord(asker) => upkeep::record_word(&ledger, w, asker)?,
        }
        note_what_the_table_lacks(world, w);
        (next != *world).then_some(next)
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger { settings: &self.settings, used: &self.used }
    }
}

impl Model for Bidding {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.settings)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.steps(world, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let next = self.after(world, step)?;
        // Renamed here and not by the checker: then a path of steps leads where the search went, and a breadth-first
        // search, which knows no symmetry of its own, has it too.
        Some(next.canonical(&self.settings))
    }

    fn properties(&self) -> Vec<Property<Bidding>> {
        properties::all(&self.settings)
    }
}

/// Compares the rows before and after, whatever made the change: the other half of taking moves from the table.
fn note_what_the_table_lacks(before: &World, after: &mut World) {
    let rows = before.postings.iter().flat_map(|p| p.rows);
    let lacking =
        rows.zip(after.postings.iter().flat_map(|p| p.rows)).any(|(before, after)| match (before, after) {
            (Some(before), Some(after)) => {
                let moved = before.state != after.state || before.claim != after.claim;
                moved && !TRANSITIONS.iter().any(|rule| (rule.from, rule.to) == (before.state, after.state))
            }
            (None, Some(new)) => new.state != BidState::Claimed && !IMPORTED.contains(&new.state),
            (Some(_), None) => true,
            (None, None) => false,
        });
    if lacking {
        after.broken.note(Broken::TABLE);
    }
}

//! L1 and L2: from any world the faults end, time passes, and everybody goes on; where does that lead?
//!
//! One fair order of events, not all of them: stateright's own `eventually` is exact on acyclic paths only, and
//! handing back and claiming again is a cycle. So this shows that no reachable world is a dead end.

use bidlock_ledger::BidState;

use crate::{
    ledger::another,
    model::Bidding,
    settings::Locks,
    step::{Reply, Scan, Step},
    world::{Approval, At, Fate, Reconciler, Row, Stage, World},
};

/// More rounds than any posting needs to pass through its states once.
const MAX_ROUNDS: u32 = 64;

/// Whether every posting of a world gets settled, or waits for a person.
pub(crate) fn settles(model: &Bidding, world: &World) -> bool {
    let mut world = World { faults_left: 0, ..*world };
    for _ in 0..MAX_ROUNDS {
        match (0..model.settings.scanners)
            .find_map(|who| go_on(model, &world, who))
            .or_else(|| look_after(model, &world))
        {
            Some(next) => world = next,
            None => return (0..model.settings.postings).all(|posting| is_settled(&world, posting)),
        }
    }
    false
}

/// A scanner's next step, with a marketplace that says yes.
fn go_on(model: &Bidding, world: &World, who: u8) -> Option<World> {
    let after = |step| model.after(world, step);
    let scan = |scan| after(Step::Scanner(who, scan));
    match world.scanners[usize::from(who)].stage {
        Stage::Claimed(_) | Stage::Seen(_) => scan(Scan::EnterDoor),
        Stage::Asking { .. } => scan(Scan::AskAgain),
        Stage::Passed(_) => scan(Scan::Send),
        Stage::Waiting(_) => after(Step::Answers(who, Reply::Yes)),
        Stage::Answered(..) => scan(Scan::Record),
        Stage::Deleting(_) => scan(Scan::Unlock),
        Stage::Idle if world.scanners[usize::from(who)].lease.is_some() => scan(Scan::Unlock),
        Stage::Locked(posting) => scan(Scan::ReadApproved(posting))
            .or_else(|| scan(Scan::Claim(posting)))
            .or_else(|| scan(Scan::Unlock)),
        // Only where there is something to do, or it would lock and unlock for ever.
        Stage::Idle => (0..model.settings.postings).filter(|p| is_open(world, *p)).find_map(|posting| {
            match model.settings.locks {
                Locks::Leases => scan(Scan::Lock(posting)),
                Locks::GrantEverything => {
                    scan(Scan::ReadApproved(posting)).or_else(|| scan(Scan::Claim(posting)))
                }
            }
        }),
    }
}

/// A scanner has something to do for this posting.
fn is_open(world: &World, posting: u8) -> bool {
    use BidState::{Abandoned, Approved, Claimed};
    let is_approved = |row: &Row| row.state == Approved && row.approval == Approval::Live;
    let mut live = world.postings[usize::from(posting)].bids().filter(|(_, row)| !row.rebid_allowed);
    live.next().is_none_or(|(index, row)| {
        let is_shut = another(world, At { posting, row: index, claim: row.claim });
        !is_shut && (row.state == Abandoned || is_approved(row) || row.state == Claimed && row.expired)
    })
}

/// Time, sweeper, reconciler (with a fresh view) and strays, in the order in which the model names their steps.
fn look_after(model: &Bidding, world: &World) -> Option<World> {
    let mut steps = Vec::new();
    crate::upkeep::steps(&model.settings, world, &mut steps);
    crate::marketplace::steps(&model.settings, world, &mut steps);
    let fresh = |at: At| {
        let there = world.postings[usize::from(at.posting)].accepted();
        there.filter(|(_, bid)| bid.fate != Fate::TakenBack).fold(0u8, |view, (name, _)| view | 1 << name)
    };
    steps.into_iter().find_map(|step| {
        let goes_on = match step {
            Step::ClaimExpires(_)
            | Step::LeaseExpires(_)
            | Step::OrphanLeaseExpires(_)
            | Step::Choose
            | Step::RecordFound
            | Step::RecordWord(_)
            | Step::StrayArrives(_)
            | Step::Poll(..)
            | Step::Sweep(..)
            | Step::AskWithdrawal(..) => true,
            Step::LookUp(at, view) => {
                world.reconciler == Reconciler::Idle
                    && view == fresh(at)
                    && would_find(model, world, at, view)
            }
            _ => false,
        };
        if goes_on { model.after(world, step) } else { None }
    })
}

/// A look-up that changes nothing is not made, so that this comes to an end.
fn would_find(model: &Bidding, world: &World, at: At, view: u8) -> bool {
    let looked = World { reconciler: Reconciler::Looked(at, view), ..*world };
    let chosen = model.after(&looked, Step::Choose);
    let recorded = chosen.and_then(|chosen| model.after(&chosen, Step::RecordFound));
    recorded.is_some_and(|recorded| recorded.postings != world.postings)
}

/// Final, unknown, or a person's to decide, or shut for good beside an earlier bid; and each bid at the marketplace is
/// known by its name, but where a person said so without one, or a look-up gave
/// its row another's.
fn is_settled(world: &World, posting: u8) -> bool {
    use BidState::*;
    let here = &world.postings[usize::from(posting)];
    let is_open = |state| matches!(state, Claimed | Submitting | Abandoned | Approved);
    let is_shut = |index, row: &Row| another(world, At { posting, row: index, claim: row.claim });
    let by_person = here.bids().any(|(_, row)| row.by_person);
    let named = |name: u8, owner: u8| {
        by_person
            || here.bids().any(|(index, row)| {
                row.external_ref == Some(name) || index == owner && row.external_ref.is_some()
            })
    };
    here.bids().all(|(index, row)| row.rebid_allowed || !is_open(row.state) || is_shut(index, row))
        && here.accepted().all(|(name, bid)| named(name, bid.row))
}

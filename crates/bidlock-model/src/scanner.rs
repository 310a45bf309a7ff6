//! What a scanner does, step by step: as `claiming.rs` and `send.rs` of the pipeline.

use bidlock_ledger::{Action, BidState};

use crate::{
    ledger::{Carry, Ledger},
    settings::{Locks, Protocol},
    step::{Scan, Step},
    world::{Answer, Approval, At, Broken, Lease, LeaseView, Row, Scanner, Stage, World},
};

/// The steps that a scanner can take now.
pub(crate) fn steps(ledger: &Ledger<'_>, world: &World, who: u8, steps: &mut Vec<Step>) {
    let scanner = &world.scanners[usize::from(who)];
    let mut can = |scan| steps.push(Step::Scanner(who, scan));
    let settings = ledger.settings;
    match scanner.stage {
        Stage::Idle if scanner.lease.is_some() => can(Scan::Unlock),
        Stage::Idle => {
            for posting in 0..settings.postings {
                match settings.locks {
                    Locks::Leases => can(Scan::Lock(posting)),
                    Locks::GrantEverything => begin(world, posting, &mut can),
                }
            }
        }
        Stage::Locked(posting) => {
            begin(world, posting, &mut can);
            can(Scan::Unlock);
        }
        Stage::Claimed(_) => {
            can(Scan::EnterDoor);
            can(Scan::HandBack);
            if settings.approvals {
                can(Scan::AskApproval);
            }
        }
        Stage::Seen(_) => can(Scan::EnterDoor),
        Stage::Asking { .. } => can(Scan::AskAgain),
        Stage::Passed(_) => can(Scan::Send),
        Stage::Waiting(_) => {}
        Stage::Answered(_, answer) => {
            can(Scan::Record);
            let resends = settings.protocol == Protocol::ResendUnknown && answer == Answer::Lost;
            if answer == Answer::Nothing || resends {
                can(Scan::EnterDoor);
            }
        }
        Stage::Deleting(_) => can(Scan::Unlock),
    }
}

fn begin(world: &World, posting: u8, can: &mut impl FnMut(Scan)) {
    can(Scan::Claim(posting));
    if approved(world, posting).is_some() {
        can(Scan::ReadApproved(posting));
    }
}

fn approved(world: &World, posting: u8) -> Option<At> {
    let mut bids = world.postings[usize::from(posting)].bids();
    let (row, bid) = bids.find(|(_, row)| row.state == BidState::Approved)?;
    Some(At { posting, row, claim: bid.claim })
}

/// Takes one step; `None` where nothing changes.
pub(crate) fn step(ledger: &Ledger<'_>, world: &mut World, who: u8, scan: Scan) -> Option<()> {
    let scanner = world.scanners[usize::from(who)];
    let stage = match (scan, scanner.stage) {
        (Scan::Lock(posting), _) => {
            lock(world, who, posting)?;
            Stage::Locked(posting)
        }
        (Scan::Unlock, stage) => unlock(ledger, world, who, scanner, stage),
        (Scan::Claim(posting), stage) => match ledger.settings.protocol {
            Protocol::LockOnly => check(world, posting),
            _ => match ledger.claim(world, posting) {
                Some(at) => Stage::Claimed(at),
                // The bid that exists is the outcome.
                None if stage == Stage::Idle => return None,
                None => Stage::Idle,
            },
        },
        (Scan::ReadApproved(posting), _) => Stage::Seen(approved(world, posting)?),
        (Scan::AskApproval, Stage::Claimed(at)) => {
            ledger.apply(world, at, Action::AwaitApproval, Carry::Nothing);
            Stage::Idle
        }
        (Scan::EnterDoor, stage) => match (enter_door(ledger, world, stage), stage) {
            (Some(at), _) => Stage::Passed(at),
            // The row was swept while it slept on its proof: the proof still frees it.
            (None, Stage::Answered(at, Answer::Nothing)) => hand_back(ledger, world, at),
            (None, _) => Stage::Idle,
        },
        (Scan::AskAgain, Stage::Asking { at, passed, proof }) => {
            ask_again(ledger, world, At { claim: passed, ..at }, proof)
        }
        (Scan::HandBack, Stage::Claimed(at)) => hand_back(ledger, world, at),
        (Scan::Send, Stage::Passed(at)) => {
            if ledger.settings.protocol == Protocol::SubmittedBeforeAnswer {
                ledger.apply(world, at, Action::Accept, Carry::Nothing);
            }
            Stage::Waiting(at)
        }
        (Scan::Record, Stage::Answered(at, answer)) => record(ledger, world, at, answer),
        _ => return None,
    };
    world.scanners[usize::from(who)].stage = stage;
    Some(())
}

/// Through the door by the claim that it holds, or with a new claim for a bid that a person approved.
pub(crate) fn enter_door(ledger: &Ledger<'_>, world: &mut World, stage: Stage) -> Option<At> {
    match stage {
        Stage::Seen(at) => ledger.apply(world, at, Action::TakeSending, Carry::Nothing),
        Stage::Claimed(at) | Stage::Answered(at, _) => {
            // What the scanner believes in, also in the variant in which the door looks at no claim.
            ledger.apply(world, at, Action::EnterSubmitting, Carry::Nothing).map(|_| at)
        }
        _ => None,
    }
}

/// The key was recorded: it passed, if the row is still where its own passage left it.
fn ask_again(ledger: &Ledger<'_>, world: &mut World, at: At, proof: bool) -> Stage {
    let own = |row: &Row| row.state == BidState::Submitting && !row.expired && row.claim == at.claim;
    match world.row(at) {
        Some(row) if own(row) => Stage::Passed(at),
        _ if proof => hand_back(ledger, world, at),
        _ => Stage::Idle,
    }
}

fn hand_back(ledger: &Ledger<'_>, world: &mut World, at: At) -> Stage {
    ledger.apply(world, at, Action::HandBack, Carry::Nothing);
    Stage::Idle
}

/// Each answer's key makes a repetition harmless, so that a lost reply to its commit is no step of its own.
fn record(ledger: &Ledger<'_>, world: &mut World, at: At, answer: Answer) -> Stage {
    if ledger.settings.protocol == Protocol::LockOnly {
        write_down(world, at, answer);
        return Stage::Idle;
    }
    let hands_back = ledger.settings.protocol == Protocol::LostAnswerHandsBack;
    let (action, carry) = match answer {
        Answer::Accepted(name) => (Action::Accept, Carry::Name(name)),
        Answer::Refused => (Action::Refuse, Carry::Nothing),
        Answer::Lost if !hands_back => (Action::LoseAnswer, Carry::Nothing),
        Answer::Lost | Answer::Nothing => (Action::HandBack, Carry::Nothing),
    };
    let recorded = ledger.apply(world, at, action, carry).is_some();
    // A yes under the name of another row: this one's outcome is unknown, and that is a record of its own.
    let is_sent = |row: &Row| row.state == BidState::Submitting && row.claim == at.claim;
    match answer {
        Answer::Accepted(_) if !recorded && world.row(at).is_some_and(is_sent) => {
            Stage::Answered(at, Answer::Lost)
        }
        _ => Stage::Idle,
    }
}

fn lock(world: &mut World, who: u8, posting: u8) -> Option<()> {
    let is_held = |s: &Scanner| s.lease.is_some_and(|l| l.posting == posting && l.in_store());
    if world.postings[usize::from(posting)].orphan_lease || world.scanners.iter().any(is_held) {
        return None;
    }
    world.scanners[usize::from(who)].lease = Some(Lease { posting, view: LeaseView::Held });
    Some(())
}

/// Ours: compared and deleted in one step, so that nobody else's lease goes. Lock-only: GET, and then DEL.
fn unlock(ledger: &Ledger<'_>, world: &mut World, who: u8, scanner: Scanner, stage: Stage) -> Stage {
    if ledger.settings.protocol != Protocol::LockOnly {
        world.scanners[usize::from(who)].lease = None;
        return Stage::Idle;
    }
    if let Stage::Deleting(posting) = stage {
        for (other, holder) in (0u8..).zip(&mut world.scanners) {
            if let Some(lease) = holder.lease.as_mut().filter(|l| l.posting == posting && l.in_store())
                && other != who
            {
                lease.view = LeaseView::Ghost;
                world.broken.note(Broken::S4);
            }
        }
    } else if let Some(lease) = scanner.lease.filter(Lease::in_store) {
        return Stage::Deleting(lease.posting);
    }
    world.scanners[usize::from(who)].lease = None;
    Stage::Idle
}

/// Lock-only: is there a bid already? If not, it sends; no claim, no door.
fn check(world: &World, posting: u8) -> Stage {
    match world.postings[usize::from(posting)].rows[0] {
        Some(_) => Stage::Idle,
        None => Stage::Passed(At { posting, row: 0, claim: 0 }),
    }
}

/// Lock-only: what was accepted becomes a row.
fn write_down(world: &mut World, at: At, answer: Answer) {
    let Answer::Accepted(name) = answer else { return };
    let row = Row {
        state: BidState::Submitted,
        claim: at.claim,
        epoch: 1,
        expired: false,
        approval: Approval::None,
        rebid_allowed: false,
        sent: true,
        key: 0,
        external_ref: Some(name),
        by_person: false,
        imported: false,
        strays: 0,
    };
    world.postings[usize::from(at.posting)].rows[0].get_or_insert(row);
}

//! What breaks, and how.

use bidlock_ledger::BidState;

use crate::{
    ledger::Ledger,
    marketplace, scanner,
    settings::{Faults, Locks, Protocol},
    step::{Fault, Step},
    upkeep,
    world::{Answer, Asked, At, LeaseView, Stage, Word, World},
};

/// The faults that can happen now.
pub(crate) fn steps(ledger: &Ledger<'_>, world: &World, steps: &mut Vec<Step>) {
    if world.faults_left == 0 {
        return;
    }
    let settings = ledger.settings;
    let mut fault = |kind, fault| {
        if settings.kinds.has(kind) {
            steps.push(Step::Fault(fault));
        }
    };
    for (who, scanner) in (0u8..settings.scanners).zip(&world.scanners) {
        if scanner.stage != Stage::Idle || scanner.lease.is_some() {
            fault(Faults::CRASH, Fault::Crash(who));
        }
        match scanner.stage {
            Stage::Idle if settings.locks == Locks::GrantEverything => {
                (0..settings.postings)
                    .for_each(|p| fault(Faults::CLAIM_REPLY, Fault::ClaimReplyLost(who, p)));
            }
            Stage::Locked(posting) => fault(Faults::CLAIM_REPLY, Fault::ClaimReplyLost(who, posting)),
            Stage::Claimed(_) | Stage::Seen(_) | Stage::Answered(_, Answer::Nothing) => {
                fault(Faults::DOOR_REPLY, Fault::DoorReplyLost(who));
            }
            Stage::Waiting(_) => {
                fault(Faults::ANSWER, Fault::AnswerLost(who));
                fault(Faults::LATE, Fault::RequestLate(who));
            }
            _ => {}
        }
        if scanner.lease.is_some_and(|lease| lease.view == LeaseView::Held) {
            fault(Faults::PAUSE, Fault::PauseOverLease(who));
            fault(Faults::LOCK_LOSS, Fault::LockLost(who));
        }
    }
    for (asker, asked) in (0u8..).zip(&world.askers) {
        if let Some(asked) = asked
            && (settings.unheard || !is_last_to_know(world, asker, *asked))
        {
            fault(Faults::WORD, Fault::WordLost(asker));
        }
    }
    for (posting, here) in (0u8..).zip(&world.postings) {
        for (row, bid) in here.bids() {
            let at = At { posting, row, claim: bid.claim };
            if bid.state.has_running_claim() && !bid.expired && upkeep::is_believed_in(world, at) {
                fault(Faults::PAUSE, Fault::Pause(at));
            }
        }
    }
}

/// Lets it happen; `None` where nothing would be different.
pub(crate) fn step(ledger: &Ledger<'_>, world: &mut World, fault: Fault) -> Option<()> {
    world.faults_left -= 1;
    match fault {
        Fault::Crash(who) => crash(world, who),
        Fault::Pause(at) => world.row_mut(at)?.expired = true,
        Fault::PauseOverLease(who) => {
            let deadline_first =
                !matches!(ledger.settings.protocol, Protocol::LockOnly | Protocol::NoDriftMargin);
            let lease = world.scanners[usize::from(who)].lease.as_mut()?;
            lease.view = if deadline_first { LeaseView::Ended } else { LeaseView::Ghost };
        }
        Fault::ClaimReplyLost(who, posting) => {
            if ledger.settings.protocol == Protocol::LockOnly {
                return None;
            }
            ledger.claim(world, posting)?;
            world.scanners[usize::from(who)].stage = Stage::Idle;
        }
        Fault::DoorReplyLost(who) => {
            let stage = world.scanners[usize::from(who)].stage;
            let at = stage.at()?;
            let passed = scanner::enter_door(ledger, world, stage)?.claim;
            let proof = matches!(stage, Stage::Answered(_, Answer::Nothing));
            world.scanners[usize::from(who)].stage = Stage::Asking { at, passed, proof };
        }
        Fault::AnswerLost(who) => {
            let Stage::Waiting(at) = world.scanners[usize::from(who)].stage else { return None };
            marketplace::accept(ledger.settings, world, at)?;
            world.scanners[usize::from(who)].stage = Stage::Answered(at, Answer::Lost);
        }
        Fault::RequestLate(who) => {
            let Stage::Waiting(at) = world.scanners[usize::from(who)].stage else { return None };
            stray(world, at);
            world.scanners[usize::from(who)].stage = Stage::Answered(at, Answer::Lost);
        }
        Fault::LockLost(who) => {
            world.scanners[usize::from(who)].lease.as_mut()?.view = LeaseView::Ghost;
            world.lock_lost = true;
        }
        Fault::WordLost(asker) => drop(world.askers[usize::from(asker)].take()?),
    }
    Some(())
}

/// The bid is withdrawn, nobody else can say so, and an earlier refusal made the ledger think that it stands, or will.
fn is_last_to_know(world: &World, asker: u8, asked: Asked) -> bool {
    let others = (0u8..).zip(&world.askers).filter(|(other, _)| *other != asker);
    let same = others.filter_map(|(_, other)| *other).filter(|other| other.at == asked.at);
    let says = |word: Word| same.clone().any(|other| other.word == word);
    let stands = world.row(asked.at).is_some_and(|row| row.state == BidState::Submitted);
    asked.word == Word::Withdrawn && !says(Word::Withdrawn) && (stands || says(Word::Refused))
}

fn crash(world: &mut World, who: u8) {
    let scanner = world.scanners[usize::from(who)];
    if let Stage::Waiting(at) = scanner.stage {
        stray(world, at);
    }
    if let Some(lease) = scanner.lease.filter(|lease| lease.in_store()) {
        world.postings[usize::from(lease.posting)].orphan_lease = true;
    }
    world.scanners[usize::from(who)] = Default::default();
}

/// A request that nobody waits for any more.
fn stray(world: &mut World, at: At) {
    if let Some(row) = world.row_mut(at) {
        row.strays += 1;
    }
}

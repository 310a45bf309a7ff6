//! Everybody but the scanners: sweeper, reconciler, operator, recorded withdrawals, and the passing of time.

use bidlock_ledger::{Action, BidState};

use crate::{
    ledger::{Carry, Ledger, is_named},
    settings::{Protocol, Settings},
    step::{Person, Step},
    world::{Approval, At, Fate, LeaseView, Posting, Reconciler, Remote, Row, Word, World},
};

/// What no bid of ours bears as its key.
const NO_KEY: u8 = u8::MAX;

/// The steps that everybody but scanners and marketplace can take now, faults apart.
pub(crate) fn steps(settings: &Settings, world: &World, steps: &mut Vec<Step>) {
    for (posting, here) in (0u8..).zip(&world.postings) {
        for (row, bid) in here.bids() {
            let at = At { posting, row, claim: bid.claim };
            of_row(settings, world, here, at, bid, steps);
        }
        if settings.imports && posting < settings.postings && here.remote.iter().all(Option::is_none) {
            steps.push(Step::Import(posting));
        }
        if here.orphan_lease {
            steps.push(Step::OrphanLeaseExpires(posting));
        }
    }
    match world.reconciler {
        Reconciler::Idle => {}
        Reconciler::Looked(..) => steps.push(Step::Choose),
        Reconciler::Found(..) => steps.push(Step::RecordFound),
    }
    steps.extend((0u8..).zip(&world.askers).filter(|(_, a)| a.is_some()).map(|(i, _)| Step::RecordWord(i)));
    for (who, scanner) in (0u8..).zip(&world.scanners) {
        if scanner.lease.is_some_and(|lease| lease.view == LeaseView::Ended) {
            steps.push(Step::LeaseExpires(who));
        }
    }
}

fn of_row(settings: &Settings, world: &World, here: &Posting, at: At, bid: &Row, steps: &mut Vec<Step>) {
    use BidState::*;
    if bid.state.has_running_claim() && !bid.expired && !is_believed_in(world, at) {
        steps.push(Step::ClaimExpires(at));
    }
    let sweeps = match bid.state {
        Claimed if bid.expired => Some(Action::SweepClaimed),
        Submitting if bid.expired => Some(Action::SweepSubmitting),
        Approved if bid.approval == Approval::Expired => Some(Action::ExpireApproval),
        Approved => {
            steps.push(Step::ApprovalExpires(at));
            None
        }
        _ => None,
    };
    steps.extend(sweeps.map(|action| Step::Sweep(at, action)));
    if settings.reconciler && matches!(bid.state, Unknown | NotSubmitted) {
        look_ups(settings, here, at, steps);
    }
    let mut person = |does| steps.push(Step::Operator(at, does));
    if settings.approvals && bid.state == AwaitingApproval {
        person(Person::Approves);
    }
    if settings.operator && matches!(bid.state, Claimed | AwaitingApproval | Approved | Abandoned) {
        person(Person::Declines);
    }
    if settings.operator && matches!(bid.state, Unknown | NotSubmitted) {
        person(Person::SaysSubmitted);
    }
    if settings.operator && matches!(bid.state, Unknown | Rejected) {
        person(Person::SaysNotSubmitted { allow_new_bid: false });
        person(Person::SaysNotSubmitted { allow_new_bid: true });
    }
    if settings.afterwards && bid.state == Submitted {
        person(Person::Withdraws);
        match bid.external_ref.and_then(|name| here.remote[usize::from(name)]).map(|remote| remote.fate) {
            Some(Fate::Won) => steps.push(Step::Poll(at, Action::Win)),
            Some(Fate::Lost) => steps.push(Step::Poll(at, Action::Lose)),
            _ => {}
        }
    }
}

/// Every view of the marketplace, from the stale one without any bid to the fresh one.
fn look_ups(settings: &Settings, here: &Posting, at: At, steps: &mut Vec<Step>) {
    let there = here.accepted().filter(|(_, bid)| bid.fate != Fate::TakenBack);
    let fresh = there.fold(0u8, |mask, (name, _)| mask | 1 << name);
    let trusts_nothing = settings.protocol == Protocol::NotFoundIsProof;
    // A view with nothing in it changes nothing, but in the variant that takes it for a proof.
    let views = (0..=fresh).filter(|view| view & !fresh == 0 && (*view != 0 || trusts_nothing));
    steps.extend(views.map(|view| Step::LookUp(at, view)));
}

/// A living scanner works under this claim.
pub(crate) fn is_believed_in(world: &World, claim: At) -> bool {
    world.scanners.iter().any(|scanner| scanner.stage.believes_in(claim))
}

/// `choose` of the pipeline's reconciler, for a marketplace that shows keys and no dates.
fn choose(world: &World, at: At, seen: u8) -> Option<u8> {
    use BidState::*;
    let here = &world.postings[usize::from(at.posting)];
    let bid = world.row(at)?;
    let is_settled = |row: &Row| matches!(row.state, Submitted | Won | Lost | Withdrawing | Withdrawn);
    let others = || here.bids().filter(|(index, _)| *index != at.row).map(|(_, row)| row);
    let is_taken = |name: u8| others().any(|row| is_settled(row) && row.external_ref == Some(name));
    let mut ours = here
        .accepted()
        .filter(|(name, remote)| seen & 1 << name != 0 && remote.key == bid.key && !is_taken(*name))
        .map(|(name, _)| name);
    let comes_first = |row: &&Row| {
        let unnamed = is_settled(row) && row.external_ref.is_none();
        bid.state == NotSubmitted
            && row.epoch > bid.epoch
            && row.key == bid.key
            && row.sent
            && (unnamed || matches!(row.state, Submitting | Unknown | NotSubmitted))
    };
    if others().filter(comes_first).any(|row| row.state == Submitting) {
        return None;
    }
    let rivals = others().filter(comes_first).count();
    if ours.clone().count() > rivals { ours.next() } else { None }
}

/// What `find.sql` asks besides the guard.
fn may_be_named(world: &World, at: At, name: u8) -> bool {
    let key = world.row(at).map(|row| row.key);
    let mut others = world.postings[usize::from(at.posting)].bids().filter(|(index, _)| *index != at.row);
    let is_being_sent = others
        .any(|(_, row)| !row.rebid_allowed && row.state == BidState::Submitting && Some(row.key) == key);
    !is_being_sent && !is_named(world, at, name)
}

/// The reconciler decides which of the bids it saw is the one.
pub(crate) fn reconciler_chooses(ledger: &Ledger<'_>, world: &mut World) -> Option<()> {
    let Reconciler::Looked(at, seen) = world.reconciler else { return None };
    world.reconciler = match choose(world, at, seen) {
        Some(name) => Reconciler::Found(at, name),
        None => {
            if ledger.settings.protocol == Protocol::NotFoundIsProof {
                ledger.apply(world, at, Action::HandBack, Carry::Nothing);
            }
            Reconciler::Idle
        }
    };
    Some(())
}

/// The reconciler records what it found.
pub(crate) fn reconciler_records(ledger: &Ledger<'_>, world: &mut World) -> Option<()> {
    let Reconciler::Found(at, name) = world.reconciler else { return None };
    world.reconciler = Reconciler::Idle;
    if may_be_named(world, at, name) {
        ledger.apply(world, at, Action::Find, Carry::Name(name));
    }
    Some(())
}

/// A person decides about a bid.
pub(crate) fn operator(ledger: &Ledger<'_>, world: &mut World, at: At, does: Person) -> Option<()> {
    let (action, carry) = match does {
        Person::Approves => (Action::Approve, Carry::Nothing),
        Person::Declines => (Action::Decline, Carry::Nothing),
        Person::SaysSubmitted => (Action::ResolveSubmitted, Carry::Nothing),
        Person::SaysNotSubmitted { allow_new_bid } => {
            (Action::ResolveNotSubmitted, Carry::Allow(allow_new_bid))
        }
        Person::Withdraws => (Action::Withdraw, Carry::Nothing),
    };
    ledger.apply(world, at, action, carry).map(|_| ())
}

/// The replaced system's bid stands at the marketplace, under no key of ours, and counts as the row's.
pub(crate) fn import(ledger: &Ledger<'_>, world: &mut World, posting: u8) -> Option<()> {
    let live = world.postings[usize::from(posting)].bids().find(|(_, row)| !row.rebid_allowed);
    let at = match live.map(|(row, bid)| At { posting, row, claim: bid.claim }) {
        Some(at) => ledger.apply(world, at, Action::Import, Carry::Nothing)?,
        None => ledger.create(world, posting, BidState::Unknown)?,
    };
    let foreign = Remote { row: at.row, key: NO_KEY, fate: Fate::Standing };
    world.postings[usize::from(posting)].remote[0] = Some(foreign);
    Some(())
}

/// The word on a withdrawal is recorded. The owner's policy is the one that allows another bid.
pub(crate) fn record_word(ledger: &Ledger<'_>, world: &mut World, asker: u8) -> Option<()> {
    let asked = world.askers[usize::from(asker)].take()?;
    let (action, carry) = match asked.word {
        Word::Withdrawn => (Action::ConfirmWithdrawn, Carry::Allow(true)),
        Word::Refused => (Action::RefuseWithdrawal, Carry::Nothing),
        Word::Won => (Action::Win, Carry::Nothing),
        Word::Lost => (Action::Lose, Carry::Nothing),
    };
    ledger.apply(world, asked.at, action, carry);
    Some(())
}

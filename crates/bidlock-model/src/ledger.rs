//! The ledger of the model: claims, and guarded updates by the rules of [`bidlock_ledger::state::TRANSITIONS`].
//!
//! Whether a transition is allowed is read from that table, here as in the engines. What an engine's statement
//! does besides (flags, claims, the order of several bids on one posting) follows `queries/sqlite/*.sql`.

use std::sync::atomic::{AtomicBool, Ordering};

use bidlock_ledger::{
    Action, BidState,
    state::{Guard, Rule, TRANSITIONS},
};

use crate::{
    settings::{Protocol, Settings},
    world::{Approval, At, Broken, Row, World},
};

/// What a move carries besides its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// Nothing.
    Nothing,
    /// The marketplace's name for the bid.
    Name(u8),
    /// Whether a new bid on the posting is allowed.
    Allow(bool),
}

/// Which rules of the table were used, over a whole search.
#[derive(Debug)]
pub struct Used([AtomicBool; TRANSITIONS.len()]);

impl Default for Used {
    fn default() -> Used {
        Used(std::array::from_fn(|_| AtomicBool::new(false)))
    }
}

impl Used {
    fn note(&self, rule: usize) {
        // Read first: millions of steps use the same few rules, and several threads search.
        if let Some(used) = self.0.get(rule)
            && !used.load(Ordering::Relaxed)
        {
            used.store(true, Ordering::Relaxed);
        }
    }

    /// The rules that were used.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        TRANSITIONS.iter().zip(&self.0).filter(|(_, used)| used.load(Ordering::Relaxed)).map(|(rule, _)| rule)
    }
}

/// The ledger's operations on a world.
#[derive(Debug)]
pub struct Ledger<'a> {
    /// The space that is searched.
    pub settings: &'a Settings,
    /// Where used rules are noted.
    pub used: &'a Used,
}

impl Ledger<'_> {
    /// Creates the bid or takes it over; `None` where there is a bid already.
    pub fn claim(&self, world: &mut World, posting: u8) -> Option<At> {
        if let Some(at) = self.create(world, posting, BidState::Claimed) {
            return Some(at);
        }
        let live = world.postings[usize::from(posting)].bids().find(|(_, row)| !row.rebid_allowed);
        let (row, live) = live.map(|(index, row)| (index, *row))?;
        let at = At { posting, row, claim: live.claim };
        self.apply(world, at, Action::TakeOver, Carry::Nothing)
    }

    /// Begins a row: as `claimed`, or with a bid of the replaced system as one of [`bidlock_ledger::state::IMPORTED`].
    pub fn create(&self, world: &mut World, posting: u8, state: BidState) -> Option<At> {
        let claim = world.fresh_claim(posting);
        let here = &mut world.postings[usize::from(posting)];
        if !self.may_create(here.bids().map(|(_, row)| row)) {
            return None;
        }
        let limit = usize::from(self.settings.rows);
        let place = here.rows[..limit].iter().position(Option::is_none)?;
        let earlier = here.bids().filter(|(_, row)| row.rebid_allowed);
        let last_epoch = earlier.clone().map(|(_, row)| row.epoch).max().unwrap_or(0);
        let withdrawn = earlier.filter(|(_, row)| row.state == BidState::Withdrawn).count();
        let epoch = if self.settings.protocol == Protocol::EpochPerRow { 1 } else { last_epoch + 1 };
        let row = Row {
            state,
            claim,
            epoch,
            expired: false,
            approval: Approval::None,
            rebid_allowed: false,
            sent: false,
            key: withdrawn as u8,
            external_ref: None,
            by_person: false,
            imported: state == BidState::Unknown,
            strays: 0,
        };
        here.rows[place] = Some(row);
        self.new_epoch(world, posting, epoch);
        Some(At { posting, row: place as u8, claim })
    }

    /// The unique index, and what `insert_bid.sql` asks besides.
    fn may_create<'r>(&self, mut rows: impl Iterator<Item = &'r Row>) -> bool {
        match self.settings.protocol {
            Protocol::UniquePerStatus => !rows.any(|row| row.state == BidState::Claimed),
            Protocol::TakeOverMakesNewRow => rows.all(|row| row.rebid_allowed || can_be_taken_over(row)),
            _ => rows.all(|row| row.rebid_allowed && !row.state.is_in_use()),
        }
    }

    /// Makes one guarded update by the first rule that hits, and says under which claim the row is then.
    pub fn apply(&self, world: &mut World, at: At, action: Action, carry: Carry) -> Option<At> {
        let before = *world.row(at)?;
        let compares_claim =
            !(self.settings.protocol == Protocol::DoorIgnoresClaim && action == Action::EnterSubmitting);
        if compares_claim && before.claim != at.claim {
            return None;
        }
        let looks_at_names = match self.settings.protocol {
            Protocol::LateYesNamesTwice => before.state == BidState::Submitting,
            Protocol::RepeatedYesNamesTwice => before.state != BidState::Submitting,
            _ => true,
        };
        if let (Action::Accept, Carry::Name(name)) = (action, carry)
            && looks_at_names
            && is_named(world, at, name)
        {
            return None;
        }
        let rule = self.rule(world, at, action, &before)?;
        self.note_violations(world, at, &before, rule);
        let mut row =
            Row { state: rule.to, expired: before.expired && rule.to.has_running_claim(), ..before };
        let posting = at.posting;
        match action {
            Action::TakeOver => self.new_claim(world, posting, &mut row),
            Action::Import => row.imported = true,
            Action::TakeSending => {
                self.new_claim(world, posting, &mut row);
                row.sent = true;
            }
            Action::EnterSubmitting => (row.expired, row.sent) = (false, true),
            Action::Approve => row.approval = Approval::Live,
            Action::ResolveSubmitted => row.by_person = true,
            _ => {}
        }
        match carry {
            Carry::Name(name) => row.external_ref = Some(name),
            Carry::Allow(allow) => row.rebid_allowed |= allow && !another(world, at),
            Carry::Nothing => {}
        }
        let reopens = before.state == BidState::NotSubmitted;
        if reopens {
            row.rebid_allowed &= world.postings[usize::from(posting)].bids().any(|(_, l)| !l.rebid_allowed);
        }
        *world.row_mut(at)? = row;
        if reopens && row.rebid_allowed {
            self.set_aside_later(world, posting);
        }
        Some(At { claim: row.claim, ..at })
    }

    fn hits(&self, world: &World, at: At, row: &Row, rule: &Rule) -> bool {
        let blind = self.settings.protocol == Protocol::BlindToEarlierBids;
        let shut_by_import = row.imported && self.settings.protocol != Protocol::ImportIsHandedBack;
        let guard = match rule.guard {
            Guard::Claim => true,
            Guard::Live => !row.expired,
            Guard::Expired => row.expired,
            Guard::ApprovalLive => row.approval == Approval::Live,
            Guard::ApprovalExpired => row.approval == Approval::Expired,
            Guard::WasApproved => row.approval != Approval::None && !shut_by_import,
            Guard::NeverApproved => row.approval == Approval::None && !shut_by_import,
        };
        let sends = rule.to == BidState::Submitting || rule.action == Action::TakeOver;
        rule.from == row.state && guard && (blind || !sends || !another(world, at))
    }

    /// The rule that decides: the table's, or in two variants one that the table lacks.
    fn rule(&self, world: &World, at: At, action: Action, row: &Row) -> Option<&'static Rule> {
        use BidState::{Claimed, Declined, Submitting};
        const BACK: Rule =
            Rule { from: Submitting, action: Action::SweepSubmitting, to: Claimed, guard: Guard::Expired };
        const REVIVED: Rule =
            Rule { from: Declined, action: Action::TakeOver, to: Claimed, guard: Guard::Claim };
        let added = match self.settings.protocol {
            Protocol::SweeperGoesBack => Some(&BACK),
            Protocol::DeclinedIsTakenOver => Some(&REVIVED),
            _ => None,
        };
        let hidden = |rule: &Rule| {
            self.settings.protocol == Protocol::RefusalHidesConfirmation
                && (rule.from, rule.action) == (BidState::Submitted, Action::ConfirmWithdrawn)
        };
        let fits = |rule: &Rule| rule.action == action && !hidden(rule) && self.hits(world, at, row, rule);
        if let Some(rule) = added.filter(|rule| fits(rule)) {
            return Some(rule);
        }
        let index = TRANSITIONS.iter().position(fits)?;
        self.used.note(index);
        TRANSITIONS.get(index)
    }

    fn note_violations(&self, world: &mut World, at: At, before: &Row, rule: &Rule) {
        let enters = rule.to == BidState::Submitting;
        if before.claim != at.claim {
            world.broken.note(Broken::S4);
            if enters {
                world.broken.note(Broken::S2);
            }
        }
        let in_use = |(index, row): (u8, &Row)| index != at.row && row.state.is_in_use();
        if enters && world.postings[usize::from(at.posting)].bids().any(in_use) {
            world.broken.note(Broken::BESIDE);
        }
        use BidState::{Declined, Lost, NotSubmitted, Rejected, Won};
        let resolved =
            (rule.from, rule.action, rule.to) == (Rejected, Action::ResolveNotSubmitted, NotSubmitted);
        if matches!(rule.from, Rejected | Won | Lost | BidState::Withdrawn | Declined) && !resolved {
            world.broken.note(Broken::S7);
        }
    }

    fn new_claim(&self, world: &mut World, posting: u8, row: &mut Row) {
        let earlier = world.postings[usize::from(posting)].bids().filter(|(_, e)| e.rebid_allowed);
        let highest = earlier.map(|(_, e)| e.epoch).max().unwrap_or(0);
        let highest = if self.settings.protocol == Protocol::EpochPerRow { 0 } else { highest };
        // A scanner whose reply was lost recognises its own passage by this epoch.
        if highest > row.epoch {
            world.broken.note(Broken::S5);
        }
        row.claim = world.fresh_claim(posting);
        row.epoch = 1 + row.epoch.max(highest);
        row.expired = false;
        self.new_epoch(world, posting, row.epoch);
    }

    fn new_epoch(&self, world: &mut World, posting: u8, epoch: u8) {
        let top = &mut world.postings[usize::from(posting)].top_epoch;
        let grows = epoch > *top;
        *top = epoch.max(*top);
        if !grows {
            world.broken.note(Broken::S5);
        }
    }

    /// An earlier bid turned out to be submitted: a later one that was not sent yet is declined with it.
    fn set_aside_later(&self, world: &mut World, posting: u8) {
        let live = world.postings[usize::from(posting)].bids().find(|(_, row)| !row.rebid_allowed);
        if let Some((row, claim)) = live.map(|(index, row)| (index, row.claim)) {
            self.apply(world, At { posting, row, claim }, Action::Decline, Carry::Nothing);
        }
    }
}

/// `another.sql`: an earlier bid on the posting which the marketplace has or may have.
pub(crate) fn another(world: &World, at: At) -> bool {
    let posting = &world.postings[usize::from(at.posting)];
    posting.bids().any(|(index, row)| index != at.row && row.rebid_allowed && row.state.is_in_use())
}

/// `named.sql`: another bid on the posting bears the marketplace's name for this one.
pub(crate) fn is_named(world: &World, at: At, name: u8) -> bool {
    let mut bids = world.postings[usize::from(at.posting)].bids();
    bids.any(|(index, row)| index != at.row && row.external_ref == Some(name))
}

fn can_be_taken_over(row: &Row) -> bool {
    row.state == BidState::Abandoned || row.state == BidState::Claimed && row.expired
}

//! Applying changes: each rule of the transition table is one guarded step.

use uuid::Uuid;

use super::{
    clock::{StoreTime, millis},
    tables::{Row, Tables},
};
use crate::{
    Applied, Bid, BidState, Change, ClaimId, Claimant, Epoch, Move, NotMoved, UnknownCause, WallTime, alarm,
    line::Line,
    state::{Guard, Rule, rules_for},
    store::Cap,
};

impl Tables {
    /// Makes one change with its event, or says precisely why not.
    pub(super) fn apply(&mut self, change: &Change, now: StoreTime) -> Applied {
        let Some(at) = self.at(change.at.bid) else {
            return Applied::Not(NotMoved::NoSuchBid(change.at.bid));
        };
        let known = |row: &Row| row.history.iter().any(|event| event.event_key == change.event_key);
        if change.event_key.is_some() && known(self.row(at)) {
            return Applied::Already(Box::new(self.row(at).show(now)));
        }
        let law = self.law;
        let Some(rule) = law.rules(change.action.action()).find(|rule| self.allows(at, change, rule, now))
        else {
            return Applied::Not(self.refusal(at, change, now));
        };
        self.carry_out(at, change, &rule, now);
        let row = self.row_mut(at);
        row.record(now, Line::change(change, &rule, &row.bid));
        let bid = Box::new(row.show(now));
        let alarm = (rule.from == BidState::NotSubmitted).then(|| self.reopened(change, &bid, now));
        Applied::Moved { bid, alarm }
    }

    /// The whole guard of a rule for this change.
    fn allows(&self, at: usize, change: &Change, rule: &Rule, now: StoreTime) -> bool {
        self.is_hit(at, change.at.claim, rule, now)
            && match &change.action {
                Move::EnterSubmitting { cap, .. } | Move::TakeSending { cap, .. } => {
                    !self.is_beside_another(at) && self.is_within(*cap, at, rule)
                }
                action => self.found_elsewhere(at, action).is_none(),
            }
    }

    /// The marketplace has, or may have, another bid on the posting.
    fn is_beside_another(&self, at: usize) -> bool {
        self.siblings(at).any(|other| other.bid.rebid_allowed && other.bid.state.is_in_use())
    }

    /// Only a further attempt of a running submission is not counted again.
    fn is_within(&self, cap: Option<Cap>, at: usize, rule: &Rule) -> bool {
        let sent = |cap: Cap| self.sent_since(self.row(at).bid.posting.marketplace(), cap.since);
        cap.is_none_or(|cap| rule.from == BidState::Submitting || sent(cap) < cap.limit)
    }

    /// The name that a move brings is known as another bid's; or what was found may be a later one's that is being sent
    /// with the same key.
    fn found_elsewhere(&self, at: usize, action: &Move) -> Option<&Row> {
        let (name, key) = (action.external_ref()?, self.row(at).bid.idempotency_key);
        let is_find = matches!(action, Move::Find { .. });
        self.siblings(at).find(|other| {
            let bid = &other.bid;
            let being_sent =
                !bid.rebid_allowed && bid.state == BidState::Submitting && bid.idempotency_key == key;
            bid.external_ref.as_deref() == Some(name) || is_find && being_sent
        })
    }

    fn carry_out(&mut self, at: usize, change: &Change, rule: &Rule, now: StoreTime) {
        let beside_another = self.is_beside_another(at);
        let superseded = self.siblings(at).any(|other| !other.bid.rebid_allowed);
        let epoch = self.next_epoch(&self.row(at).bid.posting);
        let row = self.row_mut(at);
        let bid = &mut row.bid;
        bid.state = rule.to;
        bid.reason.clone_from(&change.reason);
        match &change.action {
            Move::EnterSubmitting { ttl, .. } => {
                row.claim_until = now.running + *ttl;
                pass_door(bid, now.wall);
            }
            Move::TakeSending { claimant, ttl, .. } => {
                row.claim_until = now.running + *ttl;
                take_claim(bid, claimant, epoch);
                pass_door(bid, now.wall);
            }
            Move::ConfirmWithdrawn { rebid_allowed: allowed }
            | Move::ResolveNotSubmitted { allow_new_bid: allowed } => {
                // A flag that is set stays set: a later row may rely on it.
                bid.rebid_allowed |= *allowed && !beside_another;
            }
            Move::Find { external_ref } | Move::Accept { external_ref } => {
                bid.external_ref = Some(external_ref.clone());
            }
            Move::ResolveSubmitted { external_ref: Some(external_ref) } => {
                bid.external_ref = Some(external_ref.clone());
            }
            Move::LoseAnswer { cause } => bid.unknown_cause = Some(*cause),
            Move::Import => bid.unknown_cause = Some(UnknownCause::Legacy),
            Move::Approve { valid_for } => {
                bid.approved_until = Some(WallTime(now.wall.0.saturating_add(millis(*valid_for))));
            }
            _ => {}
        }
        if rule.from == BidState::NotSubmitted {
            // The posting is taken again, unless another row is the live one: then the duplicate shows.
            bid.rebid_allowed &= superseded;
        }
    }

    /// Why no rule hit.
    fn refusal(&self, at: usize, change: &Change, now: StoreTime) -> NotMoved {
        let row = self.row(at);
        let rule = rules_for(change.action.action()).find(|rule| rule.from == row.bid.state);
        let ours = row.bid.claim_id == change.at.claim;
        if rule.is_some_and(|rule| rule.to == BidState::Submitting)
            && ours
            && let Some(other) = self.blocking(&row.bid.posting, Some(row.bid.id))
        {
            return NotMoved::WrongState(Box::new(other.show(now)));
        }
        if let (Some(_), true) = (rule, ours)
            && let Some(other) = self.found_elsewhere(at, &change.action)
        {
            return NotMoved::WrongState(Box::new(other.show(now)));
        }
        let bid = Box::new(row.show(now));
        match rule.map(|rule| rule.guard) {
            _ if !ours => NotMoved::StaleClaim(bid),
            None => NotMoved::WrongState(bid),
            Some(guard @ (Guard::Live | Guard::ApprovalLive)) if row.admits(guard, now) => {
                NotMoved::CapReached(bid)
            }
            Some(_) => NotMoved::Expired(bid),
        }
    }

    /// A "not submitted" was wrong. A later bid on the posting that has not been sent yet is declined at once, so
    /// that it never is; one that was sent is a duplicate. Says what a person must know.
    fn reopened(&mut self, change: &Change, bid: &Bid, now: StoreTime) -> String {
        let posting = &bid.posting;
        if !bid.rebid_allowed {
            return alarm::reopened(bid);
        }
        let Some(later) = self.live(posting).map(|at| self.row(at).bid.clone()) else {
            return alarm::duplicate(bid, None);
        };
        let aside = Change {
            at: later.claim_ref(),
            action: Move::Decline,
            reason: Some(alarm::reason_to_decline(bid)),
            event_key: None,
            ..change.clone()
        };
        match self.apply(&aside, now) {
            Applied::Moved { .. } => alarm::later_declined(bid, &later),
            _ => alarm::duplicate(bid, Some(&later)),
        }
    }
}

fn take_claim(bid: &mut Bid, claimant: &Claimant, epoch: i64) {
    bid.claim_id = ClaimId(Uuid::new_v4());
    bid.epoch = Epoch(epoch);
    bid.claimant = claimant.clone();
}

fn pass_door(bid: &mut Bid, now: WallTime) {
    bid.attempts += 1;
    bid.first_sent_at.get_or_insert(now);
    bid.last_sent_at = Some(now);
}

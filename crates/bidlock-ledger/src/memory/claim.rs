//! Claiming: one live row per posting; an expired or abandoned one is taken over.

use serde_json::json;
use uuid::Uuid;

use super::{
    clock::StoreTime,
    tables::{Line, Tables},
};
use crate::{
    Action, Bid, BidState, Claim, ClaimId, ClaimOutcome, Epoch, ImportOutcome, NewClaim, NewImport, Payload,
    PostingId, state::Rule, store::idempotency_key,
};

/// What a new row must follow.
struct Earlier {
    last_epoch: i64,
    withdrawals: u32,
}

impl Tables {
    /// Creates the bid, takes the row over, or says which bid there is.
    pub(super) fn claim(&mut self, request: &NewClaim, now: StoreTime) -> ClaimOutcome {
        let existing = match self.existing(&request.posting) {
            Some(at) if self.law.is_unique() => at,
            _ => return granted(self.create(request, now), false),
        };
        let row = self.row(existing);
        let (state, claim) = (row.bid.state, row.bid.claim_id);
        if !row.bid.rebid_allowed {
            for rule in self.law.rules(Action::TakeOver).filter(|rule| rule.from == state) {
                let earlier = self.blocking(&request.posting, Some(self.row(existing).bid.id));
                if let Some(earlier) = earlier {
                    return ClaimOutcome::Existing(Box::new(earlier.show(now)));
                }
                if self.is_hit(existing, claim, &rule, now) {
                    return granted(self.take_over(existing, request, &rule, now), true);
                }
            }
        }
        ClaimOutcome::Existing(Box::new(self.row(existing).show(now)))
    }

    /// Begins the row of an imported bid, or says which bid there is.
    pub(super) fn import(&mut self, wanted: &NewImport, now: StoreTime) -> ImportOutcome {
        if let Some(at) = self.existing(&wanted.posting) {
            return ImportOutcome::Existing(Box::new(self.row(at).show(now)));
        }
        let earlier = self.earlier(&wanted.posting);
        let bid = wanted.bid(self.new_id(now.wall), earlier.last_epoch + 1, earlier.withdrawals, now.wall);
        let at = self.insert(bid, now.running);
        let row = self.row_mut(at);
        let line = Line {
            action: Some(Action::Import),
            from: None,
            actor: &wanted.actor.0,
            reason: Some(&wanted.reason),
            detail: wanted.detail.clone(),
            event_key: None,
        };
        row.record(now, line);
        ImportOutcome::Imported(Box::new(row.show(now)))
    }

    /// What stands in the way of a new row: the live one, or an earlier one that the marketplace has or may have.
    fn existing(&self, posting: &PostingId) -> Option<usize> {
        self.live(posting).or_else(|| self.blocking(posting, None).and_then(|row| self.at(row.bid.id)))
    }

    fn create(&mut self, request: &NewClaim, now: StoreTime) -> Bid {
        let posting = &request.posting;
        let earlier = self.earlier(posting);
        let bid = Bid {
            id: self.new_id(now.wall),
            posting: posting.clone(),
            state: BidState::Claimed,
            rebid_allowed: false,
            claim_id: ClaimId(Uuid::new_v4()),
            epoch: Epoch(earlier.last_epoch + 1),
            claimant: request.claimant.clone(),
            claim_remaining: None,
            attempts: 0,
            payload: self
                .earlier_payload(request, earlier.last_epoch)
                .unwrap_or_else(|| request.payload.clone()),
            idempotency_key: idempotency_key(posting, earlier.withdrawals),
            external_ref: None,
            approved_until: None,
            unknown_cause: None,
            reason: None,
            first_sent_at: None,
            last_sent_at: None,
            created_at: now.wall,
            updated_at: now.wall,
            events: 0,
        };
        let detail = json!({
            "amount": bid.payload.amount,
            "idempotency_key": bid.idempotency_key,
            "via": bid.payload.via,
        });
        let at = self.insert(bid, now.running + request.ttl);
        let actor = &request.claimant.holder;
        let line = Line { action: None, from: None, actor, reason: None, detail, event_key: None };
        let row = self.row_mut(at);
        row.record(now, line);
        row.show(now)
    }

    fn earlier(&self, posting: &PostingId) -> Earlier {
        let places = self.of_posting(posting).iter();
        let rows = || places.clone().map(|at| &self.row(*at).bid).filter(|bid| bid.rebid_allowed);
        let withdrawn = rows().filter(|bid| bid.state == BidState::Withdrawn).count();
        Earlier {
            last_epoch: rows().map(|bid| bid.epoch.0).max().unwrap_or(0),
            withdrawals: u32::try_from(withdrawn).unwrap_or(u32::MAX),
        }
    }

    /// A new bid after "not submitted" repeats the payload of the last one, whose answer was lost: a request that
    /// still sits in some proxy is then recognised by a marketplace that can. It goes where the new claimant sends.
    fn earlier_payload(&self, request: &NewClaim, last_epoch: i64) -> Option<Payload> {
        let lost = |bid: &&Bid| {
            bid.rebid_allowed
                && bid.epoch.0 == last_epoch
                && bid.state == BidState::NotSubmitted
                && bid.attempts > 0
                && bid.unknown_cause.is_some()
        };
        let earlier = self.of_posting(&request.posting).iter().map(|at| &self.row(*at).bid).find(lost)?;
        Some(Payload { via: request.payload.via.clone(), ..earlier.payload.clone() })
    }

    /// A row that was ever sent or approved keeps its payload; where it goes is the new claimant's to say, unless a
    /// person approved it.
    fn take_over(&mut self, at: usize, request: &NewClaim, rule: &Rule, now: StoreTime) -> Bid {
        let epoch = self.next_epoch(&request.posting);
        let row = self.row_mut(at);
        let bid = &mut row.bid;
        let before = std::mem::replace(&mut bid.claimant, request.claimant.clone()).holder;
        bid.state = rule.to;
        bid.claim_id = ClaimId(Uuid::new_v4());
        bid.epoch = Epoch(epoch);
        bid.reason = None;
        let approved = bid.approved_until.is_some();
        if bid.attempts == 0 && !approved {
            bid.payload = request.payload.clone();
        } else if !approved {
            bid.payload.via.clone_from(&request.payload.via);
        }
        row.claim_until = now.running + request.ttl;
        let reason = match rule.from {
            BidState::Abandoned => format!("abandoned by {before}"),
            _ => format!("the claim of {before} expired"),
        };
        let line = Line {
            action: Some(rule.action),
            from: Some(rule.from),
            actor: &request.claimant.holder,
            reason: Some(&reason),
            detail: json!({ "amount": row.bid.payload.amount, "via": row.bid.payload.via }),
            event_key: None,
        };
        row.record(now, line);
        row.show(now)
    }
}

fn granted(bid: Bid, taken_over: bool) -> ClaimOutcome {
    ClaimOutcome::Granted(Box::new(Claim { bid, taken_over }))
}

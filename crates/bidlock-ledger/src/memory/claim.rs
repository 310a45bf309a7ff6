//! Claiming: one live row per posting; an expired or abandoned one is taken over.

use uuid::Uuid;

use super::{clock::StoreTime, tables::Tables};
use crate::{
    Action, Bid, Claim, ClaimId, ClaimOutcome, Epoch, ImportOutcome, NewClaim, NewImport, PostingId,
    line::Line, state::Rule, store::Earlier,
};

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
        let bid = wanted.bid(self.new_id(now.wall), &earlier, now.wall);
        let at = self.insert(bid, now.running);
        let row = self.row_mut(at);
        row.record(now, Line::imported(wanted));
        ImportOutcome::Imported(Box::new(row.show(now)))
    }

    /// What stands in the way of a new row: the live one, or an earlier one that the marketplace has or may have.
    fn existing(&self, posting: &PostingId) -> Option<usize> {
        self.live(posting).or_else(|| self.blocking(posting, None).and_then(|row| self.at(row.bid.id)))
    }

    fn create(&mut self, request: &NewClaim, now: StoreTime) -> Bid {
        let posting = &request.posting;
        let earlier = self.earlier(posting);
        let bid = request.bid(self.new_id(now.wall), ClaimId(Uuid::new_v4()), earlier, now.wall);
        let at = self.insert(bid, now.running + request.ttl);
        let row = self.row_mut(at);
        row.record(now, Line::created(&row.bid));
        row.show(now)
    }

    fn earlier(&self, posting: &PostingId) -> Earlier {
        let rows = self.of_posting(posting).iter().map(|at| &self.row(*at).bid);
        Earlier::of(rows.filter(|bid| bid.rebid_allowed))
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
        row.record(now, Line::taken_over(rule, &before, &row.bid));
        row.show(now)
    }
}

fn granted(bid: Bid, taken_over: bool) -> ClaimOutcome {
    ClaimOutcome::Granted(Box::new(Claim { bid, taken_over }))
}

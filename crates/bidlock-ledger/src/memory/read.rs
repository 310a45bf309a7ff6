//! Reading: standings, listings, counts.

use super::{
    clock::StoreTime,
    tables::{Row, Tables},
};
use crate::{Bid, BidFilter, BidState, Page, PostingId, Standing, WallTime, store::MAX_PAGE};

impl Tables {
    /// Where a posting stands.
    pub(super) fn standing(&self, posting: &PostingId, now: StoreTime) -> Standing {
        let Some(row) = self.live(posting).map(|at| self.row(at)) else { return Standing::Free };
        let brief = row.show(now).brief();
        match row.bid.state {
            BidState::Claimed | BidState::Submitting if row.claim_is_live(now) => Standing::Busy(brief),
            BidState::Claimed | BidState::Abandoned => Standing::TakeOver(brief),
            BidState::Approved if row.bid.approved_until.is_some_and(|until| until > now.wall) => {
                Standing::Approved(brief)
            }
            BidState::Unknown if !self.law.keeps_unknown() => Standing::TakeOver(brief),
            // Also a submission whose claimant went silent: the sweeper will mark it, no scanner may touch it.
            _ => Standing::Taken(brief),
        }
    }

    /// Bids that match, oldest first.
    pub(super) fn list(&self, filter: &BidFilter, page: &Page, now: StoreTime) -> Vec<Bid> {
        let mut found: Vec<&Row> = self.matching(filter).collect();
        found.retain(|row| page.after.is_none_or(|after| row.bid.id > after.0));
        found.sort_unstable_by_key(|row| row.bid.id);
        found.truncate(page.limit.min(MAX_PAGE) as usize);
        found.into_iter().map(|row| row.show(now)).collect()
    }

    /// How many bids of each state match, in the order of a bid's life.
    pub(super) fn count(&self, filter: &BidFilter) -> Vec<(BidState, u64)> {
        let count = |state| self.matching(filter).filter(|row| row.bid.state == state).count() as u64;
        BidState::ALL.into_iter().map(|state| (state, count(state))).filter(|(_, n)| *n > 0).collect()
    }

    /// How many bids of a marketplace were last sent since then and may have arrived.
    pub(super) fn sent_since(&self, marketplace: &str, since: WallTime) -> u64 {
        let sent = |row: &&Row| {
            row.bid.posting.marketplace() == marketplace
                && row.bid.last_sent_at.is_some_and(|at| at >= since)
                && row.bid.state.may_have_arrived()
        };
        self.rows().iter().filter(sent).count() as u64
    }

    fn matching<'a>(&'a self, filter: &'a BidFilter) -> impl Iterator<Item = &'a Row> {
        let wanted = move |row: &&Row| {
            let bid = &row.bid;
            filter.marketplace.as_ref().is_none_or(|wanted| bid.posting.marketplace() == wanted)
                && filter.posting.as_ref().is_none_or(|wanted| bid.posting.posting() == wanted)
                && (filter.states.is_empty() || filter.states.contains(&bid.state))
                && filter.since.is_none_or(|since| bid.created_at >= since)
                && filter.until.is_none_or(|until| bid.created_at < until)
        };
        self.rows().iter().filter(wanted)
    }
}

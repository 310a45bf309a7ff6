//! Rows, their history, and how they are found.

use std::{collections::HashMap, time::Duration};

use uuid::ContextV7;

use super::{Law, clock::StoreTime};
use crate::{
    Bid, BidEvent, BidId, PostingId, UnknownCause, WallTime,
    line::Line,
    state::{Guard, Rule},
};

/// Everything that the ledger knows. Rows are never taken out: their number is bounded by the test that makes them.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) law: Law,
    rows: Vec<Row>,
    by_id: HashMap<BidId, usize>,
    /// The rows of each posting, oldest first.
    by_posting: HashMap<PostingId, Vec<usize>>,
    ids: ContextV7,
}

#[derive(Debug)]
pub(super) struct Row {
    /// The row, but for what is left of its claim; see [`Row::show`].
    pub(super) bid: Bid,
    /// Until when the claim runs, on the store's running clock.
    pub(super) claim_until: Duration,
    pub(super) history: Vec<BidEvent>,
}

impl Row {
    pub(super) fn claim_is_live(&self, now: StoreTime) -> bool {
        self.claim_until > now.running
    }

    /// Whether a rule's guard holds; state and claim are compared elsewhere.
    pub(super) fn admits(&self, guard: Guard, now: StoreTime) -> bool {
        let approved_until = self.bid.approved_until;
        let shut_by_import = self.bid.unknown_cause == Some(UnknownCause::Legacy);
        match guard {
            Guard::Claim => true,
            Guard::Live => self.claim_is_live(now),
            Guard::Expired => !self.claim_is_live(now),
            Guard::ApprovalLive => approved_until.is_some_and(|until| until > now.wall),
            Guard::ApprovalExpired => approved_until.is_some_and(|until| until <= now.wall),
            Guard::WasApproved => approved_until.is_some() && !shut_by_import,
            Guard::NeverApproved => approved_until.is_none() && !shut_by_import,
        }
    }

    /// The row as a reader sees it now.
    pub(super) fn show(&self, now: StoreTime) -> Bid {
        let left = self.claim_until.saturating_sub(now.running);
        let claim_remaining = self.bid.state.has_running_claim().then_some(left);
        Bid { claim_remaining, ..self.bid.clone() }
    }

    /// Counts and keeps the event that brought the bid to where it is.
    pub(super) fn record(&mut self, now: StoreTime, line: Line) {
        let bid = &mut self.bid;
        bid.updated_at = now.wall;
        bid.events = u32::try_from(self.history.len() + 1).unwrap_or(u32::MAX);
        let previous = self.history.last().map_or("", |last| &last.hash);
        let event = line.event(bid, now.wall, previous);
        self.history.push(event);
    }
}

impl Tables {
    pub(super) fn new(law: Law) -> Tables {
        Tables {
            law,
            rows: Vec::new(),
            by_id: HashMap::new(),
            by_posting: HashMap::new(),
            ids: ContextV7::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, at: usize) -> &Row {
        &self.rows[at]
    }

    pub(super) fn row_mut(&mut self, at: usize) -> &mut Row {
        &mut self.rows[at]
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn at(&self, id: BidId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn find(&self, id: BidId) -> Option<&Row> {
        self.at(id).map(|at| &self.rows[at])
    }

    /// The places of a posting's rows, oldest first.
    pub(super) fn of_posting(&self, posting: &PostingId) -> &[usize] {
        self.by_posting.get(posting).map_or(&[], Vec::as_slice)
    }

    /// The posting's other rows than this one.
    pub(super) fn siblings(&self, at: usize) -> impl Iterator<Item = &Row> {
        let places = self.of_posting(&self.rows[at].bid.posting);
        places.iter().filter(move |place| **place != at).map(|place| &self.rows[*place])
    }

    /// The live bid of a posting.
    pub(super) fn live(&self, posting: &PostingId) -> Option<usize> {
        self.of_posting(posting).iter().rev().copied().find(|at| !self.rows[*at].bid.rebid_allowed)
    }

    /// The latest earlier bid on a posting which the marketplace has or may have: no other is made or sent beside it.
    pub(super) fn blocking(&self, posting: &PostingId, but: Option<BidId>) -> Option<&Row> {
        let places = self.of_posting(posting).iter().map(|at| &self.rows[*at]);
        places
            .filter(|row| row.bid.rebid_allowed && row.bid.state.is_in_use() && Some(row.bid.id) != but)
            .max_by_key(|row| row.bid.epoch)
    }

    /// One more than any claim on the posting ever had.
    pub(super) fn next_epoch(&self, posting: &PostingId) -> i64 {
        let epochs = self.of_posting(posting).iter().map(|at| self.rows[*at].bid.epoch.0);
        1 + epochs.max().unwrap_or(0)
    }

    /// Whether a rule takes this row on: its state, its claim by equality, and the guard.
    pub(super) fn is_hit(&self, at: usize, claim: crate::ClaimId, rule: &Rule, now: StoreTime) -> bool {
        let row = &self.rows[at];
        row.bid.state == rule.from
            && (row.bid.claim_id == claim || !self.law.compares_claims())
            && row.admits(rule.guard, now)
    }

    pub(super) fn insert(&mut self, bid: Bid, claim_until: Duration) -> usize {
        let at = self.rows.len();
        self.by_id.insert(bid.id, at);
        self.by_posting.entry(bid.posting.clone()).or_default().push(at);
        self.rows.push(Row { bid, claim_until, history: Vec::new() });
        at
    }

    pub(super) fn new_id(&self, now: WallTime) -> BidId {
        BidId::made_at(now, &self.ids)
    }
}

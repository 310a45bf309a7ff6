//! What is known of each posting: one small record for each, as a long run has a million of them.

use std::collections::HashMap;

use bidlock_ledger::{BidId, BidState, PostingId};

/// A posting's place in [`Postings`].
pub(super) type PostingNo = usize;

/// All postings that the feed, the marketplace's record or the ledger name.
#[derive(Debug, Default)]
pub(super) struct Postings {
    numbers: HashMap<PostingId, PostingNo>,
    pub(super) facts: Vec<Facts>,
}

/// What the three files say of a posting.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: PostingId,
    /// The feed had it under this, its canonical identity.
    pub(super) in_feed: bool,
    /// It had left the feed when the faults ended.
    pub(super) is_gone: bool,
    /// A scanner said why there is no bid.
    pub(super) explained: bool,
    /// Submissions that reached the marketplace: where they stand in its record.
    pub(super) sent: Vec<usize>,
    /// Its bids, oldest first.
    pub(super) rows: Vec<RowFacts>,
    /// When it was recorded that it may be bid on again, and until when that stood; milliseconds since the run began.
    pub(super) freed: Vec<(i64, Option<i64>)>,
}

/// What the ledger says of a bid at the end.
#[derive(Debug)]
pub(super) struct RowFacts {
    pub(super) bid: BidId,
    pub(super) state: BidState,
    pub(super) external_ref: Option<String>,
    pub(super) rebid_allowed: bool,
    /// When it was last sent, by the clock of whoever sent it; milliseconds since the run began.
    pub(super) sent_ms: Option<i64>,
    /// The ordinals of its first claim and of its last one.
    pub(super) epochs: (i64, i64),
}

impl Postings {
    /// The posting's number; a new one where nobody has named it so far.
    pub(super) fn number(&mut self, id: &PostingId) -> PostingNo {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = self.facts.len();
        self.numbers.insert(id.clone(), number);
        self.facts.push(Facts {
            id: id.clone(),
            in_feed: false,
            is_gone: false,
            explained: false,
            sent: Vec::new(),
            rows: Vec::new(),
            freed: Vec::new(),
        });
        number
    }

    /// What is known of this one.
    pub(super) fn of(&self, id: &PostingId) -> Option<&Facts> {
        self.numbers.get(id).and_then(|number| self.facts.get(*number))
    }

    /// Those that no feed had under this identity.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &Facts> {
        self.facts.iter().filter(|facts| !facts.in_feed)
    }
}

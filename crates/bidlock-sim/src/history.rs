//! What happened, in order: what the checker reads, and what must be the same each time a seed is run.

use std::fmt;

use bidlock_ledger::{Action, BidId, BidState, ClaimId, PostingId};

/// Milliseconds since the simulation began.
pub type Millis = u64;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A process began.
    Born {
        /// Its name, which no other process ever had.
        holder: String,
    },
    /// A process came to its own end.
    Ended {
        /// Which.
        holder: String,
        /// What it said.
        why: String,
    },
    /// Something was broken on purpose.
    Fault(Fault),
    /// A claim was granted.
    Claimed {
        /// To whom.
        holder: String,
        /// On what.
        bid: BidId,
        /// Under which name.
        claim: ClaimId,
        /// Its ordinal.
        epoch: i64,
    },
    /// A bid was moved by a guarded change.
    Moved {
        /// Who asked.
        actor: String,
        /// The bid.
        bid: BidId,
        /// What was done.
        action: Action,
        /// Where it stands now.
        to: BidState,
        /// The claim that the change named.
        named: ClaimId,
        /// The claim that the row has now.
        claim: ClaimId,
        /// Whose claim that is.
        claimant: String,
    },
    /// A submission left its process.
    Requested {
        /// The request's number.
        request: usize,
        /// Who sent it.
        holder: String,
        /// For which bid.
        bid: BidId,
        /// On what.
        posting: PostingId,
    },
    /// A submission came to the marketplace.
    Arrived {
        /// The request's number.
        request: usize,
        /// The marketplace's name for the bid, where it took one.
        accepted: Option<String>,
        /// What it answered.
        answer: &'static str,
    },
    /// A sighting was answered.
    Answered {
        /// By whom.
        holder: String,
        /// What was seen.
        posting: PostingId,
        /// The outcome's name.
        outcome: &'static str,
    },
    /// A worker began to work under a lock.
    Entered {
        /// Who.
        holder: String,
        /// Under which key.
        key: String,
    },
    /// It stopped.
    Left {
        /// Who.
        holder: String,
        /// Under which key.
        key: String,
    },
}

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What kind.
    pub kind: &'static str,
    /// Which process or host it hit; `None` for all.
    pub target: Option<String>,
    /// Until when it lasts; its own moment for a fault of a moment.
    pub until: Millis,
    /// The request it hit, if it was one.
    pub request: Option<usize>,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
    hasher: blake3::Hasher,
}

impl History {
    /// Appends.
    pub(crate) fn add(&mut self, at: Millis, what: Happening) {
        let entry = Entry { at, what };
        self.hasher.update(entry.to_string().as_bytes());
        self.entries.push(entry);
    }

    /// In order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Equal for equal histories.
    pub(crate) fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  {:?}", self.at, self.what)
    }
}

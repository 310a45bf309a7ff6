//! The state of the model: what the ledger, the marketplace, the lock store and every process hold at one moment.
//!
//! Small fixed arrays and no identities but those that matter: claims, epochs, scanners and postings are renamed
//! by `canonical.rs`, so that worlds which differ in names alone are one state.

use bidlock_ledger::BidState;

use crate::settings::Settings;

/// The most postings in a model.
pub const MAX_POSTINGS: usize = 2;
/// The most scanners in a model.
pub const MAX_SCANNERS: usize = 5;
/// The most bids that one posting can have in the ledger, one after the other.
pub const MAX_ROWS: usize = 3;
/// The most bids that the marketplace takes on one posting. A correct protocol never has more than rows; a broken
/// one is found long before.
pub const MAX_REMOTE: usize = 3;
/// Who asks the marketplace for a withdrawal: an operator's command and the reconciler, at once.
pub const ASKERS: usize = 2;

/// Everything at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct World {
    /// What ledger, marketplace and lock store hold about each posting.
    pub postings: [Posting; MAX_POSTINGS],
    /// What each scanner is about to do.
    pub scanners: [Scanner; MAX_SCANNERS],
    /// What the reconciler is about to do.
    pub reconciler: Reconciler,
    /// Withdrawals under way.
    pub askers: [Option<Asked>; ASKERS],
    /// How many faults may still happen.
    pub faults_left: u8,
    /// The lock store forgot or gave away a lease: S10 promises nothing from here on.
    pub lock_lost: bool,
    /// What a step has violated, for properties that no single state shows.
    pub broken: Broken,
}

/// One posting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Posting {
    /// The ledger's bids on it, in the order of their making.
    pub rows: [Option<Row>; MAX_ROWS],
    /// The bids that the marketplace accepted, in that order; a position is the marketplace's name for the bid.
    pub remote: [Option<Remote>; MAX_REMOTE],
    /// The highest epoch that any claim ever had: what S5 compares with.
    pub top_epoch: u8,
    /// The lock store shows a lease whose holder is dead.
    pub orphan_lease: bool,
}

/// One bid in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// Where it stands.
    pub state: BidState,
    /// The claim's id.
    pub claim: u8,
    /// The claim's epoch.
    pub epoch: u8,
    /// By the store's clock the running claim has expired.
    pub expired: bool,
    /// Whether a person said yes, and whether that still holds.
    pub approval: Approval,
    /// Another bid on the posting is allowed.
    pub rebid_allowed: bool,
    /// It passed the door at least once.
    pub sent: bool,
    /// Stands for the idempotency key: how many withdrawals were confirmed before it was made.
    pub key: u8,
    /// The marketplace's name for it, where known.
    pub external_ref: Option<u8>,
    /// A person said that it was submitted.
    pub by_person: bool,
    /// An import of the replaced system began it, or shut it.
    pub imported: bool,
    /// Requests of this bid that nobody waits for, and that may still arrive.
    pub strays: u8,
}

/// Whether a person said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Approval {
    /// Nobody did.
    None,
    /// Yes, and it holds.
    Live,
    /// Yes, and it has run out.
    Expired,
}

/// A bid that the marketplace accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Remote {
    /// Whose request it was: known to the properties, not to the protocol.
    pub row: u8,
    /// The key that it came with.
    pub key: u8,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a bid at the marketplace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// It stands.
    Standing,
    /// It was withdrawn.
    TakenBack,
    /// The client chose it.
    Won,
    /// The client chose another.
    Lost,
}

/// The claim that a process holds, or saw when it decided: what every guarded update compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// The posting.
    pub posting: u8,
    /// The bid on it.
    pub row: u8,
    /// The claim's id.
    pub claim: u8,
}

/// One scanner: what it is about to do, and its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scanner {
    /// Where it stands.
    pub stage: Stage,
    /// Its lease, where the model has locks.
    pub lease: Option<Lease>,
}

/// Where a scanner stands with the one posting that it works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Between two postings, or just started.
    #[default]
    Idle,
    /// It took the posting's lock, and has asked the ledger nothing yet.
    Locked(u8),
    /// The ledger granted the claim.
    Claimed(At),
    /// It read an approved bid, and is about to take the sending.
    Seen(At),
    /// The reply to the door's commit was lost; it will ask again with the same key. `passed` is the claim
    /// that the row had after its own passage, `proof` that an earlier attempt came back with nothing accepted.
    Asking {
        /// As it asked.
        at: At,
        /// The claim after the passage.
        passed: u8,
        /// An earlier attempt is proven to be of no effect.
        proof: bool,
    },
    /// Through the door; the request has not left yet.
    Passed(At),
    /// The request is under way.
    Waiting(At),
    /// It knows the answer, and the ledger does not yet.
    Answered(At, Answer),
    /// Lock-only variant: it has read the lock's value, found it its own, and is about to delete the lock.
    Deleting(u8),
}

impl Stage {
    /// The claim that it works under.
    pub fn at(&self) -> Option<At> {
        match *self {
            Stage::Idle | Stage::Locked(_) | Stage::Deleting(_) => None,
            Stage::Claimed(at)
            | Stage::Seen(at)
            | Stage::Asking { at, .. }
            | Stage::Passed(at)
            | Stage::Waiting(at)
            | Stage::Answered(at, _) => Some(at),
        }
    }

    /// Whether it believes in having this claim, as holder of it (not merely as reader of the row).
    pub fn believes_in(&self, claim: At) -> bool {
        match *self {
            Stage::Seen(_) => false,
            Stage::Asking { at, passed, .. } => At { claim: passed, ..at } == claim,
            _ => self.at() == Some(claim),
        }
    }
}

/// What came back from the marketplace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Yes, under this name.
    Accepted(u8),
    /// No, for good.
    Refused,
    /// Proof that nothing was accepted, and that it may be tried later.
    Nothing,
    /// None: it may have arrived.
    Lost,
}

/// A scanner's lease of one posting's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The posting.
    pub posting: u8,
    /// What holder and store think of it.
    pub view: LeaseView,
}

/// What holder and store think of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeaseView {
    /// Both know it.
    Held,
    /// The holder's own deadline has passed; the store still shows it.
    Ended,
    /// The store has given it up; the holder still believes in it.
    Ghost,
}

impl Lease {
    /// The store shows it.
    pub fn in_store(&self) -> bool {
        matches!(self.view, LeaseView::Held | LeaseView::Ended)
    }

    /// The holder believes in it.
    pub fn believed(&self) -> bool {
        matches!(self.view, LeaseView::Held | LeaseView::Ghost)
    }
}

/// What the reconciler is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reconciler {
    /// Nothing.
    #[default]
    Idle,
    /// It asked the marketplace about this bid and saw these (a bit for each name).
    Looked(At, u8),
    /// It decided that this one is the bid's.
    Found(At, u8),
}

/// An answer to a request for withdrawal, not recorded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asked {
    /// The bid.
    pub at: At,
    /// What the marketplace said.
    pub word: Word,
}

/// What the marketplace says to a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// Withdrawn, now or before.
    Withdrawn,
    /// It will not.
    Refused,
    /// It can't: the client chose this bid.
    Won,
    /// It can't: the client chose another.
    Lost,
}

/// What steps have violated.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Broken(u8);

impl Broken {
    /// Something changed that belonged to another claim, or another's lock was released.
    pub const S4: Broken = Broken(1);
    /// An epoch did not grow.
    pub const S5: Broken = Broken(2);
    /// A final row changed without an audited resolution.
    pub const S7: Broken = Broken(4);
    /// A transition that the table lacks.
    pub const TABLE: Broken = Broken(8);
    /// A request left beside a bid that the ledger knew to be, or perhaps to be, at the marketplace.
    pub const BESIDE: Broken = Broken(16);
    /// Somebody else than the claimant passed the door.
    pub const S2: Broken = Broken(32);

    /// Remembers it.
    pub fn note(&mut self, what: Broken) {
        self.0 |= what.0;
    }

    /// Whether it happened.
    pub fn has(self, what: Broken) -> bool {
        self.0 & what.0 != 0
    }
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#b}", self.0)
    }
}

impl World {
    /// The first moment: nothing has been claimed.
    pub fn new(settings: &Settings) -> World {
        World { faults_left: settings.faults, ..World::default() }
    }

    /// The row that a claim is about.
    pub fn row(&self, at: At) -> Option<&Row> {
        self.postings.get(usize::from(at.posting))?.rows.get(usize::from(at.row))?.as_ref()
    }

    /// The row that a claim is about, to change it.
    pub fn row_mut(&mut self, at: At) -> Option<&mut Row> {
        self.postings.get_mut(usize::from(at.posting))?.rows.get_mut(usize::from(at.row))?.as_mut()
    }
}

impl Posting {
    /// The bids in the ledger with their places.
    pub fn bids(&self) -> impl Iterator<Item = (u8, &Row)> + Clone {
        (0u8..).zip(&self.rows).filter_map(|(index, row)| row.as_ref().map(|row| (index, row)))
    }

    /// The bids at the marketplace with their names.
    pub fn accepted(&self) -> impl Iterator<Item = (u8, &Remote)> + Clone {
        (0u8..).zip(&self.remote).filter_map(|(name, bid)| bid.as_ref().map(|bid| (name, bid)))
    }
}

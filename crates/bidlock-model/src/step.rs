//! The steps that a world can take, each with one of its actors.

use bidlock_ledger::Action;

use crate::world::{At, Fate, Word};

/// One step. A number after a scanner's step is the scanner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A scanner goes on.
    Scanner(u8, Scan),
    /// Something breaks; each costs one of the faults.
    Fault(Fault),
    /// The marketplace answers the request that this scanner waits for.
    Answers(u8, Reply),
    /// A request that nobody waits for arrives after all, and is accepted.
    StrayArrives(At),
    /// The client decides about a bid.
    ClientDecides {
        /// The posting.
        posting: u8,
        /// The marketplace's name for the bid.
        name: u8,
        /// Chosen or not.
        fate: Fate,
    },
    /// A claim expires by the store's clock; nobody alive believes in it.
    ClaimExpires(At),
    /// An approval runs out.
    ApprovalExpires(At),
    /// A sleeping holder's own deadline passes, and then the store drops its lease.
    LeaseExpires(u8),
    /// The store drops the lease of a holder that is dead.
    OrphanLeaseExpires(u8),
    /// The sweeper moves an expired row on.
    Sweep(At, Action),
    /// The reconciler asks the marketplace about a bid and sees these of its bids (a bit for each name): a stale
    /// answer shows fewer than there are.
    LookUp(At, u8),
    /// The reconciler reads the posting's rows and decides which of the bids it saw is the one.
    Choose,
    /// The reconciler records what it found.
    RecordFound,
    /// The replaced system turns out to have a bid on this posting: it begins a row, or shuts the one there is.
    Import(u8),
    /// A person decides about a bid as it is now.
    Operator(At, Person),
    /// Somebody asks the marketplace to withdraw a bid, and gets this word.
    AskWithdrawal(At, Word),
    /// The word is recorded.
    RecordWord(u8),
    /// A status poll tells that the client has decided.
    Poll(At, Action),
}

/// What a scanner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Takes the posting's lock.
    Lock(u8),
    /// Gives the lock back: compared and deleted in one, or in the lock-only variant read first, deleted later.
    Unlock,
    /// Asks the ledger for the claim.
    Claim(u8),
    /// Reads a bid that a person has approved.
    ReadApproved(u8),
    /// Asks for a person's approval.
    AskApproval,
    /// Passes the one-way door, or finds it shut.
    EnterDoor,
    /// Asks again with the same key, after a lost reply.
    AskAgain,
    /// Gives the claim back, with proof (or before anything was sent).
    HandBack,
    /// The request leaves.
    Send,
    /// Writes down what came back.
    Record,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`.
    Crash(u8),
    /// A claim expires while this scanner, asleep, believes in it.
    Pause(At),
    /// A lease expires while its holder sleeps.
    PauseOverLease(u8),
    /// The ledger grants a claim, and the reply is lost.
    ClaimReplyLost(u8, u8),
    /// The ledger lets the scanner through the door, and the reply is lost.
    DoorReplyLost(u8),
    /// The marketplace accepts, and the answer is lost.
    AnswerLost(u8),
    /// The request stays in a proxy; the scanner gives up waiting.
    RequestLate(u8),
    /// The lock store forgets this scanner's lease.
    LockLost(u8),
    /// Whoever asked for a withdrawal does not record what it heard, or never heard it.
    WordLost(u8),
}

/// What the marketplace says to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Yes.
    Yes,
    /// No, for good.
    No,
    /// Nothing was accepted; perhaps later.
    Later,
}

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// `bid approve`.
    Approves,
    /// `bid decline`.
    Declines,
    /// `bid resolve --as submitted`, right or wrong.
    SaysSubmitted,
    /// `bid resolve --as not-submitted`, right or wrong; with or without `--allow-new-bid`.
    SaysNotSubmitted {
        /// The second, explicit choice.
        allow_new_bid: bool,
    },
    /// `bid withdraw`.
    Withdraws,
}

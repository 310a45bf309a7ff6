//! What happened in a run, as files in one folder: what the checker reads, and all it knows.
//!
//! | file | what | lines |
//! |---|---|---|
//! | `history.jsonl` | what the rig did and heard | [`Entry`]; the first is [`What::Begun`] |
//! | `feed.jsonl` | the postings that the feed held | [`FeedLine`] |
//! | `sandbox.jsonl` | the marketplace's own record | `bidlock_sandbox::record::Line` |
//! | `ledger.jsonl` | every bid with its events, as the run left them | [`LedgerLine`] |
//!
//! Files are read and written line by line: a long run does not fit into memory.

mod files;

use bidlock_ledger::{Bid, BidEvent, LedgerId, PostingId};
use serde::{Deserialize, Serialize};

pub use self::files::{HistoryError, Lines, RunFolder, read_begun, read_lines};
use crate::{
    fault::{FaultKind, Place, Target},
    plan::Plan,
};

/// The form of these files. Raised when an older reader would misread them.
pub const FORMAT: u32 = 2;

/// One line of `history.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the run began, by the host's boot-time clock, which no fault moves.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The first line.
    Begun(Box<Begun>),
    /// A process was started.
    ProcessStarted(Started),
    /// A process has ended.
    ProcessExited(Exited),
    /// A fault begins. The line stands in the file before anything is broken.
    FaultBegins(FaultLine),
    /// It is over, and what it broke is whole again. The line is written after that.
    FaultEnds {
        /// Which.
        id: u32,
    },
    /// A way threw an answer away, and reset its connection: what [`FaultKind::LoseReply`] waits for.
    ReplyLost(ReplyLost),
    /// A planned fault did not take place. Where its beginning stands before, injecting it failed.
    FaultSkipped {
        /// Which.
        id: u32,
        /// What it would have been.
        fault: FaultKind,
        /// Why.
        why: String,
    },
    /// A scanner told the outcome of a sighting. `already_bid` is left out: the ledger says the same.
    Outcome(Outcome),
    /// A scanner has read its feeds once: its counts, as `scan --json` gives them.
    Pass {
        /// Which incarnation.
        holder: String,
        /// The summary line.
        summary: serde_json::Value,
    },
    /// What a worker did under a lock.
    Lease(LeaseLine),
    /// An operator's command came to its end.
    Operator {
        /// Its words.
        command: Vec<String>,
        /// Its exit code; `None` after a signal.
        code: Option<i32>,
    },
    /// A process wrote this to stderr. Repeated ones are left out after a while.
    Note {
        /// Which incarnation.
        holder: String,
        /// One line.
        text: String,
    },
    /// The host itself stood still, and with it everything that runs on it: from so long before this line on, until now.
    HostStalled {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// From here on nothing is broken any more, and nothing new appears in the feed.
    QuietBegins,
    /// The last scan over the whole feed begins.
    LastScanBegins,
    /// The last line of a run that came to its end.
    Ended {
        /// Notes that were left out.
        notes_left_out: u64,
    },
}

/// What a run begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// See [`FORMAT`].
    pub format: u32,
    /// What the seed has decided.
    pub plan: Plan,
    /// The wall clock at 0 ms, in milliseconds since 1970 UTC: what the ledger and the sandbox write into theirs.
    pub wall_ms: i64,
    /// The boot-time clock at 0 ms, in nanoseconds.
    pub boot_ns: u64,
    /// Names and versions: `bidlock`, and each engine's.
    pub versions: Vec<(String, String)>,
    /// The protocol that this bidlock speaks.
    pub protocol: i64,
    /// Mechanisms taken out by a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// What this host can't exercise, and why.
    pub not_exercised: Vec<NotExercised>,
}

/// A kind of fault that could not be injected here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotExercised {
    /// Which.
    pub fault: FaultKind,
    /// Why, and the way out.
    pub why: String,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its name through all incarnations, such as `scanner-2`: what [`Target`] names.
    pub process: String,
    /// This incarnation's own name, such as `scanner-2.3`: the holder in locks and bids, unless it goes by another.
    pub holder: String,
    /// The name by which it goes in locks and bids, where that is not its own: others go by it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_by: Option<String>,
    /// What it does.
    pub role: Role,
    /// Its id.
    pub pid: u32,
    /// The program.
    pub binary: String,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `bidlock scan`.
    Scanner,
    /// Takes locks and works under them, and does nothing else.
    Worker,
    /// `bidlock reconcile`, `bidlock bid …`.
    Operator,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    /// Which incarnation.
    pub holder: String,
    /// Its id.
    pub pid: u32,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A fault, as it is injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultLine {
    /// Its number in the plan.
    pub id: u32,
    /// What.
    pub fault: FaultKind,
    /// What it hits.
    pub target: Target,
    /// How long it is to last; 0 for one that is over at once.
    pub lasts_ms: u64,
    /// How much, in the unit of [`FaultKind`]'s nemesis: milliseconds of delay, seconds of a clock; else 0.
    #[serde(default)]
    pub amount: i64,
    /// The incarnation that was hit, where it is one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// An answer that was thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyLost {
    /// Whose answer it was, through all incarnations.
    pub process: String,
    /// Who had given it.
    pub place: Place,
    /// The port of the connection, as whoever had given it saw it: the marketplace's record names it too.
    pub port: u16,
}

/// What a scanner says of a sighting, as `scan --json` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which incarnation.
    pub holder: String,
    /// `outcome`, or `approved` for an approved bid that was sent.
    pub event: String,
    /// Its marketplace.
    pub marketplace: String,
    /// Its canonical id.
    pub posting: String,
    /// `submitted`, `unknown`, `deferred`, …
    pub outcome: String,
    /// The bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<String>,
    /// Its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A worker's word. Its times are the worker's own, by the boot-time clock: the rig may hear of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLine {
    /// Which incarnation.
    pub holder: String,
    /// When, in microseconds since the run began.
    pub at_us: u64,
    /// The lock's key.
    pub key: String,
    /// What it did.
    #[serde(flatten)]
    pub step: LeaseStep,
}

/// What a worker does with a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum LeaseStep {
    /// It was granted.
    Granted {
        /// The lease's fencing token.
        token: u64,
        /// Until when the worker may believe in it, unless it is renewed; microseconds since the run began.
        deadline_us: u64,
    },
    /// One step of work under it was done: a number in a file, read, raised and written without any other guard. Written
    /// after the step, and only where the worker's own deadline had not passed before it and has not passed after it.
    Worked {
        /// Under which token.
        token: u64,
        /// When the step began.
        began_us: u64,
        /// What was read.
        read: u64,
        /// Until when the worker may believe in it now.
        deadline_us: u64,
    },
    /// The worker was told that it is lost, or found its deadline past.
    Lost {
        /// Which.
        token: u64,
    },
    /// It was given back.
    Released {
        /// Which.
        token: u64,
        /// What was found: `released`, `expired` or `stolen`; or an error.
        found: String,
    },
    /// A stranger's release and renewal were tried: they must change nothing, and say so.
    Forged {
        /// The true holder's token at that time.
        token: u64,
        /// What the store said to the release: anything but `released` is right.
        release: String,
        /// What it said to the renewal: anything but `renewed` is right.
        renewal: String,
    },
}

/// One posting of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedLine {
    /// When it first appeared, in milliseconds since the run began.
    pub at_ms: u64,
    /// When it has left the feed, which shows the newest postings alone; the last scan sees it once more. `None`: the feed
    /// shows it to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_ms: Option<u64>,
    /// Its canonical identity.
    pub posting: PostingId,
    /// Its ids as the feeds write them: links with tracking queries, other cases, numbers.
    pub written: Vec<String>,
}

/// One line of `ledger.jsonl`. A bid's events follow it at once, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LedgerLine {
    /// The first line.
    Ledger {
        /// Its id.
        id: LedgerId,
    },
    /// A bid. Oldest first.
    Bid(Box<Bid>),
    /// One of its events.
    Event(Box<BidEvent>),
}

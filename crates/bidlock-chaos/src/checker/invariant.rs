//! What a run is held against: the invariants of the design, and two things that every run must show besides.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Invariant {
    /// One accepted submission per posting.
    S1,
    /// Every submission follows its door.
    S2,
    /// One identity per posting.
    S3,
    /// Only the owner changes what is his.
    S4,
    /// Epochs increase.
    S5,
    /// No ledger, no sending.
    S6,
    /// Rows move by the law.
    S7,
    /// `submitted` is true.
    S8,
    /// What the marketplace has is not denied.
    S9,
    /// Leases do not overlap.
    S10,
    /// Everything comes to rest.
    L1,
    /// The dead are followed.
    L2,
    /// Nothing is lost.
    L3,
    /// Bidding goes on without Redis.
    L4,
    /// Every unknown outcome names the fault that caused it.
    #[serde(rename = "unknowns")]
    Unknowns,
    /// No process panics, or meets a state of things that it calls impossible.
    #[serde(rename = "processes")]
    Processes,
}

impl Invariant {
    /// Every one, in order.
    pub const ALL: [Invariant; 16] = [
        Invariant::S1,
        Invariant::S2,
        Invariant::S3,
        Invariant::S4,
        Invariant::S5,
        Invariant::S6,
        Invariant::S7,
        Invariant::S8,
        Invariant::S9,
        Invariant::S10,
        Invariant::L1,
        Invariant::L2,
        Invariant::L3,
        Invariant::L4,
        Invariant::Unknowns,
        Invariant::Processes,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Invariant::S1 => "S1",
            Invariant::S2 => "S2",
            Invariant::S3 => "S3",
            Invariant::S4 => "S4",
            Invariant::S5 => "S5",
            Invariant::S6 => "S6",
            Invariant::S7 => "S7",
            Invariant::S8 => "S8",
            Invariant::S9 => "S9",
            Invariant::S10 => "S10",
            Invariant::L1 => "L1",
            Invariant::L2 => "L2",
            Invariant::L3 => "L3",
            Invariant::L4 => "L4",
            Invariant::Unknowns => "unknowns",
            Invariant::Processes => "processes",
        }
    }

    /// What it says, in a line.
    pub fn says(self) -> &'static str {
        match self {
            Invariant::S1 => "at most one submission accepted per posting",
            Invariant::S2 => "each request follows its own passage of the door",
            Invariant::S3 => "one identity per posting, however it is written",
            Invariant::S4 => "only its owner changes a claim or a lease",
            Invariant::S5 => "epochs of claims increase",
            Invariant::S6 => "no ledger, no sending",
            Invariant::S7 => "rows move by the table, histories are whole",
            Invariant::S8 => "what is called submitted, the marketplace has",
            Invariant::S9 => "what the marketplace has, the ledger admits",
            Invariant::S10 => "leases of one key never overlap",
            Invariant::L1 => "once faults end, everything comes to rest",
            Invariant::L2 => "whoever is killed is followed by another",
            Invariant::L3 => "no posting is lost without an explanation",
            Invariant::L4 => "bidding goes on without Redis",
            Invariant::Unknowns => "every unknown outcome names its fault",
            Invariant::Processes => "no process panics or meets the impossible",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<&str> for Invariant {
    /// From the names that [`bidlock_ledger::lawful`] uses; all of them are safety's.
    fn from(name: &str) -> Invariant {
        Invariant::ALL.into_iter().find(|invariant| invariant.name() == name).unwrap_or(Invariant::S7)
    }
}

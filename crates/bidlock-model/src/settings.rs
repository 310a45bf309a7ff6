//! Which space is searched: how many scanners, postings and faults, and which parts of the protocol take part.

/// One space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// At most [`crate::world::MAX_SCANNERS`].
    pub scanners: u8,
    /// At most [`crate::world::MAX_POSTINGS`].
    pub postings: u8,
    /// How many bids a posting may have in the ledger, at most [`crate::world::MAX_ROWS`].
    pub rows: u8,
    /// How many faults happen at the most.
    pub faults: u8,
    /// Of which kinds.
    pub kinds: Faults,
    /// What the lock layer does.
    pub locks: Locks,
    /// Scanners may ask for a person's approval.
    pub approvals: bool,
    /// A person resolves and declines.
    pub operator: bool,
    /// Look-ups, which may be stale.
    pub reconciler: bool,
    /// The client decides, bids are withdrawn, and a confirmed withdrawal may allow another bid.
    pub afterwards: bool,
    /// Bids of the replaced system are imported, also while a claimant of ours still prepares one.
    pub imports: bool,
    /// The marketplace answers a request under a key that it has accepted with the bid that it has.
    pub recognises_keys: bool,
    /// The protocol, or a variant of it without one of its mechanisms.
    pub protocol: Protocol,
    /// A withdrawal that is granted after it was refused, and nobody hears of it: what no protocol can tell. Left out
    /// unless it is asked for.
    pub unheard: bool,
    /// From every world the faults end and everybody goes on: is every posting settled (L1, L2)?
    pub recovery: bool,
    /// Which worlds are one.
    pub names: Names,
}

/// Which worlds that differ in names alone are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None. For ways that a person reads; numbers grow without end, so that only the depth bounds a search.
    Kept,
    /// Claims and epochs count from zero, in their order, among those that anybody still refers to.
    Renumbered,
    /// Also scanners, and postings, can be exchanged for one another.
    Interchangeable,
}

/// What the lock layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// Grants everything to everybody: the worst that a lock can do, at any time. Whatever holds here holds with
    /// every lock, as a lock can only keep steps from happening.
    GrantEverything,
    /// Leases with a deadline of the holder's own, which comes before the store's.
    Leases,
}

/// Kinds of faults, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u8);

impl Faults {
    /// `kill -9` of a scanner, at any step; it starts again with nothing remembered.
    pub const CRASH: Faults = Faults(1);
    /// A scanner sleeps until its claim has expired, or its lease, and goes on as if nothing had happened.
    pub const PAUSE: Faults = Faults(2);
    /// The ledger commits a claim, and the reply is lost.
    pub const CLAIM_REPLY: Faults = Faults(4);
    /// The ledger commits a passage through the door, and the reply is lost.
    pub const DOOR_REPLY: Faults = Faults(8);
    /// The marketplace accepts, and its answer is lost.
    pub const ANSWER: Faults = Faults(16);
    /// A request stays in a proxy: its sender gives up, and it may arrive at any later time.
    pub const LATE: Faults = Faults(32);
    /// The lock store forgets a lease, and grants it to somebody else.
    pub const LOCK_LOSS: Faults = Faults(64);
    /// Whoever asked for a withdrawal dies, or never hears the answer.
    pub const WORD: Faults = Faults(128);
    /// All of them.
    pub const ALL: Faults = Faults(255);

    /// Both.
    pub const fn and(self, other: Faults) -> Faults {
        Faults(self.0 | other.0)
    }

    /// Whether this kind is among them.
    pub const fn has(self, kind: Faults) -> bool {
        self.0 & kind.0 == kind.0
    }
}

/// The protocol, or a variant without one of its mechanisms, which must yield a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As it is.
    Bidlock,
    /// `SET NX EX`, then "is there a bid already?", then send; released by GET and DEL. No claim, no door.
    LockOnly,
    /// A lost answer is taken as a reason to send again within the claim.
    ResendUnknown,
    /// The door compares the row's state and not the claim.
    DoorIgnoresClaim,
    /// A submission whose claimant went silent goes back to `claimed`, and is taken over.
    SweeperGoesBack,
    /// A posting may have one row of each status, instead of one live row.
    UniquePerStatus,
    /// A look-up that finds nothing counts as proof that nothing was accepted.
    NotFoundIsProof,
    /// A take-over inserts a new row instead of changing the old one.
    TakeOverMakesNewRow,
    /// A lost answer hands the row back, as if nothing had been accepted.
    LostAnswerHandsBack,
    /// The door and the take-over do not look at the posting's earlier bids.
    BlindToEarlierBids,
    /// A claim's epoch grows within its row only.
    EpochPerRow,
    /// A declined bid is taken over like an abandoned one.
    DeclinedIsTakenOver,
    /// `submitted` is written when the request leaves.
    SubmittedBeforeAnswer,
    /// A claimant hands back what an import has shut, as if its own proof spoke for the replaced system's bid.
    ImportIsHandedBack,
    /// A late "yes" reopens a `not_submitted` bid also under a name that another row has.
    LateYesNamesTwice,
    /// A "yes" in time is recorded also under a name that another row has.
    RepeatedYesNamesTwice,
    /// A withdrawal that is confirmed after another's refusal was recorded is not recorded any more.
    RefusalHidesConfirmation,
    /// The holder counts its lease's deadline from the store's answer, so that the store's expiry comes first.
    NoDriftMargin,
}

impl Protocol {
    /// Every variant, with the property that it must break.
    pub const VARIANTS: [(&'static str, Protocol, &'static str); 18] = {
        use crate::properties as p;
        [
            ("lock-only", Protocol::LockOnly, p::S1),
            ("get-then-del", Protocol::LockOnly, p::S4),
            ("resend-unknown", Protocol::ResendUnknown, p::S1),
            ("door-ignores-claim", Protocol::DoorIgnoresClaim, p::S1),
            ("sweeper-goes-back", Protocol::SweeperGoesBack, p::S1),
            ("unique-per-status", Protocol::UniquePerStatus, p::S1),
            ("not-found-is-proof", Protocol::NotFoundIsProof, p::S1),
            ("take-over-makes-new-row", Protocol::TakeOverMakesNewRow, p::S1),
            ("lost-answer-hands-back", Protocol::LostAnswerHandsBack, p::S9),
            ("blind-to-earlier-bids", Protocol::BlindToEarlierBids, p::BESIDE),
            ("epoch-per-row", Protocol::EpochPerRow, p::S5),
            ("declined-is-taken-over", Protocol::DeclinedIsTakenOver, p::S7),
            ("submitted-before-answer", Protocol::SubmittedBeforeAnswer, p::S8),
            ("import-is-handed-back", Protocol::ImportIsHandedBack, p::S1),
            ("late-yes-names-twice", Protocol::LateYesNamesTwice, p::ONE_NAME),
            ("repeated-yes-names-twice", Protocol::RepeatedYesNamesTwice, p::ONE_NAME),
            ("refusal-hides-confirmation", Protocol::RefusalHidesConfirmation, p::S8),
            ("no-drift-margin", Protocol::NoDriftMargin, p::S10),
        ]
    };
}

impl Protocol {
    /// A small space in which a variant shows what it lacks.
    pub const fn settings(self) -> Settings {
        let space = match self {
            Protocol::LockOnly => Settings { kinds: Faults::PAUSE, ..LEASES }.sized(3, 1, 1),
            Protocol::NoDriftMargin => LEASES.sized(3, 1, 1),
            Protocol::RefusalHidesConfirmation => {
                Settings { operator: false, afterwards: true, ..CORE }.sized(1, 1, 1)
            }
            Protocol::RepeatedYesNamesTwice => Settings { recognises_keys: true, ..CORE }.sized(2, 1, 1),
            Protocol::ImportIsHandedBack => Settings { imports: true, ..CORE }.sized(2, 1, 1),
            _ => CORE.sized(3, 1, 1),
        };
        let afterwards = space.afterwards || matches!(self, Protocol::EpochPerRow);
        Settings { protocol: self, rows: 3, afterwards, ..space }
    }
}

/// What no protocol can give, shown in a small space: its name, the space, and the property that does not hold there.
pub const LIMITS: [(&str, Settings, &str); 1] = [(
    "unheard-withdrawal",
    Settings { unheard: true, afterwards: true, operator: false, ..CORE }.sized(1, 1, 1),
    crate::properties::S8,
)];

impl Settings {
    /// Everything takes part: one scanner, one posting, no fault, until set otherwise.
    pub const fn all() -> Settings {
        Settings {
            scanners: 1,
            postings: 1,
            rows: 2,
            faults: 0,
            kinds: Faults::ALL,
            locks: Locks::GrantEverything,
            approvals: true,
            operator: true,
            reconciler: true,
            afterwards: true,
            imports: false,
            recognises_keys: false,
            protocol: Protocol::Bidlock,
            unheard: false,
            recovery: false,
            names: Names::Interchangeable,
        }
    }

    /// Sets the three sizes.
    pub const fn sized(self, scanners: u8, postings: u8, faults: u8) -> Settings {
        Settings { scanners, postings, faults, ..self }
    }
}

/// The spaces that must have no counterexample, with what each is for. Together they take about a minute on two cores.
pub const SPACES: [(&str, Settings); 9] = [
    ("claims", CORE.sized(4, 2, 3)),
    ("claims-many-faults", CORE.sized(4, 1, 5)),
    ("approvals", Settings { approvals: true, ..CORE }.sized(4, 1, 3)),
    ("afterwards", Settings { approvals: false, ..Settings::all() }.sized(4, 1, 2)),
    ("everything", Settings::all().sized(2, 1, 2)),
    ("imports", Settings { imports: true, approvals: true, ..CORE }.sized(3, 1, 2)),
    ("keys", Settings { recognises_keys: true, afterwards: true, recovery: true, ..CORE }.sized(4, 1, 3)),
    ("leases", LEASES.sized(4, 2, 2)),
    ("recovery", Settings { recovery: true, afterwards: false, ..Settings::all() }.sized(3, 1, 2)),
];

/// The largest space that has been searched to its end: some five minutes of processor time.
pub const LARGEST: [(&str, Settings); 1] = [("claims", CORE.sized(4, 2, 4))];

/// Claims, door, sweeper, reconciler and operator, without what only adds states of its own.
const CORE: Settings = Settings { approvals: false, afterwards: false, ..Settings::all() };

/// The lock layer; S10.
const LEASES: Settings = Settings { locks: Locks::Leases, operator: false, ..CORE };

//! How the sandbox behaves: what it refuses, and which faults it shows when.

mod parse;
mod when;

use std::time::Duration;

pub(crate) use self::when::draw;
pub use self::{
    parse::{MODES_HELP, ModesError},
    when::{Occasion, Span, When},
};

/// How the sandbox behaves. `Default` is a marketplace that accepts everything at once, duplicates
/// included, and ignores idempotency keys: one that protects nobody.
///
/// Written as text (`--mode`): `NAME=WHEN[@ARGUMENT]`, separated by commas; [`MODES_HELP`] lists them.
/// `to_string` gives the text back.
///
/// Which submissions a rate hits follows from the seed, the fault, the posting and the number of the
/// submission for that posting: two runs with one seed agree, whatever the order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modes {
    /// What becomes of a second bid on one posting.
    pub duplicates: Duplicates,
    /// What becomes of a repeated idempotency key.
    pub keys: Keys,
    /// Look-ups leave the idempotency key out.
    pub hides_keys: bool,
    /// Where the drawing of rates and spans starts.
    pub seed: u64,
    /// The faults, in the order in which they are tried.
    pub rules: Vec<Rule>,
}

/// What becomes of a second bid on a posting that has one which is not withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// It is accepted too: the record shows who bids twice.
    #[default]
    Accepted,
    /// 409.
    Refused,
}

/// What becomes of a submission with an idempotency key that was accepted before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// The key means nothing.
    #[default]
    Ignored,
    /// The first answer is given again and nothing is accepted.
    Honoured,
}

/// A fault, and when it happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which submissions.
    pub when: When,
}

/// On which side of accepting a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Nothing has been accepted.
    Before,
    /// The bid has been accepted, and the client does not learn it.
    After,
    /// One or the other, as drawn.
    Either,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The connection is reset (a TCP RST) after the body was read.
    Reset(Moment),
    /// 500.
    ServerError(Moment),
    /// 503.
    Unavailable(Moment),
    /// 200 with a body that is no JSON.
    Garbage(Moment),
    /// No answer, ever; the connection stays open.
    Silent(Moment),
    /// The sandbox takes its time.
    Delay(Moment, Span),
    /// 429 with `Retry-After` in whole seconds.
    TooMany {
        /// Rounded up to seconds.
        retry_after: Duration,
    },
    /// 307 to a path of the sandbox that records, and accepts, whoever follows.
    Redirect,
    /// One of the statuses that refuse: 400, 401, 402, 403, 404, 410, 422.
    Refuse(u16),
    /// Look-ups do not show a bid for this long after it was accepted.
    StaleLookUp(Duration),
    /// 500 to look-ups of the posting.
    LookUpError,
    /// 409 to withdrawals, naming this state of the bid.
    WithdrawRefused {
        /// Such as `won`.
        status: String,
    },
}

impl Fault {
    /// The name in `--mode`, with `-before` or `-after` where it has a moment.
    pub fn name(&self) -> String {
        let (name, moment) = match self {
            Fault::Reset(moment) => ("reset", *moment),
            Fault::ServerError(moment) => ("500", *moment),
            Fault::Unavailable(moment) => ("503", *moment),
            Fault::Garbage(moment) => ("garbage", *moment),
            Fault::Silent(moment) => ("silent", *moment),
            Fault::Delay(moment, _) => ("delay", *moment),
            Fault::TooMany { .. } => ("429", Moment::Either),
            Fault::Redirect => ("307", Moment::Either),
            Fault::Refuse(status) => return status.to_string(),
            Fault::StaleLookUp(_) => ("stale", Moment::Either),
            Fault::LookUpError => ("look-up-500", Moment::Either),
            Fault::WithdrawRefused { .. } => ("withdraw-refused", Moment::Either),
        };
        match moment {
            Moment::Before => format!("{name}-before"),
            Moment::After => format!("{name}-after"),
            Moment::Either => name.to_owned(),
        }
    }
}

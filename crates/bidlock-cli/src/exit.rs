//! The exit codes: part of the contract with scripts, so they never change their meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Ok,
    /// The command line or the configuration can't be used.
    Usage,
    /// Somebody else holds the lock.
    Held,
    /// There is a bid on this posting already.
    AlreadyBid,
    /// The ledger, the locks or the marketplace can't be used now.
    Unavailable,
    /// A bid's outcome is unknown.
    UnknownOutcome,
    /// Something that must never be is: a duplicate, a broken hash chain.
    InvariantViolated,
    /// The marketplace refused the account, or leaves bids without an answer: sending has stopped.
    SendingStopped,
    /// `doctor` found something unhealthy.
    Unhealthy,
    /// The exit code of the command that ran under `lock run`.
    Child(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Usage => 2,
            Exit::Held => 3,
            Exit::AlreadyBid => 4,
            Exit::Unavailable => 5,
            Exit::UnknownOutcome => 6,
            Exit::InvariantViolated => 7,
            Exit::SendingStopped => 8,
            Exit::Unhealthy => 9,
            Exit::Child(code) => code,
        }
    }

    /// The name in JSON errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Usage => "usage",
            Exit::Held => "held",
            Exit::AlreadyBid => "already_bid",
            Exit::Unavailable => "unavailable",
            Exit::UnknownOutcome => "unknown_outcome",
            Exit::InvariantViolated => "invariant_violated",
            Exit::SendingStopped => "sending_stopped",
            Exit::Unhealthy => "unhealthy",
            Exit::Child(_) => "child",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

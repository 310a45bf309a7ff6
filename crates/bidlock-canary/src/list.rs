//! All canaries: one list for the ledger in memory, the simulation, the fault rig and the docs.

use std::{fmt, str::FromStr};

/// A mechanism that can be removed. Named by what happens without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Canary {
    /// A change of a bid counts whatever claim it names: anybody passes the door.
    AnyClaim,
    /// A release frees a lock whoever holds it.
    AnyRelease,
    /// An answer that was lost is recorded as a yes.
    AssumeAccepted,
    /// A claim is taken over before it has expired.
    EarlyTakeOver,
    /// The marketplace's redirects are followed.
    FollowRedirects,
    /// A lock that an unanswered request may have taken is left where it is.
    LeakLocks,
    /// An answer that was lost hands the bid back, as if nothing had been accepted.
    LostHandsBack,
    /// A request leaves before the bid is durably `submitting`.
    NoDoor,
    /// A holder believes in its lock until somebody tells it otherwise: no deadline of its own.
    NoOwnDeadline,
    /// What a look-up finds is not recorded: an outcome that is unknown stays so.
    NoReconcile,
    /// A silent submission stays `submitting`: nobody sweeps.
    NoSweep,
    /// A posting may have two live bids.
    NoUniqueness,
    /// A look-up that does not find a bid frees its posting.
    NotFoundIsProof,
    /// Every acquisition of a lock has the same nonce.
    OneNonce,
    /// Ids are taken as they are written.
    RawIdentity,
    /// An outcome that is unknown is sent again.
    ResendUnknown,
    /// A claim that takes a row over keeps the ordinal of the one before.
    SameEpoch,
    /// Where the ledger does not answer, the request leaves all the same.
    SendBlindly,
    /// The sweeper makes a silent submission `abandoned`, so that somebody sends it again.
    SweepBack,
}

impl Canary {
    /// Every one of them, by name.
    pub const ALL: [Canary; 19] = [
        Canary::AnyClaim,
        Canary::AnyRelease,
        Canary::AssumeAccepted,
        Canary::EarlyTakeOver,
        Canary::FollowRedirects,
        Canary::LeakLocks,
        Canary::LostHandsBack,
        Canary::NoDoor,
        Canary::NoOwnDeadline,
        Canary::NoReconcile,
        Canary::NoSweep,
        Canary::NoUniqueness,
        Canary::NotFoundIsProof,
        Canary::OneNonce,
        Canary::RawIdentity,
        Canary::ResendUnknown,
        Canary::SameEpoch,
        Canary::SendBlindly,
        Canary::SweepBack,
    ];

    /// The name in the variable, on command lines and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Canary::AnyClaim => "any-claim",
            Canary::AnyRelease => "any-release",
            Canary::AssumeAccepted => "assume-accepted",
            Canary::EarlyTakeOver => "early-take-over",
            Canary::FollowRedirects => "follow-redirects",
            Canary::LeakLocks => "leak-locks",
            Canary::LostHandsBack => "lost-hands-back",
            Canary::NoDoor => "no-door",
            Canary::NoOwnDeadline => "no-own-deadline",
            Canary::NoReconcile => "no-reconcile",
            Canary::NoSweep => "no-sweep",
            Canary::NoUniqueness => "no-uniqueness",
            Canary::NotFoundIsProof => "not-found-is-proof",
            Canary::OneNonce => "one-nonce",
            Canary::RawIdentity => "raw-identity",
            Canary::ResendUnknown => "resend-unknown",
            Canary::SameEpoch => "same-epoch",
            Canary::SendBlindly => "send-blindly",
            Canary::SweepBack => "sweep-back",
        }
    }

    /// The mechanism that is missing, in a few words.
    pub const fn removes(self) -> &'static str {
        match self {
            Canary::AnyClaim => "the comparison of claims in guarded updates",
            Canary::AnyRelease => "compare-and-delete of locks",
            Canary::AssumeAccepted => "proof before a bid counts as submitted",
            Canary::EarlyTakeOver => "the expiry before a take-over",
            Canary::FollowRedirects => "redirects off",
            Canary::LeakLocks => "the clean-up after an unanswered acquisition",
            Canary::LostHandsBack => "`unknown` for an answer that was lost",
            Canary::NoDoor => "the one-way door",
            Canary::NoOwnDeadline => "a holder's own deadline and its margin",
            Canary::NoReconcile => "the record of what look-ups find",
            Canary::NoSweep => "the sweeper of silent submissions",
            Canary::NoUniqueness => "the unique index over live bids",
            Canary::NotFoundIsProof => "the rule that a negative look-up proves nothing",
            Canary::OneNonce => "a fresh nonce for each acquisition",
            Canary::RawIdentity => "canonical identity",
            Canary::ResendUnknown => "the rule that an unknown outcome is never sent again",
            Canary::SameEpoch => "increasing epochs",
            Canary::SendBlindly => "fail closed: no ledger, no sending",
            Canary::SweepBack => "the sweeper's rule that nothing leads back through the door",
        }
    }
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Canary {
    type Err = UnknownCanary;

    fn from_str(text: &str) -> Result<Canary, UnknownCanary> {
        Canary::ALL
            .into_iter()
            .find(|canary| canary.as_str() == text)
            .ok_or_else(|| UnknownCanary(text.to_owned()))
    }
}

/// The text names no canary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no canary; the canaries are: {names}", names = Canary::ALL.map(Canary::as_str).join(", "))]
pub struct UnknownCanary(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_stand_in_order() {
        for canary in Canary::ALL {
            assert_eq!(canary.as_str().parse(), Ok(canary));
        }
        assert!(Canary::ALL.map(Canary::as_str).is_sorted());
        let unknown = "canary-bird".parse::<Canary>().unwrap_err().to_string();
        assert!(unknown.contains("`canary-bird`") && unknown.contains("any-claim, any-release"), "{unknown}");
    }
}

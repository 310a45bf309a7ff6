//! The outside world of bidlock: where postings come from, what makes two sightings the same posting, and
//! the marketplaces that bids go to.

pub mod budget;
pub mod identity;
pub mod marketplace;
#[cfg(feature = "http")]
pub mod marketplaces;
pub mod posting;
pub mod sources;

pub use budget::{Budget, BudgetKind, Period};
pub use identity::{canonical, canonical_url};
pub use marketplace::{
    Answer, Approval, CLOCK_ALLOWANCE, Capabilities, LookUpError, LostCause, Marketplace, RemoteBid,
    Submission, WithdrawAnswer, find_ours,
};
#[cfg(feature = "http")]
pub use marketplaces::{
    ConnectError, DryRun, HttpMarketplace, HttpOptions, Target, TargetError, Token, TokenError, connect,
};
pub use posting::{Ambiguity, BidCost, Client, IdentityBasis, Posting, SourceRef};
pub use sources::{
    FeedInput, Fetch, FieldMap, Format, InvalidRow, MapError, ReadOptions, SourceError, UnknownFormat,
    expand, parse_amount, read, read_bytes,
};

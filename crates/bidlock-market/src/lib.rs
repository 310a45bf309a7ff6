//! The outside world of bidlock: where postings come from, what makes two sightings the same posting, and
//! the marketplaces that bids go to.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`posting`], [`budget`] | a posting as sources show it, and what it pays |
//! | [`identity`] | canonical identity: every spelling of one posting's id becomes one text |
//! | [`sources`] | files, folders and standard input into postings; `sources/shapes/` knows the known ones |
//! | [`marketplace`] | [`Marketplace`], the implementor's minimum: submit, look up, withdraw |
//! | `marketplaces` | its implementations, `Target` and `connect` (feature `http`) |
//!
//! # Features
//!
//! `http` (on by default): the marketplaces. Without it the crate reads postings and knows identities.

pub mod budget;
pub mod identity;
pub mod marketplace;
#[cfg(feature = "http")]
pub mod marketplaces;
pub mod posting;
pub mod sources;

pub use budget::{Budget, BudgetKind, Period};
pub use identity::{canonical, canonical_url, known_marketplaces, marketplace_name, spellings};
pub use marketplace::{
    Answer, Approval, CLOCK_ALLOWANCE, Capabilities, LookUpError, LostCause, Marketplace, RemoteBid,
    Submission, WithdrawAnswer, find_ours, place_of,
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

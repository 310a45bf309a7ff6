//! The pipeline: from a sighting to at most one bid.
//!
//! ```text
//! posting ─► settled? ─► lock ─► evaluate ─► claim ─► one-way door ─► submit ─► record
//!             cache,      one scanner          one bid    `submitting`     │
//!             ledger      works on it          per posting is durable       └─► unknown ─► reconcile
//! ```
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`outcome`] | what became of one sighting |
//! | [`pipeline`] | [`Pipeline`]: a batch of sightings in, an outcome for each out |
//! | `batch` | a batch of sightings: leaders, followers, what is settled |
//! | `claiming` | from a locked posting to a claim, and from a claim to its outcome |
//! | [`send`] | the one-way door, the submission, and what each answer does to the row |
//! | `record` | recording what became of a bid, also while the ledger is away |
//! | [`scan`] | [`Scan`]: drives a whole stream of sightings, tries held postings again |
//! | [`rules`] | evaluation by typed TOML rules |
//! | [`cache`] | postings that are settled for good |
//! | [`reconcile`] | settles what is unknown by looking it up |
//! | `outage` | a scan while an engine is away |
//! | `finding` | which of the marketplace's bids is a row's own |
//! | [`mod@withdraw`] | takes a submitted bid back |
//! | `metrics`, `spans` | what is counted and traced |
//! | [`legacy`] | the replaced system, while instances of it still run |
//! | [`options`], `caps`, `gate` | what the owner may set; daily caps; what the marketplace told all senders |
//! | [`stop`] | graceful and hard stops |
//!
//! What it guarantees: the marketplace is asked only after the ledger row durably says `submitting` under
//! this claim; an answer that is lost is never followed by another request. What it does not: that the
//! marketplace did what it said, or that a look-up tells the truth.

mod batch;
pub mod cache;
mod caps;
mod claiming;
mod finding;
mod gate;
pub mod legacy;
mod metrics;
pub mod options;
pub mod outage;
pub mod outcome;
pub mod pipeline;
pub mod reconcile;
mod record;
pub mod rules;
pub mod scan;
pub mod send;
mod spans;
pub mod stop;
pub mod withdraw;

pub use cache::SettledCache;
pub use legacy::{LegacyBids, LegacyError, LegacyName, Mirrored, bring_in};
pub use metrics::BidMetrics;
pub use options::{ApprovalPolicy, Caps, MAX_UNKNOWN_IN_A_ROW, PipelineOptions};
pub use outage::Outage;
pub use outcome::{DeclineReason, DeferReason, Outcome};
pub use pipeline::{Parts, Pipeline, PipelineError};
pub use reconcile::{ReconcileReport, Reconciler, Settled};
pub use rules::{Decision, Evaluator, EverythingSuits, RuleSet, RulesError, check_template};
pub use scan::{Scan, ScanOptions, ScanSummary};
pub use stop::Stop;
pub use withdraw::{Withdrawal, withdraw};

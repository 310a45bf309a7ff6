//! The shapes of known sources: one file each, with the same functions, and one line here.
//!
//! A shape looks at one row, whatever carrier it came on: `recognises` must be true for its own rows only,
//! `read` turns such a row into a draft.

mod freelancer;
mod job_board;
pub(super) mod json_ld;
mod remoteok;
mod upwork_feed;
mod upwork_rss;
mod upwork_search;

use serde_json::Value;

use super::Format;
use super::draft::{Context, Draft};

/// One known source's rows.
pub(super) struct Shape {
    pub(super) format: Format,
    /// Whether a row is one of this source's.
    pub(super) recognises: fn(&Value) -> bool,
    /// Reads such a row; an error says why it cannot be read.
    pub(super) read: fn(&Value, &Context<'_>) -> Result<Draft, String>,
}

/// Every shape. The first that recognises a row reads it.
pub(super) static SHAPES: &[Shape] = &[
    Shape { format: Format::UpworkRss, recognises: upwork_rss::recognises, read: upwork_rss::read },
    Shape { format: Format::UpworkSearch, recognises: upwork_search::recognises, read: upwork_search::read },
    Shape { format: Format::UpworkFeed, recognises: upwork_feed::recognises, read: upwork_feed::read },
    Shape { format: Format::JobBoard, recognises: job_board::recognises, read: job_board::read },
    Shape { format: Format::Freelancer, recognises: freelancer::recognises, read: freelancer::read },
    Shape { format: Format::RemoteOk, recognises: remoteok::recognises, read: remoteok::read },
    Shape { format: Format::JsonLd, recognises: json_ld::recognises, read: json_ld::read },
];

/// Whether an element of a list is an API's notice to its readers rather than a row.
pub(super) fn is_notice(value: &Value) -> bool {
    remoteok::is_notice(value)
}

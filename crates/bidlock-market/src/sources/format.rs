//! [`Format`]: what a file of postings is written in.

use std::fmt;
use std::str::FromStr;

/// What a file of postings is written in: a carrier (RSS, JSON, …), or a known shape on some carrier.
///
/// Naming a carrier fixes how the file is parsed; the shapes of known sources are still recognised on it,
/// so that a posting has one key whichever name the file was read under. Naming a shape demands it of
/// every row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Found out from the content.
    #[default]
    Auto,
    /// RSS 2.0 (1.0 too), as XML or turned into JSON by xmltodict.
    Rss,
    /// Atom 1.0.
    Atom,
    /// JSON Feed 1.1.
    JsonFeed,
    /// A JSON array, or an object that holds one.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma, semicolon, tab or bar separated values with a header.
    Csv,
    /// Items of Upwork's search feed.
    UpworkRss,
    /// Results of Upwork's search, nested as the site gives them or flattened.
    UpworkSearch,
    /// Rows of Upwork's feed page without ids (2018).
    UpworkFeed,
    /// Rows of a job-board crawler: `platform`, `external_id`, `raw`.
    JobBoard,
    /// Freelancer.com project objects, alone or in the API's envelope.
    Freelancer,
    /// Remote OK's API answer.
    RemoteOk,
    /// schema.org `JobPosting` as JSON-LD, also inside an HTML page.
    JsonLd,
}

/// Every format by the name that `--format` takes.
const NAMES: &[(Format, &str)] = &[
    (Format::Auto, "auto"),
    (Format::Rss, "rss"),
    (Format::Atom, "atom"),
    (Format::JsonFeed, "jsonfeed"),
    (Format::Json, "json"),
    (Format::Jsonl, "jsonl"),
    (Format::Csv, "csv"),
    (Format::UpworkRss, "upwork-rss"),
    (Format::UpworkSearch, "upwork-search"),
    (Format::UpworkFeed, "upwork-feed"),
    (Format::JobBoard, "job-board"),
    (Format::Freelancer, "freelancer"),
    (Format::RemoteOk, "remoteok"),
    (Format::JsonLd, "jsonld"),
];

impl Format {
    /// Every format, in the order shown to users.
    pub fn all() -> impl Iterator<Item = Format> {
        NAMES.iter().map(|(format, _)| *format)
    }

    /// The name that `--format` takes.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(format, _)| *format == self).map_or("auto", |(_, name)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no format; the message lists those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no format; use one of {}", NAMES.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "))]
pub struct UnknownFormat {
    /// What was given.
    pub text: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    /// Case, `-`, `_` and blanks do not count.
    fn from_str(text: &str) -> Result<Format, UnknownFormat> {
        let wanted = super::fields::plain_name(text);
        NAMES
            .iter()
            .find(|(_, name)| super::fields::plain_name(name) == wanted)
            .map(|(format, _)| *format)
            .ok_or_else(|| UnknownFormat { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_error_lists_them() {
        for format in Format::all() {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!("JSON_Feed".parse(), Ok(Format::JsonFeed));
        let message = "yaml".parse::<Format>().unwrap_err().to_string();
        assert!(
            message.contains("`yaml`") && message.contains("upwork-rss") && message.contains("csv"),
            "{message}"
        );
    }
}

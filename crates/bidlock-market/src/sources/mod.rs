//! Posting sources: files, folders and standard input to [`Posting`]s.
//!
//! A file is read in two steps. A *carrier* (`rss`, `atom`, `json_feed`, `json`, `csv`, …) splits it into
//! raw rows, all as JSON values; then each row goes to the first known *shape* (`shapes/`) that recognises
//! it, or to the carrier's plain reader, or to `generic`, which knows usual field names (`fields`). So a
//! source looks the same whatever it was written in, and adding one is one file and one line in
//! `shapes/mod.rs`.
//!
//! Guarantees: one file is one fetch; a broken row is reported with file, row and reason and loses no
//! other row; nothing panics, whatever the bytes; all sizes are bounded ([`MAX_INPUT_BYTES`],
//! [`MAX_ROWS`], [`MAX_FILES`], JSON nesting 128, XML nesting 64).

mod amounts;
mod atom;
mod conflicts;
mod csv;
mod currencies;
mod dates;
mod decode;
mod draft;
mod fields;
mod format;
mod generic;
mod html;
mod input;
mod json;
mod json_broken;
mod json_feed;
mod map;
mod rows;
mod rss;
mod shapes;
mod text;
mod written;
mod xml;

use bidlock_ledger::PostingId;
use jiff::Timestamp;

use crate::identity;
use crate::posting::Posting;
use draft::{Context, Draft, Unread, Unsettled};
use generic::Mapping;
use rows::{Raw, Rows};
use shapes::{SHAPES, Shape};

pub use amounts::parse_amount;
pub use format::{Format, UnknownFormat};
pub use input::{FeedInput, MAX_FILES, MAX_FOLDER_DEPTH, MAX_INPUT_BYTES, SourceError, expand};
pub use map::{FieldMap, MapError};
pub use rows::MAX_ROWS;

/// How to read, and when.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// What the file is written in; [`Format::Auto`] finds out.
    pub format: Format,
    /// Where an unknown source keeps its fields; known shapes are then not looked for.
    pub map: Option<FieldMap>,
    /// The marketplace of every row, over whatever the rows say.
    pub marketplace: Option<String>,
    /// The time of the fetch: files count as fetched when read. Relative dates count from here.
    pub now: Timestamp,
}

impl ReadOptions {
    /// Everything found out from the content.
    pub fn auto(now: Timestamp) -> ReadOptions {
        ReadOptions { format: Format::Auto, map: None, marketplace: None, now }
    }
}

/// What one file gave.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The file's name.
    pub source: String,
    /// What was found: the shape that read most rows, else the carrier.
    pub format: Format,
    /// What `auto` chose, column by column; what was decoded or skipped.
    pub notes: Vec<String>,
    /// The rows in the file's order.
    pub rows: Vec<Result<Posting, InvalidRow>>,
}

impl Fetch {
    fn skipped(source: String, why: String) -> Fetch {
        Fetch { source, format: Format::Auto, notes: vec![format!("skipped: {why}")], rows: Vec::new() }
    }
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRow {
    /// The file's name.
    pub source: String,
    /// The row, counted from 1.
    pub row: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for InvalidRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, row {}: {}", self.source, self.row, self.reason)
    }
}

impl std::error::Error for InvalidRow {}

/// Reads one file, or standard input, as one fetch.
///
/// A file found in a folder that is no file of postings (a README, another program's JSON) gives a fetch
/// without rows whose note says so; a file that the user named must be readable.
///
/// # Errors
/// The file cannot be opened, is too large, or (named by the user) holds no postings in the given format;
/// or nothing tells the marketplace.
pub fn read(input: &FeedInput, options: &ReadOptions) -> Result<Fetch, SourceError> {
    if !input.looks_like_postings() {
        return Ok(Fetch::skipped(input.name(), "not a kind of file that postings come in".to_owned()));
    }
    let bytes = input.bytes()?;
    match read_bytes(&input.name(), &bytes, options) {
        Err(error) if matches!(input, FeedInput::InFolder(_)) && error.is_not_postings() => {
            Ok(Fetch::skipped(input.name(), error.to_string()))
        }
        result => result,
    }
}

/// Reads the bytes of one file as one fetch; `name` stands in messages and in `Posting::source`.
///
/// # Errors
/// As [`read`], for a file that the user named.
pub fn read_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Fetch, SourceError> {
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(SourceError::TooLarge { source_name: name.to_owned() });
    }
    let marketplace = options.marketplace.as_deref().map(usable_marketplace).transpose()?;
    let not_postings = |why: String| SourceError::NotPostings { source_name: name.to_owned(), why };
    let (text, decoded) = decode::to_text(bytes);
    let mut rows = carrier_rows(&text, name, options.format).map_err(not_postings)?;
    rows.notes.extend(decoded);
    let before = rows.rows.len();
    rows.rows.retain(|raw| !raw.value.as_ref().is_ok_and(shapes::is_notice));
    if rows.rows.len() < before {
        rows.notes.push(format!("{} notice(s) of the API left out", before - rows.rows.len()));
    }
    let Rows { carrier, rows: raws, feed_link, users, mut notes } = rows;
    let context = Context {
        source_name: name,
        options,
        marketplace,
        feed_marketplace: feed_link.as_deref().and_then(identity::marketplace_of_url),
        users: users.as_ref(),
    };
    if let Some(map) = &options.map {
        map.check(name, raws.iter().filter_map(|raw| raw.value.as_ref().ok()))?;
    }
    let plan = Plan::new(&raws, carrier, options, &mut notes).map_err(not_postings)?;
    let mut counts = [0usize; SHAPES.len()];
    let mut told_none = 0usize;
    let mut unread = Unread::default();
    let mut read: Vec<Result<Posting, InvalidRow>> = raws
        .into_iter()
        .map(|Raw { number, value }| {
            let invalid = |reason: String| InvalidRow { source: name.to_owned(), row: number, reason };
            let value = value.map_err(invalid)?;
            let draft = plan.read(&value, &context, &mut counts).map_err(invalid)?;
            unread.add(number, &draft);
            draft.settle(number, &context).map_err(|unsettled| match unsettled {
                Unsettled::NoMarketplace => {
                    told_none += 1;
                    invalid("does not tell its marketplace; say it with --marketplace NAME".to_owned())
                }
                Unsettled::Invalid(reason) => invalid(reason),
            })
        })
        .collect();
    if told_none > 0 && read.iter().all(Result::is_err) {
        return Err(SourceError::NoMarketplace { source_name: name.to_owned() });
    }
    notes.extend(unread.notes());
    conflicts::mark(&mut read);
    let most = counts.iter().enumerate().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > 0);
    let format = most.map_or(carrier, |(shape, _)| SHAPES[shape].format);
    Ok(Fetch { source: name.to_owned(), format, notes, rows: read })
}

fn usable_marketplace(name: &str) -> Result<String, SourceError> {
    let canonical = identity::marketplace_name(name);
    PostingId::new(&canonical, "x")
        .map_err(|error| SourceError::InvalidMarketplace { name: name.to_owned(), why: error.why })?;
    Ok(canonical)
}

/// Splits a text into raw rows, by the given format or by what it looks like.
fn carrier_rows(text: &str, name: &str, format: Format) -> Result<Rows, String> {
    let start = text.trim_start();
    if start.is_empty() {
        return Err("it is empty; if it came from a command, check that the command worked".to_owned());
    }
    let is_markup = start.starts_with('<');
    let is_json = start.starts_with(['[', '{']);
    match format {
        Format::Csv => csv::rows(text),
        Format::Jsonl => Ok(json::lines(text)),
        Format::Json => json::rows(text),
        Format::Rss | Format::Atom | Format::JsonFeed => {
            let rows = if is_markup { xml::rows(text)? } else { json::rows(text)? };
            if rows.carrier == format {
                Ok(rows)
            } else {
                Err(format!("it is {}, not {format}; leave --format out to have it found", rows.carrier))
            }
        }
        _ if is_markup && looks_like_html(start) => html::rows(text),
        _ if is_markup => xml::rows(text),
        _ if is_json && has_extension(name, &["jsonl", "ndjson"]) => Ok(json::lines(text)),
        _ if is_json => json::rows(text),
        _ if has_extension(name, &["csv", "tsv"]) || csv::looks_like_table(text) => csv::rows(text),
        _ => Err("it is neither RSS, Atom, JSON, JSON lines, CSV nor HTML with JSON-LD; say what it is with --format".to_owned()),
    }
}

fn looks_like_html(start: &str) -> bool {
    let head = text::cut(start, 512).to_ascii_lowercase();
    head.starts_with("<!doctype html") || head.contains("<html") || head.starts_with("<script")
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, own)| extensions.iter().any(|known| own.eq_ignore_ascii_case(known)))
}

/// How the rows of one file are read.
struct Plan {
    /// The one shape demanded by `--format`.
    only: Option<usize>,
    /// Where fields are, for rows without a shape.
    mapping: Option<Mapping>,
    explicit: bool,
    carrier: Format,
}

impl Plan {
    fn new(
        raws: &[Raw],
        carrier: Format,
        options: &ReadOptions,
        notes: &mut Vec<String>,
    ) -> Result<Plan, String> {
        let values = || raws.iter().filter_map(|raw| raw.value.as_ref().ok());
        let only = SHAPES.iter().position(|shape| shape.format == options.format);
        let mut plan = Plan { only, mapping: None, explicit: options.map.is_some(), carrier };
        if let Some(map) = &options.map {
            plan.mapping = Some(Mapping::explicit(map));
            return Ok(plan);
        }
        if let Some(shape) = only {
            if values().next().is_some() && !values().any(SHAPES[shape].recognises) {
                return Err(format!(
                    "none of its rows is {}; leave --format out to have it found",
                    options.format
                ));
            }
            return Ok(plan);
        }
        let plain = || values().filter(|value| shape_of(value).is_none());
        let has_reader = matches!(carrier, Format::Rss | Format::Atom | Format::JsonFeed);
        if !has_reader && plain().next().is_some() {
            match Mapping::found(plain(), notes) {
                Ok(mapping) => plan.mapping = Some(mapping),
                // Beside rows of a known shape, odd ones are reported each by itself.
                Err(_) if plain().count() < values().count() => {}
                Err(why) => return Err(why),
            }
        }
        Ok(plan)
    }

    fn read(
        &self,
        value: &serde_json::Value,
        context: &Context<'_>,
        counts: &mut [usize],
    ) -> Result<Draft, String> {
        let shape = match self.only {
            Some(only) => (SHAPES[only].recognises)(value).then_some(only),
            None if self.explicit => None,
            None => shape_of(value),
        };
        if let Some(shape) = shape {
            counts[shape] += 1;
            let Shape { read, .. } = SHAPES[shape];
            return read(value, context);
        }
        match (&self.mapping, self.carrier) {
            (Some(mapping), _) => generic::read(value, mapping, context),
            (None, _) if self.only.is_some() => Err(format!("is no row of {}", context.options.format)),
            (None, Format::Rss) => rss::read(value, context),
            (None, Format::Atom) => atom::read(value, context),
            (None, Format::JsonFeed) => json_feed::read(value, context),
            (None, _) => Err("is not of the shape that the file's other rows have".to_owned()),
        }
    }
}

fn shape_of(value: &serde_json::Value) -> Option<usize> {
    SHAPES.iter().position(|shape| (shape.recognises)(value))
}

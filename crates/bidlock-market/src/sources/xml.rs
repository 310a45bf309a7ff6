//! XML feeds as JSON values, in the way of xmltodict: attributes behind `@`, mixed text as `#text`,
//! repeated elements as a list. So the XML and its JSON twin share everything that follows.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::rows::Rows;
use super::{Format, text};

/// The deepest nesting inside one item.
const MAX_DEPTH: usize = 64;
/// How often reading is taken up again behind a broken item. Each time may read the rest of the file
/// once, so this bounds the work.
const MAX_RESUMES: usize = 64;

/// The items of an RSS feed or the entries of an Atom feed. A broken item costs no other item.
///
/// # Errors
/// It is no feed: no `rss`, `RDF` or `feed` element.
pub(super) fn rows(xml: &str) -> Result<Rows, String> {
    let carrier =
        carrier(xml).ok_or_else(|| "it is XML without an `rss`, `rdf:RDF` or `feed` element".to_owned())?;
    let mut rows = Rows::of(carrier);
    let (mut offset, mut resumes) = (0, 0);
    loop {
        match read_from(&xml[offset..], offset > 0, &mut rows) {
            End::Whole => break,
            End::Broken { item, why } => {
                let at = offset + item.unwrap_or(0);
                let more = rows.push(Err(format!("{why} (row starts at byte {at} of the file)")));
                let next = next_item(xml, at + 1, carrier).filter(|_| item.is_some() && more);
                let Some(next) = next else { break };
                resumes += 1;
                if resumes > MAX_RESUMES {
                    rows.push(Err(format!(
                        "more than {MAX_RESUMES} items are broken; the rest was not read"
                    )));
                    break;
                }
                offset = next;
            }
        }
    }
    Ok(rows)
}

/// RSS or Atom, told by the first element that says so.
fn carrier(xml: &str) -> Option<Format> {
    let head = text::cut(xml, 16 * 1024).to_ascii_lowercase();
    let first = |name: &str| {
        head.match_indices(name).map(|(at, _)| at).find(|at| {
            let before = head[..*at].chars().next_back();
            let after = head[at + name.len()..].chars().next();
            matches!(before, Some('<' | ':'))
                && after.is_none_or(|c| c.is_whitespace() || matches!(c, '>' | '/'))
        })
    };
    let rss = [first("rss"), first("rdf"), first("channel")].into_iter().flatten().min();
    match (rss, first("feed")) {
        (Some(rss), Some(feed)) if feed < rss => Some(Format::Atom),
        (Some(_), _) => Some(Format::Rss),
        (None, Some(_)) => Some(Format::Atom),
        (None, None) => None,
    }
}

enum End {
    Whole,
    /// Where the item started in which reading broke, if in one; and why.
    Broken {
        item: Option<usize>,
        why: String,
    },
}

/// One element being read.
#[derive(Default)]
struct Open {
    name: String,
    object: Map<String, Value>,
    text: String,
}

/// Reads items from `xml` into `rows`. `resumed`: this starts at an item, in the middle of a feed.
fn read_from(xml: &str, resumed: bool, rows: &mut Rows) -> End {
    let mut reader = Reader::from_str(xml);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    // A resumed reader never sees the feed's own start, and closing it is no error then.
    config.allow_unmatched_ends = true;
    let mut items = Items::default();
    loop {
        let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return items.broken(format!("is not valid XML: {error} (byte {before})")),
        };
        let step = match event {
            Event::Start(start) => items.start(&start, before, rows),
            Event::Empty(start) => {
                items.empty(&start, rows);
                None
            }
            Event::End(end) => items.end(end.name().as_ref(), rows),
            Event::Text(piece) => items.text(&piece.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(piece) => items.text(&piece.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(reference) => {
                let name = reference.into_inner();
                match text::entity(&name) {
                    Some(decoded) => items.text(&decoded),
                    None => items.text(&format!("&{name};")),
                }
            }
            Event::Eof => Some(items.finish(resumed, rows)),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
        };
        if let Some(end) = step {
            return end;
        }
    }
}

/// What is open while items are read. A step answers how reading ended, if it did.
#[derive(Default)]
struct Items {
    /// The open item and what is open in it; empty between items.
    stack: Vec<Open>,
    /// Where the open item started.
    started: usize,
    /// Open elements, also outside of items.
    depth: usize,
    link: ChannelLink,
}

impl Items {
    fn start(&mut self, start: &BytesStart<'_>, at: usize, rows: &mut Rows) -> Option<End> {
        self.depth += 1;
        if self.stack.is_empty() && !is_item(start) {
            self.link.start(start, rows);
            return None;
        }
        if self.stack.is_empty() {
            self.started = at;
        } else if is_item(start) {
            return Some(self.broken("does not end before the next item starts".to_owned()));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Some(self.broken(format!("is nested deeper than {MAX_DEPTH} elements")));
        }
        self.stack.push(opened(start));
        None
    }

    fn empty(&mut self, start: &BytesStart<'_>, rows: &mut Rows) {
        if self.stack.is_empty() {
            self.link.empty(start, rows);
        } else {
            close(&mut self.stack, opened(start));
        }
    }

    fn end(&mut self, name: &str, rows: &mut Rows) -> Option<End> {
        self.depth = self.depth.saturating_sub(1);
        self.link.end();
        let open = self.stack.pop()?;
        if open.name != name {
            let why = format!("`{}` is not closed", open.name);
            return Some(End::Broken { item: Some(self.started), why });
        }
        if !self.stack.is_empty() {
            close(&mut self.stack, open);
            return None;
        }
        let mut item = open.object;
        if !open.text.trim().is_empty() {
            item.insert("#text".to_owned(), Value::String(open.text));
        }
        // A file over its bound has said so in its last row.
        (!rows.push(Ok(Value::Object(item)))).then_some(End::Whole)
    }

    fn text(&mut self, piece: &str) -> Option<End> {
        match self.stack.last_mut() {
            Some(open) => open.text.push_str(piece),
            None => self.link.text(piece),
        }
        None
    }

    fn finish(&mut self, resumed: bool, rows: &mut Rows) -> End {
        self.link.finish(rows);
        if !self.stack.is_empty() {
            self.broken("the file ends in the middle of this row".to_owned())
        } else if self.depth > 0 && !resumed {
            self.broken("the file ends before the feed does".to_owned())
        } else {
            End::Whole
        }
    }

    fn broken(&self, why: String) -> End {
        End::Broken { item: (!self.stack.is_empty()).then_some(self.started), why }
    }
}

fn is_item(start: &BytesStart<'_>) -> bool {
    let name = start.name();
    let name: &str = name.as_ref();
    matches!(name, "item" | "entry")
        || name.strip_prefix("rss:").is_some_and(|name| name == "item")
        || name == "atom:entry"
}

fn opened(start: &BytesStart<'_>) -> Open {
    let name = start.name();
    let name: &str = name.as_ref();
    let mut open = Open { name: name.to_owned(), ..Open::default() };
    for attribute in start.html_attributes().with_checks(false).flatten() {
        let key: &str = attribute.key.as_ref();
        let value = text::entities(&attribute.value).into_owned();
        open.object.insert(format!("@{key}"), Value::String(value));
    }
    open
}

/// Puts a finished element into its parent.
fn close(stack: &mut [Open], element: Open) {
    let Some(parent) = stack.last_mut() else { return };
    let Open { name, mut object, text } = element;
    let value = if object.is_empty() {
        Value::String(text)
    } else {
        if !text.trim().is_empty() {
            object.insert("#text".to_owned(), Value::String(text));
        }
        Value::Object(object)
    };
    match parent.object.get_mut(&name) {
        None => {
            parent.object.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => {
            let first_value = std::mem::take(first);
            *first = Value::Array(vec![first_value, value]);
        }
    }
}

/// The feed's own link, which may tell the marketplace.
#[derive(Default)]
struct ChannelLink {
    inside: bool,
    found: String,
}

impl ChannelLink {
    fn start(&mut self, start: &BytesStart<'_>, rows: &mut Rows) {
        let name = start.name();
        let name: &str = name.as_ref();
        self.inside = name == "link" && self.found.is_empty();
        self.empty(start, rows);
    }

    fn empty(&mut self, start: &BytesStart<'_>, rows: &mut Rows) {
        let name = start.name();
        let name: &str = name.as_ref();
        if name == "link" && rows.feed_link.is_none() {
            let Open { object, .. } = opened(start);
            rows.feed_link = object.get("@href").and_then(Value::as_str).map(str::to_owned);
        }
    }

    fn text(&mut self, piece: &str) {
        if self.inside {
            self.found.push_str(piece.trim());
        }
    }

    fn end(&mut self) {
        self.inside = false;
    }

    fn finish(&self, rows: &mut Rows) {
        if rows.feed_link.is_none() && !self.found.is_empty() {
            rows.feed_link = Some(self.found.clone());
        }
    }
}

/// Where the next item starts.
fn next_item(xml: &str, from: usize, carrier: Format) -> Option<usize> {
    let tag = if carrier == Format::Atom { "<entry" } else { "<item" };
    let mut from = from;
    while !xml.is_char_boundary(from) {
        from += 1;
    }
    xml[from..]
        .match_indices(tag)
        .map(|(at, _)| from + at)
        .find(|at| xml[at + tag.len()..].starts_with(|c: char| c.is_whitespace() || c == '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(xml: &str) -> Vec<String> {
        let rows = rows(xml).unwrap();
        rows.rows
            .iter()
            .map(|raw| {
                raw.value
                    .as_ref()
                    .map_or("broken".to_owned(), |row| row["title"].as_str().unwrap_or("?").to_owned())
            })
            .collect()
    }

    #[test]
    fn items_become_values_as_xmltodict_makes_them() {
        let rows = rows(
            r#"<?xml version="1.0"?><!DOCTYPE rss><rss version="2.0"><channel><title>t</title><link>https://board.example/</link>
            <item><title><![CDATA[a <b> &amp;]]> c &amp; d&nbsp;e</title><guid isPermaLink="false">1</guid><category>x</category>
            <category>y</category><enclosure url="u&amp;v"/></item></channel></rss>"#,
        )
        .unwrap();
        assert_eq!(rows.feed_link.as_deref(), Some("https://board.example/"));
        let row = rows.rows[0].value.as_ref().unwrap();
        assert_eq!(row["title"], "a <b> &amp; c & d\u{a0}e");
        assert_eq!(row["guid"], serde_json::json!({"@isPermaLink": "false", "#text": "1"}));
        assert_eq!(row["category"], serde_json::json!(["x", "y"]));
        assert_eq!(row["enclosure"]["@url"], "u&v");
    }

    #[test]
    fn a_broken_item_costs_no_other_item() {
        let cases: &[(&str, &[&str])] = &[
            (
                "<rss><channel><item><title>1</title></item><item><title>2</title><item><title>3</title></item></channel></rss>",
                &["1", "broken", "3"],
            ),
            (
                "<rss><channel><item><title>1</title></item><item><title>2</b></title></item><item><title>3</title></item></channel></rss>",
                &["1", "broken", "3"],
            ),
            ("<rss><channel><item><title>1</title></item><item><title>2</ti", &["1", "broken"]),
            ("<rss><channel><item><title>1</title></item>", &["1", "broken"]),
            (
                "<rss><channel><item><title>1 & 2</title></item><item><title>&bogus;</title></item></channel></rss>",
                &["1 & 2", "&bogus;"],
            ),
            ("<feed xmlns='http://www.w3.org/2005/Atom'><entry><title>1</title></entry></feed>", &["1"]),
        ];
        for (xml, expected) in cases {
            assert_eq!(shown(xml), *expected, "{xml}");
        }
        assert!(super::rows("<note><to>x</to></note>").is_err());
        let deep = format!("<rss><channel><item>{}</item></channel></rss>", "<a>".repeat(100));
        assert_eq!(shown(&deep), ["broken"]);
    }
}

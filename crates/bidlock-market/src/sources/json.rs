//! JSON: lists, envelopes around lists, feeds turned into JSON, one object, and one object a line.

use serde_json::Value;

use super::rows::{Rows, at, text_at};
use super::{Format, fields, json_broken};

/// Keys that envelopes keep their rows behind, compared without case and marks. Order is preference.
const ENVELOPES: &[&str] = &[
    "jobs",
    "postings",
    "jobpostings",
    "jobposts",
    "projects",
    "items",
    "item",
    "entries",
    "entry",
    "results",
    "records",
    "rows",
    "hits",
    "edges",
    "nodes",
    "list",
    "docs",
    "data",
    "result",
    "response",
    "value",
    "values",
    "content",
    "@graph",
];
/// Keys of a wrapper around each single row.
const WRAPPERS: &[&str] = &["node", "_source"];
/// What makes an object a row: one of the titles, and one of the ids or URLs.
const TITLES: &[&str] = &["title", "jobtitle", "position"];
const IDS: &[&str] = &["id", "jobid", "guid", "ciphertext"];
const URLS: &[&str] = &["url", "link"];
/// How deep an envelope may hide its rows.
const MAX_ENVELOPE_DEPTH: usize = 5;

/// The rows of a JSON text. Broken text gives the rows that can still be told apart.
///
/// # Errors
/// There is no list of rows in it at all; says why.
pub(super) fn rows(text: &str) -> Result<Rows, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => located(value).ok_or_else(|| {
            "it is JSON without a list of objects; name the list's file or pass rows as a JSON array"
                .to_owned()
        }),
        Err(error) if looks_like_lines(text) => {
            let mut rows = lines(text);
            rows.notes.push(format!("read line by line: as a whole it is no JSON ({error})"));
            Ok(rows)
        }
        Err(error) => json_broken::rows(text, &error),
    }
}

/// The rows of a text with one JSON object a line. A broken line is a broken row.
pub(super) fn lines(text: &str) -> Rows {
    let mut rows = Rows::of(Format::Jsonl);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines {
        let value = serde_json::from_str(line).map_err(|error| format!("is not valid JSON: {error}"));
        if !rows.push(value.map(unwrapped)) {
            break;
        }
    }
    rows
}

/// Whether one of the first lines is a whole object while the text is none.
fn looks_like_lines(text: &str) -> bool {
    const LOOKED_AT: usize = 3;
    text.trim_start().starts_with('{')
        && text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(LOOKED_AT)
            .any(|line| line.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok())
}

fn located(value: Value) -> Option<Rows> {
    let mut rows = Rows::of(carrier_of(&value));
    rows.feed_link = ["rss.channel.link", "feed.link.@href", "home_page_url", "feed_url"]
        .iter()
        .find_map(|path| text_at(&value, path).map(str::to_owned));
    rows.users =
        at(&value, "result.users").or_else(|| at(&value, "users")).filter(|users| users.is_object()).cloned();
    match value {
        Value::Array(list) if list.is_empty() || list.iter().any(Value::is_object) => {
            // A list of whole documents (JSON-LD in `@graph`s) is opened up.
            for element in list {
                match element {
                    graph @ Value::Object(_) if graph.get("@graph").is_some() => {
                        rows.extend(inside(graph, 0).unwrap_or_else(|single| vec![single]));
                    }
                    other => {
                        rows.push(Ok(unwrapped(other)));
                    }
                }
            }
            Some(rows)
        }
        Value::Object(_) => {
            let found = inside(value, 0).unwrap_or_else(|single| vec![single]);
            rows.extend(found.into_iter().map(unwrapped));
            Some(rows)
        }
        _ => None,
    }
}

fn carrier_of(value: &Value) -> Format {
    if at(value, "rss.channel").is_some() || at(value, "rdf:RDF.item").is_some() {
        Format::Rss
    } else if at(value, "feed.entry").is_some() {
        Format::Atom
    } else if text_at(value, "version").is_some_and(|version| version.contains("jsonfeed.org")) {
        Format::JsonFeed
    } else {
        Format::Json
    }
}

/// The rows inside an envelope, or the value back where it is none. A lone object where a feed has its
/// items counts as a list of one.
fn inside(value: Value, depth: usize) -> Result<Vec<Value>, Value> {
    let Value::Object(mut object) = value else { return Err(value) };
    if depth > MAX_ENVELOPE_DEPTH || (is_row(&object) && !is_feed(&object)) {
        return Err(Value::Object(object));
    }
    if let Some(feed) = ["rss", "feed", "rdf:RDF"].iter().find_map(|key| object.remove(*key)) {
        return Ok(feed_items(feed));
    }
    let keys = ranked_keys(&object);
    let known = |(rank, key): &&(usize, String)| {
        *rank < ENVELOPES.len() && object.get(key).is_some_and(Value::is_array)
    };
    let listed = keys.iter().find(|entry| known(entry) && has_objects(&object, &entry.1));
    let empty = keys
        .iter()
        .find(|entry| known(entry) && is_empty_list(&object, &entry.1))
        .map(|(_, key)| key.clone());
    if let Some((_, key)) = listed {
        return Ok(taken(&mut object, key));
    }
    for (_, key) in &keys {
        if let Some(inner) =
            object.get(key).is_some_and(Value::is_object).then(|| object.remove(key)).flatten()
        {
            match inside(inner, depth + 1) {
                Ok(rows) if !rows.is_empty() => return Ok(rows),
                Ok(_) => return Ok(Vec::new()),
                Err(back) => object.insert(key.clone(), back),
            };
        }
    }
    // Behind the known names: the only other list of objects, if there is just one.
    let mut others = keys.iter().filter(|(_, key)| has_objects(&object, key));
    match (others.next(), others.next(), empty) {
        (Some((_, key)), None, _) => Ok(taken(&mut object, key)),
        (_, _, Some(_)) => Ok(Vec::new()),
        _ => Err(Value::Object(object)),
    }
}

/// The items of a feed that xmltodict has turned into JSON: a list, a lone object, or none.
fn feed_items(feed: Value) -> Vec<Value> {
    let Value::Object(mut feed) = feed else { return Vec::new() };
    let mut holder = match feed.remove("channel") {
        // RSS 1.0 has its items beside the channel.
        Some(Value::Object(channel)) if !feed.contains_key("item") => channel,
        _ => feed,
    };
    match holder.remove("item").or_else(|| holder.remove("entry")) {
        Some(Value::Array(items)) => items,
        Some(lone @ Value::Object(_)) => vec![lone],
        _ => Vec::new(),
    }
}

/// The keys of an object's lists and objects, known envelopes first.
fn ranked_keys(object: &serde_json::Map<String, Value>) -> Vec<(usize, String)> {
    let mut keys: Vec<(usize, String)> = object
        .iter()
        .filter(|(_, value)| value.is_array() || value.is_object())
        .map(|(key, _)| {
            let plain = if key.starts_with('@') { key.clone() } else { fields::plain_name(key) };
            (ENVELOPES.iter().position(|known| *known == plain).unwrap_or(ENVELOPES.len()), key.clone())
        })
        .collect();
    keys.sort_by_key(|(rank, _)| *rank);
    keys
}

fn taken(object: &mut serde_json::Map<String, Value>, key: &str) -> Vec<Value> {
    match object.remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn has_objects(object: &serde_json::Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_array).is_some_and(|list| list.iter().any(Value::is_object))
}

fn is_empty_list(object: &serde_json::Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty)
}

/// Whether an object is itself a posting: it has a title, and an id or URL.
fn is_row(object: &serde_json::Map<String, Value>) -> bool {
    (has(object, TITLES) && (has(object, IDS) || has(object, URLS)))
        || object.get("@type").is_some_and(|kind| kind.to_string().contains("JobPosting"))
}

/// Whether an object with a title and a link is a feed about itself: it has no id, and a list of rows.
fn is_feed(object: &serde_json::Map<String, Value>) -> bool {
    let lists_rows = |(key, value): (&String, &Value)| {
        ENVELOPES.contains(&fields::plain_name(key).as_str())
            && value.as_array().and_then(|list| list.first()?.as_object()).is_some_and(is_row)
    };
    !has(object, IDS) && object.iter().any(lists_rows)
}

fn has(object: &serde_json::Map<String, Value>, wanted: &[&str]) -> bool {
    object.iter().any(|(key, value)| {
        !value.is_object() && !value.is_array() && wanted.contains(&fields::plain_name(key).as_str())
    })
}

/// `{"node": {…}}` as its inside.
pub(super) fn unwrapped(value: Value) -> Value {
    let Value::Object(mut object) = value else { return value };
    for key in WRAPPERS {
        if object.get(*key).is_some_and(Value::is_object) && !is_row(&object) {
            return object.remove(*key).unwrap_or_default();
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        let rows = rows(text).unwrap();
        rows.rows
            .iter()
            .map(|raw| raw.value.as_ref().map_or("broken".to_owned(), |row| row["id"].to_string()))
            .collect()
    }

    #[test]
    fn rows_are_found_wherever_the_envelope_keeps_them() {
        for text in [
            r#"[{"id":1},{"id":2}]"#,
            r#"{"data":[{"id":1},{"id":2}]}"#,
            r#"{"status":"success","result":{"projects":[{"id":1},{"id":2}],"users":{"7":{"id":7}}}}"#,
            r#"{"data":{"search":{"totalCount":2,"edges":[{"node":{"id":1}},{"node":{"id":2}}]}}}"#,
            r#"{"meta":{"tags":["a"]},"Job Posts":[{"id":1},{"id":2}]}"#,
            r#"{"filters":[],"whatever":[{"id":1},{"id":2}]}"#,
            "{\"id\":1}\n{\"id\":2}\n",
            r#"{"rss":{"channel":{"title":"t","item":[{"id":1},{"id":2}]}}}"#,
        ] {
            assert_eq!(ids(text), ["1", "2"], "{text}");
        }
        assert_eq!(ids(r#"{"rss":{"channel":{"item":{"id":1}}}}"#), ["1"]);
        assert_eq!(ids(r#"{"id":5,"title":"a posting","items":[{"id":1}]}"#), ["5"]);
        assert_eq!(
            ids(r#"{"title":"f","link":"l","items":[{"id":1,"title":"t"},{"id":2,"title":"u"}]}"#),
            ["1", "2"]
        );
        assert!(ids(r#"{"jobs":[]}"#).is_empty());
        assert!(ids(r#"{"rss":{"channel":{"title":"t","link":"l"}}}"#).is_empty());
        assert!(rows("17").is_err());
    }

    #[test]
    fn a_broken_line_is_one_broken_row() {
        assert_eq!(ids("{\"id\":1}\n{\"id\":\n{\"id\":3}\n"), ["1", "broken", "3"]);
    }
}

//! Rows of a JSON list that does not parse as a whole: a row that is broken costs no other row, and a file
//! that was cut off gives the rows before the cut.
//!
//! The text is only split here, by its brackets and quotes; each piece is then parsed by itself.

use super::Format;
use super::json::unwrapped;
use super::rows::Rows;

/// The deepest nesting followed; serde_json refuses at the same depth.
const MAX_DEPTH: usize = 128;
/// How often reading is taken up again after a row whose brackets do not close. Each time may read the rest
/// of the text once, so this bounds the work.
const MAX_RESUMES: usize = 64;
/// The deepest indentation of rows that reading is taken up at.
const MAX_INDENT: usize = 256;

/// The rows of a broken JSON text.
///
/// # Errors
/// It holds no list of objects; says where parsing failed.
pub(super) fn rows(text: &str, error: &serde_json::Error) -> Result<Rows, String> {
    let Some(list) = find_list(text) else {
        return Err(format!("it is not valid JSON ({error}) and holds no list of rows"));
    };
    let mut rows = Rows::of(list.carrier);
    let (mut at, mut resumes) = (list.start, 0);
    loop {
        at = skip_between(text, at);
        let rest = &text[at..];
        if !rest.starts_with('{') {
            let behind = match rest.chars().next() {
                None => format!("the file ends in the middle of the list (byte {at})"),
                Some(']') if error.is_eof() => "the file ends before its last brackets".to_owned(),
                Some(']') if rows.rows.iter().any(|raw| raw.value.is_err()) => break,
                Some(']') => format!("what follows the list is not valid JSON: {error}"),
                Some(other) => {
                    format!("`{other}` stands where a row should start (byte {at}); the rest was not read")
                }
            };
            rows.push(Err(behind));
            break;
        }
        let (end, closed) = element_end(text, at);
        let piece = &text[at..end];
        let parsed = serde_json::from_str(piece).map(unwrapped);
        let failed = parsed.is_err();
        let reason = |error: serde_json::Error| match closed {
            true => format!("is not valid JSON: {error} (byte {at} of the file)"),
            false => format!("is broken or cut off: {error} (row starts at byte {at} of the file)"),
        };
        if !rows.push(parsed.map_err(reason)) {
            break;
        }
        let within = if closed { end } else { text.len() };
        match failed.then(|| next_line_start(text, at, within)).flatten() {
            // The row's own brackets mislead: the next line that starts like a row is taken as one.
            Some(next) if resumes < MAX_RESUMES => {
                resumes += 1;
                at = next;
            }
            Some(_) => {
                rows.push(Err(format!("more than {MAX_RESUMES} rows do not close; the rest was not read")));
                break;
            }
            None if closed => at = end,
            None => break,
        }
    }
    Ok(rows)
}

struct List {
    start: usize,
    carrier: Format,
}

/// The first list of objects that is in no other list, and how its keys name it.
fn find_list(text: &str) -> Option<List> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut keys: Vec<&str> = Vec::new();
    let (mut last_string, mut depth) = ("", 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(text, at)?;
                last_string = &text[at + 1..end - 1];
                at = end;
                continue;
            }
            b'[' => {
                let inside = skip_between(text, at + 1);
                if text[inside..].starts_with('{') {
                    keys.push(last_string);
                    let carrier = match keys.as_slice() {
                        [.., "channel", "item"] => Format::Rss,
                        [.., "feed", "entry"] => Format::Atom,
                        [.., "items"] if text[..at].contains("jsonfeed.org") => Format::JsonFeed,
                        _ => Format::Json,
                    };
                    return Some(List { start: at + 1, carrier });
                }
                // A list of plain values: over it.
                at = element_end(text, at).0.max(at + 1);
                continue;
            }
            b'{' => {
                depth += 1;
                keys.push(last_string);
                if depth > MAX_DEPTH {
                    return None;
                }
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                keys.pop();
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Over blanks and commas.
fn skip_between(text: &str, at: usize) -> usize {
    at + text[at..].find(|c: char| !(c.is_whitespace() || c == ',')).unwrap_or(text.len() - at)
}

/// Where the element that starts at `at` ends, and whether its brackets closed.
fn element_end(text: &str, at: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let (mut position, mut depth) = (at, 0usize);
    while position < bytes.len() {
        match bytes[position] {
            b'"' => match string_end(text, position) {
                Some(end) => {
                    position = end;
                    continue;
                }
                None => return (text.len(), false),
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return (position + 1, true);
                }
            }
            _ => {}
        }
        position += 1;
    }
    (text.len(), false)
}

/// Behind the closing quote of the string that starts at `at`. A raw line end cannot stand in a string.
fn string_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut position = at + 1;
    while position < bytes.len() {
        match bytes[position] {
            b'"' => return Some(position + 1),
            b'\\' => position += 2,
            b'\n' => return None,
            _ => position += 1,
        }
    }
    None
}

/// The start of the next line before `within` that is indented like the row at `at` and opens an object, too.
fn next_line_start(text: &str, at: usize, within: usize) -> Option<usize> {
    let indent: usize =
        text.as_bytes()[..at].iter().rev().take(MAX_INDENT).take_while(|b| matches!(b, b' ' | b'\t')).count();
    if indent == MAX_INDENT || !text[..at - indent].ends_with('\n') {
        return None;
    }
    let pattern = format!("\n{}{{", &text[at - indent..at]);
    text[at..within].find(&pattern).map(|found| at + found + pattern.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::super::json;

    fn shown(text: &str) -> Vec<String> {
        let rows = json::rows(text).unwrap();
        rows.rows
            .iter()
            .map(|raw| raw.value.as_ref().map_or("broken".to_owned(), |row| row["id"].to_string()))
            .collect()
    }

    #[test]
    fn a_broken_row_costs_no_other_row() {
        let cases: &[(&str, &[&str])] = &[
            (r#"[{"id":1},{"id":NaN},{"id":3}]"#, &["1", "broken", "3"]),
            (r#"{"data":[{"id":1},{"id":2,},{"id":3}]}"#, &["1", "broken", "3"]),
            (r#"[{"id":1},{"id":2,"t":"cut"#, &["1", "broken"]),
            (r#"[{"id":1},{"id":2},"#, &["1", "2", "broken"]),
            (r#"{"tags":["a","b"],"rss":{"channel":{"item":[{"id":1},{"id":2"#, &["1", "broken"]),
            (r#"[{"id":1},{"id":2}] trailing"#, &["1", "2", "broken"]),
            (
                "[\n  {\n    \"id\": 1\n  },\n  {\n    \"id\": \"a \" b\"\n  },\n  {\n    \"id\": 3\n  }\n]",
                &["1", "broken", "3"],
            ),
            ("[\n{\"id\": 1},\n{\"id\": 2, \"t\": {\n{\"id\": 3}\n]", &["1", "broken", "3"]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), *expected, "{text}");
        }
        assert!(json::rows(r#"{"a": "#).is_err());
    }
}

//! What a carrier hands on: raw rows as JSON values, and what stood around them.

use serde_json::Value;

use super::Format;

/// The most rows taken from one file; more are reported, not read.
pub const MAX_ROWS: usize = 1_000_000;

/// The raw rows of one file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// How the file is written.
    pub(super) carrier: Format,
    /// Rows in the file's order; a broken one says why.
    pub(super) rows: Vec<Raw>,
    /// Where the feed itself says it comes from.
    pub(super) feed_link: Option<String>,
    /// Users by id, where the envelope has them beside the rows.
    pub(super) users: Option<Value>,
    /// What the reader should tell.
    pub(super) notes: Vec<String>,
}

/// One raw row.
#[derive(Debug)]
pub(super) struct Raw {
    /// Counted from 1.
    pub(super) number: u64,
    /// The row, or why it cannot be read.
    pub(super) value: Result<Value, String>,
}

impl Rows {
    pub(super) fn of(carrier: Format) -> Rows {
        Rows { carrier, ..Rows::default() }
    }

    /// Adds the next row. Answers false once the file is over its bound; the last row then says so.
    pub(super) fn push(&mut self, value: Result<Value, String>) -> bool {
        let number = self.rows.len() as u64 + 1;
        if self.rows.len() >= MAX_ROWS {
            return false;
        }
        if self.rows.len() + 1 == MAX_ROWS {
            let reason = format!(
                "the file has more than {MAX_ROWS} rows; split it: this row and all behind it were not read"
            );
            self.rows.push(Raw { number, value: Err(reason) });
            return false;
        }
        self.rows.push(Raw { number, value });
        true
    }

    /// Adds all values, each a row.
    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = Value>) {
        for value in values {
            if !self.push(Ok(value)) {
                break;
            }
        }
    }
}

/// The value at a dotted path, through objects and list positions. An object's own key that holds the
/// dots wins.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let mut current = value;
    for key in path.split('.') {
        current = match current {
            Value::Object(object) => object.get(key)?,
            Value::Array(list) => list.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(current)
}

/// A text, number or yes/no as text; `None` for null, lists and objects.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// The text at a path; `None` where it is missing, blank, or no text.
pub(super) fn text_at<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at(value, path)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The scalar at a path as text; `None` where it is missing or blank.
pub(super) fn scalar_at(value: &Value, path: &str) -> Option<String> {
    scalar(at(value, path)?).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A whole number at a path, also when it is written as text.
pub(super) fn count_at(value: &Value, path: &str) -> Option<u32> {
    let text = scalar_at(value, path)?;
    text.strip_suffix(".0").unwrap_or(&text).replace(',', "").parse().ok()
}

/// A number at a path, also when it is written as text. For ratings; never for ids or money.
pub(super) fn number_at(value: &Value, path: &str) -> Option<f64> {
    let number = match at(value, path)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// A yes or no at a path, in the words that sources use.
pub(super) fn yes_at(value: &Value, path: &str) -> Option<bool> {
    match scalar_at(value, path)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "verified" | "open" | "active" => Some(true),
        "false" | "0" | "no" | "n" | "unverified" | "not_verified" | "closed" => Some(false),
        _ => None,
    }
}

/// The texts of a list at a path: strings, or objects' `name`s and the like; or one text split at commas.
pub(super) fn list_at(value: &Value, path: &str) -> Vec<String> {
    match at(value, path) {
        Some(Value::Array(list)) => list.iter().filter_map(name_of).collect(),
        Some(Value::String(text)) => text.split([',', ';', '|']).map(|part| part.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn name_of(value: &Value) -> Option<String> {
    const NAMES: &[&str] = &["prettyName", "prefLabel", "name", "title", "label", "#text", "@term"];
    match value {
        Value::Object(_) => NAMES.iter().find_map(|key| text_at(value, key).map(str::to_owned)),
        other => scalar(other),
    }
}

/// All the text in a value, in order: what is left of nested markup.
pub(super) fn deep_text(value: &Value) -> String {
    fn collect(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                if !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(text);
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, out)),
            Value::Object(object) => object
                .iter()
                .filter(|(key, _)| !key.starts_with('@'))
                .for_each(|(_, value)| collect(value, out)),
            _ => {}
        }
    }
    let mut out = String::new();
    collect(value, &mut out);
    out
}

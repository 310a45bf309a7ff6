//! CSV: a header line, then one row a record. The delimiter is found from the header.

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value};

use super::Format;
use super::rows::Rows;

/// Delimiters looked for in the header.
const DELIMITERS: &[u8] = b",;\t|";
/// The most columns read; more are no table of postings.
const MAX_COLUMNS: usize = 1_000;
/// How often reading is taken up again behind a record with a broken quote. Each time may read the rest of
/// the file once, so this bounds the work.
const MAX_RESUMES: usize = 64;

/// The records of a table, as objects by column name.
///
/// # Errors
/// There is no header with at least two columns.
pub(super) fn rows(text: &str) -> Result<Rows, String> {
    let (delimiter, header, body) = header(text)?;
    let mut rows = Rows::of(Format::Csv);
    let (mut offset, mut resumes) = (body, 0);
    'reading: loop {
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(&text.as_bytes()[offset..]);
        let mut record = ByteRecord::new();
        loop {
            let start = offset + usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) | Err(_) => break 'reading,
            }
            let end = offset + usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
            let raw = text.get(start..end).unwrap_or("").trim_matches(['\r', '\n']);
            let broken = broken_quotes(raw, delimiter);
            let value = match broken {
                Some(why) => Err(why.to_owned()),
                None => object(&header, &record),
            };
            let failed = value.is_err();
            if !rows.push(value) {
                break 'reading;
            }
            // A quote that does not close swallows the lines behind it: they are read again as their own rows.
            let first = start + (text[start..].len() - text[start..].trim_start_matches(['\r', '\n']).len());
            let next =
                text[first..].find('\n').map(|line| first + line + 1).filter(|next| failed && *next < end);
            if let Some(next) = next {
                resumes += 1;
                if resumes > MAX_RESUMES {
                    rows.push(Err(format!(
                        "more than {MAX_RESUMES} rows have broken quotes; the rest was not read"
                    )));
                    break 'reading;
                }
                offset = next;
                continue 'reading;
            }
        }
    }
    Ok(rows)
}

/// Whether a text has a header that a table could have.
pub(super) fn looks_like_table(text: &str) -> bool {
    header(text).is_ok_and(|(_, header, _)| {
        header.iter().all(|name| name.len() <= 80 && !name.contains(['<', '{', '\n']))
            && header.iter().any(|name| super::fields::is_known(name))
    })
}

/// Delimiter, column names, and where the first record starts.
fn header(text: &str) -> Result<(u8, Vec<String>, usize), String> {
    let lead = text.len() - text.trim_start_matches(['\r', '\n', ' ']).len();
    let first = text[lead..].lines().next().unwrap_or("");
    let delimiter = DELIMITERS
        .iter()
        .copied()
        .max_by_key(|delimiter| (first.bytes().filter(|b| b == delimiter).count(), *delimiter == b','))
        .filter(|delimiter| first.as_bytes().contains(delimiter))
        .ok_or_else(|| "its first line is no header with several columns".to_owned())?;
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(&text.as_bytes()[lead..]);
    let mut record = ByteRecord::new();
    let read = reader.read_byte_record(&mut record).unwrap_or(false);
    if !read || record.len() < 2 || record.len() > MAX_COLUMNS {
        return Err(format!("its first line is no header with 2 to {MAX_COLUMNS} columns"));
    }
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    for (column, field) in record.iter().enumerate() {
        let name = String::from_utf8_lossy(field).trim().to_owned();
        // A name that stands twice keeps its first column; later ones can be told apart by their place.
        let taken = name.is_empty() || names.contains(&name);
        names.push(if taken { format!("{name}#{}", column + 1) } else { name });
    }
    let body = lead + usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
    Ok((delimiter, names, body.min(text.len())))
}

fn object(header: &[String], record: &ByteRecord) -> Result<Value, String> {
    if record.len() != header.len() {
        return Err(format!("has {} columns where the header has {}", record.len(), header.len()));
    }
    let mut object = Map::with_capacity(header.len());
    for (name, field) in header.iter().zip(record.iter()) {
        object.insert(name.clone(), Value::String(String::from_utf8_lossy(field).into_owned()));
    }
    Ok(Value::Object(object))
}

/// What is wrong with a record's quotes: only a delimiter or the end may follow a closing one.
fn broken_quotes(raw: &str, delimiter: u8) -> Option<&'static str> {
    if !raw.contains('"') {
        return None;
    }
    let bytes = raw.as_bytes();
    let (mut at, mut field_starts, mut quoted) = (0, true, false);
    while at < bytes.len() {
        let b = bytes[at];
        if quoted {
            if b == b'"' {
                match bytes.get(at + 1) {
                    Some(b'"') => at += 1,
                    None => return None,
                    Some(next) if *next == delimiter => quoted = false,
                    Some(_) => return Some("has a quote inside of a quoted column that is not doubled"),
                }
            }
        } else if b == b'"' && field_starts {
            quoted = true;
        }
        field_starts = !quoted && b == delimiter;
        at += 1;
    }
    quoted.then_some("has a quoted column that does not close")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let rows = rows(text).unwrap();
        rows.rows
            .iter()
            .map(|raw| {
                raw.value
                    .as_ref()
                    .map_or("broken".to_owned(), |row| row["id"].as_str().unwrap_or("?").to_owned())
            })
            .collect()
    }

    #[test]
    fn broken_records_cost_no_other_record() {
        let cases: &[(&str, &[&str])] = &[
            ("id,title\n1,a\n2,b\n", &["1", "2"]),
            ("id;title\r\n1;\"a;\r\nb\"\r\n\r\n2;b", &["1", "2"]),
            ("id\ttitle\n1\ta\n2\n3\tc\n", &["1", "broken", "3"]),
            ("id,title\n1,a\n2,\"open\n3,c\n4,\"d\"\n", &["1", "broken", "3", "4"]),
            ("id,title\n1,a\n2,\"say \"hi\" now\"\n3,c\n", &["1", "broken", "3"]),
            ("id,title\n1,\"cut off", &["broken"]),
            ("id,title\n1,he said \"x\"\n2,\"a \"\"b\"\" c\"\n", &["1", "2"]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), *expected, "{text}");
        }
        assert!(rows("one column\n1\n").is_err());
        assert!(
            looks_like_table("Job ID,Title\n1,a\n") && !looks_like_table("Dear all, this is\na letter\n")
        );
    }
}

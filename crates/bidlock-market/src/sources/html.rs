//! HTML pages: only their JSON-LD blocks are read.

use serde_json::Value;

use super::Format;
use super::rows::Rows;

/// The most script blocks looked at in one page.
const MAX_BLOCKS: usize = 1_000;

/// The JSON-LD objects of a page. A block that is no JSON is a broken row.
///
/// # Errors
/// The page has no `application/ld+json` script.
pub(super) fn rows(html: &str) -> Result<Rows, String> {
    let mut rows = Rows::of(Format::JsonLd);
    // ASCII lower case keeps every byte in its place.
    let lower = html.to_ascii_lowercase();
    let (mut at, mut found) = (0, false);
    for _ in 0..MAX_BLOCKS {
        let Some(start) = lower[at..].find("<script").map(|start| at + start) else { break };
        let Some(open_end) = lower[start..].find('>').map(|end| start + end + 1) else { break };
        let close = lower[open_end..].find("</script").map(|end| open_end + end);
        at = close.unwrap_or(html.len());
        if !lower[start..open_end].contains("application/ld+json") {
            continue;
        }
        found = true;
        match serde_json::from_str::<Value>(html[open_end..at].trim()) {
            Ok(block) => rows.extend(postings(block)),
            Err(error) => {
                rows.push(Err(format!(
                    "the page's JSON-LD is not valid JSON: {error} (block at byte {open_end})"
                )));
            }
        }
    }
    if found {
        Ok(rows)
    } else {
        Err("it is an HTML page without JSON-LD (`application/ld+json`)".to_owned())
    }
}

/// The job postings of a block: pages also describe breadcrumbs and organisations there.
fn postings(block: Value) -> Vec<Value> {
    let elements = match block {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("@graph") {
            Some(Value::Array(list)) => list,
            Some(one) => vec![one],
            None => vec![Value::Object(object)],
        },
        _ => Vec::new(),
    };
    elements.into_iter().filter(super::shapes::json_ld::recognises).collect()
}

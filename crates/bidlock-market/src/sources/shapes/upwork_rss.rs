//! Items of Upwork's search feed, from the XML or its JSON twin. The feed ended in 2025; stored fetches
//! and gateways that copy its form live on.
//!
//! There is no id field: the ciphertext stands in the link. Budget, date, category, skills and country
//! exist only inside the description's HTML, behind labels in bold.

use serde_json::Value;

use super::super::draft::{Context, Draft};
use super::super::rows::{deep_text, text_at};
use super::super::{amounts, dates, rss, text};
use crate::budget::Budget;
use crate::identity;
use crate::posting::MAX_DESCRIPTION_BYTES;

/// What every title ends with.
const TITLE_TAIL: &str = " - Upwork";
/// Labels in the description's tail.
const LABELS: &[&str] =
    &["Budget", "Hourly Range", "Posted On", "Category", "Skills", "Country", "Location Requirement"];

pub(super) fn recognises(row: &Value) -> bool {
    let of_upwork =
        |url: Option<String>| url.as_deref().and_then(identity::marketplace_of_url) == Some("upwork");
    row.get("title").is_some()
        && (row.get("guid").is_some() || row.get("pubDate").is_some())
        && (of_upwork(rss::link(row)) || of_upwork(rss::guid(row)))
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let title = row.get("title").map(deep_text).unwrap_or_default();
    let mut draft = Draft::of("upwork", title.trim().strip_suffix(TITLE_TAIL).unwrap_or(&title));
    draft.url = rss::link(row).or_else(|| rss::guid(row));
    draft.ids = draft.url.iter().cloned().chain(rss::guid(row)).collect();
    let html = ["content:encoded", "description"]
        .iter()
        .find_map(|key| row.get(*key).map(deep_text).filter(|html| !html.trim().is_empty()))
        .unwrap_or_default();
    let labelled = |label: &str| labelled(&html, label);
    let tail = LABELS.iter().filter_map(|label| html.rfind(&bold(label))).min().unwrap_or(html.len());
    // Skills stand twice; the first of them starts the tail, so the text ends before it.
    let first_skills = html.find(&bold("Skills")).unwrap_or(tail);
    draft.description = text::plain(&html[..tail.min(first_skills)], MAX_DESCRIPTION_BYTES);
    draft.budget = match (labelled("Budget"), labelled("Hourly Range")) {
        (Some(fixed), _) => amounts::budget(&fixed, context.currency()).unwrap_or_default(),
        (None, Some(range)) => {
            let rates = amounts::budget(&range, context.currency()).unwrap_or_default();
            Budget::hourly(rates.low, rates.high)
        }
        (None, None) => Budget::default(),
    };
    draft.skills =
        labelled("Skills").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default();
    draft.category = labelled("Category");
    draft.client.country = labelled("Country");
    draft.location = labelled("Location Requirement");
    draft.posted_at = labelled("Posted On")
        .and_then(|text| dates::parse(&text, context.now()))
        .or_else(|| dates::parse(text_at(row, "pubDate")?, context.now()));
    Ok(draft)
}

fn bold(label: &str) -> String {
    format!("<b>{label}</b>")
}

/// What stands behind a label, as plain text. The last one counts: the client's own words come first.
fn labelled(html: &str, label: &str) -> Option<String> {
    let bold = bold(label);
    let after = html[html.rfind(&bold)? + bold.len()..].trim_start().strip_prefix(':')?;
    let end = ["<br", "<b>"].iter().filter_map(|stop| after.find(stop)).min().unwrap_or(after.len());
    Some(text::plain(&after[..end], MAX_DESCRIPTION_BYTES)).filter(|text| !text.is_empty())
}

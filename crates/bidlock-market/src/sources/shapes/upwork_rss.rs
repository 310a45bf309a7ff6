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
/// The label that every tail has; the budget stands right before it, everything else behind it.
const FIRST: &str = "<b>Posted On</b>";

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
    // The client's own words come first and may hold anything, labels too: only the tail is trusted.
    let (body, tail) = html.split_at(html.rfind(FIRST).unwrap_or(html.len()));
    let (body, budget) = budget(body, context);
    draft.description = text::plain(body, MAX_DESCRIPTION_BYTES);
    draft.budget = budget;
    let labelled = |label: &str| labelled(tail, label);
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

/// The budget that ends the text before the tail, and the text without it.
fn budget<'a>(text: &'a str, context: &Context<'_>) -> (&'a str, Budget) {
    for label in ["Budget", "Hourly Range"] {
        let Some(at) = text.rfind(&bold(label)) else { continue };
        let Some(value) = labelled(&text[at..], label) else { continue };
        let behind = text[at + bold(label).len()..]
            .find("<br")
            .map_or("", |line| &text[at + bold(label).len() + line..]);
        if !text::plain(behind, 1).is_empty() {
            continue;
        }
        let read = amounts::budget(&value, context.currency()).unwrap_or_default();
        let budget = if label == "Budget" { read } else { Budget::hourly(read.low, read.high) };
        return (&text[..at], budget);
    }
    (text, Budget::default())
}

fn bold(label: &str) -> String {
    format!("<b>{label}</b>")
}

/// What stands behind a label, as plain text.
fn labelled(html: &str, label: &str) -> Option<String> {
    let bold = bold(label);
    let after = html[html.find(&bold)? + bold.len()..].trim_start().strip_prefix(':')?;
    let end = ["<br", "<b>"].iter().filter_map(|stop| after.find(stop)).min().unwrap_or(after.len());
    Some(text::plain(&after[..end], MAX_DESCRIPTION_BYTES)).filter(|text| !text.is_empty())
}

//! Items of RSS feeds that no known source's shape claims.

use serde_json::Value;

use super::draft::{Context, Draft};
use super::rows::{deep_text, list_at, text_at};
use super::{amounts, dates, text};
use crate::posting::MAX_DESCRIPTION_BYTES;

/// Reads one item: `title`, `link`, `guid`, `description` or `content:encoded`, `pubDate`, `category`.
///
/// # Errors
/// The item has neither guid, link nor title.
pub(super) fn read(item: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let link = link(item);
    let mut draft = Draft::titled(text_at(item, "title").unwrap_or(""));
    let description = ["content:encoded", "description", "summary"]
        .iter()
        .find_map(|key| item.get(*key).map(deep_text).filter(|text| !text.trim().is_empty()))
        .unwrap_or_default();
    draft.ids.extend(guid(item));
    draft.ids.extend(link.clone());
    draft.url = link.or_else(|| guid(item).filter(|guid| guid.starts_with("http")));
    if draft.ids.is_empty() {
        draft.content = vec![draft.raw_title.clone(), description.clone()];
    }
    draft.description = text::plain(&description, MAX_DESCRIPTION_BYTES);
    draft.skills = list_at(item, "category");
    if let Some(category) = item.get("category").filter(|category| !category.is_array()) {
        draft.skills = vec![deep_text(category)];
    }
    draft.category = draft.skills.first().cloned();
    draft.client.name =
        ["dc:creator", "author", "company"].iter().find_map(|key| text_at(item, key).map(str::to_owned));
    draft.location =
        ["region", "location", "country"].iter().find_map(|key| text_at(item, key).map(str::to_owned));
    draft.posted_at = ["pubDate", "dc:date", "published", "updated"]
        .iter()
        .find_map(|key| dates::parse(text_at(item, key)?, context.now()));
    draft.budget = text_at(item, "budget")
        .or_else(|| text_at(item, "salary"))
        .and_then(|text| amounts::budget(text, context.currency()))
        .unwrap_or_default();
    Ok(draft)
}

/// The guid's text, whether or not it has attributes.
pub(super) fn guid(item: &Value) -> Option<String> {
    item.get("guid").map(deep_text).map(|guid| guid.trim().to_owned()).filter(|guid| !guid.is_empty())
}

/// The item's page. Among several links, the one without a `rel` that says otherwise.
pub(super) fn link(item: &Value) -> Option<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Object(_) => text_at(value, "@href").or_else(|| text_at(value, "#text")).map(str::to_owned),
        _ => None,
    };
    let is_page = |value: &&Value| text_at(value, "@rel").is_none_or(|rel| rel == "alternate");
    match item.get("link")? {
        Value::Array(links) => links.iter().filter(is_page).chain(links).find_map(one),
        link => one(link),
    }
}

//! Entries of Atom feeds.

use serde_json::Value;

use super::draft::{Context, Draft};
use super::rows::{deep_text, text_at};
use super::{dates, rss, text};
use crate::posting::MAX_DESCRIPTION_BYTES;

/// Reads one entry: `id`, `title`, `link`, `content` or `summary`, `published`, `updated`, `category`.
///
/// The id goes through the same canonical form as every other id, so that a posting which a site offers as
/// RSS and as Atom has one key. (RFC 4287 compares ids as text; what the canonical form takes away, such
/// as tracking parameters, tells no postings apart.) A new `updated` is not a new posting.
///
/// # Errors
/// The entry has neither id, link nor title.
pub(super) fn read(entry: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let title = entry.get("title").map(deep_text).unwrap_or_default();
    let mut draft = Draft::titled(&title);
    let link = rss::link(entry);
    let body = ["content", "summary"]
        .iter()
        .find_map(|key| entry.get(*key).map(deep_text).filter(|text| !text.trim().is_empty()))
        .unwrap_or_default();
    draft.ids.extend(text_at(entry, "id").map(str::to_owned));
    draft.ids.extend(link.clone());
    draft.url = link;
    if draft.ids.is_empty() {
        draft.content = vec![title, body.clone()];
    }
    draft.description = text::plain(&body, MAX_DESCRIPTION_BYTES);
    draft.skills = match entry.get("category") {
        Some(Value::Array(terms)) => terms.iter().filter_map(term).collect(),
        Some(one) => term(one).into_iter().collect(),
        None => Vec::new(),
    };
    draft.category = draft.skills.first().cloned();
    draft.client.name = text_at(entry, "author.name").map(str::to_owned);
    draft.posted_at =
        ["published", "updated"].iter().find_map(|key| dates::parse(text_at(entry, key)?, context.now()));
    Ok(draft)
}

fn term(category: &Value) -> Option<String> {
    text_at(category, "@label")
        .or_else(|| text_at(category, "@term"))
        .or(category.as_str())
        .map(str::to_owned)
}

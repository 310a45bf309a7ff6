//! Items of JSON Feed 1.0 and 1.1.

use serde_json::Value;

use super::draft::{Context, Draft};
use super::rows::{list_at, scalar_at, text_at};
use super::{dates, text};
use crate::posting::MAX_DESCRIPTION_BYTES;

/// Reads one item: `id` (a number is accepted), `url`, `title`, `content_html` or `content_text`,
/// `date_published`, `tags`.
///
/// # Errors
/// The item has neither id, URL nor title.
pub(super) fn read(item: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let mut draft = Draft::titled(text_at(item, "title").unwrap_or(""));
    let body =
        ["content_html", "content_text", "summary"].iter().find_map(|key| text_at(item, key)).unwrap_or("");
    draft.ids.extend(scalar_at(item, "id"));
    draft.url = text_at(item, "url").or_else(|| text_at(item, "external_url")).map(str::to_owned);
    draft.ids.extend(draft.url.clone());
    if draft.ids.is_empty() {
        draft.content = vec![draft.raw_title.clone(), body.to_owned()];
    }
    draft.description = text::plain(body, MAX_DESCRIPTION_BYTES);
    draft.skills = list_at(item, "tags");
    draft.client.name =
        text_at(item, "authors.0.name").or_else(|| text_at(item, "author.name")).map(str::to_owned);
    draft.posted_at = ["date_published", "date_modified"]
        .iter()
        .find_map(|key| dates::parse(text_at(item, key)?, context.now()));
    Ok(draft)
}

//! Rows of a job-board crawler: `platform`, `id`, `external_id`, and the board's own record in `raw`.
//!
//! The crawler's `id` is broken for one board (the literal `himalayas:undefined` on every row), so the
//! board's own guid comes first. `wwr` is We Work Remotely: the same names and ids as from its own feed.

use serde_json::Value;

use super::super::amounts::{self, NumberUnit};
use super::super::draft::{Context, Draft};
use super::super::rows::{at, list_at, scalar_at, text_at};
use super::super::{dates, text};
use crate::budget::{Budget, Period};
use crate::posting::MAX_DESCRIPTION_BYTES;

pub(super) fn recognises(row: &Value) -> bool {
    text_at(row, "platform").is_some()
        && (row.get("raw").is_some_and(Value::is_object)
            || (row.get("external_id").is_some() && row.get("fetched_at").is_some()))
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let mut draft = Draft::of(text_at(row, "platform").unwrap_or(""), text_at(row, "title").unwrap_or(""));
    draft.ids = ["raw.guid", "raw.id", "external_id", "id", "raw.link", "raw.applicationLink", "url"]
        .iter()
        .filter_map(|path| scalar_at(row, path))
        .collect();
    draft.url = ["url", "raw.link", "raw.applicationLink", "raw.guid"]
        .iter()
        .find_map(|path| text_at(row, path).filter(|url| url.starts_with("http")).map(str::to_owned));
    draft.description = text::plain(text_at(row, "description").unwrap_or(""), MAX_DESCRIPTION_BYTES);
    let currency = ["salary_currency", "raw.currency"]
        .iter()
        .find_map(|path| bidlock_ledger::Currency::new(text_at(row, path)?).ok())
        .unwrap_or_else(|| context.currency());
    let money = |key| amounts::money_of(at(row, key)?, currency, NumberUnit::Major);
    let per = match text_at(row, "salary_type").map(str::to_ascii_lowercase).as_deref() {
        Some("hourly") => Period::Hour,
        Some("daily") => Period::Day,
        Some("weekly") => Period::Week,
        Some("monthly") => Period::Month,
        _ => Period::Year,
    };
    draft.budget = Budget::from_amounts(money("salary_min"), money("salary_max"), Some(per));
    draft.skills = list_at(row, "tech_stack");
    draft.skills.extend(list_at(row, "tags"));
    draft.client.name = text_at(row, "company").map(str::to_owned);
    draft.location = text_at(row, "location").map(str::to_owned);
    draft.category = text_at(row, "raw.category")
        .map(str::to_owned)
        .or_else(|| list_at(row, "raw.categories").into_iter().next());
    draft.posted_at = ["posted_at", "raw.pubDate"]
        .iter()
        .find_map(|path| dates::parse(&scalar_at(row, path)?, context.now()));
    Ok(draft)
}

//! Remote OK's API answer: a list whose first element is the API's terms, not a posting.

use serde_json::Value;

use super::super::amounts::{self, NumberUnit};
use super::super::draft::{Context, Draft};
use super::super::rows::{at, list_at, scalar_at, text_at};
use super::super::{dates, text};
use crate::budget::{Budget, Period};
use crate::posting::MAX_DESCRIPTION_BYTES;

pub(super) fn recognises(row: &Value) -> bool {
    row.get("position").is_some()
        && row.get("slug").is_some()
        && (row.get("epoch").is_some() || row.get("id").is_some())
}

/// The API's terms, which stand where a posting would.
pub(super) fn is_notice(row: &Value) -> bool {
    row.get("legal").is_some() && row.get("id").is_none() && row.get("position").is_none()
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let mut draft = Draft::of("remoteok", text_at(row, "position").unwrap_or(""));
    draft.ids = ["id", "url", "slug"].iter().filter_map(|key| scalar_at(row, key)).collect();
    draft.url = text_at(row, "url").map(str::to_owned);
    draft.description = text::plain(text_at(row, "description").unwrap_or(""), MAX_DESCRIPTION_BYTES);
    let money = |key| amounts::money_of(at(row, key)?, context.currency(), NumberUnit::Major);
    // Zero is "not given".
    draft.budget = Budget::from_amounts(money("salary_min"), money("salary_max"), Some(Period::Year));
    draft.skills = list_at(row, "tags");
    draft.client.name = text_at(row, "company").map(str::to_owned);
    draft.location = text_at(row, "location").map(str::to_owned);
    draft.posted_at =
        ["epoch", "date"].iter().find_map(|key| dates::parse(&scalar_at(row, key)?, context.now()));
    Ok(draft)
}

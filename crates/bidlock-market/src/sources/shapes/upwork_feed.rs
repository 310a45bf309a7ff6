//! Rows of Upwork's feed page as a browser showed it in 2018: no id, no link, a relative date.
//!
//! Only title and text stay the same between sightings, so they alone make the content key: the date's
//! words and the proposals tier change while one looks.

use serde_json::Value;

use super::super::draft::{Context, Draft};
use super::super::rows::text_at;
use super::super::{amounts, dates, text};
use crate::budget::Budget;
use crate::posting::MAX_DESCRIPTION_BYTES;

pub(super) fn recognises(row: &Value) -> bool {
    row.get("project_description").is_some() && row.get("time_money").is_some()
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let raw = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("");
    let mut draft = Draft::of("upwork", raw("title"));
    draft.without_ids = true;
    draft.content = vec![raw("title").to_owned(), raw("project_description").to_owned()];
    draft.description =
        text::plain(raw("project_description").trim_end_matches("... more"), MAX_DESCRIPTION_BYTES);
    let parts: Vec<&str> = raw("time_money").split(" - ").map(str::trim).collect();
    let amount = parts.iter().find_map(|part| part.strip_prefix("Est. Budget:"));
    draft.budget = match (parts.first().is_some_and(|kind| kind.starts_with("Hourly")), amount) {
        (true, _) => Budget::hourly(None, None),
        (false, Some(amount)) => amounts::budget(amount, context.currency()).unwrap_or_default(),
        (false, None) => Budget::default(),
    };
    draft.posted_at = parts
        .iter()
        .find(|part| part.starts_with("Posted"))
        .and_then(|part| dates::parse(part, context.now()));
    // Blanks both part tags and stand inside them: a run of two is sure to part.
    draft.skills = raw("tags")
        .split("  ")
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && !tag.ends_with(" more"))
        .map(str::to_owned)
        .collect();
    let tier = text_at(row, "proposals").map(|tier| tier.trim_start_matches("Proposals:").trim());
    draft.proposals_tier = tier.map(str::to_owned);
    draft.proposals = tier.and_then(lower_bound);
    draft.location = text_at(row, "note").map(str::to_owned);
    let payment: Vec<&str> =
        raw("payment_info").split("   ").map(str::trim).filter(|part| !part.is_empty()).collect();
    let verified =
        payment.iter().find_map(|part| part.rsplit("Payment ").next().filter(|_| part.contains("Payment ")));
    draft.client.payment_verified = verified.map(|word| word == "verified");
    let spent = payment.iter().find_map(|part| part.strip_suffix(" spent"));
    draft.client.spent =
        spent.and_then(|amount| amounts::budget(&amount.to_lowercase(), context.currency())?.low);
    draft.client.country = payment
        .last()
        .filter(|part| !part.contains("spent") && !part.contains("Payment"))
        .map(|part| (*part).to_owned());
    Ok(draft)
}

/// "5 to 10" is at least 5, "50+" at least 50, "Less than 5" at least none.
fn lower_bound(tier: &str) -> Option<u32> {
    if tier.to_ascii_lowercase().starts_with("less than") {
        return Some(0);
    }
    tier.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

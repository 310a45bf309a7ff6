//! Freelancer.com project objects, alone or from the API's envelope (whose `users` are joined by
//! `owner_id`). Budgets are in the project's own currency, per hour where `type` is `hourly`.

use serde_json::Value;

use super::super::amounts::{self, NumberUnit};
use super::super::draft::{Context, Draft};
use super::super::rows::{at, count_at, list_at, number_at, scalar_at, text_at, yes_at};
use super::super::{dates, text};
use crate::budget::Budget;
use crate::posting::{Client, MAX_DESCRIPTION_BYTES};

pub(super) fn recognises(row: &Value) -> bool {
    row.get("id").is_some()
        && row.get("seo_url").is_some()
        && (row.get("bid_stats").is_some()
            || row.get("bidperiod").is_some()
            || row.get("time_submitted").is_some())
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let mut draft = Draft::of("freelancer", text_at(row, "title").unwrap_or(""));
    draft.ids = scalar_at(row, "id").into_iter().collect();
    draft.url = text_at(row, "seo_url").map(|path| format!("https://www.freelancer.com/projects/{path}"));
    let body = text_at(row, "description").or_else(|| text_at(row, "preview_description"));
    draft.description = text::plain(body.unwrap_or(""), MAX_DESCRIPTION_BYTES);
    let currency = text_at(row, "currency.code")
        .and_then(|code| bidlock_ledger::Currency::new(code).ok())
        .unwrap_or_else(|| context.currency());
    let money = |path| amounts::money_of(at(row, path)?, currency, NumberUnit::Major);
    let (low, high) = (money("budget.minimum"), money("budget.maximum"));
    draft.budget = match text_at(row, "type") {
        Some("hourly") => Budget::hourly(low, high),
        _ => Budget::from_amounts(low, high, None),
    };
    draft.skills = list_at(row, "jobs");
    draft.category = text_at(row, "jobs.0.category.name").map(str::to_owned);
    draft.client = client(row, context);
    draft.proposals = count_at(row, "bid_stats.bid_count");
    draft.biddable = text_at(row, "frontend_project_status").map(|status| status == "open");
    draft.posted_at = ["time_submitted", "submitdate"]
        .iter()
        .find_map(|key| dates::parse(&scalar_at(row, key)?, context.now()));
    Ok(draft)
}

/// The owner: joined into the project, or among the envelope's users.
fn client(row: &Value, context: &Context<'_>) -> Client {
    let joined = row.get("client").or_else(|| row.get("owner")).filter(|owner| owner.is_object());
    let listed = || context.users?.get(scalar_at(row, "owner_id")?);
    let Some(owner) = joined.or_else(listed) else { return Client::default() };
    Client {
        name: ["public_name", "display_name", "username"]
            .iter()
            .find_map(|key| text_at(owner, key).map(str::to_owned)),
        country: text_at(owner, "location.country.name").map(str::to_owned),
        rating: ["employer_reputation.entire_history.overall", "reputation.entire_history.overall"]
            .iter()
            .find_map(|path| number_at(owner, path)),
        reviews: ["employer_reputation.entire_history.reviews", "reputation.entire_history.reviews"]
            .iter()
            .find_map(|path| count_at(owner, path)),
        spent: None,
        payment_verified: yes_at(owner, "status.payment_verified"),
    }
}

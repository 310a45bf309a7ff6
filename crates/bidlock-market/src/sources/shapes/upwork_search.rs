//! Results of Upwork's search: nested as the site's own GraphQL gives them, flattened (no ciphertext, no
//! country), or nodes of the public API. One id space, so one key for all three.

use serde_json::Value;

use super::super::amounts::{self, NumberUnit};
use super::super::draft::{Context, Draft};
use super::super::rows::{at, count_at, list_at, number_at, scalar_at, text_at};
use super::super::{dates, text};
use crate::budget::Budget;
use crate::posting::{BidCost, MAX_DESCRIPTION_BYTES};

/// Where the job stands: inside the tile, or on the top level.
const JOB: &[&str] = &["jobTile.job.", ""];
/// Where the client stands.
const CLIENT: &[&str] = &["upworkHistoryData.client.", "client.", ""];

pub(super) fn recognises(row: &Value) -> bool {
    row.get("jobTile").is_some()
        || (row.get("connectPrice").is_some() && row.get("ontologySkills").is_some())
        || text_at(row, "ciphertext").is_some_and(|text| text.starts_with("~0"))
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let mut draft = Draft::of("upwork", text_at(row, "title").unwrap_or(""));
    // The ciphertext is text in every program; a decimal id may have been through a float.
    draft.ids = ["jobTile.job.ciphertext", "ciphertext", "id", "jobTile.job.id", "uid", "jobTile.job.uid"]
        .iter()
        .filter_map(|path| scalar_at(row, path))
        .collect();
    draft.url = in_places(JOB, |place| text_at(row, &format!("{place}ciphertext")))
        .map(|ciphertext| format!("https://www.upwork.com/jobs/{ciphertext}"));
    draft.description = text::plain(text_at(row, "description").unwrap_or(""), MAX_DESCRIPTION_BYTES);
    draft.budget = budget(row, context);
    draft.skills = list_at(row, "ontologySkills");
    if draft.skills.is_empty() {
        draft.skills = list_at(row, "skills");
    }
    draft.category = text_at(row, "category").map(str::to_owned);
    let money = |value: &Value| amounts::money_of(value, context.currency(), NumberUnit::Major);
    let client = |key: &str| {
        CLIENT
            .iter()
            .map(|place| format!("{place}{key}"))
            .find(|path| at(row, path).is_some_and(|value| !value.is_null()))
    };
    draft.client.country =
        ["country", "location.country"].iter().find_map(|key| text_at(row, &client(key)?).map(str::to_owned));
    draft.client.rating = client("totalFeedback").and_then(|path| number_at(row, &path));
    draft.client.reviews = client("totalReviews").and_then(|path| count_at(row, &path));
    draft.client.spent = client("totalSpent").and_then(|path| money(at(row, &path)?));
    draft.client.payment_verified = ["paymentVerificationStatus", "verificationStatus"]
        .iter()
        .find_map(|key| scalar_at(row, &client(key)?))
        .map(|status| status.eq_ignore_ascii_case("verified"));
    draft.bid_cost =
        count_at(row, "connectPrice").map(|units| BidCost { units, unit: "connects".to_owned() });
    draft.proposals = in_places(JOB, |place| count_at(row, &format!("{place}totalApplicants")));
    let times = ["publishTime", "createTime", "publishedDateTime", "createdDateTime"];
    draft.posted_at = times.iter().find_map(|key| {
        in_places(JOB, |place| dates::parse(text_at(row, &format!("{place}{key}"))?, context.now()))
    });
    Ok(draft)
}

fn budget(row: &Value, context: &Context<'_>) -> Budget {
    let money = |keys: &[&str]| {
        keys.iter().find_map(|key| {
            in_places(JOB, |place| {
                amounts::money_of(at(row, &format!("{place}{key}"))?, context.currency(), NumberUnit::Major)
            })
        })
    };
    let kind = in_places(JOB, |place| text_at(row, &format!("{place}jobType")));
    let (low, high) = (money(&["hourlyBudgetMin"]), money(&["hourlyBudgetMax"]));
    let fixed = money(&["fixedPriceAmount", "amount"]);
    match kind.map(str::to_ascii_uppercase).as_deref() {
        Some("HOURLY") => Budget::hourly(low, high),
        Some(kind) if kind.starts_with("FIXED") => Budget::from_amounts(fixed, None, None),
        _ if low.is_some() || high.is_some() => Budget::hourly(low, high),
        _ => Budget::from_amounts(fixed, None, None),
    }
}

fn in_places<T>(places: &[&str], find: impl Fn(&str) -> Option<T>) -> Option<T> {
    places.iter().find_map(|place| find(place))
}

//! schema.org `JobPosting` as JSON-LD, from a file or from a page's script block.
//!
//! A known marketplace's id inside `url` is the identity; else `identifier` with its name; else the URL.

use serde_json::Value;

use super::super::amounts::{self, NumberUnit};
use super::super::draft::{Context, Draft};
use super::super::rows::{at, deep_text, list_at, scalar, scalar_at, text_at};
use super::super::{dates, text};
use crate::budget::{Budget, Period};
use crate::identity;
use crate::posting::MAX_DESCRIPTION_BYTES;

pub(in super::super) fn recognises(row: &Value) -> bool {
    match row.get("@type") {
        Some(Value::String(kind)) => is_job_posting(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is_job_posting),
        _ => false,
    }
}

fn is_job_posting(kind: &str) -> bool {
    kind.rsplit(['/', ':', '#']).next() == Some("JobPosting")
}

pub(super) fn read(row: &Value, context: &Context<'_>) -> Result<Draft, String> {
    let mut draft = Draft::titled(text_at(row, "title").or_else(|| text_at(row, "name")).unwrap_or(""));
    draft.url = ["url", "@id", "mainEntityOfPage", "sameAs"]
        .iter()
        .find_map(|key| text_at(row, key).filter(|url| url.starts_with("http")).map(str::to_owned));
    let of_known = draft.url.as_deref().and_then(identity::canonical_url).is_some();
    let identifier = identifier(row);
    draft.ids = match of_known {
        true => draft.url.iter().cloned().chain(identifier).collect(),
        false => identifier.into_iter().chain(draft.url.clone()).collect(),
    };
    let body = row.get("description").map(deep_text).unwrap_or_default();
    draft.description = text::plain(&body, MAX_DESCRIPTION_BYTES);
    draft.budget = budget(row, context);
    draft.skills = list_at(row, "skills");
    draft.client.name = row.get("hiringOrganization").and_then(|organisation| match organisation {
        Value::String(name) => Some(name.clone()),
        other => text_at(other, "name").map(str::to_owned),
    });
    draft.client.country = scalar_at(row, "jobLocation.address.addressCountry");
    draft.location = location(row);
    draft.category = ["occupationalCategory", "industry"].iter().find_map(|key| scalar_at(row, key));
    draft.posted_at = text_at(row, "datePosted").and_then(|text| dates::parse(text, context.now()));
    Ok(draft)
}

/// `identifier` as text, number, or `{name, value}`; the name keeps two companies' number 17 apart.
fn identifier(row: &Value) -> Option<String> {
    let identifier = match row.get("identifier")? {
        Value::Array(list) => list.first()?,
        one => one,
    };
    if let Some(text) = scalar(identifier) {
        return Some(text);
    }
    let value = scalar_at(identifier, "value").or_else(|| scalar_at(identifier, "@value"))?;
    Some(match text_at(identifier, "name") {
        Some(name) => format!("{name}:{value}"),
        None => value,
    })
}

fn budget(row: &Value, context: &Context<'_>) -> Budget {
    let Some(salary) = row.get("baseSalary") else { return Budget::default() };
    let currency = text_at(salary, "currency")
        .and_then(|code| bidlock_ledger::Currency::new(code).ok())
        .unwrap_or_else(|| context.currency());
    let money = |path: &str| amounts::money_of(at(salary, path)?, currency, NumberUnit::Major);
    let unit = ["value.unitText", "unitText"].iter().find_map(|path| text_at(salary, path)).unwrap_or("");
    let per = match unit.to_ascii_uppercase().as_str() {
        "HOUR" => Some(Period::Hour),
        "DAY" => Some(Period::Day),
        "WEEK" => Some(Period::Week),
        "MONTH" => Some(Period::Month),
        "YEAR" => Some(Period::Year),
        _ => None,
    };
    let first = |paths: &[&str]| paths.iter().find_map(|path| money(path));
    let low = first(&["value.minValue", "minValue", "value.value"])
        .or_else(|| scalar(salary.get("value")?).and_then(|_| money("value")));
    match salary {
        Value::Object(_) => Budget::from_amounts(low, first(&["value.maxValue", "maxValue"]), per),
        other => amounts::money_of(other, currency, NumberUnit::Major)
            .map(|amount| Budget::from_amounts(Some(amount), None, per))
            .unwrap_or_default(),
    }
}

/// Where applicants may be, or that the work is remote.
fn location(row: &Value) -> Option<String> {
    let named = match at(row, "applicantLocationRequirements.name") {
        Some(Value::String(name)) => Some(name.clone()),
        Some(Value::Array(_)) => Some(list_at(row, "applicantLocationRequirements.name").join(", ")),
        _ => Some(list_at(row, "applicantLocationRequirements").join(", ")),
    };
    named
        .filter(|text| !text.is_empty())
        .or_else(|| (text_at(row, "jobLocationType") == Some("TELECOMMUTE")).then(|| "remote".to_owned()))
}

//! Rows of sources that are not known: fields are found by their usual names, or by a field map.

use std::collections::HashMap;

use bidlock_ledger::Currency;
use serde_json::Value;

use super::amounts::{self, NumberUnit};
use super::draft::{Context, Draft};
use super::fields::{BID_COLUMNS, FIELDS, Field, plain_name, plain_path};
use super::map::FieldMap;
use super::rows::{at, count_at, deep_text, list_at, number_at, scalar_at, text_at, yes_at};
use super::{dates, text};
use crate::budget::{Budget, BudgetKind, Period};
use crate::posting::{BidCost, MAX_DESCRIPTION_BYTES};

/// Rows looked at to learn the columns of a JSON list, whose rows may lack some.
const SAMPLED_ROWS: usize = 200;
/// The most columns told apart; more are no table of postings.
const MAX_COLUMNS: usize = 2_000;

/// Where each field of a fetch is.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    paths: HashMap<Field, String>,
    /// Columns that are called like ids, besides the one that is taken.
    other_ids: Vec<String>,
    constants: HashMap<Field, Value>,
    unit: NumberUnit,
}

impl Mapping {
    /// As a field map says.
    pub(super) fn explicit(map: &FieldMap) -> Mapping {
        Mapping {
            paths: map.paths.iter().cloned().collect(),
            other_ids: Vec::new(),
            constants: map.constants.iter().cloned().collect(),
            unit: map.unit,
        }
    }

    /// Finds the fields by their usual names, and notes each choice.
    ///
    /// # Errors
    /// The rows have nothing to tell a posting by, or are bids; says which columns there are.
    pub(super) fn found<'a>(
        rows: impl Iterator<Item = &'a Value>,
        notes: &mut Vec<String>,
    ) -> Result<Mapping, String> {
        let columns = columns(rows);
        let plain: Vec<(String, &String)> =
            columns.iter().map(|column| (plain_path(column), column)).collect();
        let listed = || text::cut(&columns.join(", "), 400).to_owned();
        if plain.iter().any(|(name, _)| BID_COLUMNS.contains(&name.as_str())) {
            return Err(format!(
                "its rows look like bids, not postings (columns: {}); to read them anyway say the fields with --map FILE",
                listed()
            ));
        }
        let mut mapping = Mapping::default();
        for (field, key, names) in FIELDS {
            let mut found = names.iter().filter_map(|name| {
                plain.iter().find(|(column, _)| {
                    column == name || (!name.contains('.') && column.replace('.', "") == **name)
                })
            });
            if let Some((_, column)) = found.next() {
                notes.push(format!("{key}: {column}"));
                mapping.paths.insert(*field, (*column).clone());
            }
            if *field == Field::Id {
                mapping.other_ids = found.map(|(_, column)| (*column).clone()).collect();
            }
        }
        let has = |field| mapping.paths.contains_key(&field);
        let tells_postings_apart =
            has(Field::Id) || has(Field::Url) || (has(Field::Title) && has(Field::Description));
        if !(tells_postings_apart && (has(Field::Title) || has(Field::Url))) {
            notes.clear();
            return Err(format!(
                "its rows have no columns that tell a posting (a title, and an id, URL or description); they have: {}. \
                 Say where the fields are with --map FILE",
                listed()
            ));
        }
        Ok(mapping)
    }

    fn path(&self, field: Field) -> Option<&str> {
        self.paths.get(&field).map(String::as_str)
    }

    fn scalar(&self, row: &Value, field: Field) -> Option<String> {
        let found = self.path(field).and_then(|path| scalar_at(row, path));
        found.or_else(|| self.constants.get(&field).and_then(super::rows::scalar))
    }

    fn value<'a>(&'a self, row: &'a Value, field: Field) -> Option<&'a Value> {
        self.path(field).and_then(|path| at(row, path)).or_else(|| self.constants.get(&field))
    }
}

/// The columns of some rows: keys, and one level of keys inside of objects, in order of appearance.
fn columns<'a>(rows: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut add = |name: String| {
        if columns.len() < MAX_COLUMNS && seen.insert(name.clone()) {
            columns.push(name);
        }
    };
    for row in rows.take(SAMPLED_ROWS) {
        for (key, value) in row.as_object().into_iter().flatten() {
            add(key.clone());
            for (inner, _) in value.as_object().into_iter().flatten() {
                add(format!("{key}.{inner}"));
            }
        }
    }
    columns
}

/// Reads one row.
///
/// # Errors
/// The row is no object.
pub(super) fn read(row: &Value, mapping: &Mapping, context: &Context<'_>) -> Result<Draft, String> {
    if !row.is_object() {
        return Err(format!("is no object with fields but {}", kind_of(row)));
    }
    let mut draft = Draft::titled(&mapping.scalar(row, Field::Title).unwrap_or_default());
    draft.marketplace = mapping.scalar(row, Field::Marketplace);
    draft.url = mapping.scalar(row, Field::Url);
    // A source with an id column whose row has none there has lost it: that is an impossible id, not a
    // source without ids, whose next sighting might then get another key.
    if mapping.path(Field::Id).is_some() {
        draft.ids.push(mapping.scalar(row, Field::Id).unwrap_or_default());
    }
    draft.ids.extend(draft.url.clone());
    draft.other_ids = mapping.other_ids.iter().filter_map(|path| scalar_at(row, path)).collect();
    let description = mapping.value(row, Field::Description).map(deep_text).unwrap_or_default();
    draft.client.name = client_name(row, mapping);
    if mapping.path(Field::Id).is_none() && draft.url.is_none() {
        draft.without_ids = mapping.path(Field::Url).is_none();
        draft.content =
            vec![draft.raw_title.clone(), description.clone(), draft.client.name.clone().unwrap_or_default()];
    }
    draft.description = text::plain(&description, MAX_DESCRIPTION_BYTES);
    let at_path = |field| mapping.path(field).unwrap_or("");
    draft.budget = budget(row, mapping, context);
    draft.skills = list_at(row, at_path(Field::Skills));
    draft.client.country = mapping.scalar(row, Field::ClientCountry);
    draft.client.rating = number_at(row, at_path(Field::ClientRating));
    draft.client.reviews = count_at(row, at_path(Field::ClientReviews));
    draft.client.spent = mapping
        .value(row, Field::ClientSpent)
        .and_then(|spent| amounts::money_of(spent, currency(row, mapping, context), NumberUnit::Major));
    draft.client.payment_verified = yes_at(row, at_path(Field::PaymentVerified));
    draft.location = mapping.scalar(row, Field::Location);
    draft.category = mapping
        .scalar(row, Field::Category)
        .or_else(|| list_at(row, at_path(Field::Category)).into_iter().next());
    draft.bid_cost = mapping.path(Field::BidCost).and_then(|path| {
        Some(BidCost {
            units: count_at(row, path)?,
            unit: if plain_name(path).contains("connect") { "connects" } else { "credits" }.to_owned(),
        })
    });
    draft.biddable = match mapping.constants.get(&Field::Biddable) {
        Some(constant) => constant.as_bool(),
        None => yes_at(row, at_path(Field::Biddable)),
    };
    draft.proposals = count_at(row, at_path(Field::Proposals));
    draft.posted_at =
        mapping.scalar(row, Field::PostedAt).and_then(|text| dates::parse(&text, context.now()));
    Ok(draft)
}

fn client_name(row: &Value, mapping: &Mapping) -> Option<String> {
    match mapping.value(row, Field::Client)? {
        object @ Value::Object(_) => {
            ["name", "display_name", "company"].iter().find_map(|key| text_at(object, key).map(str::to_owned))
        }
        other => super::rows::scalar(other),
    }
}

fn currency(row: &Value, mapping: &Mapping, context: &Context<'_>) -> Currency {
    mapping
        .scalar(row, Field::Currency)
        .and_then(|code| Currency::new(&code).ok().or_else(|| amounts::currency_in(&code)))
        .unwrap_or_else(|| context.currency())
}

fn budget(row: &Value, mapping: &Mapping, context: &Context<'_>) -> Budget {
    let currency = currency(row, mapping, context);
    let amount =
        |field, unit| mapping.value(row, field).and_then(|value| amounts::money_of(value, currency, unit));
    let kind = mapping.scalar(row, Field::BudgetKind).map(|kind| plain_name(&kind)).unwrap_or_default();
    let per = period_of(&kind);
    let (low, high) = (amount(Field::HourlyMin, mapping.unit), amount(Field::HourlyMax, mapping.unit));
    let hourly = low.is_some() || high.is_some();
    if hourly && per.is_none_or(|per| per == Period::Hour) && !kind.contains("fixed") {
        return Budget::hourly(low, high);
    }
    let (low, high) = (amount(Field::BudgetMin, mapping.unit), amount(Field::BudgetMax, mapping.unit));
    let salary = mapping.path(Field::BudgetMin).is_some_and(|path| plain_name(path).contains("salary"));
    let mut budget = if low.is_some() || high.is_some() {
        Budget::from_amounts(low, high, per.or(salary.then_some(Period::Year)))
    } else if let Some(cents) = amount(Field::BudgetCents, NumberUnit::Minor) {
        Budget::from_amounts(Some(cents), None, per)
    } else {
        mapping
            .value(row, Field::Budget)
            .and_then(|value| of_value(value, currency, mapping, per))
            .unwrap_or_default()
    };
    let column = mapping.path(Field::Budget).map(plain_name).unwrap_or_default();
    if budget.kind != BudgetKind::None
        && budget.per.is_none()
        && column.contains("hourly")
        && !kind.contains("fixed")
    {
        budget = Budget::hourly(budget.low, budget.high);
    }
    if budget.kind == BudgetKind::None && per == Some(Period::Hour) {
        budget = Budget::hourly(None, None);
    }
    budget
}

/// A budget that is one value: a number, a text with its range and unit, or an object with its ends.
fn of_value(value: &Value, currency: Currency, mapping: &Mapping, per: Option<Period>) -> Option<Budget> {
    if let Value::Object(object) = value {
        let own = object
            .get("currency")
            .and_then(Value::as_str)
            .and_then(|code| Currency::new(code).ok())
            .unwrap_or(currency);
        let end = |names: &[&str]| {
            names.iter().find_map(|name| amounts::money_of(object.get(*name)?, own, mapping.unit))
        };
        let low = end(&["minimum", "min", "low", "from", "minValue"])
            .or_else(|| amounts::money_of(value, own, mapping.unit));
        return Some(Budget::from_amounts(low, end(&["maximum", "max", "high", "to", "maxValue"]), per));
    }
    if let Value::String(text) = value {
        // A bare number in text follows `budget_unit`; anything more says its own unit.
        if amounts::money(text, currency, mapping.unit).is_none() {
            let read = amounts::budget(text, currency)?;
            return Some(Budget::from_amounts(read.low, read.high, read.per.or(per)));
        }
    }
    amounts::money_of(value, currency, mapping.unit)
        .map(|amount| Budget::from_amounts(Some(amount), None, per))
}

fn period_of(kind: &str) -> Option<Period> {
    match kind {
        _ if kind.contains("hour") => Some(Period::Hour),
        _ if kind.contains("dail") || kind == "day" => Some(Period::Day),
        _ if kind.contains("week") => Some(Period::Week),
        _ if kind.contains("month") => Some(Period::Month),
        _ if kind.contains("year") || kind.contains("annual") => Some(Period::Year),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

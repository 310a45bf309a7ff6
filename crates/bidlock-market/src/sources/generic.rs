//! Rows of sources that are not known: fields are found by their usual names, or by a field map.

use std::collections::HashMap;

use bidlock_ledger::Money;
use serde_json::Value;

use super::amounts::{self, NumberUnit, Told, Unreadable};
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
pub(super) fn columns<'a>(rows: impl Iterator<Item = &'a Value>) -> Vec<String> {
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
    (draft.budget, draft.unreadable) = budget(row, mapping, context);
    draft.skills = list_at(row, at_path(Field::Skills));
    draft.client.country = mapping.scalar(row, Field::ClientCountry);
    draft.client.rating = number_at(row, at_path(Field::ClientRating));
    draft.client.reviews = count_at(row, at_path(Field::ClientReviews));
    draft.client.spent = mapping
        .value(row, Field::ClientSpent)
        .and_then(|spent| amounts::read_money(spent, told(row, mapping, context), NumberUnit::Major).ok()?);
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

fn told(row: &Value, mapping: &Mapping, context: &Context<'_>) -> Told {
    amounts::own_currency(mapping.value(row, Field::Currency), Told::Usual(context.currency()))
}

/// The amounts of one row, and what of them can't be read.
struct Amounts<'a> {
    row: &'a Value,
    mapping: &'a Mapping,
    told: Told,
    unreadable: Vec<(String, String)>,
}

impl Amounts<'_> {
    fn one(&mut self, field: Field, unit: NumberUnit) -> Option<Money> {
        let value = self.mapping.value(self.row, field)?;
        let read = amounts::read_money(value, self.told, unit);
        self.kept(field, read)
    }

    fn budget(&mut self, per: Option<Period>) -> Option<Budget> {
        let value = self.mapping.value(self.row, Field::Budget)?;
        let read = of_value(value, self.told, self.mapping, per);
        self.kept(Field::Budget, read)
    }

    /// What was read; where it can't be, the column that is to blame is noted once.
    fn kept<T>(&mut self, field: Field, read: Result<Option<T>, Unreadable>) -> Option<T> {
        read.unwrap_or_else(|Unreadable| {
            let field = if self.told == Told::Unknown { Field::Currency } else { field };
            let column = match self.mapping.path(field) {
                Some(path) => path.to_owned(),
                None => key_of(field).to_owned(),
            };
            let value = self.mapping.value(self.row, field).map(shown).unwrap_or_default();
            if !self.unreadable.iter().any(|(known, _)| *known == column) {
                self.unreadable.push((column, value));
            }
            None
        })
    }
}

fn key_of(field: Field) -> &'static str {
    FIELDS.iter().find(|(known, ..)| *known == field).map_or("", |(_, key, _)| key)
}

fn shown(value: &Value) -> String {
    super::rows::scalar(value).unwrap_or_else(|| value.to_string())
}

/// The budget, or none and what of it can't be read: half of an offer is no offer.
fn budget(row: &Value, mapping: &Mapping, context: &Context<'_>) -> (Budget, Vec<(String, String)>) {
    let mut amounts = Amounts { row, mapping, told: told(row, mapping, context), unreadable: Vec::new() };
    let budget = offered(&mut amounts, row, mapping);
    if amounts.unreadable.is_empty() { (budget, Vec::new()) } else { (Budget::default(), amounts.unreadable) }
}

fn offered(amounts: &mut Amounts<'_>, row: &Value, mapping: &Mapping) -> Budget {
    let kind = mapping.scalar(row, Field::BudgetKind).map(|kind| plain_name(&kind)).unwrap_or_default();
    let per = period_of(&kind);
    let (low, high) =
        (amounts.one(Field::HourlyMin, mapping.unit), amounts.one(Field::HourlyMax, mapping.unit));
    let hourly = low.is_some() || high.is_some();
    if hourly && per.is_none_or(|per| per == Period::Hour) && !kind.contains("fixed") {
        return Budget::hourly(low, high);
    }
    let (low, high) =
        (amounts.one(Field::BudgetMin, mapping.unit), amounts.one(Field::BudgetMax, mapping.unit));
    let salary = mapping.path(Field::BudgetMin).is_some_and(|path| plain_name(path).contains("salary"));
    let mut budget = if low.is_some() || high.is_some() {
        Budget::from_amounts(low, high, per.or(salary.then_some(Period::Year)))
    } else if let Some(cents) = amounts.one(Field::BudgetCents, NumberUnit::Minor) {
        Budget::from_amounts(Some(cents), None, per)
    } else {
        amounts.budget(per).unwrap_or_default()
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
fn of_value(
    value: &Value,
    told: Told,
    mapping: &Mapping,
    per: Option<Period>,
) -> Result<Option<Budget>, Unreadable> {
    if let Value::Object(object) = value {
        let own = amounts::own_currency(object.get("currency"), told);
        let end = |names: &[&str]| {
            let found = names.iter().find_map(|name| object.get(*name).filter(|end| !end.is_null()));
            found.map_or(Ok(None), |end| amounts::read_money(end, own, mapping.unit))
        };
        let low = match end(&["minimum", "min", "low", "from", "minValue"])? {
            None => amounts::read_money(value, own, mapping.unit)?,
            low => low,
        };
        let high = end(&["maximum", "max", "high", "to", "maxValue"])?;
        return Ok(Some(Budget::from_amounts(low, high, per)));
    }
    if let Value::String(text) = value {
        let read = amounts::read_budget(text, told, mapping.unit)?;
        return Ok(read.map(|read| Budget::from_amounts(read.low, read.high, read.per.or(per))));
    }
    let amount = amounts::read_money(value, told, mapping.unit)?;
    Ok(amount.map(|amount| Budget::from_amounts(Some(amount), None, per)))
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

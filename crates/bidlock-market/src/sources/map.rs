//! [`FieldMap`]: a `--map` file, which says where an unknown source keeps each field.

use serde_json::Value;

use super::amounts::NumberUnit;
use super::currencies;
use super::fields::{FIELDS, Field};
use super::generic::columns;
use super::rows::at;
use super::text;

/// The largest map file.
const MAX_MAP_BYTES: usize = 64 * 1024;
/// A key this near to a known one is suggested.
const SUGGEST_FROM: f64 = 0.7;
/// How much of a file's columns is shown.
const SHOWN_COLUMNS_BYTES: usize = 400;

/// Fields that may be the same for every row.
const CONSTANTS: &[Field] = &[
    Field::Marketplace,
    Field::Budget,
    Field::BudgetMin,
    Field::BudgetMax,
    Field::BudgetCents,
    Field::HourlyMin,
    Field::HourlyMax,
    Field::Currency,
    Field::BudgetKind,
    Field::Client,
    Field::ClientCountry,
    Field::Location,
    Field::Category,
    Field::Biddable,
];

/// Where an unknown source keeps each field of a posting. Read from TOML:
///
/// ```
/// # let text = r#"
/// title = "job.headline"        # a column, or a dotted path into nested objects
/// id = "job.key"
/// budget = "job.reward"
/// budget_unit = "cents"         # plain numbers are cents; "major" (whole dollars) is the default
///
/// [constant]                    # the same for every row
/// marketplace = "example"
/// currency = "EUR"
/// # "#;
/// # bidlock_market::FieldMap::parse("map.toml", text)?;
/// # Ok::<(), bidlock_market::MapError>(())
/// ```
///
/// The keys are those of `auto`'s table: `marketplace`, `id`, `url`, `title`, `description`, `budget`,
/// `budget_min`, `budget_max`, `budget_cents`, `hourly_min`, `hourly_max`, `currency`, `budget_kind`,
/// `skills`, `client`, `client_country`, `client_rating`, `client_reviews`, `client_spent`,
/// `payment_verified`, `location`, `category`, `bid_cost`, `proposals`, `biddable`, `posted_at`. A field
/// without a key here is not read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldMap {
    /// Where each field is.
    pub(super) paths: Vec<(Field, String)>,
    /// Fields that are the same for every row.
    pub(super) constants: Vec<(Field, Value)>,
    /// What plain numbers in budget fields are.
    pub(super) unit: NumberUnit,
    /// The map file, for messages.
    file: String,
}

/// A map file is wrong; names the key and the way out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("field map {file}: {why}")]
pub struct MapError {
    /// The map file.
    pub file: String,
    /// What is wrong.
    pub why: String,
}

impl FieldMap {
    /// Reads the text of a map file; `file` is named in errors.
    ///
    /// # Errors
    /// It is no TOML, holds an unknown key (the near one is named), or maps neither an id, a URL nor a title.
    pub fn parse(file: &str, text: &str) -> Result<FieldMap, MapError> {
        FieldMap::of_toml(text)
            .map(|map| FieldMap { file: file.to_owned(), ..map })
            .map_err(|why| MapError { file: file.to_owned(), why })
    }

    /// Checks that each mapped column or path is in some row: a name that is written wrong would be a field
    /// that all postings lack, silently.
    ///
    /// # Errors
    /// No row has it; names it and what the rows have. A file without rows lacks nothing.
    pub(super) fn check<'a>(
        &self,
        source_name: &str,
        rows: impl Iterator<Item = &'a Value> + Clone,
    ) -> Result<(), MapError> {
        if rows.clone().next().is_none() {
            return Ok(());
        }
        for (field, path) in &self.paths {
            if rows.clone().any(|row| at(row, path).is_some()) {
                continue;
            }
            let key = FIELDS.iter().find(|(known, ..)| known == field).map_or("", |(_, key, _)| key);
            let has = columns(rows).join(", ");
            let why = format!(
                "`{key}` is at \"{path}\", which no row of {source_name} has; they have: {}",
                text::cut(&has, SHOWN_COLUMNS_BYTES)
            );
            return Err(MapError { file: self.file.clone(), why });
        }
        Ok(())
    }

    fn of_toml(text: &str) -> Result<FieldMap, String> {
        if text.len() > MAX_MAP_BYTES {
            return Err(format!("it is larger than {} KiB", MAX_MAP_BYTES / 1024));
        }
        let table: toml::Table = text.parse().map_err(|error| format!("it is not valid TOML: {error}"))?;
        let mut map = FieldMap::default();
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("budget_unit", toml::Value::String(unit)) => map.unit = unit_named(unit)?,
                ("budget_unit", _) => return Err("`budget_unit` must be \"cents\" or \"major\"".to_owned()),
                ("constant", toml::Value::Table(constants)) => {
                    for (key, value) in constants {
                        let field = field(key, "constant.")?;
                        if !CONSTANTS.contains(&field) {
                            return Err(format!(
                                "`constant.{key}` makes no sense: it differs between postings"
                            ));
                        }
                        map.constants.push((field, constant(key, value)?));
                    }
                }
                (_, toml::Value::String(path)) if !path.trim().is_empty() => {
                    map.paths.push((field(key, "")?, path.trim().to_owned()));
                }
                _ => {
                    field(key, "")?;
                    return Err(format!(
                        "`{key}` must be a column's name or a dotted path, in quotes; for a fixed value write it \
                         under [constant]"
                    ));
                }
            }
        }
        if !map.paths.iter().any(|(field, _)| matches!(field, Field::Id | Field::Url | Field::Title)) {
            return Err("it must map at least one of `id`, `url` and `title`".to_owned());
        }
        Ok(map)
    }
}

fn unit_named(unit: &str) -> Result<NumberUnit, String> {
    match unit.to_ascii_lowercase().as_str() {
        "cents" | "minor" => Ok(NumberUnit::Minor),
        "major" => Ok(NumberUnit::Major),
        other => Err(format!("`budget_unit` is \"{other}\"; use \"cents\" or \"major\"")),
    }
}

fn constant(key: &str, value: &toml::Value) -> Result<Value, String> {
    let json = match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(yes) => Value::from(*yes),
        _ => return Err(format!("`constant.{key}` must be a text, a number, true or false")),
    };
    if key == "currency" && json.as_str().and_then(currencies::of_code).is_none() {
        return Err("`constant.currency` must be a known three-letter code such as \"USD\"".to_owned());
    }
    Ok(json)
}

fn field(key: &str, prefix: &str) -> Result<Field, String> {
    if let Some((field, ..)) = FIELDS.iter().find(|(_, name, _)| *name == key) {
        return Ok(*field);
    }
    let names = FIELDS.iter().map(|(_, name, _)| *name).chain(["budget_unit", "constant"]);
    let near = names
        .clone()
        .map(|name| (strsim::jaro_winkler(name, key), name))
        .filter(|(likeness, _)| *likeness >= SUGGEST_FROM)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known are {}", names.collect::<Vec<_>>().join(", ")),
    };
    Err(format!("`{prefix}{key}` is no field; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_the_way_out() {
        let map = FieldMap::parse(
            "map.toml",
            "id = \"a.b\"\nbudget_unit = \"cents\"\n[constant]\ncurrency = \"EUR\"\nbiddable = true",
        )
        .unwrap();
        assert_eq!((map.paths.len(), map.constants.len(), map.unit), (1, 2, NumberUnit::Minor));
        for (text, expected) in [
            ("titel = \"x\"", "did you mean `title`?"),
            ("id = \"x\"\n[constant]\nmarketplaces = \"x\"", "did you mean `marketplace`?"),
            ("id = 5", "[constant]"),
            ("skills = \"x\"", "at least one of `id`"),
            ("id = ", "not valid TOML"),
            ("id = \"x\"\nbudget_unit = \"pence\"", "use \"cents\""),
            ("id = \"x\"\n[constant]\ncurrency = \"dollars\"", "three-letter"),
            ("id = \"x\"\n[constant]\ncurrency = \"XYZ\"", "three-letter"),
            ("zzz = \"x\"", "known are"),
            ("title = \"x\"\n[constant]\nid = \"7\"", "differs between postings"),
        ] {
            let message = FieldMap::parse("map.toml", text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}

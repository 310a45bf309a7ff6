//! Amounts of money as feeds write them: symbols and codes, separators, `k`, ranges, `/hr`. Decimal text
//! goes to whole minor units digit by digit, never through a float.
//!
//! A text that may mean several amounts, or names a currency that is not known, can't be read: no amount is
//! better than a wrong one, which might be bid. How separators count stands in `written`.

use bidlock_ledger::{Currency, Money};
use serde_json::Value;

use super::currencies;
use super::written::{Part, Placed, parts};
use crate::budget::{Budget, Period};

/// Longest text read as an amount; a longer one is prose.
const MAX_AMOUNT_BYTES: usize = 200;
/// Longest number kept, before its point: more would overflow minor units.
const MAX_WHOLE_DIGITS: usize = 15;

/// Texts that say that there is no amount.
const NOT_GIVEN: &[&str] =
    &["", "-", "–", "—", "n/a", "na", "none", "null", "negotiable", "not specified", "unspecified", "tbd"];
/// Words that multiply the number before them, by this power of ten.
const SCALES: &[(&[&str], usize)] = &[
    (&["k", "thousand"], 3),
    (&["lakh", "lakhs", "lac", "lacs"], 5),
    (&["m", "million", "millions", "mio", "mln"], 6),
    (&["crore", "crores"], 7),
];
/// Words between two numbers that are the ends of a range.
const TO: &[&str] = &["to", "and", "bis", "until", "till"];
/// Words around an amount that change nothing about it. What is not here may be a currency or a unit.
const PLAIN: &[&str] = &[
    "up",
    "upto",
    "max",
    "maximum",
    "min",
    "minimum",
    "less",
    "than",
    "under",
    "over",
    "from",
    "at",
    "least",
    "most",
    "between",
    "about",
    "around",
    "approx",
    "approximately",
    "roughly",
    "circa",
    "ca",
    "est",
    "estimated",
    "starting",
    "budget",
    "range",
    "rate",
    "price",
    "pay",
    "salary",
    "fee",
    "fixed",
    "total",
    "amount",
    "offer",
    "reward",
    "only",
    "flat",
    "negotiable",
    "or",
    "more",
    "plus",
    "spent",
    "gross",
    "net",
    "the",
    "is",
    "of",
    "paid",
    "project",
    "job",
];
/// Words of a period; right behind a number they say what it pays for only if the number is money.
const PERIOD_NOUNS: &[&str] =
    &["hr", "hrs", "hour", "h", "day", "week", "wk", "month", "mo", "year", "yr", "annum"];
/// Words that lead to a period, or are one by themselves.
const PERIOD_WORDS: &[&str] =
    &["per", "a", "an", "p", "hourly", "daily", "weekly", "monthly", "yearly", "annual", "annually"];
/// What else than a period one amount may pay for: the whole.
const WHOLES: &[&str] = &["project", "job", "fixed", "total"];
/// Words after an amount that say what time it pays for.
const PERIODS: &[(&[&str], Period)] = &[
    (&["/hr", "/hour", "/h", "per hour", "hourly", "an hour", "p/h", "hour"], Period::Hour),
    (&["/day", "per day", "daily", "a day", "day"], Period::Day),
    (&["/week", "/wk", "per week", "weekly", "a week", "week"], Period::Week),
    (&["/month", "/mo", "per month", "monthly", "a month", "month"], Period::Month),
    (&["/year", "/yr", "per year", "yearly", "annual", "annum", "a year", "p.a.", "year"], Period::Year),
];

/// There is an amount, or a currency, but it can't be told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What is known of an amount's currency before its text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing names one: this is taken.
    Usual(Currency),
    /// The source names it beside the amount.
    Named(Currency),
    /// The source names one that is not known.
    Unknown,
}

impl Told {
    fn currency(self) -> Result<Currency, Unreadable> {
        match self {
            Told::Usual(currency) | Told::Named(currency) => Ok(currency),
            Told::Unknown => Err(Unreadable),
        }
    }
}

/// The unit that a source's plain numbers are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NumberUnit {
    /// Whole currency units: 12.5 dollars.
    #[default]
    Major,
    /// The currency's minor units: 1250 cents.
    Minor,
}

/// An amount of a currency from a decimal text such as `1250.5`, as people write it into rules and options:
/// whole units, no separators. More places than the currency has are rounded half up. `None` where it is no
/// number, is negative, or does not fit.
pub fn parse_amount(decimal: &str, currency: Currency) -> Option<Money> {
    money(decimal, currency, NumberUnit::Major)
}

/// An amount from a decimal text such as `1250.5`; more places than the currency has are rounded half up.
/// `None` where it is no number, is negative, or does not fit.
pub(super) fn money(decimal: &str, currency: Currency, unit: NumberUnit) -> Option<Money> {
    let decimal = decimal.trim().trim_start_matches('+');
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > MAX_WHOLE_DIGITS {
        return None;
    }
    let places = match unit {
        NumberUnit::Major => currencies::exponent(currency) as usize,
        NumberUnit::Minor => 0,
    };
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(places).collect();
    let round_up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    let digits = format!("0{whole}{kept}");
    let minor: i64 = digits.parse().ok()?;
    Some(Money { minor: minor.checked_add(i64::from(round_up))?, currency })
}

/// An amount from a JSON number, or text with or without a currency of its own. `None` where none is given
/// (zero is "not given") or it can't be read.
pub(super) fn money_of(value: &Value, currency: Currency, unit: NumberUnit) -> Option<Money> {
    read_money(value, Told::Usual(currency), unit).ok().flatten()
}

/// As [`money_of`], telling what is not given from what can't be read.
pub(super) fn read_money(value: &Value, told: Told, unit: NumberUnit) -> Result<Option<Money>, Unreadable> {
    let amount = match value {
        Value::Number(number) => {
            let text = plain_number(number).ok_or(Unreadable)?;
            if is_zero(&text) {
                return Ok(None);
            }
            money(&text, told.currency()?, unit).ok_or(Unreadable)?
        }
        Value::String(text) => {
            return match parse(text, told, unit)? {
                // One amount is asked for.
                Some((Some(_), Some(_), _)) => Err(Unreadable),
                Some((low, high, _)) => Ok(low.or(high)),
                None => Ok(None),
            };
        }
        Value::Object(object) => {
            let own = ["isoCurrencyCode", "currency", "currencyCode"]
                .iter()
                .find_map(|key| object.get(*key).filter(|code| !code.is_null()));
            let inner = ["amount", "rawValue", "value"].iter().find_map(|key| object.get(*key));
            return match inner {
                // One level only: a value that nests further is no amount.
                Some(inner) if !inner.is_object() => read_money(inner, own_currency(own, told), unit),
                _ => Ok(None),
            };
        }
        Value::Null => return Ok(None),
        Value::Bool(_) | Value::Array(_) => return Err(Unreadable),
    };
    Ok(Some(amount).filter(|money| money.minor > 0))
}

/// The currency that an object names beside its amount, else what was told.
pub(super) fn own_currency(code: Option<&Value>, told: Told) -> Told {
    match code {
        None | Some(Value::Null | Value::Object(_)) => told,
        Some(Value::String(code)) => match currencies::of_column(code) {
            Ok(Some(currency)) => Told::Named(currency),
            Ok(None) => told,
            Err(Unreadable) => Told::Unknown,
        },
        Some(_) => Told::Unknown,
    }
}

fn is_zero(decimal: &str) -> bool {
    decimal.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

/// A JSON number as plain decimal text, without an exponent.
fn plain_number(number: &serde_json::Number) -> Option<String> {
    let text = number.to_string();
    if text.contains(['e', 'E']) {
        return number.as_f64().filter(|value| value.abs() < 1e15).map(|value| format!("{value:.6}"));
    }
    Some(text)
}

/// A budget from a text such as `$15.00-$30.00`, `EUR 1.500,50`, `5k - 7k USD`, `£40/hr`. `None` where none is
/// given or it can't be read.
pub(super) fn budget(text: &str, usual: Currency) -> Option<Budget> {
    read_budget(text, Told::Usual(usual), NumberUnit::Major).ok().flatten()
}

/// As [`budget`], telling what is not given from what can't be read. A bare number is in `unit`.
pub(super) fn read_budget(text: &str, told: Told, unit: NumberUnit) -> Result<Option<Budget>, Unreadable> {
    let budget = parse(text, told, unit)?.map(|(low, high, per)| Budget::from_amounts(low, high, per));
    Ok(budget.filter(|budget| budget.low.is_some() || budget.high.is_some()))
}

type Parsed = (Option<Money>, Option<Money>, Option<Period>);

fn parse(text: &str, told: Told, unit: NumberUnit) -> Result<Option<Parsed>, Unreadable> {
    let text = text.trim();
    let lower = text.to_lowercase();
    if NOT_GIVEN.contains(&lower.as_str()) {
        return Ok(None);
    }
    if text.len() > MAX_AMOUNT_BYTES {
        return Err(Unreadable);
    }
    let parts = parts(text);
    let named = named(&parts, told)?;
    let numbers = numbers(&parts, named.is_some())?;
    let currency = named.map_or_else(|| told.currency(), Ok);
    // A bare number follows the source's unit; whoever writes more writes whole units.
    let unit = if parts.len() == 1 { unit } else { NumberUnit::Major };
    let amount = |decimal: &str| {
        if is_zero(decimal) {
            return Ok(None);
        }
        money(decimal, currency?, unit)
            .map(|money| Some(money).filter(|money| money.minor > 0))
            .ok_or(Unreadable)
    };
    let (first, second) = match numbers.as_slice() {
        [one] => (amount(&scaled(&one.decimal, one.zeros))?, None),
        [one, other] => {
            // "5-7k": the letter counts for both; "800-1k" is 800 to 1000.
            let shared = one.zeros == 0 && value(&one.decimal) < value(&other.decimal);
            let zeros = if shared { other.zeros } else { one.zeros };
            (amount(&scaled(&one.decimal, zeros))?, amount(&scaled(&other.decimal, other.zeros))?)
        }
        _ => return Err(Unreadable),
    };
    if numbers.len() == 1 && first.is_none() {
        return Ok(None);
    }
    let only_upper =
        ["up to", "upto", "max", "less than", "under", "<"].iter().any(|word| lower.starts_with(word));
    let per = PERIODS
        .iter()
        .find(|(words, _)| words.iter().any(|word| holds_word(&lower, word)))
        .map(|(_, per)| *per);
    Ok(Some(if only_upper && numbers.len() == 1 { (None, first, per) } else { (first, second, per) }))
}

/// A written number, before its scale.
struct Number {
    decimal: String,
    zeros: usize,
}

/// The one currency that a text names; `None` where it names none.
fn named(parts: &[Placed<'_>], told: Told) -> Result<Option<Currency>, Unreadable> {
    let mut found: Option<Currency> = None;
    let mut shared: Option<&str> = None;
    for Placed { part, .. } in parts {
        let currency = match part {
            Part::Symbol(symbol @ ("$" | "¥")) => {
                shared = Some(symbol);
                continue;
            }
            Part::Symbol(symbol) => Some(currencies::of_word(symbol).ok_or(Unreadable)?),
            Part::Word(word) if word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                currencies::of_code(word)
            }
            Part::Word(word) => currencies::of_word(word),
            _ => None,
        };
        match (found, currency) {
            (Some(one), Some(other)) if one != other => return Err(Unreadable),
            (_, Some(currency)) => found = Some(currency),
            (_, None) => {}
        }
    }
    let Some(symbol) = shared else {
        return match (found, told) {
            (Some(one), Told::Named(other)) if one != other => Err(Unreadable),
            (Some(_), Told::Unknown) => Err(Unreadable),
            _ => Ok(found),
        };
    };
    let told = match told {
        Told::Usual(_) => None,
        Told::Named(currency) if found.is_none_or(|found| found == currency) => Some(currency),
        Told::Named(_) | Told::Unknown => return Err(Unreadable),
    };
    match found.or(told) {
        Some(currency) if currencies::may_mean(symbol, currency) => Ok(Some(currency)),
        Some(_) => Err(Unreadable),
        None => currencies::of_word(symbol).map(Some).ok_or(Unreadable),
    }
}

/// The power of ten that a word stands for. A lone `m` may be months: it counts where it touches its number.
fn scale(placed: &Placed<'_>) -> Option<usize> {
    let Part::Word(word) = placed.part else { return None };
    let lower = word.to_lowercase();
    let found = SCALES.iter().find(|(words, _)| words.contains(&lower.as_str())).map(|(_, zeros)| *zeros);
    found.filter(|_| lower != "m" || placed.glued)
}

/// The one or two numbers of a text, where everything around them is understood.
fn numbers(parts: &[Placed<'_>], marked: bool) -> Result<Vec<Number>, Unreadable> {
    let mut found: Vec<Number> = Vec::new();
    let mut joined = false;
    for (at, placed) in parts.iter().enumerate() {
        let next = parts.get(at + 1);
        match &placed.part {
            Part::Number(decimal) => {
                if !found.is_empty() && (!joined || found.len() == 2) {
                    return Err(Unreadable);
                }
                let decimal = decimal.clone().ok_or(Unreadable)?;
                let zeros = next.and_then(scale);
                let behind = parts.get(at + 1 + usize::from(zeros.is_some()));
                let before = at.checked_sub(1).and_then(|at| parts.get(at));
                let is_money = before.is_some_and(|before| is_currency(&before.part));
                if !behind.is_none_or(|behind| may_follow(&behind.part, is_money)) {
                    return Err(Unreadable);
                }
                found.push(Number { decimal, zeros: zeros.unwrap_or(0) });
                joined = false;
            }
            Part::Word(word) => {
                let lower = word.to_lowercase();
                joined |= !found.is_empty() && TO.contains(&lower.as_str());
                let touches = next.is_some_and(|next| next.glued && matches!(next.part, Part::Number(_)));
                let capitals =
                    (2..=5).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase());
                let beside = placed.glued || matches!(next, Some(Placed { part: Part::Number(_), .. }));
                // Without a currency each word must be known: the unknown one may name another.
                if !is_known(&lower, word)
                    && scale(placed).is_none()
                    && (!marked || touches || (capitals && beside))
                {
                    return Err(Unreadable);
                }
                if lower == "per" && !next.is_some_and(|next| pays_for(&next.part)) {
                    return Err(Unreadable);
                }
            }
            Part::Mark('/') if !next.is_some_and(|next| pays_for(&next.part)) => return Err(Unreadable),
            Part::Mark('-' | '–' | '—' | '−') => {
                let touches = next
                    .is_some_and(|next| next.glued && matches!(next.part, Part::Number(_) | Part::Symbol(_)));
                let behind_word = placed.glued
                    && at > 0
                    && matches!(parts[at - 1].part, Part::Word(word) if !is_currency(&Part::Word(word)));
                // A minus, not a dash.
                if found.is_empty() && touches && !behind_word {
                    return Err(Unreadable);
                }
                joined |= !found.is_empty();
            }
            Part::Mark('(') if at == 0 => return Err(Unreadable),
            Part::Mark('%' | '‰' | '*' | '^' | '×' | '=') => return Err(Unreadable),
            Part::Mark(other) if other.is_numeric() => return Err(Unreadable),
            Part::Mark(_) | Part::Symbol(_) => {}
        }
    }
    if found.is_empty() { Err(Unreadable) } else { Ok(found) }
}

fn is_currency(part: &Part<'_>) -> bool {
    match part {
        Part::Symbol(_) => true,
        Part::Word(word) => currencies::of_word(word).is_some(),
        _ => false,
    }
}

fn is_known(lower: &str, word: &str) -> bool {
    [PLAIN, TO, PERIOD_NOUNS, PERIOD_WORDS, WHOLES].iter().any(|words| words.contains(&lower))
        || currencies::of_word(word).is_some()
}

/// Whether a part right behind a number leaves it an amount: `500 fixed`, not `3 days`.
fn may_follow(part: &Part<'_>, is_money: bool) -> bool {
    let Part::Word(word) = part else { return true };
    let lower = word.to_lowercase();
    is_known(&lower, word) && (is_money || !PERIOD_NOUNS.contains(&lower.as_str()))
}

/// Whether a part behind `/` or `per` is a time or the whole work; an amount for each word or page is no budget.
fn pays_for(part: &Part<'_>) -> bool {
    let Part::Word(word) = part else { return false };
    let lower = word.to_lowercase();
    PERIOD_NOUNS.contains(&lower.as_str()) || WHOLES.contains(&lower.as_str())
}

/// The whole part of a plain decimal, to compare two as they are written.
fn value(decimal: &str) -> u64 {
    decimal.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(u64::MAX)
}

/// Whether `word` stands in `text` without a letter right behind it.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let starts = word.starts_with('/') || !before.is_some_and(char::is_alphabetic);
        starts && !after.is_some_and(char::is_alphabetic)
    })
}

/// A decimal text times a power of ten.
fn scaled(decimal: &str, zeros: usize) -> String {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let moved: String = fraction.chars().chain(std::iter::repeat('0')).take(zeros).collect();
    let rest: String = fraction.chars().skip(zeros).collect();
    if rest.is_empty() { format!("{whole}{moved}") } else { format!("{whole}{moved}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::BudgetKind;

    fn shown(text: &str) -> String {
        let Some(budget) = budget(text, Currency::USD) else { return "none".to_owned() };
        let side =
            |money: Option<Money>| money.map_or("-".to_owned(), |m| format!("{}{}", m.minor, m.currency));
        format!("{} {} {:?}", side(budget.low), side(budget.high), budget.kind)
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let cases = [
            ("$500", "50000USD - Fixed"),
            ("$3,000", "300000USD - Fixed"),
            ("$15.00-$30.00", "1500USD 3000USD Range"),
            ("$15 - $30/hr", "1500USD 3000USD Hourly"),
            ("£40 per hour", "4000GBP - Hourly"),
            ("EUR 1.500,50", "150050EUR - Fixed"),
            ("1 500 €", "150000EUR - Fixed"),
            ("1,500 €", "150000EUR - Fixed"),
            ("5k - 7k USD", "500000USD 700000USD Range"),
            ("$5-7k", "500000USD 700000USD Range"),
            ("1.5k", "150000USD - Fixed"),
            ("¥5000", "5000JPY - Fixed"),
            ("BHD 1,234", "1234000BHD - Fixed"),
            ("₹12,500 – ₹37,500", "1250000INR 3750000INR Range"),
            ("up to $200", "- 20000USD Range"),
            ("$120,000 per year", "12000000USD - Range"),
            ("1234.567", "123457USD - Fixed"),
            ("0.125", "13USD - Fixed"),
            ("1,234.56", "123456USD - Fixed"),
            ("$0", "none"),
            ("negotiable", "none"),
            ("", "none"),
            ("99999999999999999999", "none"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_letter_or_word_behind_a_number_counts_only_where_it_is_the_whole_word() {
        for (text, expected) in [
            ("500 KES", "50000KES - Fixed"),
            ("100 KZT", "10000KZT - Fixed"),
            ("12.5 KWD", "12500KWD - Fixed"),
            ("450 kč", "45000CZK - Fixed"),
            ("Fr. 450", "45000CHF - Fixed"),
            ("Rs. 450", "45000INR - Fixed"),
            ("Rs.450", "45000INR - Fixed"),
            ("5 million USD", "500000000USD - Fixed"),
            ("5 mio €", "500000000EUR - Fixed"),
            ("2 lakh INR", "20000000INR - Fixed"),
            ("₹12,34,567", "123456700INR - Fixed"),
            ("$800-1k", "80000USD 100000USD Range"),
            ("$5M", "500000000USD - Fixed"),
            ("$10k+ spent", "1000000USD - Fixed"),
            ("USD$ 450", "45000USD - Fixed"),
            ("Budget: $500", "50000USD - Fixed"),
            ("450 per hour eur", "45000EUR - Hourly"),
            ("35-60 USD/hr", "3500USD 6000USD Hourly"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_may_mean_another_amount_or_currency_is_never_read() {
        for text in [
            "450 XYZ",
            "450 kr",
            "450 BTC",
            "BTC 450",
            "450 Bitcoin",
            "450 USDT",
            "USDT 450",
            "₿ 1",
            "450 XXX",
            "XX$ 450",
            "$450 XYZ",
            "$450 EUR",
            "3 days",
            "1 day",
            "20% off 300 USD",
            "USD 1e3",
            "1e3",
            "-5 USD",
            "$-5",
            "-$5",
            "(5)",
            "1.200",
            "1.234 EUR",
            "£12.345",
            "1.2.3",
            "1,2,3",
            "$.50",
            "5 billion",
            "€5 Mrd",
            "5 m",
            "$500 (30 hours)",
            "2024 500",
            "$0.05/word",
            "$5 per page",
            "99999999999999999999",
            "abc",
            "½",
            "450 in BTC",
        ] {
            assert_eq!(
                read_budget(text, Told::Usual(Currency::USD), NumberUnit::Major),
                Err(Unreadable),
                "{text}"
            );
        }
        for text in ["", "$0", "0", "negotiable", "N/A"] {
            assert_eq!(read_budget(text, Told::Usual(Currency::USD), NumberUnit::Major), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_currency_told_beside_the_amount_must_agree_with_it() {
        let cad = Told::Named(Currency::new("CAD").unwrap());
        let read = |text: &str, told| {
            let budget = read_budget(text, told, NumberUnit::Major)?;
            Ok(budget.and_then(|budget| budget.low).map(|money| format!("{}{}", money.minor, money.currency)))
        };
        assert_eq!(read("$500", cad), Ok(Some("50000CAD".to_owned())));
        assert_eq!(read("500", cad), Ok(Some("50000CAD".to_owned())));
        assert_eq!(read("€500", cad), Err(Unreadable));
        assert_eq!(read("500", Told::Unknown), Err(Unreadable));
        assert_eq!(read("$500", Told::Unknown), Err(Unreadable));
        assert_eq!(currencies::of_column("Canadian dollar (CAD)"), Ok(Currency::new("CAD").ok()));
        for unknown in ["Bitcoin", "XYZ", "kr", "US or CA"] {
            assert_eq!(currencies::of_column(unknown), Err(Unreadable), "{unknown}");
        }
    }

    #[test]
    fn json_numbers_and_minor_units_lose_no_cent() {
        let usd = |value: Value, unit| money_of(&value, Currency::USD, unit).map(|m| m.minor);
        assert_eq!(usd(serde_json::json!(351200.30000000005), NumberUnit::Major), Some(35_120_030));
        assert_eq!(usd(serde_json::json!("4321.14"), NumberUnit::Major), Some(432_114));
        assert_eq!(usd(serde_json::json!(500), NumberUnit::Minor), Some(500));
        assert_eq!(
            usd(serde_json::json!({"isoCurrencyCode": null, "amount": "1000.0"}), NumberUnit::Major),
            Some(100_000)
        );
        for none in [
            serde_json::json!(0),
            serde_json::json!(null),
            serde_json::json!(-5),
            serde_json::json!("x"),
            serde_json::json!(1e300),
        ] {
            assert_eq!(usd(none, NumberUnit::Major), None);
        }
        assert_eq!(Budget::from_amounts(None, None, None).kind, BudgetKind::None);
    }
}

//! Amounts of money as feeds write them: symbols and codes, separators, `k`, ranges, `/hr`. Decimal text
//! goes to whole minor units digit by digit, never through a float.

use bidlock_ledger::{Currency, Money};
use serde_json::Value;

use crate::budget::{Budget, Period};

/// Longest text looked at; amounts stand at the start of longer ones.
const MAX_AMOUNT_BYTES: usize = 200;
/// Longest number kept, before its point: more would overflow minor units.
const MAX_WHOLE_DIGITS: usize = 15;
/// What a currency without a known minor unit is counted in.
const USUAL_EXPONENT: u32 = 2;

/// Symbols, longest first where one holds another. A bare `$` is US dollars.
const SYMBOLS: &[(&str, &str)] = &[
    ("US$", "USD"),
    ("AU$", "AUD"),
    ("CA$", "CAD"),
    ("NZ$", "NZD"),
    ("HK$", "HKD"),
    ("A$", "AUD"),
    ("C$", "CAD"),
    ("R$", "BRL"),
    ("S$", "SGD"),
    ("$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("₹", "INR"),
    ("¥", "JPY"),
    ("₽", "RUB"),
    ("₴", "UAH"),
    ("₺", "TRY"),
    ("₩", "KRW"),
    ("₪", "ILS"),
    ("₫", "VND"),
    ("₱", "PHP"),
    ("zł", "PLN"),
    ("₦", "NGN"),
    ("₿", "XBT"),
];
/// Words after an amount that say what time it pays for.
const PERIODS: &[(&[&str], Period)] = &[
    (&["/hr", "/hour", "/h", "per hour", "hourly", "an hour", "p/h", "hour"], Period::Hour),
    (&["/day", "per day", "daily", "a day", "day"], Period::Day),
    (&["/week", "/wk", "per week", "weekly", "a week", "week"], Period::Week),
    (&["/month", "/mo", "per month", "monthly", "a month", "month"], Period::Month),
    (&["/year", "/yr", "per year", "yearly", "annual", "annum", "a year", "p.a.", "year"], Period::Year),
];

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
        NumberUnit::Major => exponent(currency) as usize,
        NumberUnit::Minor => 0,
    };
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(places).collect();
    let round_up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    let digits = format!("0{whole}{kept}");
    let minor: i64 = digits.parse().ok()?;
    Some(Money { minor: minor.checked_add(i64::from(round_up))?, currency })
}

/// An amount from a JSON number, or text with or without a currency of its own. Zero is "not given".
pub(super) fn money_of(value: &Value, currency: Currency, unit: NumberUnit) -> Option<Money> {
    let amount = match value {
        Value::Number(number) => money(&plain_number(number)?, currency, unit),
        Value::String(text) => money(text, currency, unit).or_else(|| parse(text, currency)?.0),
        Value::Object(object) => {
            let own = object
                .get("isoCurrencyCode")
                .or_else(|| object.get("currency"))
                .or_else(|| object.get("currencyCode"))
                .and_then(Value::as_str)
                .and_then(|code| Currency::new(code).ok());
            let inner =
                object.get("amount").or_else(|| object.get("rawValue")).or_else(|| object.get("value"))?;
            // One level only: a value that nests further is no amount.
            if inner.is_object() { None } else { money_of(inner, own.unwrap_or(currency), unit) }
        }
        _ => None,
    };
    amount.filter(|money| money.minor > 0)
}

/// A JSON number as plain decimal text, without an exponent.
fn plain_number(number: &serde_json::Number) -> Option<String> {
    let text = number.to_string();
    if text.contains(['e', 'E']) {
        return number.as_f64().filter(|value| value.abs() < 1e15).map(|value| format!("{value:.6}"));
    }
    Some(text)
}

/// A budget from a text such as `$15.00-$30.00`, `EUR 1.500`, `5k - 7k USD`, `£40/hr`. `None` where no
/// number is found.
pub(super) fn budget(text: &str, default: Currency) -> Option<Budget> {
    let (low, high, per) = parse(text, default)?;
    Some(Budget::from_amounts(low, high, per)).filter(|budget| budget.low.is_some() || budget.high.is_some())
}

type Parsed = (Option<Money>, Option<Money>, Option<Period>);

fn parse(text: &str, default: Currency) -> Option<Parsed> {
    let text = super::text::cut(text.trim(), MAX_AMOUNT_BYTES);
    let lower = text.to_lowercase();
    let currency = currency_in(text).unwrap_or(default);
    let marked = currency_in(text).is_some();
    let numbers = numbers(&lower, marked);
    let mut amounts = numbers
        .iter()
        .map(|number| money(&number.decimal, currency, NumberUnit::Major).filter(|money| money.minor > 0));
    let first = amounts.next()?;
    let second = amounts.next().flatten();
    // "5-7k": the letter counts for both.
    let first = match (numbers.first(), numbers.get(1)) {
        (Some(one), Some(other)) if other.factor > one.factor && one.factor == 1 && !one.far => {
            money(&scaled(&one.decimal, other.factor), currency, NumberUnit::Major)
                .filter(|money| money.minor > 0)
        }
        _ => first,
    };
    let only_upper =
        ["up to", "upto", "max", "less than", "under", "<"].iter().any(|word| lower.starts_with(word));
    let per = PERIODS
        .iter()
        .find(|(words, _)| words.iter().any(|word| holds_word(&lower, word)))
        .map(|(_, per)| *per);
    if only_upper && second.is_none() { Some((None, first, per)) } else { Some((first, second, per)) }
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

struct Number {
    decimal: String,
    factor: u32,
    /// Too long to be meant in thousands ("5000 - 7k").
    far: bool,
}

/// The numbers of a text, in order, as plain decimals; at most two are of use.
fn numbers(lower: &str, marked: bool) -> Vec<Number> {
    let mut found = Vec::new();
    let mut rest = lower;
    while let (Some(start), true) = (rest.find(|c: char| c.is_ascii_digit()), found.len() < 2) {
        let tail = &rest[start..];
        let end = tail
            .char_indices()
            .find(|(at, c)| {
                let next = tail[at + c.len_utf8()..].chars().next();
                let joins = matches!(c, '.' | ',' | '\'' | '’' | '\u{a0}' | '\u{202f}' | ' ')
                    && next.is_some_and(|next| next.is_ascii_digit())
                    && (*c != ' ' || thousands_follow(&tail[at + 1..]));
                !(c.is_ascii_digit() || joins)
            })
            .map_or(tail.len(), |(at, _)| at);
        let after = &tail[end..];
        let factor = match after.trim_start_matches(' ').chars().next() {
            Some('k') if !after.trim_start().starts_with("kr") => 1_000,
            Some('m') if !after.trim_start()[1..].starts_with(char::is_alphabetic) => 1_000_000,
            _ => 1,
        };
        let decimal = decimal(&tail[..end], marked);
        found.push(Number { far: decimal.len() > 3, decimal: scaled(&decimal, factor), factor });
        rest = after;
    }
    found
}

fn thousands_follow(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits == 3
}

/// One spelling of a number's separators: a point before the decimals, nothing else.
fn decimal(written: &str, marked: bool) -> String {
    let last = written.rfind(['.', ',']);
    let Some(at) = last else { return written.chars().filter(char::is_ascii_digit).collect() };
    let mark = if written[at..].starts_with('.') { '.' } else { ',' };
    let places = written.len() - at - 1;
    let repeated = written.matches(mark).count() > 1;
    let other = written.contains(if mark == '.' { ',' } else { '.' });
    // Three places after a single mark: thousands, unless it is a bare number of some program.
    let decimals = !repeated && (places != 3 || (other && mark == '.') || (mark == '.' && !marked));
    let (whole, fraction) = if decimals { (&written[..at], &written[at + 1..]) } else { (written, "") };
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// A decimal text times a power of ten.
fn scaled(decimal: &str, factor: u32) -> String {
    let zeros = factor.ilog10() as usize;
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let moved: String = fraction.chars().chain(std::iter::repeat('0')).take(zeros).collect();
    let rest: String = fraction.chars().skip(zeros).collect();
    if rest.is_empty() { format!("{whole}{moved}") } else { format!("{whole}{moved}.{rest}") }
}

/// The currency that a text names by symbol or code.
pub(super) fn currency_in(text: &str) -> Option<Currency> {
    let code = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| word.len() == 3 && word.bytes().all(|b| b.is_ascii_uppercase()))
        .find(|word| iso_currency::Currency::from_code(word).is_some());
    let code =
        code.or_else(|| SYMBOLS.iter().find(|(symbol, _)| text.contains(symbol)).map(|(_, code)| *code))?;
    Currency::new(code).ok()
}

/// How many decimal places a currency's minor unit stands for.
fn exponent(currency: Currency) -> u32 {
    iso_currency::Currency::from_code(currency.as_str())
        .and_then(|known| known.exponent())
        .map_or(USUAL_EXPONENT, u32::from)
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
            ("1.500 €", "150000EUR - Fixed"),
            ("5k - 7k USD", "500000USD 700000USD Range"),
            ("$5-7k", "500000USD 700000USD Range"),
            ("1.5k", "150000USD - Fixed"),
            ("¥5000", "5000JPY - Fixed"),
            ("BHD 1.234", "1234000BHD - Fixed"),
            ("₹12,500 – ₹37,500", "1250000INR 3750000INR Range"),
            ("up to $200", "- 20000USD Range"),
            ("$120,000 per year", "12000000USD - Range"),
            ("12.345", "1235USD - Fixed"),
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

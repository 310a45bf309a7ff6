//! The currencies that feeds name by symbol, word or code. What is not known here is unknown: an amount in
//! it can't be read, and is never taken for another currency.

use bidlock_ledger::Currency;

use super::amounts::Unreadable;

/// What a currency without a known minor unit is counted in.
const USUAL_EXPONENT: u32 = 2;

/// Symbols and words, in lower case. A bare `$` is a US dollar where no column says which dollar.
const NAMES: &[(&str, &str)] = &[
    ("us$", "USD"),
    ("u$", "USD"),
    ("au$", "AUD"),
    ("ca$", "CAD"),
    ("nz$", "NZD"),
    ("hk$", "HKD"),
    ("nt$", "TWD"),
    ("mx$", "MXN"),
    ("a$", "AUD"),
    ("c$", "CAD"),
    ("r$", "BRL"),
    ("s$", "SGD"),
    ("$", "USD"),
    ("€", "EUR"),
    ("euro", "EUR"),
    ("euros", "EUR"),
    ("£", "GBP"),
    ("₹", "INR"),
    ("rs", "INR"),
    ("¥", "JPY"),
    ("rmb", "CNY"),
    ("₽", "RUB"),
    ("₴", "UAH"),
    ("₺", "TRY"),
    ("₩", "KRW"),
    ("₪", "ILS"),
    ("₫", "VND"),
    ("₱", "PHP"),
    ("₸", "KZT"),
    ("฿", "THB"),
    ("zł", "PLN"),
    ("₦", "NGN"),
    ("fr", "CHF"),
    ("sfr", "CHF"),
    ("kč", "CZK"),
];
/// Currencies that a bare `$` or `¥` may mean where a column names them.
const SHARED: &[(&str, &[&str])] = &[
    ("$", &["USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP"]),
    ("¥", &["JPY", "CNY"]),
];
/// ISO codes that are no money one could bid: no currency, and the code for tests.
const NO_MONEY: &[&str] = &["XXX", "XTS"];
/// Codes that are ordinary words: they count in capitals only.
const ORDINARY_WORDS: &[&str] = &["all", "top", "try", "cup", "pen", "mad", "mop", "gel", "bob"];
/// Texts in a currency column that say nothing.
const BLANK: &[&str] = &["", "-", "n/a", "na", "none", "null"];

/// The currency of an ISO code, in any case.
pub(super) fn of_code(code: &str) -> Option<Currency> {
    let upper = code.to_ascii_uppercase();
    let known = iso_currency::Currency::from_code(&upper).is_some() && !NO_MONEY.contains(&upper.as_str());
    if known { Currency::new(&upper).ok() } else { None }
}

/// The currency of a symbol or word beside an amount: a known name, or a code.
pub(super) fn of_word(word: &str) -> Option<Currency> {
    let lower = word.to_lowercase();
    if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == lower) {
        return Currency::new(code).ok();
    }
    if ORDINARY_WORDS.contains(&word) {
        return None;
    }
    // `USD$`: the code says which dollar.
    of_code(word.strip_suffix('$').unwrap_or(word))
}

/// Whether a symbol that several currencies share may mean this one.
pub(super) fn may_mean(symbol: &str, currency: Currency) -> bool {
    SHARED.iter().any(|(shared, codes)| *shared == symbol && codes.contains(&currency.as_str()))
}

/// The currency that a column of currencies names: a code, a symbol, or a text with one code in it such as
/// `Canadian dollar (CAD)`. `Ok(None)` where it is blank.
pub(super) fn of_column(text: &str) -> Result<Option<Currency>, Unreadable> {
    let text = text.trim();
    if BLANK.contains(&text.to_lowercase().as_str()) {
        return Ok(None);
    }
    if let Some(currency) = of_word(text.trim_end_matches('.')).or_else(|| of_code(text)) {
        return Ok(Some(currency));
    }
    let mut codes = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase()))
        .filter_map(of_code);
    match (codes.next(), codes.next()) {
        (Some(currency), None) => Ok(Some(currency)),
        _ => Err(Unreadable),
    }
}

/// How many decimal places a currency's minor unit stands for.
pub(super) fn exponent(currency: Currency) -> u32 {
    iso_currency::Currency::from_code(currency.as_str())
        .and_then(|known| known.exponent())
        .map_or(USUAL_EXPONENT, u32::from)
}

/// Whether a character is a symbol of money, known here or not.
pub(super) fn is_symbol(c: char) -> bool {
    matches!(c, '$' | '¢' | '£' | '¤' | '¥' | '฿' | '\u{20a0}'..='\u{20cf}' | '＄' | '￥' | '￡')
}

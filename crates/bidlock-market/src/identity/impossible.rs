//! Texts that cannot be a posting's id on any marketplace.

/// Why a text cannot be a posting's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Impossible {
    /// What is wrong with the text, without the text itself.
    pub cause: String,
}

impl Impossible {
    /// With the words that finish the sentence "the posting id …".
    pub(crate) fn because(cause: impl Into<String>) -> Impossible {
        Impossible { cause: cause.into() }
    }
}

/// What programs print where they have no value, in lower case.
const NO_VALUE: &[&str] = &[
    "#error!",
    "#n/a",
    "#ref!",
    "#value!",
    "(null)",
    "<na>",
    "[object object]",
    "false",
    "n/a",
    "nan",
    "nil",
    "none",
    "null",
    "true",
    "undefined",
];

/// Refuses what cannot be an id anywhere. `text` is tidy.
pub(crate) fn check(text: &str) -> Result<(), Impossible> {
    if text.is_empty() {
        return Err(Impossible::because("is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Impossible::because("holds a control character"));
    }
    if text.contains('\u{fffd}') || text.contains("%EF%BF%BD") {
        return Err(Impossible::because("holds characters that were lost in decoding (U+FFFD)"));
    }
    if let Some(word) = no_value_in(text) {
        return Err(Impossible::because(format!("holds `{word}` where the id should be")));
    }
    if is_scientific(text) {
        return Err(Impossible::because(
            "is a number in scientific notation, so its last digits are lost; read the source's ids as text",
        ));
    }
    Ok(())
}

/// The no-value word that stands for the whole text, its last part, or a parameter's value.
fn no_value_in(text: &str) -> Option<&'static str> {
    let word = |part: &str| {
        let part = part.trim();
        NO_VALUE.iter().copied().find(|word| part.eq_ignore_ascii_case(word))
    };
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    if let Some(whole) = word(&decoded) {
        return Some(whole);
    }
    let parameter = text
        .split(['&', '?', ';'])
        .filter_map(|part| part.split_once('='))
        .find_map(|(_, value)| word(&percent_encoding::percent_decode_str(value).decode_utf8_lossy()));
    if parameter.is_some() {
        return parameter;
    }
    let path = decoded.split(['?', '#']).next().unwrap_or("");
    path.trim_end_matches('/').rsplit([':', '/']).next().and_then(word)
}

/// `1.92e18`, `1E+18`, `2e9`: a number that some program has printed through a float. Hexadecimal ids such
/// as `12e45678` are not meant: there the mantissa has several digits and no point.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let signed = exponent.starts_with(['+', '-']);
    let exponent = exponent.trim_start_matches(['+', '-']);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(exponent) || exponent.len() > 3 {
        return false;
    }
    let mantissa = mantissa.trim_start_matches(['+', '-']);
    match mantissa.split_once(['.', ',']) {
        Some((whole, fraction)) => whole.len() == 1 && digits(whole) && digits(fraction),
        None => digits(mantissa) && (mantissa.len() == 1 || signed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_print_for_nothing_is_no_id() {
        for bad in [
            "",
            "undefined",
            "NULL",
            "NaN",
            "None",
            "[object Object]",
            "%5Bobject%20Object%5D",
            "board:undefined",
            "https://a.example/jobs/null",
            "https://a.example/jobs/null/?x=1",
            "https://a.example/j?id=undefined",
            "1.92e18",
            "1.92E+18",
            "1,90000000000000E+18",
            "1E+18",
            "a\u{0}b",
            "a\u{fffd}b",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in
            ["0", "nullable-types", "12e45678", "3e4a", "job:1", "undefined-behaviour-expert", "e5", "日本"]
        {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }
}

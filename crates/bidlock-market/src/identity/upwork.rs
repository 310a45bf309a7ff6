//! Identity on Upwork: ciphertexts (`~01` + 16 hexadecimal digits, `~02` + 19 decimal digits) and the
//! decimal ids of its search.
//!
//! Canonical are `~01` + hexadecimal digits in lower case, and the bare 19 digits (what stands after
//! `~02`). A `~01` cannot be turned into a decimal id without Upwork: where a source shows both, the
//! decimal one is meant. Any other text without a tilde is kept as it is, for ids that users made up.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Scheme, segments};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

/// Digits of a decimal id. Ids count up with time; 19 digits were reached in 2018 and last until they
/// overflow 63 bits, so any other number of digits is an id cut short or pasted together.
const DECIMAL_DIGITS: usize = 19;
/// Hexadecimal digits after `~01`.
const HEX_DIGITS: usize = 16;
/// Spreadsheets keep 15 digits of a number: an id that ends in this many zeros has lost its tail.
const ROUNDED_ZEROS: &str = "0000";
/// `%25257E` has been seen; deeper nesting has not.
const MAX_DECODINGS: usize = 3;

pub(super) const SCHEME: Scheme = Scheme {
    name: "upwork",
    version: VERSION,
    aliases: &["up work", "upwork.com", "www.upwork.com"],
    hosts: &["upwork.com"],
    canonical,
    from_url,
    is_own_form,
};

fn is_own_form(text: &str) -> bool {
    let hex = |hex: &str| hex.len() == HEX_DIGITS && hex.bytes().all(|b| b.is_ascii_hexdigit());
    (text.len() == DECIMAL_DIGITS && all_digits(text)) || text.strip_prefix("~01").is_some_and(hex)
}

fn canonical(text: &str) -> Result<String, Impossible> {
    if let Some(found) = ciphertext_in(text) {
        return found;
    }
    if generic::as_url(text).is_some() {
        return generic::canonical(text);
    }
    let number = generic::canonical(text)?;
    if !all_digits(&number) {
        // The tilde of a ciphertext was lost on the way.
        let hex = number.get(2..).unwrap_or("");
        let bare =
            number.starts_with("01") && hex.len() == HEX_DIGITS && hex.bytes().all(|b| b.is_ascii_hexdigit());
        return if bare { tokens("01", hex) } else { Ok(number) };
    }
    match (number.get(..2), number.len()) {
        (Some("01"), len) if len == HEX_DIGITS + 2 => tokens("01", &number[2..]),
        (Some("02"), len) if len == DECIMAL_DIGITS + 2 => tokens("02", &number[2..]),
        _ => decimal(&number),
    }
}

fn from_url(url: &Url) -> Option<Result<String, Impossible>> {
    if let Some(found) = ciphertext_in(url.as_str()) {
        return Some(found);
    }
    let segments = segments(url);
    if let Some(number) = segments.iter().rev().find(|segment| all_digits(segment)) {
        return Some(decimal(number));
    }
    // A job's page whose id is gone would make a key that no other sighting has.
    segments
        .iter()
        .any(|segment| matches!(segment.to_ascii_lowercase().as_str(), "jobs" | "job" | "freelance-jobs"))
        .then(|| Err(Impossible::because("is an Upwork address without a job's id (`~01…` or `~02…`)")))
}

/// The last ciphertext in a text, after decoding `%7E` however often it was escaped.
fn ciphertext_in(text: &str) -> Option<Result<String, Impossible>> {
    let mut decoded = text.to_owned();
    for _ in 0..MAX_DECODINGS {
        let next = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
        if next == decoded {
            break;
        }
        decoded = next;
    }
    // A tracking parameter may hold a tilde of its own: the path is asked first.
    let path = decoded.split(['?', '#']).next().unwrap_or("");
    let after = match (path.rfind("~0"), decoded.rfind("~0"), decoded.trim_end_matches('/').ends_with('~')) {
        (Some(at), ..) => &path[at + 1..],
        (None, Some(at), _) => &decoded[at + 1..],
        (None, None, true) => "",
        (None, None, false) => return None,
    };
    let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
    let token = &after[..end];
    match token.get(..2) {
        Some(kind) => Some(tokens(kind, &token[2..])),
        None => Some(Err(Impossible::because("is an Upwork ciphertext cut short after its tilde"))),
    }
}

fn tokens(kind: &str, digits: &str) -> Result<String, Impossible> {
    match kind {
        "01" if digits.len() == HEX_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(format!("~01{}", digits.to_ascii_lowercase()))
        }
        "01" => Err(Impossible::because(format!(
            "is no Upwork ciphertext: after `~01` stand {} characters instead of {HEX_DIGITS} hexadecimal digits",
            digits.len()
        ))),
        "02" if all_digits(digits) => decimal(digits),
        "02" => Err(Impossible::because(format!(
            "is no Upwork ciphertext: after `~02` stand no {DECIMAL_DIGITS} decimal digits"
        ))),
        other => Err(Impossible::because(format!("is an Upwork ciphertext of an unknown kind `~{other}`"))),
    }
}

fn decimal(digits: &str) -> Result<String, Impossible> {
    if digits.len() != DECIMAL_DIGITS {
        let fault = if digits.len() < DECIMAL_DIGITS { "cut short" } else { "too long" };
        return Err(Impossible::because(format!(
            "is an Upwork id {fault}: it has {} of {DECIMAL_DIGITS} digits",
            digits.len()
        )));
    }
    if digits.ends_with(ROUNDED_ZEROS) {
        return Err(Impossible::because(
            "ends in zeros, as an Upwork id does that a spreadsheet has rounded",
        ));
    }
    Ok(digits.to_owned())
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, canonical_url};

    #[test]
    fn every_spelling_of_a_posting_is_one_id() {
        let hex = [
            "https://www.upwork.com/jobs/Some-title_%7E01ab54d434f54ff0e9?source=rss",
            "https://www.upwork.com/jobs/Some-title_%7e01ab54d434f54ff0e9",
            "https://www.upwork.com/jobs/Another-title_~01AB54D434F54FF0E9/",
            "http://upwork.com/jobs/~01ab54d434f54ff0e9?utm_source=x#top",
            "https://www.upwork.com/ab/proposals/job/~01ab54d434f54ff0e9/apply/",
            "https://www.upwork.com/jobs/a~0b_%257E01ab54d434f54ff0e9",
            "~01ab54d434f54ff0e9",
            "%7E01ab54d434f54ff0e9",
            " ~01AB54d434f54ff0e9\u{feff}",
            "01ab54d434f54ff0e9",
            "upwork:~01ab54d434f54ff0e9",
            "Some-title_~01ab54d434f54ff0e9",
        ];
        for text in hex {
            assert_eq!(canonical("upwork", text).unwrap().posting(), "~01ab54d434f54ff0e9", "{text}");
        }
        let decimal = [
            "1900000000000000017",
            "~021900000000000000017",
            "%7E021900000000000000017",
            "021900000000000000017",
            "https://www.upwork.com/freelance-jobs/apply/Some-title_~021900000000000000017/",
            "https://www.upwork.com/nx/search/jobs/details/~021900000000000000017?q=x",
            "https://www.upwork.com/jobs/1900000000000000017",
        ];
        for text in decimal {
            assert_eq!(canonical("Upwork.com", text).unwrap().posting(), "1900000000000000017", "{text}");
        }
        assert_eq!(canonical_url(hex[0]), canonical("upwork", hex[6]).ok());
        assert_eq!(canonical_url(decimal[4]), canonical("upwork", decimal[0]).ok());
        assert_eq!(canonical("upwork", "job_123").unwrap().posting(), "job_123");
    }

    #[test]
    fn an_id_cut_short_or_rounded_is_no_id() {
        for text in [
            "~",
            "~0",
            "~01",
            "~01ab54",
            "~02",
            "~02190000000000000001",
            "190000000000000001",
            "17",
            "~01ab54d434f54ff0e9a",
            "~0219000000000000000170",
            "~05ab54d434f54ff0e9",
            "1900000000000000000",
            "1.9e18",
            "1900000000000000017.0",
            "https://www.upwork.com/jobs/Some-title",
            "https://www.upwork.com/jobs/Some-title_~",
            "https://www.upwork.com/jobs/Some-title_%7E01ab54?source=rss",
            "https://www.upwork.com/jobs/undefined",
        ] {
            assert!(canonical("upwork", text).is_err(), "{text}");
            assert_eq!(canonical_url(text), None, "{text}");
        }
    }

    #[test]
    fn different_postings_stay_different() {
        let ids = [
            "1900000000000000017",
            "1900000000000000018",
            "~01ab54d434f54ff0e9",
            "~01ab54d434f54ff0e8",
            "job_1",
            "job_2",
        ];
        let distinct: std::collections::HashSet<_> =
            ids.iter().map(|text| canonical("upwork", text).unwrap()).collect();
        assert_eq!(distinct.len(), ids.len());
    }
}

//! Identity on Upwork: ciphertexts (`~01` + 16 hexadecimal digits, `~02` + 19 decimal digits) and the
//! decimal ids of its search.
//!
//! Canonical are `~01` + hexadecimal digits in lower case, and the bare 19 digits (what stands after
//! `~02`). A `~01` cannot be turned into a decimal id without Upwork: where a source shows both, the
//! decimal one is meant. An id that ends in four zeros keeps its `~02`: bare, it looks as if a spreadsheet
//! had rounded it. Any other text is kept as it is, for ids that users made up, unless it holds an id.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Rank, Scheme, segments, spelling};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

/// Digits of a decimal id. Ids count up with time; 19 digits were reached in 2018 and last until they
/// overflow 63 bits, so any other number of digits is an id cut short or pasted together.
const DECIMAL_DIGITS: usize = 19;
/// Hexadecimal digits after `~01`.
const HEX_DIGITS: usize = 16;
/// Digits in a row from which on a text holds an id, perhaps one cut short, and is not made up.
const SUSPICIOUS_DIGITS: usize = DECIMAL_DIGITS - 2;
/// Spreadsheets keep 15 digits of a number: a bare id that ends in this many zeros has lost its tail. Of ids
/// that never were a number in a table (`~02…`, a URL), one in ten thousand ends so.
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
    own_form,
    holds_id,
    also_written,
};

fn own_form(text: &str) -> Option<Rank> {
    let decimal = |text: &str| text.len() == DECIMAL_DIGITS && all_digits(text);
    if decimal(text.strip_prefix("~02").unwrap_or(text)) {
        return Some(Rank::Main);
    }
    text.strip_prefix("~01").filter(|hex| is_hex(hex)).map(|_| Rank::Second)
}

/// The ciphertext of a decimal id. That of another posting's kind can't be made without Upwork.
fn also_written(canonical: &str) -> Option<String> {
    let decimal = canonical.strip_prefix("~02").unwrap_or(canonical);
    let is_decimal = decimal.len() == DECIMAL_DIGITS && all_digits(decimal);
    let other = if decimal == canonical { format!("~02{decimal}") } else { decimal.to_owned() };
    is_decimal.then_some(other)
}

fn is_hex(text: &str) -> bool {
    text.len() == HEX_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A decimal id, or a ciphertext whose tilde is lost, somewhere in other text.
fn holds_id(text: &str) -> bool {
    spelling::holds_digits(text, SUSPICIOUS_DIGITS)
        || text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word.strip_prefix("01").is_some_and(is_hex))
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
        return if number.starts_with("01") && is_hex(hex) { tokens("01", hex) } else { Ok(number) };
    }
    match (number.get(..2), number.len()) {
        (Some("01"), len) if len == HEX_DIGITS + 2 => tokens("01", &number[2..]),
        (Some("02"), len) if len == DECIMAL_DIGITS + 2 => bare(&number[2..]),
        _ => bare(&number),
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
        "01" if is_hex(digits) => Ok(format!("~01{}", digits.to_ascii_lowercase())),
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

/// A decimal id with nothing around it, which may have been a number in a table.
fn bare(digits: &str) -> Result<String, Impossible> {
    if digits.len() == DECIMAL_DIGITS && digits.ends_with(ROUNDED_ZEROS) {
        return Err(Impossible::because(
            "ends in zeros, as an Upwork id does that a spreadsheet has rounded; give its `~02…` or its address",
        ));
    }
    decimal(digits)
}

/// A decimal id that was text all the way.
fn decimal(digits: &str) -> Result<String, Impossible> {
    if digits.len() != DECIMAL_DIGITS {
        let fault = if digits.len() < DECIMAL_DIGITS { "cut short" } else { "too long" };
        return Err(Impossible::because(format!(
            "is an Upwork id {fault}: it has {} of {DECIMAL_DIGITS} digits",
            digits.len()
        )));
    }
    // The canonical text is read again and again, and bare it would be refused then.
    let mark = if digits.ends_with(ROUNDED_ZEROS) { "~02" } else { "" };
    Ok(format!("{mark}{digits}"))
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
            "www.upwork.com/jobs/~021900000000000000017",
            "www.upwork.com/jobs/1900000000000000017",
            "//upwork.com/jobs/1900000000000000017/",
            "=\"1900000000000000017\"",
            "'1900000000000000017",
            "\"1900000000000000017\"",
            "1900000000000000017,",
            "1,900,000,000,000,000,017",
            "#1900000000000000017",
            "19000000\u{200b}00000000\u{ad}017",
            "\u{feff}=\"https://www.upwork.com/jobs/1900000000000000017\"",
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
            "021900000000000000000",
            "=\"1900000000000000000\"",
            "www.upwork.com/jobs/Some-title",
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

    #[test]
    fn an_id_among_other_text_is_not_made_up() {
        for text in [
            "job 1900000000000000017",
            "job-1900000000000000017",
            "id:190000000000000001",
            "19000000 00000000017",
            "1900-0000-0000-0000-017",
            "１９０００００００００００００００１７",
            "Some-title_01ab54d434f54ff0e9",
            "\u{223c}01ab54d434f54ff0e9",
            "https://acme.example/go?to=1900000000000000017",
            "https://www.upwork.com/nx/find?uid=1900000000000000017",
        ] {
            let error = canonical("upwork", text).unwrap_err();
            assert!(error.to_string().contains("looks like an id"), "{text}: {error}");
        }
        for text in ["lead 17, of 2024-01-31", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"] {
            assert_eq!(canonical("upwork", text).unwrap().posting(), text);
        }
    }

    #[test]
    fn a_decimal_id_is_also_written_as_its_ciphertext() {
        let spellings = |text| crate::spellings(&canonical("upwork", text).unwrap());
        assert_eq!(spellings("1900000000000000017"), ["1900000000000000017", "~021900000000000000017"]);
        assert_eq!(spellings("~021900000000000010000"), ["~021900000000000010000", "1900000000000010000"]);
        assert_eq!(spellings("~01ab54d434f54ff0e9"), ["~01ab54d434f54ff0e9"]);
        assert_eq!(spellings("job_1"), ["job_1"]);
    }

    #[test]
    fn four_zeros_at_the_end_are_refused_only_where_a_table_may_have_rounded() {
        for text in [
            "~021900000000000010000",
            "%7E021900000000000010000",
            "https://www.upwork.com/jobs/Some-title_~021900000000000010000/",
            "https://www.upwork.com/jobs/1900000000000010000",
            "www.upwork.com/jobs/1900000000000010000",
        ] {
            let id = canonical("upwork", text).unwrap();
            assert_eq!(id.posting(), "~021900000000000010000", "{text}");
            assert_eq!(canonical("upwork", id.posting()), Ok(id));
        }
        assert!(canonical("upwork", "1900000000000010000").is_err());
        assert_eq!(canonical("upwork", "1900000000000001000").unwrap().posting(), "1900000000000001000");
    }
}

//! Identity on Freelancer.com: the project's number.
//!
//! Addresses of the site end in the number for some projects and name others by their title alone. Without
//! the number the address's own name is kept, as `seo:category/title`; the API gives numbers always, so a
//! source of bare addresses should not be mixed with the API in one ledger.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Rank, Scheme, segments, spelling};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

/// Digits at the end of an address's title from which on they are a project's number. Numbers have been
/// this long since before 2014; shorter ones are part of a title ("…-in-2024").
const NUMBER_DIGITS: usize = 7;
/// More digits than this at the end of a title are part of it (a telephone or order number): projects were
/// at eight digits after twenty years.
const MAX_NUMBER_DIGITS: usize = 9;
/// What stands before the name of an address without a number.
const NAMED: &str = "seo:";

pub(super) const SCHEME: Scheme = Scheme {
    name: "freelancer",
    version: VERSION,
    aliases: &["freelancer.com", "freelancercom", "www.freelancer.com"],
    hosts: &[
        "freelancer.ca",
        "freelancer.cl",
        "freelancer.co.id",
        "freelancer.co.it",
        "freelancer.co.ke",
        "freelancer.co.nz",
        "freelancer.co.th",
        "freelancer.co.uk",
        "freelancer.co.za",
        "freelancer.com",
        "freelancer.com.ar",
        "freelancer.com.au",
        "freelancer.com.bd",
        "freelancer.com.br",
        "freelancer.com.co",
        "freelancer.com.es",
        "freelancer.com.jm",
        "freelancer.com.pe",
        "freelancer.de",
        "freelancer.ec",
        "freelancer.es",
        "freelancer.hk",
        "freelancer.in",
        "freelancer.is",
        "freelancer.mx",
        "freelancer.ph",
        "freelancer.pk",
        "freelancer.pl",
        "freelancer.pt",
        "freelancer.sg",
        "freelancer.uy",
    ],
    canonical,
    from_url,
    own_form: |text| number(text).filter(|digits| digits.len() >= NUMBER_DIGITS).map(|_| Rank::Loose),
    holds_id,
    also_written: |_| None,
};

fn canonical(text: &str) -> Result<String, Impossible> {
    let text = generic::canonical(text)?;
    match number(&text) {
        Some("0") => Err(Impossible::because("is 0, which is no project's number")),
        Some(digits) => Ok(digits.to_owned()),
        None => Ok(text),
    }
}

fn from_url(url: &Url) -> Option<Result<String, Impossible>> {
    let segments = segments(url);
    let after = segments.iter().position(|segment| segment.eq_ignore_ascii_case("projects"))? + 1;
    // `/projects/php/title-12345678/details` and its siblings are pages of the same project.
    let names: Vec<String> = segments[after..]
        .iter()
        .take(2)
        .map(|segment| segment.to_ascii_lowercase().trim_end_matches(".html").to_owned())
        .filter(|segment| !matches!(segment.as_str(), "details" | "proposals" | "reviews" | "files"))
        .collect();
    if let Some(digits) = names.iter().rev().find_map(|name| number_of(name)) {
        return Some(Ok(digits.to_owned()));
    }
    if names.is_empty() { None } else { Some(Ok(format!("{NAMED}{}", names.join("/")))) }
}

/// The project's number in one part of an address: all of it, or the end of a title.
fn number_of(name: &str) -> Option<&str> {
    let long = |digits: &&str| digits.len() >= NUMBER_DIGITS;
    let Some((_, tail)) = name.rsplit_once('-') else { return number(name).filter(long) };
    number(tail).filter(long).filter(|digits| digits.len() <= MAX_NUMBER_DIGITS && !is_date(tail))
}

/// Whether eight digits are a day, as titles write it: "…-20190131".
fn is_date(digits: &str) -> bool {
    let part = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<i16>().ok());
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(4, 6), part(6, 8)) else { return false };
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else { return false };
    // The site is younger than 2000, and titles do not look far ahead.
    digits.len() == 8 && (2000..2100).contains(&year) && jiff::civil::Date::new(year, month, day).is_ok()
}

fn holds_id(text: &str) -> bool {
    match text.strip_prefix(NAMED) {
        Some(names) => names.split('/').any(|name| number_of(name).is_some()),
        None => spelling::holds_digits(text, NUMBER_DIGITS),
    }
}

/// The text as a whole number without leading zeros.
fn number(text: &str) -> Option<&str> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    Some(if digits.is_empty() { "0" } else { digits })
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, canonical_url};

    #[test]
    fn the_number_is_the_identity_wherever_it_stands() {
        for text in [
            "31000017",
            "31000017.0",
            "0031000017",
            "freelancer:31000017",
            " 31000017 ",
            "https://www.freelancer.com/projects/php/Some-title-31000017",
            "https://www.freelancer.in/projects/php/some-title-31000017/details?utm_source=x",
            "http://freelancer.com/projects/Some-title-31000017.html",
            "https://www.freelancer.com/projects/31000017/",
            "www.freelancer.com/projects/php/t-31000017",
            "//freelancer.in/projects/31000017",
            "31,000,017",
            "31 000 017",
            "=\"31000017\"",
            "'31000017",
            "#31000017,",
            "3100\u{200b}0017",
            "\"https://www.freelancer.com/projects/php/t-31000017\",",
        ] {
            assert_eq!(canonical("Freelancer.com", text).unwrap().posting(), "31000017", "{text}");
        }
    }

    #[test]
    fn an_address_without_a_number_keeps_its_name() {
        let id = canonical_url("https://www.freelancer.com/projects/javascript/Some-Game-2024/").unwrap();
        assert_eq!((id.marketplace(), id.posting()), ("freelancer", "seo:javascript/some-game-2024"));
        assert_eq!(canonical("freelancer", id.posting()), Ok(id));
        assert_ne!(canonical("freelancer", "31000017"), canonical("freelancer", "31000018"));
        assert!(canonical("freelancer", "0").is_err());
        assert_eq!(canonical_url("https://www.freelancer.com/about"), None);
    }

    #[test]
    fn a_title_that_ends_in_a_day_or_a_long_number_has_no_id() {
        let address =
            |name: &str| canonical("freelancer", &format!("https://www.freelancer.com/projects/{name}"));
        let names = [
            "logo-design/Logo-20190101",
            "php/Site-20190101",
            "php/Call-0123456789012",
            "php/Order-1234567890",
        ];
        let keys: std::collections::HashSet<_> = names.iter().map(|name| address(name).unwrap()).collect();
        assert_eq!(keys.len(), names.len());
        for key in &keys {
            assert!(key.posting().starts_with("seo:"), "{key}");
            assert_eq!(canonical("freelancer", key.posting()).as_ref(), Ok(key));
        }
        for (name, number) in
            [("php/Site-20191301", "20191301"), ("php/Site-123456789", "123456789"), ("20190101", "20190101")]
        {
            assert_eq!(address(name).unwrap().posting(), number);
        }
    }

    #[test]
    fn a_number_among_other_text_is_no_id_of_its_own() {
        for text in [
            "project 31000017",
            "php/t-31000017",
            "seo:php/t-31000017",
            "31,00,00,17",
            "３１００００１７",
            "31000017,0",
            "id=31000017",
            "https://acme.example/go?to=31000017",
        ] {
            assert!(canonical("freelancer", text).is_err(), "{text}");
        }
        assert_eq!(canonical("freelancer", "lead 12").unwrap().posting(), "lead 12");
        let key = format!("content:v1:{}", "1234567890abcdef".repeat(4));
        assert_eq!(canonical("freelancer", &key).unwrap().posting(), key);
    }
}

//! Identity on Freelancer.com: the project's number.
//!
//! Addresses of the site end in the number for some projects and name others by their title alone. Without
//! the number the address's own name is kept, as `seo:category/title`; the API gives numbers always, so a
//! source of bare addresses should not be mixed with the API in one ledger.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Scheme, segments};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

/// Digits at the end of an address's title from which on they are a project's number. Numbers have been
/// this long since before 2014; shorter ones are part of a title ("…-in-2024").
const NUMBER_DIGITS: usize = 7;

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
    is_own_form: |text| number(text).is_some_and(|digits| digits.len() >= NUMBER_DIGITS),
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
    for name in names.iter().rev() {
        let tail = name.rsplit('-').next().unwrap_or(name);
        if let Some(digits) = number(tail).filter(|digits| digits.len() >= NUMBER_DIGITS) {
            return Some(Ok(digits.to_owned()));
        }
    }
    if names.is_empty() { None } else { Some(Ok(format!("seo:{}", names.join("/")))) }
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
}

//! Identity on Remote OK: the number, which also ends every address's title.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Rank, Scheme, segments, spelling};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

/// Digits at the end of an address from which on they are the posting's number; the site's numbers have
/// had five digits and more for all of its API's life.
const NUMBER_DIGITS: usize = 5;

pub(super) const SCHEME: Scheme = Scheme {
    name: "remoteok",
    version: VERSION,
    aliases: &["remote ok", "remote-ok", "remote_ok", "remoteok.com", "remoteok.io"],
    hosts: &["remoteok.com", "remoteok.io"],
    canonical,
    from_url,
    own_form: |text| {
        (text.len() >= NUMBER_DIGITS && text.bytes().all(|b| b.is_ascii_digit())).then_some(Rank::Loose)
    },
    // The words of an address may hold numbers ("100000-eur"); anything else with a number is no address.
    holds_id: |text| {
        spelling::holds_digits(text, NUMBER_DIGITS)
            && !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    },
    also_written: |_| None,
};

fn canonical(text: &str) -> Result<String, Impossible> {
    let text = generic::canonical(text)?;
    Ok(if generic::as_url(&text).is_some() { text } else { number_or_slug(&text) })
}

fn from_url(url: &Url) -> Option<Result<String, Impossible>> {
    let segments = segments(url);
    let at = segments.iter().position(|segment| matches!(segment.as_str(), "remote-jobs" | "l" | "jobs"))?;
    segments.get(at + 1).map(|slug| Ok(number_or_slug(slug)))
}

fn number_or_slug(slug: &str) -> String {
    let tail = slug.rsplit('-').next().unwrap_or(slug);
    if tail.len() >= NUMBER_DIGITS && tail.bytes().all(|b| b.is_ascii_digit()) {
        tail.to_owned()
    } else {
        slug.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, canonical_url};

    #[test]
    fn number_slug_and_address_are_one_id() {
        for text in [
            "1100017",
            "remoteok:1100017",
            "remote-some-title-some-company-1100017",
            "https://remoteOK.com/remote-jobs/remote-some-title-some-company-1100017",
            "https://remoteok.io/remote-jobs/1100017?ref=x",
            "https://www.remoteok.com/l/1100017/",
            "remoteok.com/l/1100017",
            "#1,100,017",
        ] {
            assert_eq!(canonical("remoteok", text).unwrap().posting(), "1100017", "{text}");
        }
        assert_eq!(
            canonical_url("https://remoteok.com/remote-jobs/x-1100017"),
            canonical("Remote OK", "1100017").ok()
        );
        assert_ne!(canonical("remoteok", "1100017"), canonical("remoteok", "1100018"));
        assert_eq!(canonical_url("https://remoteok.com/legal"), None);
        assert!(canonical("remoteok", "id: 1100017").is_err());
    }
}

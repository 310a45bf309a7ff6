//! Identity on marketplaces that have no rules of their own: text as it is, URLs without what does not
//! tell postings apart.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization;
use url::Url;
use url::form_urlencoded;

use super::impossible::Impossible;

/// The version of this canonical form.
pub const VERSION: u32 = 1;

/// Query parameters that tell where a reader came from, never which posting is meant. `utm_…` as a whole.
const TRACKING: &[&str] = &[
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "dclid",
    "fbclid",
    "gbraid",
    "gclid",
    "igshid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "oly_anon_id",
    "oly_enc_id",
    "s_cid",
    "ttclid",
    "twclid",
    "vero_id",
    "wbraid",
    "yclid",
];
/// Parameters that are tracking with these values only; elsewhere they may name the posting.
const TRACKING_VALUES: &[(&str, &[&str])] = &[
    ("from", &["email", "feed", "rss"]),
    ("ref", &["email", "feed", "rss", "twitter"]),
    ("rss", &["", "feed", "rss", "true", "yes"]),
    ("source", &["email", "feed", "newsletter", "rss"]),
];
/// The same for values that go on in many ways: how LinkedIn's `trk` names the page a reader came from.
const TRACKING_HEADS: &[(&str, &[&str])] = &[(
    "trk",
    &[
        "d_flagship3_",
        "eml-",
        "feed",
        "flagship3_",
        "guest_",
        "homepage-",
        "organization_guest",
        "public_",
        "rss",
    ],
)];
/// What stays as it is in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What stays as it is in a fragment, which may be a path with parameters of its own.
const FRAGMENT: &AsciiSet = &SEGMENT
    .remove(b'/')
    .remove(b'!')
    .remove(b'?')
    .remove(b'&')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b',')
    .remove(b';')
    .remove(b'+');
/// What begins a fragment's part for the browser alone (`#:~:text=…` marks words on the page).
const DIRECTIVE: &str = ":~:";
/// A whole number that passed through a table of floats has at most this many digits it can be trusted with.
const FLOAT_DIGITS: usize = 15;

/// The canonical form of any id: a URL without its tracking parts, a number without `.0`, other text as it is.
pub(crate) fn canonical(text: &str) -> Result<String, Impossible> {
    if let Some(url) = as_url(text) {
        return Ok(canonical_url(&url));
    }
    match text.split_once('.') {
        Some((whole, zeros))
            if !zeros.is_empty()
                && zeros.bytes().all(|b| b == b'0')
                && !whole.is_empty()
                && whole.bytes().all(|b| b.is_ascii_digit()) =>
        {
            if whole.len() > FLOAT_DIGITS {
                return Err(Impossible::because(
                    "is a long number that went through a float, so its last digits are lost",
                ));
            }
            Ok(whole.to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// The text as an http or https URL with a host, if it is one.
pub(crate) fn as_url(text: &str) -> Option<Url> {
    let (scheme, rest) = text.split_once(':')?;
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        || !rest.starts_with("//")
    {
        return None;
    }
    Url::parse(text).ok().filter(Url::has_host)
}

/// One spelling for all URLs of one page.
fn canonical_url(url: &Url) -> String {
    let mut host = url.host_str().unwrap_or("").trim_end_matches('.');
    while let Some(shorter) = host.strip_prefix("www.").filter(|shorter| shorter.contains('.')) {
        host = shorter;
    }
    let mut out = format!("https://{host}");
    if let Some(port) = url.port().filter(|port| !matches!(port, 80 | 443)) {
        out.push_str(&format!(":{port}"));
    }
    let segments: Vec<String> = url.path_segments().into_iter().flatten().map(canonical_segment).collect();
    let kept = segments.iter().rposition(|segment| !segment.is_empty()).map_or(0, |last| last + 1);
    for segment in &segments[..kept] {
        out.push('/');
        out.push_str(segment);
    }
    let mut query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(key, value)| (key.nfc().collect::<String>(), value.nfc().collect::<String>()))
        .filter(|(key, value)| !(is_tracking(key, value) || key.is_empty() && value.is_empty()))
        .collect();
    if !query.is_empty() {
        query.sort();
        out.push('?');
        out.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
    }
    if let Some(fragment) = url.fragment().and_then(canonical_fragment) {
        out.push('#');
        out.push_str(&fragment);
    }
    out
}

/// The part of a fragment that may tell postings apart: a page of several names each by one.
fn canonical_fragment(fragment: &str) -> Option<String> {
    let Ok(decoded) = percent_decode_str(fragment).decode_utf8() else { return Some(fragment.to_owned()) };
    let composed: String = decoded.nfc().collect();
    let name = composed.split(DIRECTIVE).next().unwrap_or("").trim();
    (!name.is_empty() && !name.eq_ignore_ascii_case("top"))
        .then(|| utf8_percent_encode(name, FRAGMENT).to_string())
}

fn canonical_segment(segment: &str) -> String {
    match percent_decode_str(segment).decode_utf8() {
        Ok(decoded) => {
            let composed: String = decoded.nfc().collect();
            // A lone dot would be taken as "this folder" when the URL is read again.
            match composed.trim() {
                "." | ".." => String::new(),
                _ => utf8_percent_encode(composed.trim(), SEGMENT).to_string(),
            }
        }
        Err(_) => segment.to_owned(),
    }
}

fn is_tracking(key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("utm_")
        || TRACKING.contains(&key.as_str())
        || TRACKING_VALUES.iter().any(|(name, values)| {
            *name == key && values.iter().any(|known| value.eq_ignore_ascii_case(known))
        })
        || TRACKING_HEADS.iter().any(|(name, heads)| {
            let value = value.to_ascii_lowercase();
            *name == key && heads.iter().any(|head| value.starts_with(head))
        })
}

#[cfg(test)]
mod tests {
    use super::super::canonical;

    fn id(text: &str) -> String {
        canonical("board", text).unwrap().posting().to_owned()
    }

    #[test]
    fn all_spellings_of_a_page_are_one_id() {
        for same in [
            "https://www.board.example/jobs/Caf%C3%A9-1?b=2&a=1",
            "http://board.example/jobs/Café-1/?a=1&b=2&utm_source=x&UTM_medium=y",
            "HTTPS://BOARD.example:443/jobs/Cafe\u{301}-1//?b=2&a=1&gclid=z#top",
            " https://board.example./jobs/Caf%c3%a9-1?a=1&source=rss&b=2 ",
            "https://user@board.example/x/../jobs/Cafe%CC%81-1?a=1&b=2",
            "https://board.example/jobs/Caf%C3%A9-1?b=2&a=1&trk=public_jobs_topcard-title&rss=true#",
            "https://board.example/jobs/Caf%C3%A9-1?b=2&a=1#:~:text=Some%20words",
            "https://board.example/jobs/Caf%C3%A9-1?b=2&a=1#Top:~:text=x",
        ] {
            assert_eq!(id(same), "https://board.example/jobs/Caf%C3%A9-1?a=1&b=2", "{same}");
        }
        assert_eq!(id("https://board.example/jobs#Caf%c3%a9"), id("http://board.example/jobs/#Cafe\u{301}"));
        assert_eq!(id("board:17"), id("17.0"));
        assert_eq!(id("BOARD: 17"), "17");
        assert_eq!(id("Cafe\u{301}"), "Café");
    }

    #[test]
    fn what_may_tell_postings_apart_stays() {
        let ids = [
            "https://board.example/jobs/1",
            "https://board.example/jobs/2",
            "https://board.example/Jobs/1",
            "https://board.example/jobs?id=1",
            "https://board.example/jobs?id=2",
            "https://board.example:8080/jobs/1",
            "https://eu.board.example/jobs/1",
            "https://board.example/#/jobs/1",
            "https://board.example/#/jobs/2",
            "https://board.example/jobs",
            "https://board.example/jobs#backend",
            "https://board.example/jobs#frontend",
            "https://board.example/jobs#Frontend",
            "https://board.example/jobs?trk=17",
            "https://board.example/jobs?trk=18",
            "https://board.example/jobs?rss=17",
            "https://board.example/jobs?rss=18",
            "https://board.example/jobs?ref=17",
            "https://board.example/jobs?source=18",
            "1",
            "01",
            "a",
            "A",
            "1.5",
        ];
        let distinct: std::collections::HashSet<String> = ids.iter().map(|text| id(text)).collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn a_number_that_lost_digits_is_no_id_and_a_long_id_is_hashed() {
        assert!(canonical("board", "1900000000000000757.0").is_err());
        let long = format!("https://board.example/{}", "x".repeat(600));
        let hashed = id(&long);
        assert!(hashed.starts_with("hash:v1:") && hashed.len() == 72, "{hashed}");
        assert_eq!(id(&hashed), hashed);
        assert_ne!(hashed, id(&format!("{long}y")));
    }
}

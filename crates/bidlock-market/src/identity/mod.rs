//! Canonical identity: every way of writing one posting's id becomes one text.
//!
//! One file per marketplace holds its scheme: a `VERSION`, the hosts of its pages, and one function
//! from any spelling to the canonical text. Names without a scheme of their own use [`generic`].
//!
//! # Rules that hold for every marketplace
//!
//! - Total: any text gives a canonical id or says why it cannot be one. It never panics.
//! - Stable: canonical ids map to themselves, so an id may pass through here any number of times.
//! - Text is brought to Unicode NFC; blanks, byte order marks and zero-width characters around it go; the
//!   marketplace's own name before a colon (`wwr:some-slug`) goes.
//! - On a marketplace with a scheme, quotes, `="…"`, `#`, a trailing comma, thousands separators and
//!   characters that are drawn as nothing go too, and an address without `https://` is read as one. Other
//!   text with the scheme's id somewhere in it is refused: as an id of its own it would be a second key.
//! - URLs lose scheme differences, `www.`, default ports, tracking parameters, parameter order, the trailing
//!   slash, and a fragment that only says where to scroll (`#top`, `#:~:text=…`). Other fragments may name
//!   the posting on a page of several, so they stay.
//! - Numbers never pass through a float. `123.0`, which tables write for 123, is 123; `1.92e18` cannot be
//!   an id.
//! - An id over `MAX_POSTING_BYTES` becomes `hash:v1:` and its BLAKE3 hash.
//!
//! A change to any function here gives postings new keys, so a posting could be bid on again: raise the
//! `VERSION` concerned and say in the change log how old ledgers are carried over.

pub mod content;
pub mod freelancer;
pub mod generic;
pub mod himalayas;
mod impossible;
pub mod remoteok;
mod spelling;
pub mod upwork;
pub mod weworkremotely;

use bidlock_canary::{Canary, removed};
use bidlock_ledger::posting::MAX_POSTING_BYTES;
use bidlock_ledger::{InvalidPostingId, PostingId};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use url::Url;

pub use impossible::Impossible;

/// Passes until an id no longer changes: two for real ids, a few more for URLs inside of URLs.
const MAX_PASSES: usize = 8;

/// How one marketplace writes its ids. Adding a marketplace is one file and one line in [`SCHEMES`].
#[derive(Debug)]
pub(crate) struct Scheme {
    /// The marketplace's one name.
    pub(crate) name: &'static str,
    /// The version of its canonical form; see the module's head.
    pub(crate) version: u32,
    /// Other names that sources use for it, in lower case.
    pub(crate) aliases: &'static [&'static str],
    /// The hosts of its pages; their sub-domains count too.
    pub(crate) hosts: &'static [&'static str],
    /// The canonical form of an id that is no URL of one of `hosts`. The text is tidy and is not empty.
    pub(crate) canonical: fn(&str) -> Result<String, Impossible>,
    /// The canonical id that a URL of one of `hosts` holds, if it holds one.
    pub(crate) from_url: fn(&Url) -> Option<Result<String, Impossible>>,
    /// The rank of a canonical text that is in the marketplace's own form, so that it beats any other
    /// spelling.
    pub(crate) own_form: fn(&str) -> Option<Rank>,
    /// Whether a canonical text that is not in the own form holds something that looks like an id.
    pub(crate) holds_id: fn(&str) -> bool,
    /// Other short forms in which the marketplace's own sources write the id of this canonical text.
    pub(crate) also_written: fn(&str) -> Option<String>,
}

/// How good an own form is; the smallest is the best of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The one form that a posting always has.
    Main,
    /// A second form, which cannot be turned into the main one, for sources that show nothing else.
    Second,
    /// A form that other texts may have as well; only to be found where the id is expected.
    Loose,
}

/// The heads of keys that are made here from a hash.
const HASHED: &[&str] = &["hash:v1:", "content:v1:"];

/// Every marketplace with rules of its own, in alphabetical order.
static SCHEMES: &[Scheme] =
    &[freelancer::SCHEME, himalayas::SCHEME, remoteok::SCHEME, upwork::SCHEME, weworkremotely::SCHEME];

/// The canonical identity of `text`, a posting's id or URL on `marketplace`.
///
/// The marketplace may be written in any case or by a known other name (`wwr` is `weworkremotely`).
/// Guarantee: the answer's posting, given back to this function, gives the same answer.
///
/// # Errors
/// The text cannot be an id (empty, `undefined`, cut short for its scheme, a rounded number, a control
/// character in it), or the marketplace's name is not usable.
///
/// ```
/// let a = bidlock_market::canonical("Upwork", "https://www.upwork.com/jobs/A-title_%7E021900000000000000001?source=rss")?;
/// let b = bidlock_market::canonical("upwork", "1900000000000000001")?;
/// assert_eq!(a, b);
/// # Ok::<(), bidlock_ledger::InvalidPostingId>(())
/// ```
pub fn canonical(marketplace: &str, text: &str) -> Result<PostingId, InvalidPostingId> {
    let marketplace = marketplace_name(marketplace);
    let posting = canonical_text(&marketplace, text)
        .map_err(|impossible| InvalidPostingId { part: "posting id", why: impossible.cause })?;
    PostingId::new(marketplace, posting)
}

/// The canonical identity that a URL alone tells, because its host is a known marketplace's
/// (upwork.com, freelancer.com, remoteok.com, weworkremotely.com, himalayas.app) and it names a posting.
pub fn canonical_url(text: &str) -> Option<PostingId> {
    let (scheme, url) = own_page(text)?;
    (scheme.from_url)(&url)?.ok()?;
    canonical(scheme.name, text).ok()
}

/// The names of the marketplaces with rules of their own, in alphabetical order.
pub fn known_marketplaces() -> impl Iterator<Item = &'static str> {
    SCHEMES.iter().map(|scheme| scheme.name)
}

/// The one name of a marketplace: known other names are replaced, anything else is trimmed and in lower case.
pub fn marketplace_name(name: &str) -> String {
    let name = tidy(name).to_lowercase();
    scheme_of_name(&name).map_or(name, |scheme| scheme.name.to_owned())
}

/// The texts by which a system that does not bring ids into one form may know a posting: the canonical one first, then
/// the other form that the marketplace's own sources write (Upwork's ciphertext `~02…` of a decimal id). URLs are
/// without number and are not among them.
pub fn spellings(id: &PostingId) -> Vec<String> {
    let mut all = vec![id.posting().to_owned()];
    all.extend(scheme_of_name(id.marketplace()).and_then(|scheme| (scheme.also_written)(id.posting())));
    all
}

/// The version of the canonical form that `marketplace`'s ids are in.
pub fn version(marketplace: &str) -> u32 {
    scheme_of_name(&marketplace_name(marketplace)).map_or(generic::VERSION, |scheme| scheme.version)
}

/// The marketplace whose pages are on `host`, if it is a known one.
pub(crate) fn marketplace_of_url(text: &str) -> Option<&'static str> {
    own_page(text).map(|(scheme, _)| scheme.name)
}

/// A URL on a known marketplace's host, and that marketplace.
fn own_page(text: &str) -> Option<(&'static Scheme, Url)> {
    let text = tidy(&spelling::cleaned(text));
    SCHEMES.iter().find_map(|scheme| Some((scheme, own_url(scheme, &text)?)))
}

/// The text as a URL on one of the scheme's hosts, also where it was copied without `https://`.
fn own_url(scheme: &Scheme, text: &str) -> Option<Url> {
    if let Some(url) = generic::as_url(text) {
        return url.host_str().is_some_and(|host| is_host_of(scheme, host)).then_some(url);
    }
    let bare = text.strip_prefix("//").unwrap_or(text);
    let (host, _) = bare.split_once('/')?;
    if !is_host_of(scheme, &host.to_ascii_lowercase()) {
        return None;
    }
    generic::as_url(&format!("https://{bare}"))
}

/// Whether a marketplace has rules of its own here, and so gives every posting an id.
pub(crate) fn has_scheme(marketplace: &str) -> bool {
    scheme_of_name(marketplace).is_some()
}

/// The rank of `posting` if it is in `marketplace`'s own form (an Upwork ciphertext, a Freelancer.com number).
pub(crate) fn own_form(marketplace: &str, posting: &str) -> Option<Rank> {
    scheme_of_name(marketplace).and_then(|scheme| (scheme.own_form)(posting))
}

/// The canonical text of an id on a marketplace, whose name is already the one name.
///
/// Passes are repeated until nothing changes, so a canonical text maps to itself by construction (an id
/// found inside a URL may itself start with the marketplace's name, or be a URL).
pub(crate) fn canonical_text(marketplace: &str, text: &str) -> Result<String, Impossible> {
    let scheme = scheme_of_name(marketplace);
    let mut current = tidy(text);
    if removed(Canary::RawIdentity) {
        return Ok(current);
    }
    for _ in 0..MAX_PASSES {
        let next = one_pass(marketplace, scheme, &current)?;
        if next == current {
            return Ok(next);
        }
        current = next;
    }
    Err(Impossible::because("has no stable canonical form"))
}

fn one_pass(marketplace: &str, scheme: Option<&Scheme>, text: &str) -> Result<String, Impossible> {
    let mut rest = text;
    // Each turn takes at least two bytes away, so this ends.
    while let Some(shorter) = without_own_name(rest, marketplace, scheme) {
        rest = shorter.trim_matches(is_padding);
    }
    impossible::check(rest)?;
    let Some(scheme) = scheme else { return finish(&generic::canonical(rest)?) };
    if is_hashed(rest) {
        return finish(rest);
    }
    let clean = tidy(&spelling::cleaned(rest));
    impossible::check(&clean)?;
    let canonical = match own_url(scheme, &clean) {
        Some(url) => (scheme.from_url)(&url).unwrap_or_else(|| generic::canonical(url.as_str())),
        None => (scheme.canonical)(&clean),
    }?;
    if (scheme.own_form)(&canonical).is_none() && (scheme.holds_id)(&canonical) {
        return Err(Impossible::because(format!(
            "holds what looks like an id of {} among other text: give the id or its address alone",
            scheme.name
        )));
    }
    finish(&canonical)
}

/// Whether the text is a key that was made here from a hash, whose digits mean nothing.
fn is_hashed(text: &str) -> bool {
    HASHED.iter().filter_map(|head| text.strip_prefix(head)).any(|hash| {
        hash.len() == 2 * blake3::OUT_LEN && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The last step for every scheme: nothing lost, no control characters, bounded.
fn finish(canonical: &str) -> Result<String, Impossible> {
    let canonical = tidy(canonical);
    impossible::check(&canonical)?;
    if canonical.len() > MAX_POSTING_BYTES {
        return Ok(format!("hash:v1:{}", blake3::hash(canonical.as_bytes()).to_hex()));
    }
    Ok(canonical)
}

/// Unicode NFC without anything invisible around it.
pub(crate) fn tidy(text: &str) -> String {
    let text = text.trim_matches(is_padding);
    if is_nfc(text) {
        text.to_owned()
    } else {
        text.nfc().collect::<String>().trim_matches(is_padding).to_owned()
    }
}

/// What may stand around an id without being part of it.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

fn without_own_name<'a>(text: &'a str, marketplace: &str, scheme: Option<&Scheme>) -> Option<&'a str> {
    let (before, after) = text.split_once(':')?;
    let before = before.trim_matches(is_padding);
    let own = before.eq_ignore_ascii_case(marketplace)
        || scheme.is_some_and(|scheme| scheme.aliases.iter().any(|alias| before.eq_ignore_ascii_case(alias)));
    // `http:` and `https:` stay URLs, also on a marketplace of that name.
    (own && !before.is_empty() && !after.starts_with("//")).then_some(after)
}

fn scheme_of_name(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.name == name || scheme.aliases.contains(&name))
}

fn is_host_of(scheme: &Scheme, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    scheme
        .hosts
        .iter()
        .any(|own| host.strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// The non-empty segments of a URL's path, percent-decoded, in NFC.
pub(crate) fn segments(url: &Url) -> Vec<String> {
    url.path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            let decoded = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
            // A slash inside one segment must not become a border between two.
            tidy(&decoded.replace('/', "%2F"))
        })
        .collect()
}

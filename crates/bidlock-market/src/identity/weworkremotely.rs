//! Identity on We Work Remotely: the last part of a posting's address.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Rank, Scheme, segments};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

pub(super) const SCHEME: Scheme = Scheme {
    name: "weworkremotely",
    version: VERSION,
    aliases: &["we work remotely", "we-work-remotely", "weworkremotely.com", "wwr"],
    hosts: &["weworkremotely.com"],
    canonical,
    from_url,
    own_form: |text| generic::as_url(text).is_none().then_some(Rank::Loose),
    // Any text may be a part of an address here: there is no form to be seen in other text.
    holds_id: |_| false,
    also_written: |_| None,
};

fn canonical(text: &str) -> Result<String, Impossible> {
    let text = generic::canonical(text)?;
    Ok(if generic::as_url(&text).is_some() { text } else { text.to_ascii_lowercase() })
}

fn from_url(url: &Url) -> Option<Result<String, Impossible>> {
    let segments = segments(url);
    let at = segments.iter().position(|segment| matches!(segment.as_str(), "remote-jobs" | "listings"))?;
    segments.get(at + 1).map(|slug| Ok(slug.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, canonical_url};

    #[test]
    fn slug_and_address_are_one_id() {
        for text in [
            "acme-some-title",
            "wwr:acme-some-title",
            "https://weworkremotely.com/remote-jobs/acme-some-title",
            "http://www.weworkremotely.com/remote-jobs/Acme-some-title/?utm_source=x",
        ] {
            assert_eq!(canonical("wwr", text).unwrap().posting(), "acme-some-title", "{text}");
        }
        let id = canonical_url("https://weworkremotely.com/remote-jobs/acme-some-title").unwrap();
        assert_eq!(id.marketplace(), "weworkremotely");
        assert_ne!(canonical("wwr", "acme-some-title-1"), canonical("wwr", "acme-some-title"));
        assert!(canonical("wwr", "wwr:undefined").is_err());
    }
}

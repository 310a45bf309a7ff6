//! Identity on Himalayas: `company/job` from a posting's address, which is also its feed's guid.

use url::Url;

use super::generic;
use super::impossible::Impossible;
use super::{Rank, Scheme, segments};

/// The version of this canonical form.
pub const VERSION: u32 = 1;

pub(super) const SCHEME: Scheme = Scheme {
    name: "himalayas",
    version: VERSION,
    aliases: &["himalayas.app"],
    hosts: &["himalayas.app"],
    canonical,
    from_url,
    own_form: |text| (generic::as_url(text).is_none() && text.contains('/')).then_some(Rank::Loose),
    // Any text may be a part of an address here: there is no form to be seen in other text.
    holds_id: |_| false,
    also_written: |_| None,
};

fn canonical(text: &str) -> Result<String, Impossible> {
    let text = generic::canonical(text)?;
    if generic::as_url(&text).is_some() {
        return Ok(text);
    }
    let parts: Vec<String> =
        text.split('/').filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect();
    Ok(pair(&parts).unwrap_or_else(|| text.to_ascii_lowercase()))
}

fn from_url(url: &Url) -> Option<Result<String, Impossible>> {
    pair(&segments(url).iter().map(|segment| segment.to_ascii_lowercase()).collect::<Vec<_>>()).map(Ok)
}

/// `companies/C/jobs/J` as `C/J`.
fn pair(parts: &[String]) -> Option<String> {
    match parts {
        [companies, company, jobs, job, ..] if companies == "companies" && jobs == "jobs" => {
            Some(format!("{company}/{job}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, canonical_url};

    #[test]
    fn address_and_pair_are_one_id() {
        for text in [
            "acme/some-title",
            "/companies/acme/jobs/some-title",
            "himalayas:acme/some-title",
            "https://himalayas.app/companies/acme/jobs/some-title",
            "https://www.himalayas.app/companies/Acme/jobs/some-title/?utm_source=x",
        ] {
            assert_eq!(canonical("himalayas", text).unwrap().posting(), "acme/some-title", "{text}");
        }
        assert_eq!(
            canonical_url("https://himalayas.app/companies/acme/jobs/some-title"),
            canonical("Himalayas", "acme/some-title").ok()
        );
        assert_ne!(canonical("himalayas", "acme/a"), canonical("himalayas", "acme/b"));
        assert!(canonical("himalayas", "himalayas:undefined").is_err());
    }
}

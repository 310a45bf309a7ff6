//! The marketplaces that bidlock can submit to. Adding one is a file here, a variant of [`Target`] with
//! its name, and a line in [`connect`].

pub mod dry_run;
pub mod http;
mod token;

use std::{str::FromStr, sync::Arc};

use url::Url;

pub use self::{
    dry_run::DryRun,
    http::{HttpMarketplace, HttpOptions},
    token::{Token, TokenError},
};
use crate::marketplace::{Marketplace, place_of};

/// Where bids go: what `--submit` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    DryRun,
    /// The generic HTTP marketplace at this URL, which holds no credentials, query or fragment.
    Http(Url),
}

impl Target {
    /// The target that names itself so in the ledger ([`Marketplace::via`]); `None` for a name that this
    /// build does not know.
    pub fn of_via(via: &str) -> Option<Target> {
        if via == dry_run::VIA {
            return Some(Target::DryRun);
        }
        let target = via.strip_prefix("http:")?.parse().ok()?;
        matches!(target, Target::Http(_)).then_some(target)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case(dry_run::VIA) {
            return Ok(Target::DryRun);
        }
        // What looks like a misspelt name must not be read as a URL scheme ("localhost:8080").
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(TargetError::Unknown(without_user(text)));
        };
        let url = Url::parse(text).map_err(|why| TargetError::BadUrl(why.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme(without_user(scheme)));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(TargetError::Query);
        }
        Ok(Target::Http(url))
    }
}

/// What stands before an `@` may be a password, also where it is at the wrong place.
fn without_user(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("***@{rest}"))
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::DryRun => f.write_str(dry_run::VIA),
            Target::Http(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

/// The text says no place where bids could go. Never repeats what may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither a name nor a URL.
    #[error(
        "`{0}` is nowhere to submit to; use `dry-run` or a URL such as http://127.0.0.1:8080 (`bidlock sandbox` runs a marketplace to try)"
    )]
    Unknown(String),
    /// Not a readable URL.
    #[error("the URL to submit to can't be read: {0}; write it like http://127.0.0.1:8080")]
    BadUrl(String),
    /// Not HTTP.
    #[error("can't submit by `{0}://`; use http:// or https://")]
    Scheme(String),
    /// User name or password in the URL.
    #[error(
        "the URL to submit to holds a user name or password, which would be shown in logs; leave it out and give a token by file or variable"
    )]
    Credentials,
    /// A query or fragment.
    #[error("the URL to submit to must end with its path: leave out what follows `?` or `#`")]
    Query,
}

/// Opens a marketplace. Lets nothing leave yet.
///
/// # Errors
/// The options contradict each other, or the HTTP client can't be set up.
pub fn connect(target: &Target, options: HttpOptions) -> Result<Arc<dyn Marketplace>, ConnectError> {
    Ok(match target {
        Target::DryRun => Arc::new(DryRun),
        Target::Http(url) => Arc::new(HttpMarketplace::new(url.clone(), options)?),
    })
}

/// A marketplace can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL can't serve as the base of a marketplace.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The time limit is zero.
    #[error("the time limit of a submission must be longer than zero")]
    NoTime,
    /// The client can't be set up, such as no readable certificate store.
    #[error("can't set up the HTTP client for {}: {why}", place_of(via))]
    Client {
        /// The marketplace.
        via: String,
        /// What failed.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written_back() {
        for (text, written) in [
            ("dry-run", "dry-run"),
            (" DRY-RUN ", "dry-run"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://bids.example/v1/", "https://bids.example/v1"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), written);
            assert_eq!(target.to_string().parse::<Target>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn a_name_in_the_ledger_leads_back_to_its_target() {
        for text in ["dry-run", "http://127.0.0.1:8080", "https://bids.example/v1"] {
            let target: Target = text.parse().unwrap();
            let market = connect(&target, HttpOptions::default()).unwrap();
            assert_eq!(Target::of_via(market.via()).map(|t| t.to_string()), Some(target.to_string()));
        }
        for via in ["", "freelancer", "http:dry-run", "http:ftp://x.example", "127.0.0.1:8080"] {
            assert_eq!(Target::of_via(via), None, "{via}");
        }
    }

    #[test]
    fn what_is_no_target_says_the_way_out_and_shows_no_password() {
        for (text, part) in [
            ("", "dry-run"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("upwork", "`upwork` is nowhere to submit to"),
            ("ftp://x.example", "`ftp://`"),
            ("http://", "can't be read"),
            ("http://user:hunter2@x.example", "token by file or variable"),
            ("http://x.example/?token=hunter2", "leave out"),
            ("http://x.example/#hunter2", "leave out"),
            ("user:hunter2@x.example", "`***@x.example` is nowhere"),
            ("ftp://user:hunter2@x.example", "`ftp://`"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

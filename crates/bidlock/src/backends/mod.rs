//! The engines, and the registry that finds them by URL scheme.

pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod wake_ups;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::backend::LockBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::layers::grant_all;

/// How a backend is opened: it gets the URL without its scheme and colon.
type Open = fn(&str) -> BoxFuture<'static, Result<Arc<dyn LockBackend>>>;

/// URL scheme and backend, in alphabetical order. Adding a backend is its file and one line here.
const SCHEMES: &[(&str, Open)] = &[
    ("memory", memory::open),
    #[cfg(feature = "postgres")]
    ("postgres", postgres::open),
    #[cfg(feature = "postgres")]
    ("postgresql", postgres::open),
    #[cfg(feature = "redis")]
    ("redis", redis::open),
    #[cfg(feature = "redis")]
    ("redis+unix", redis::open_unix),
    #[cfg(feature = "redis")]
    ("rediss", redis::open_tls),
    #[cfg(feature = "sqlite")]
    ("sqlite", sqlite::open),
    ("unsafe-grant-all", grant_all::open),
];

/// Opens the backend that `url` names; a plain path is an SQLite file.
///
/// # Errors
/// The scheme is unknown, or the store can't be opened.
pub async fn open(url: &str) -> Result<Arc<dyn LockBackend>> {
    let (scheme, rest) = split(url);
    let opener = |scheme: &str| SCHEMES.iter().find(|(name, _)| *name == scheme);
    // SQLAlchemy names its driver in the scheme: `postgresql+asyncpg`.
    match opener(scheme).or_else(|| opener(scheme.split('+').next()?)) {
        Some((_, open)) => open(rest).await,
        None => {
            let known: Vec<&str> = SCHEMES.iter().map(|(name, _)| *name).collect();
            // The rest of the URL may hold a password.
            let message = format!("there are no `{scheme}:` locks; there are {}", known.join(", "));
            Err(Error::new(ErrorKind::Invalid, "any", "connect", message).with_hint(
                "write `redis://host:6379/0`, `postgres://user:password@host/database`, `memory:`, \
                 `sqlite:////absolute/path.db`, `sqlite:///relative.db`, or a path",
            ))
        }
    }
}

/// Scheme and rest. What has no scheme, or looks like one by accident (`a/b:c`), is a path.
fn split(url: &str) -> (&str, &str) {
    match url.split_once(':') {
        Some((scheme, rest))
            if scheme.len() > 1
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) =>
        {
            (scheme, rest)
        }
        _ => ("sqlite", url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_told_from_a_path() {
        for (url, expected) in [
            ("memory:", ("memory", "")),
            ("sqlite:///a/b.db", ("sqlite", "///a/b.db")),
            ("sqlite:b.db", ("sqlite", "b.db")),
            ("/a/b:c.db", ("sqlite", "/a/b:c.db")),
            ("locks.db", ("sqlite", "locks.db")),
            ("redis://h", ("redis", "//h")),
        ] {
            assert_eq!(split(url), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn an_unknown_scheme_names_the_known_ones_and_hides_the_rest() {
        let error = open("mongo://user:secret@host").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("mongo") && text.contains("memory") && !text.contains("secret"), "{text}");
    }
}

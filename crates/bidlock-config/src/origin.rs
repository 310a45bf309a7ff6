//! Where a value was really set.

use std::path::PathBuf;

/// Where a value was really set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Given by the caller: a flag of the command line, an argument of a function.
    Given(String),
    /// A variable of the environment.
    Variable(String),
    /// The file that a `*_FILE` variable names.
    SecretFile(String, PathBuf),
    /// A key of the configuration file.
    File(PathBuf, String),
    /// Nobody set it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Given(by) => f.write_str(by),
            Origin::Variable(name) => f.write_str(name),
            Origin::SecretFile(name, path) => write!(f, "{name} ({})", path.display()),
            Origin::File(path, key) => write!(f, "{}:{key}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

impl Origin {
    /// Which layer counts first.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Origin::Given(_) => 4,
            Origin::Variable(name) | Origin::SecretFile(name, _) if name.starts_with("BIDLOCK_") => 3,
            Origin::Variable(_) | Origin::SecretFile(..) => 2,
            Origin::File(..) => 1,
            Origin::Default => 0,
        }
    }
}

/// A value as text, with its origin. Whether it is right is not known yet. Shows no text: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    /// As text, whatever it was in TOML.
    pub(crate) text: String,
    /// Who set it.
    pub(crate) origin: Origin,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// `lock.ttl (REDIS_LOCK_TTL)`.
pub(crate) fn named(key: &str, raw: Option<&Raw>) -> String {
    match raw.map(|r| &r.origin) {
        None | Some(Origin::Default) => format!("{key} (default)"),
        Some(Origin::File(path, _)) => format!("{key} ({})", path.display()),
        Some(origin) => format!("{key} ({origin})"),
    }
}

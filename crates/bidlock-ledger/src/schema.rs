//! What is said of a ledger's schema, and when one is refused: the same on every engine.

use serde::Serialize;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::{ErrorKind, LedgerError, Result};

/// What ledger schema a place has, and what this binary knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// The file, or the database without a password.
    pub place: String,
    /// The version found; `None` where there is no ledger.
    pub found: Option<i64>,
    /// The version that this binary works with.
    pub latest: i64,
    /// The migrations that `migrate up` would run.
    pub pending: Vec<String>,
}

/// What a migration did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// The version before; `None` where there was no ledger.
    pub from: Option<i64>,
    /// The version after (the same one after a dry run would have been a real one).
    pub to: i64,
    /// The migrations that were run, or would be.
    pub applied: Vec<String>,
    /// Nothing was written.
    pub dry_run: bool,
}

/// Refuses a schema that this binary does not work with.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn compare(operation: &'static str, place: &str, version: i64, latest: i64) -> Result<()> {
    refuse_newer(operation, place, Some(version), latest)?;
    if version < latest {
        let message = format!("{place} has schema {version}; this bidlock needs {latest}");
        let error = LedgerError::new(ErrorKind::SchemaBehind, operation, message);
        return Err(error.with_hint("run `bidlock migrate up`"));
    }
    Ok(())
}

/// Refuses a ledger that this binary would not open: by its schema's version, and by the oldest protocol that may.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn admit(
    operation: &'static str,
    place: &str,
    (version, floor): (Option<i64>, i64),
    latest: i64,
) -> Result<()> {
    compare(operation, place, version.unwrap_or_default(), latest)?;
    crate::store::check_protocol(operation, place, floor)
}

/// Refuses a schema that is newer than this binary.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn refuse_newer(
    operation: &'static str,
    place: &str,
    found: Option<i64>,
    latest: i64,
) -> Result<()> {
    match found {
        Some(version) if version > latest => {
            let message = format!("{place} has schema {version}; this bidlock knows {latest}");
            Err(LedgerError::new(ErrorKind::SchemaNewer, operation, message)
                .with_hint("a newer bidlock has migrated it: install that version here"))
        }
        _ => Ok(()),
    }
}

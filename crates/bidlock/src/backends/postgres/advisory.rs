//! Advisory locks for callers inside a transaction of their own.

use bidlock_postgres::tokio_postgres::{self, Transaction, types::Type};

use super::{NAME, statements};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;

/// Takes the key until this transaction ends, if nobody else has it *by this function* or by
/// [`lock_in_transaction`]; the leases of [`PostgresBackend`](super::PostgresBackend) are another matter.
///
/// There is no TTL and nothing to release: commit, rollback and a lost connection end it. Two keys share a lock if
/// their 64-bit hashes are equal, which costs a wait and nothing else.
///
/// # Errors
/// The statement failed; the transaction is of no further use.
pub async fn try_lock_in_transaction(transaction: &Transaction<'_>, key: &LockKey) -> Result<bool> {
    let asked = transaction.query_typed(statements::TRY_ADVISORY, &[(&key.as_str(), Type::TEXT)]).await;
    let rows = asked.map_err(|e| fault("try_lock_in_transaction", e))?;
    rows.first().map_or(Ok(false), |row| row.try_get(0)).map_err(|e| fault("try_lock_in_transaction", e))
}

/// As [`try_lock_in_transaction`], but waits: as long as `lock_timeout` of the transaction says, for ever without one.
/// Take several keys in one order everywhere, or expect deadlocks (SQLSTATE 40P01).
///
/// # Errors
/// The statement failed or took too long; the transaction is of no further use.
pub async fn lock_in_transaction(transaction: &Transaction<'_>, key: &LockKey) -> Result<()> {
    let asked = transaction.query_typed(statements::ADVISORY, &[(&key.as_str(), Type::TEXT)]).await;
    asked.map(drop).map_err(|e| fault("lock_in_transaction", e))
}

fn fault(operation: &'static str, error: tokio_postgres::Error) -> Error {
    let message = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
    Error::new(ErrorKind::Unavailable, NAME, operation, message).with_source(error)
}

//! Whether a database is the replaced system's: a look before a ledger is made there.

use bidlock_pipeline::LegacyError;
use bidlock_postgres::{Session, Target};

use crate::{database::no_comments, postgres::fault};

/// Whether the PostgreSQL database of this URL has a table `bids` with the columns that are demanded of a replaced system's.
/// Reads the catalogue alone, so that no right to the table is needed. A SQLite file needs no such question: one with
/// tables of somebody else is never made a ledger.
///
/// # Errors
/// The URL is none, or the database can't be asked.
pub async fn is_at(url: &str) -> Result<bool, LegacyError> {
    let target = Target::parse(url).map_err(|e| fault(&e))?;
    let session = Session::connect(&target, None).await.map_err(|e| fault(&e))?;
    let sql = no_comments(include_str!("../queries/present.postgres.sql"));
    let rows = session.query(&sql, &[]).await.map_err(|e| fault(&e))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

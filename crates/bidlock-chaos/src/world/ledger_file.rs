//! The rig's own hand in the SQLite ledger.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

/// How long the rig waits for a writer of ours. Short: the writer may be one that the rig itself has paused.
const PATIENCE: Duration = Duration::from_millis(300);

/// Opens the file, which must be there.
///
/// # Errors
/// It is not, or not yet.
pub(crate) fn open(path: &Path) -> Result<Connection, String> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(connection)
    };
    open().map_err(|why| why.to_string())
}

//! What an operator wants to know of the old table before a scan works beside it.

use bidlock_pipeline::LegacyError;
use serde::Serialize;

use crate::{
    database::{Engine, LegacyDatabase},
    shape,
};

/// More rows are not counted: a check must not take long.
pub const MOST_COUNTED: u64 = 1_000_000;

/// What there is, and what a scan beside old instances would miss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// Rows of the old table, ours included; [`MOST_COUNTED`] stands for more.
    pub rows: u64,
    /// Rows of ours there, counted likewise; `None` before the first scan beside old instances has made its table.
    pub ours: Option<u64>,
    /// Why such a scan would be refused: one line for each reason.
    pub wanting: Vec<String>,
}

impl LegacyDatabase {
    /// Looks; writes nothing.
    ///
    /// # Errors
    /// The database can't answer.
    pub async fn look(&self) -> Result<Look, LegacyError> {
        let (rows, missing, is_unique) = match &self.engine {
            Engine::Sqlite(table) => table.look(MOST_COUNTED).await?,
            Engine::Postgres(table) => table.look(MOST_COUNTED).await?,
        };
        let ours = match &self.engine {
            Engine::Sqlite(table) => table.count_mirrored(MOST_COUNTED).await?,
            Engine::Postgres(table) => table.count_mirrored(MOST_COUNTED).await?,
        };
        let mut wanting = Vec::new();
        if !missing.is_empty() {
            wanting.push(format!("this user lacks {}", missing.join(", ")));
        }
        wanting.extend(self.shape().check_writable(self.place()).err().map(|error| error.message));
        if !is_unique {
            wanting.push(shape::not_unique(self.place()).message);
        }
        Ok(Look { rows, ours, wanting })
    }
}

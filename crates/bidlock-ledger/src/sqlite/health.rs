//! The health check: a write that becomes durable, and facts for an operator.

use bidlock_sqlite::HostInstant;
use rusqlite::Connection;

use super::{SqliteLedger, schema, sql};
use crate::{Health, Result};

impl SqliteLedger {
    pub(super) async fn health(&self) -> Result<Health> {
        let mut facts = self.read("check the ledger", facts).await?;
        let written =
            self.inner.store.write(|tx, now| tx.prepare_cached(&sql::HEALTH)?.execute([now.wall_ms])).await;
        if let Err(e) = &written {
            facts.push(("write error".to_owned(), e.to_string()));
        }
        let path = self.inner.store.path();
        for (name, file) in [("file size", path.to_owned()), ("log size", super::beside(path, "-wal"))] {
            if let Ok(meta) = std::fs::metadata(file) {
                facts.push((name.to_owned(), format!("{} bytes", meta.len())));
            }
        }
        Ok(Health {
            engine: "sqlite",
            location: path.display().to_string(),
            ledger_id: self.inner.id,
            schema_version: schema::latest(),
            writable: written.is_ok(),
            facts,
        })
    }
}

fn facts(conn: &Connection, now: HostInstant) -> rusqlite::Result<Vec<(String, String)>> {
    let pragma =
        |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get_ref(0).map(text_of));
    let bids: i64 = conn.query_row("SELECT coalesce(max(n), 0) FROM bids", [], |row| row.get(0))?;
    let fact = |name: &str, value: String| (name.to_owned(), value);
    Ok(vec![
        fact("SQLite", rusqlite::version().to_owned()),
        fact("journal mode", pragma("journal_mode")?),
        fact("synchronous", pragma("synchronous")?.replace('2', "full")),
        fact("bids", bids.to_string()),
        fact("boot id", now.boot_id.to_string()),
        fact("boot clock", format!("{} ms", now.boot_ms)),
        fact("wall clock", format!("{} ms since 1970", now.wall_ms)),
    ])
}

fn text_of(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

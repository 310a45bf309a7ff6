//! The health check: a write that becomes durable, and facts for an operator.

use bidlock_postgres::{Result, Session};

use super::{row::column, sql};

/// A write that is committed as bids are.
pub(super) async fn write(session: &Session) -> Result<()> {
    session.query(&sql::HEALTH, &[]).await.map(drop)
}

/// What an operator wants to know.
pub(super) async fn facts(session: &Session) -> Result<Vec<(String, String)>> {
    const NAMES: [&str; 14] = [
        "server",
        "fsync",
        "full page writes",
        "synchronous commit",
        "synchronous standbys",
        "standby",
        "bids",
        "database size",
        "server clock (ms since 1970)",
        "test clock",
        "protocol floor",
        "connections",
        "max connections",
        "encrypted",
    ];
    let rows = session.query(&sql::FACTS, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let mut facts = Vec::with_capacity(NAMES.len() + 1);
    for (index, name) in NAMES.into_iter().enumerate() {
        let value: &str = column(row, index)?;
        let told = match (name, value) {
            ("server", version) => version.split(" on ").next().unwrap_or(version).to_owned(),
            ("fsync", "off") => "off: a crash of the server's host can lose bids; switch it on".to_owned(),
            ("full page writes", "off") => "off: a crash can damage the ledger; switch it on".to_owned(),
            ("synchronous commit", "on" | "remote_apply") => value.to_owned(),
            ("synchronous commit", default) => {
                format!("{default} by default, on for every write of the ledger")
            }
            ("synchronous standbys", "") => {
                "none: a fail-over to an asynchronous standby can forget the last bids".to_owned()
            }
            ("standby", standby) => if standby == "true" { "yes: read-only" } else { "no" }.to_owned(),
            ("encrypted", "") => "no".to_owned(),
            ("test clock", "") => continue,
            ("test clock", set) => format!("set to {set}: `bidlock.clock_ms` is for tests alone"),
            _ => value.to_owned(),
        };
        facts.push((name.to_owned(), told));
    }
    Ok(facts)
}

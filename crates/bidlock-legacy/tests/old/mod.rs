//! A made-up database of the replaced system on either engine, and a ledger of ours beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by them")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]

use std::{path::PathBuf, sync::Arc};

use bidlock_ledger::{
    Actor, Bid, BidFilter, Claimant, LedgerStore, NewClaim, Page, Payload, PostingId, SqliteLedger,
};
use bidlock_legacy::{Importer, LegacyDatabase, Place, Report};
use bidlock_testkit::{PostgresOptions, PostgresServer};

/// The table as the replaced system made it.
pub const TABLE: &str = "CREATE TABLE bids (id {id}, job_id VARCHAR(200) NOT NULL, marketplace VARCHAR(50) NOT NULL, \
    status VARCHAR(20) NOT NULL, bid_amount NUMERIC(12, 2), proposal TEXT, posting_cached_at TIMESTAMP, \
    withdrawn_reason TEXT, withdrawal_timestamp TIMESTAMP, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
    updated_at TIMESTAMP, UNIQUE (marketplace, job_id, status))";

/// An old database, and a folder with a ledger.
pub struct Old {
    pub folder: tempfile::TempDir,
    pub server: Option<PostgresServer>,
}

impl Old {
    /// In a SQLite file, without tables.
    pub fn sqlite() -> Old {
        let old = Old { folder: tempfile::tempdir().unwrap(), server: None };
        old.sql("PRAGMA user_version = 1");
        old
    }

    /// In PostgreSQL, without tables; `None` where there is no server.
    pub fn postgres() -> Option<Old> {
        let server = PostgresServer::start(PostgresOptions::new())?;
        Some(Old { folder: tempfile::tempdir().unwrap(), server: Some(server) })
    }

    /// Both, each with its table of bids.
    pub fn each() -> Vec<Old> {
        let all: Vec<Old> = std::iter::once(Old::sqlite()).chain(Old::postgres()).collect();
        for old in &all {
            old.sql(&TABLE.replace("{id}", old.key()));
        }
        all
    }

    fn key(&self) -> &'static str {
        if self.server.is_some() { "SERIAL PRIMARY KEY" } else { "INTEGER PRIMARY KEY" }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("old.db")
    }

    pub fn place(&self) -> Place {
        match &self.server {
            Some(server) => Place::Postgres(server.url()),
            None => Place::Sqlite(self.file()),
        }
    }

    pub fn sql(&self, statements: &str) {
        match &self.server {
            Some(server) => drop(server.sql(statements)),
            None => rusqlite::Connection::open(self.file()).unwrap().execute_batch(statements).unwrap(),
        }
    }

    /// What a query gives, its columns separated by `|`, a row a line.
    pub fn ask(&self, query: &str) -> String {
        if let Some(server) = &self.server {
            return server.sql(query).trim().to_owned();
        }
        let conn = rusqlite::Connection::open(self.file()).unwrap();
        let mut statement = conn.prepare(query).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let text = |at| match row.get_ref(at).unwrap() {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                _ => String::new(),
            };
            Ok((0..width).map(text).collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    pub fn add(&self, marketplace: &str, job_id: &str, status: &str) {
        let at = "2026-01-02 03:04:05";
        self.sql(&format!(
            "INSERT INTO bids (marketplace, job_id, status, bid_amount, proposal, created_at) \
             VALUES ('{marketplace}', '{job_id}', '{status}', 125.50, 'An old proposal', '{at}')"
        ));
    }

    /// Into a table that has only the demanded columns.
    pub fn add_bare(&self, marketplace: &str, job_id: &str, status: &str) {
        let values = format!("('{marketplace}', '{job_id}', '{status}')");
        self.sql(&format!("INSERT INTO bids (marketplace, job_id, status) VALUES {values}"));
    }

    pub fn ledger(&self) -> Arc<dyn LedgerStore> {
        Arc::new(SqliteLedger::open(self.folder.path().join("ledger.db")).unwrap())
    }

    pub async fn open(&self) -> LegacyDatabase {
        LegacyDatabase::open(&self.place(), actor()).await.unwrap()
    }

    pub async fn beside(&self) -> LegacyDatabase {
        LegacyDatabase::open_beside(&self.place(), actor(), || jiff::Timestamp::UNIX_EPOCH).await.unwrap()
    }

    pub async fn import(&self, ledger: &Arc<dyn LedgerStore>) -> Report {
        Importer::new(self.open().await, Some(ledger.clone()), false, 0).run().await.unwrap()
    }
}

pub fn actor() -> Actor {
    Actor::operator("mara")
}

pub fn posting(marketplace: &str, id: &str) -> PostingId {
    PostingId::new(marketplace, id).unwrap()
}

pub fn request(posting: &PostingId) -> NewClaim {
    NewClaim {
        posting: posting.clone(),
        claimant: Claimant { holder: "here".to_owned(), instance: None },
        ttl: std::time::Duration::from_secs(60),
        payload: Payload {
            amount: None,
            proposal: "ours".to_owned(),
            posting_url: None,
            via: "dry-run".to_owned(),
            evaluation: None,
        },
    }
}

/// All bids of a ledger.
pub async fn bids(ledger: &Arc<dyn LedgerStore>) -> Vec<Bid> {
    let page = Page { after: None, limit: bidlock_ledger::store::MAX_PAGE };
    ledger.list(&BidFilter::default(), &page).await.unwrap()
}

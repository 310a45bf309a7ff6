//! The SQLite backend: the conformance suite, with each instance on connections of its own.
#![cfg(feature = "sqlite")]

use std::sync::Arc;

use bidlock::backends::sqlite::SqliteBackend;
use bidlock::conformance::Fixture;

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks.db");
    Fixture::new(move || Arc::new(SqliteBackend::open(&path).unwrap())).keeping(folder)
}

bidlock::conformance_suite!(fixture());

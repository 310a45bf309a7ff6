//! Looks at the files themselves, and lets time pass for whoever is dead.

use std::{fs, path::Path};

use rusqlite::Connection;

use crate::{
    io_faults::shim::{Run, folder},
    kit::Stage,
};

/// S2: whatever has reached the marketplace has passed a door that a power failure at this moment leaves.
pub(crate) fn check_doors_are_durable(stage: &Stage, run: &Run, at: &str) {
    // Opened as a copy: opening repairs, and changes.
    let copy = tempfile::tempdir().unwrap();
    run.copy_what_was_synced(stage, copy.path());
    for ((_, posting), record) in &stage.report().postings {
        let passed: u64 = open(&copy.path().join("ledger.db"))
            .query_row("SELECT sum(attempts) FROM bids WHERE posting = ?1", [posting], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0).unsigned_abs())
            })
            .unwrap_or_else(|e| {
                panic!("{at}: {posting} was sent, and a power failure leaves no ledger: {e}")
            });
        assert!(
            record.received <= passed,
            "{at}: {posting} was sent {} times, and a power failure leaves {passed} doors passed",
            record.received
        );
    }
}

/// Whoever has sent, and lost its power, has left a note of the ledger that it has sent from.
pub(crate) fn check_note_is_durable(stage: &Stage, at: &str) {
    if stage.report().postings.values().any(|record| record.received > 0) {
        let notes = fs::read_dir(folder(stage).join("sent-from"));
        let notes = notes.unwrap_or_else(|error| panic!("{at}: no notes: {error}"));
        let notes = notes.map(|note| note.unwrap().path()).filter(|note| note.extension().is_some());
        let texts: Vec<String> = notes.map(|note| fs::read_to_string(note).unwrap()).collect();
        assert!(texts.iter().any(|text| text.contains("ledger.db")), "{at}: not noted: {texts:?}");
    }
}

/// No database is torn.
pub(crate) fn check_whole(stage: &Stage, at: &str) {
    for name in ["ledger.db", "ledger-locks.db"] {
        let path = folder(stage).join(name);
        if path.exists() {
            let found: String =
                open(&path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(found, "ok", "{at}: {name}");
        }
    }
}

/// Everything that was claimed or locked until now is so no more: another boot did it.
pub(crate) fn reboot(stage: &Stage) {
    for (name, statement) in [
        ("ledger.db", "UPDATE bids SET claim_boot = randomblob(16)"),
        ("ledger-locks.db", "UPDATE bidlock_lease SET boot_id = randomblob(16)"),
    ] {
        let path = folder(stage).join(name);
        if path.exists() {
            // Where it died before it made the table, nothing was claimed.
            let _ = open(&path).execute_batch(statement);
        }
    }
}

fn open(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

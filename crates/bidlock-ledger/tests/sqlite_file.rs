//! What is particular to the embedded ledger: its file, its schema, its index, tampering, dead processes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::path::{Path, PathBuf};

use bidlock_ledger::{
    BidFilter, BidState, ClaimOutcome, Claimant, ErrorKind, LedgerStore, Liveness, Page, SqliteLedger,
    chain::{self, ChainFault},
    conformance::fixtures::{bid_in, claim, granted, posting, read, request},
    sqlite::{ManualHostClock, Options},
};
use rusqlite::Connection;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    (dir, path)
}

fn sql(path: &Path, statements: &str) {
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
}

fn open_error(path: &Path) -> (ErrorKind, String) {
    let error = SqliteLedger::open(path).unwrap_err();
    (error.kind(), error.to_string())
}

/// Without the unique index nothing is granted at all; with a plain one in its place neither.
#[tokio::test]
async fn claims_rely_on_the_unique_index_and_fail_closed_without_it() {
    for replacement in ["", "CREATE INDEX bids_live ON bids (marketplace, posting) WHERE NOT rebid_allowed"] {
        let (_dir, path) = place();
        let ledger = SqliteLedger::open(&path).unwrap();
        granted(&ledger, &posting("1"), "before").await;
        sql(&path, &format!("DROP INDEX bids_live; {replacement}"));
        for name in ["1", "2"] {
            let error = ledger.claim(&[request(&posting(name), "after")]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        }
        let rows = ledger.list(&BidFilter::default(), &Page::default()).await.unwrap();
        assert_eq!(rows.len(), 1, "the uniqueness case can't pass: claims are refused");
    }
}

/// The index itself refuses a second live row, whatever writes it.
#[tokio::test]
async fn the_file_itself_refuses_a_second_live_bid() {
    let (_dir, path) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    granted(&ledger, &posting("1"), "here").await;
    let copy = "CREATE TEMP TABLE copy AS SELECT * FROM bids; UPDATE copy SET n = 99, id = randomblob(16);
                INSERT INTO bids SELECT * FROM copy";
    let error = Connection::open(&path).unwrap().execute_batch(copy).unwrap_err();
    assert!(error.to_string().contains("bids.marketplace, bids.posting"), "{error}");
}

/// Should a flag ever be set wrongly, the insert itself still makes no bid beside one that is in use.
#[tokio::test]
async fn no_bid_is_made_beside_one_in_use_whatever_its_flag_says() {
    for state in BidState::ALL {
        let (_dir, path) = place();
        let ledger = SqliteLedger::open(&path).unwrap();
        let bid = bid_in(&ledger, &posting("1"), state).await;
        sql(&path, "UPDATE bids SET rebid_allowed = 1");
        match claim(&ledger, &posting("1"), "other").await {
            ClaimOutcome::Existing(row) => assert!(state.is_in_use() && row.id == bid.id, "{row:?}"),
            ClaimOutcome::Granted(_) => assert!(!state.is_in_use(), "{state}"),
        }
    }
}

#[tokio::test]
async fn tampering_with_the_history_is_found() {
    let cases = [
        ("UPDATE events SET actor = 'somebody' WHERE seq = 2", 2, ChainFault::Changed),
        ("UPDATE events SET detail = '{\"attempt\":7}' WHERE seq = 2", 2, ChainFault::Changed),
        ("DELETE FROM events WHERE seq = 2", 2, ChainFault::Missing),
        ("DELETE FROM events WHERE seq >= 3", 3, ChainFault::Cut),
    ];
    for (statement, seq, fault) in cases {
        let (_dir, path) = place();
        let ledger = SqliteLedger::open(&path).unwrap();
        let bid = bid_in(&ledger, &posting("1"), BidState::Withdrawing).await;
        chain::verify(&ledger.history(bid.id).await.unwrap(), bid.events).unwrap();
        sql(&path, statement);
        let broken = chain::verify(&ledger.history(bid.id).await.unwrap(), read(&ledger, &bid).await.events);
        let broken = broken.unwrap_err();
        assert_eq!((broken.seq, broken.fault), (seq, fault), "{statement}");
    }
}

#[test]
fn a_newer_schema_is_refused_and_an_older_one_asks_for_migration() {
    let (_dir, path) = place();
    SqliteLedger::open(&path).unwrap();
    sql(&path, "UPDATE refinery_schema_history SET version = 99 WHERE version = 3");
    let (kind, text) = open_error(&path);
    assert_eq!(kind, ErrorKind::SchemaNewer);
    assert!(text.contains("99") && text.contains("newer bidlock"), "{text}");
    assert_eq!(SqliteLedger::migrate(&path, true).unwrap_err().kind(), ErrorKind::SchemaNewer);
    assert_eq!(SqliteLedger::migrate(&path, false).unwrap_err().kind(), ErrorKind::SchemaNewer);

    sql(
        &path,
        "DELETE FROM refinery_schema_history WHERE version < 99; UPDATE refinery_schema_history SET version = 0",
    );
    let (kind, text) = open_error(&path);
    assert_eq!(kind, ErrorKind::SchemaBehind);
    assert!(text.contains("bidlock migrate up"), "{text}");
    let status = SqliteLedger::schema_status(&path).unwrap();
    assert_eq!((status.found, status.latest, status.pending.len()), (Some(0), 3, 3));
}

/// A ledger that newer binaries have claimed for themselves is left alone by this one.
#[test]
fn a_ledger_of_a_newer_protocol_is_refused() {
    let (_dir, path) = place();
    SqliteLedger::open(&path).unwrap();
    sql(&path, "UPDATE ledger SET protocol_floor = 1");
    SqliteLedger::open(&path).unwrap();
    sql(&path, "UPDATE ledger SET protocol_floor = 2");
    let (kind, text) = open_error(&path);
    assert_eq!(kind, ErrorKind::SchemaNewer);
    assert!(text.contains("protocol 2") && text.contains("install"), "{text}");
}

/// The same for one that is open already: its scanner may run for weeks.
#[tokio::test]
async fn a_ledger_that_was_left_to_newer_binaries_says_so_to_who_has_it_open() {
    let (_dir, path) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    ledger.still_admits().await.unwrap();
    for (to_newer, back, part) in [
        ("UPDATE ledger SET protocol_floor = 2", "UPDATE ledger SET protocol_floor = 1", "protocol 2"),
        (
            "UPDATE refinery_schema_history SET version = 99 WHERE version = 3",
            "UPDATE refinery_schema_history SET version = 3 WHERE version = 99",
            "schema 99",
        ),
    ] {
        sql(&path, to_newer);
        let error = ledger.still_admits().await.unwrap_err();
        assert!(error.kind() == ErrorKind::SchemaNewer && error.to_string().contains(part), "{error}");
        sql(&path, back);
        ledger.still_admits().await.unwrap();
    }
}

/// A ledger of the first schema keeps its id and its bids over the migration.
#[tokio::test]
async fn a_ledger_of_the_first_schema_is_migrated() {
    let (_dir, path) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let (id, bid) = (ledger.ledger_id(), granted(&ledger, &posting("1"), "here").await.bid);
    drop(ledger);
    let back = "ALTER TABLE ledger DROP COLUMN protocol_floor; DROP TABLE notes; \
        DELETE FROM refinery_schema_history WHERE version > 1";
    sql(&path, back);
    assert_eq!(open_error(&path).0, ErrorKind::SchemaBehind);
    assert_eq!(SqliteLedger::migrate(&path, false).unwrap().from, Some(1));
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!((ledger.ledger_id(), read(&ledger, &bid).await.id), (id, bid.id));
}

#[test]
fn migration_makes_a_ledger_and_a_dry_run_nothing() {
    let (_dir, path) = place();
    let dry = SqliteLedger::migrate(&path, true).unwrap();
    assert_eq!((dry.from, dry.to, dry.applied.len(), dry.dry_run), (None, 3, 3, true));
    assert!(!path.exists());
    assert_eq!(SqliteLedger::schema_status(&path).unwrap().found, None);
    let real = SqliteLedger::migrate(&path, false).unwrap();
    assert_eq!((real.from, real.applied), (None, dry.applied));
    let id = SqliteLedger::open(&path).unwrap().ledger_id();
    let again = SqliteLedger::migrate(&path, false).unwrap();
    assert_eq!((again.from, again.applied.len()), (Some(3), 0));
    assert_eq!(SqliteLedger::open(&path).unwrap().ledger_id(), id);
}

#[test]
fn files_that_are_no_ledgers_are_refused_and_left_as_they_are() {
    let (dir, path) = place();
    sql(&path, "CREATE TABLE photos (n INTEGER)");
    let before = std::fs::read(&path).unwrap();
    for error in [
        SqliteLedger::open(&path).unwrap_err(),
        SqliteLedger::migrate(&path, false).unwrap_err(),
        SqliteLedger::schema_status(&path).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(
            error.to_string().contains("ledger.db") && error.to_string().contains("not a bidlock ledger")
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "no database at all\n".repeat(60)).unwrap();
    assert_eq!(open_error(&text).0, ErrorKind::Corrupt);
    assert_eq!(open_error(dir.path()).0, ErrorKind::Unfit);
}

#[test]
fn commands_that_only_look_make_no_file() {
    let (_dir, path) = place();
    let look = || SqliteLedger::open_with(Options::new(&path).with_create(false)).unwrap_err();
    assert_eq!(look().kind(), ErrorKind::Unfit);
    assert!(look().to_string().contains("no such file"), "{}", look());
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    assert!(look().to_string().contains("holds no ledger"), "{}", look());
}

/// A crash right after the file or the migrations' own table was made must not lock everybody out.
#[test]
fn a_ledger_whose_making_was_interrupted_is_made() {
    for start in [
        "",
        "CREATE TABLE refinery_schema_history (version INTEGER PRIMARY KEY, name VARCHAR(255), \
                       applied_on VARCHAR(255), checksum VARCHAR(255))",
    ] {
        let (_dir, path) = place();
        sql(&path, start);
        SqliteLedger::open(&path).unwrap();
    }
}

#[tokio::test]
async fn an_instance_is_alive_until_it_is_closed_and_then_gone() {
    let (_dir, path) = place();
    let (ours, watcher) = (SqliteLedger::open(&path).unwrap(), SqliteLedger::open(&path).unwrap());
    let claimant = Claimant { holder: "here".to_owned(), instance: Some(ours.instance()) };
    let mut wanted = request(&posting("1"), "here");
    wanted.claimant = claimant.clone();
    ours.claim(&[wanted]).await.unwrap();
    assert_eq!(watcher.liveness(&claimant).await.unwrap(), Liveness::Alive);
    let idle = watcher.instance();
    drop(ours);
    assert_eq!(watcher.liveness(&claimant).await.unwrap(), Liveness::Gone);
    drop(watcher);
    let last = SqliteLedger::open(&path).unwrap();
    let unused = Claimant { holder: "watcher".to_owned(), instance: Some(idle) };
    assert_eq!(
        last.liveness(&unused).await.unwrap(),
        Liveness::Unprovable,
        "it claimed nothing, so it left nothing"
    );
    let nobody = Claimant { holder: "postgres".to_owned(), instance: None };
    assert_eq!(last.liveness(&nobody).await.unwrap(), Liveness::Unprovable);
}

/// S6: a ledger that can't be written grants nothing, and says that nothing was applied.
#[tokio::test]
async fn a_ledger_that_another_writer_holds_grants_nothing() {
    let (_dir, path) = place();
    let patience = std::time::Duration::from_millis(50);
    let ledger = SqliteLedger::open_with(Options::new(&path).with_busy_patience(patience)).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = ledger.claim(&[request(&posting("1"), "here")]).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Busy, bidlock_ledger::Effect::NotApplied));
    assert!(!ledger.check().await.unwrap().writable);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(claim(&ledger, &posting("1"), "here").await, ClaimOutcome::Granted(_)));
}

/// An idle fleet's sweeps do not queue at the write lock: whether anything has expired is read without it.
#[tokio::test]
async fn a_sweep_with_nothing_to_do_does_not_ask_for_the_write_lock() {
    let (_dir, path) = place();
    let clock = std::sync::Arc::new(ManualHostClock::new());
    let patience = std::time::Duration::from_millis(50);
    let ledger =
        SqliteLedger::open_with(Options::new(&path).with_clock(clock.clone()).with_busy_patience(patience))
            .unwrap();
    granted(&ledger, &posting("1"), "here").await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(ledger.sweep(10).await.unwrap(), bidlock_ledger::Swept::default());
    clock.advance(std::time::Duration::from_secs(24 * 3600));
    assert_eq!(ledger.sweep(10).await.unwrap_err().kind(), ErrorKind::Busy);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ledger.sweep(10).await.unwrap().abandoned, 1);
}

/// The ledger is fully synchronous, also when it is opened with other options.
#[tokio::test]
async fn a_ledger_is_always_fully_synchronous() {
    let (_dir, path) = place();
    let options = Options::new(&path).with_synchronous(bidlock_sqlite::Synchronous::Normal);
    let health = SqliteLedger::open_with(options).unwrap().check().await.unwrap();
    let fact = |name: &str| health.facts.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!((fact("synchronous"), fact("journal mode")), ("full".to_owned(), "wal".to_owned()));
}

//! The SQLite backend: the conformance suite, with each instance on connections of its own.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints know test functions, and not what these call"
)]

use std::sync::Arc;
use std::time::Duration;

use bidlock::backends::sqlite::SqliteBackend;
use bidlock::conformance::Fixture;
use bidlock::{
    Acquire, Acquired, ErrorKind, HolderId, KeyFilter, LockBackend, LockKey, LockManager, Nonce, Page,
};
use bidlock_sqlite::{ManualHostClock, Options};

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks.db");
    Fixture::new(move || Arc::new(SqliteBackend::open(&path).unwrap())).keeping(folder)
}

bidlock::conformance_suite!(fixture());

/// A clock that a test moves, for all instances on one file.
fn on_manual_clock() -> (tempfile::TempDir, Arc<ManualHostClock>, impl Fn() -> Arc<SqliteBackend>) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualHostClock::new());
    let options = Options::new(folder.path().join("locks.db")).with_clock(clock.clone());
    (folder, clock, move || Arc::new(SqliteBackend::open_with(options.clone()).unwrap()))
}

fn request(id: &str, nonce: u8, ttl: Duration) -> Acquire {
    let key = LockKey::posting("upwork", id).unwrap();
    let holder = HolderId::named("tester").unwrap();
    Acquire { key, holder, nonce: Nonce::from_bytes([nonce; 16]), ttl }
}

async fn is_granted(backend: &SqliteBackend, request: &Acquire) -> bool {
    let answers = backend.try_acquire(std::slice::from_ref(request)).await.unwrap();
    matches!(answers[..], [Acquired::Granted(_)])
}

#[tokio::test]
async fn expires_by_the_boot_clock_to_the_millisecond_whatever_the_wall_clock_does() {
    let (_folder, clock, open) = on_manual_clock();
    let (a, b) = (open(), open());
    let ttl = Duration::from_millis(100);
    assert!(is_granted(&a, &request("1", 1, ttl)).await);
    for step_ms in [86_400_000, -200_000_000] {
        clock.step_wall(step_ms);
        assert!(!is_granted(&b, &request("1", 2, ttl)).await);
    }
    clock.advance(Duration::from_millis(99));
    assert!(!is_granted(&b, &request("1", 2, ttl)).await);
    clock.advance(Duration::from_millis(1));
    assert!(is_granted(&b, &request("1", 2, ttl)).await);
}

#[tokio::test]
async fn what_another_boot_granted_has_expired() {
    let (_folder, clock, open) = on_manual_clock();
    let (a, b) = (open(), open());
    let hour = Duration::from_secs(3600);
    assert!(is_granted(&a, &request("1", 1, hour)).await);
    assert!(!is_granted(&b, &request("1", 2, hour)).await);
    clock.reboot();
    assert!(b.inspect(&KeyFilter::all(), Page::default()).await.unwrap().is_empty());
    assert!(is_granted(&b, &request("1", 2, hour)).await);
}

#[tokio::test]
async fn tokens_grow_although_the_wall_clock_goes_back() {
    let (_folder, clock, open) = on_manual_clock();
    let locks = LockManager::new(open());
    let key = LockKey::posting("upwork", "1").unwrap();
    let mut last = None;
    for _ in 0..5 {
        let lease = locks.try_lock(&key).await.unwrap().acquired().unwrap();
        assert!(Some(lease.fencing_token()) > last);
        last = Some(lease.fencing_token());
        lease.release().await.unwrap();
        clock.step_wall(-3_600_000);
    }
}

#[tokio::test]
async fn expired_rows_are_taken_out_while_others_come() {
    let (folder, clock, open) = on_manual_clock();
    let backend = open();
    let rows = || {
        let file = rusqlite::Connection::open(folder.path().join("locks.db")).unwrap();
        file.query_row("SELECT count(*) FROM bidlock_lease", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let batch = |from: usize, count: usize| -> Vec<Acquire> {
        (from..from + count).map(|n| request(&n.to_string(), 1, Duration::from_millis(100))).collect()
    };
    for at in (0..3_000).step_by(250) {
        backend.try_acquire(&batch(at, 250)).await.unwrap();
    }
    assert_eq!(rows(), 3_000);
    clock.advance(Duration::from_secs(1));
    for at in (3_000..6_000).step_by(250) {
        backend.try_acquire(&batch(at, 250)).await.unwrap();
    }
    assert!(rows() <= 3_500, "{} rows", rows());
    // Whoever opens the file finds the rest.
    clock.advance(Duration::from_secs(1));
    drop(open());
    assert_eq!(rows(), 0);
}

#[tokio::test]
async fn refuses_what_cannot_hold_locks_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-a-database.db");
    std::fs::write(&file, "This is a letter, and not a database at all. ".repeat(100)).unwrap();
    for (url, kind) in [
        (file.display().to_string(), ErrorKind::Corrupt),
        (folder.path().display().to_string(), ErrorKind::Unfit),
        ("sqlite:///:memory:".to_owned(), ErrorKind::Invalid),
    ] {
        let error = LockManager::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

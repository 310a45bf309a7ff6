//! What a store promises: groups, isolation of failures, refusal of unfit places.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{
    os::unix::fs::PermissionsExt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Waker},
    time::Duration,
};

use bidlock_sqlite::{Effect, Error, ErrorKind, ManualHostClock, Options, Store, Synchronous};
use rusqlite::Connection;

fn schema(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL)")
}

async fn count(store: &Store) -> i64 {
    store.read(|conn, _| conn.query_row("SELECT count(*) FROM notes", [], |r| r.get(0))).await.unwrap()
}

/// Holds the writer inside a job until the sender is dropped, so that what follows is queued together.
async fn hold_writer(store: &Store) -> mpsc::Sender<()> {
    let (release, gate) = mpsc::channel::<()>();
    let (started, running) = tokio::sync::oneshot::channel::<()>();
    let (held, mut started) = (store.clone(), Some(started));
    tokio::spawn(async move {
        held.write(move |_, _| {
            drop(started.take());
            let _ = gate.recv();
            Ok(())
        })
        .await
    });
    let _ = running.await;
    release
}

/// Polls a write once, after which it stands in the queue.
fn queued<T>(write: impl Future<Output = T>) -> Pin<Box<impl Future<Output = T>>> {
    let mut write = Box::pin(write);
    assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    write
}

fn write_note(store: &Store, n: i64) -> impl Future<Output = Result<usize, Error>> + use<> {
    let store = store.clone();
    async move { store.write(move |tx, _| tx.execute("INSERT INTO notes VALUES (?1, 'x')", [n])).await }
}

#[tokio::test]
async fn what_is_queued_together_is_committed_together() {
    let dir = tempfile::tempdir().unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&commits);
    let store = Store::open(Options::new(dir.path().join("a.db")), |conn| {
        schema(conn)?;
        conn.commit_hook(Some(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            false
        }))
    })
    .unwrap();
    let release = hold_writer(&store).await;
    let writes: Vec<_> = (0..64).map(|n| queued(write_note(&store, n))).collect();
    drop(release);
    for write in writes {
        write.await.unwrap();
    }
    assert_eq!(count(&store).await, 64);
    assert_eq!(commits.load(Ordering::SeqCst), 2, "one for the held job, one for the 64 behind it");
}

#[tokio::test]
async fn a_failed_job_and_a_panic_undo_themselves_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path().join("a.db")), schema).unwrap();
    let release = hold_writer(&store).await;
    let good: Vec<_> = (0..3).map(|n| queued(write_note(&store, n))).collect();
    let half = store.clone();
    let bad = queued(async move {
        half.write(|tx, _| {
            tx.execute("INSERT INTO notes VALUES (100, 'half')", [])?;
            tx.execute("INSERT INTO notes VALUES (101, NULL)", [])
        })
        .await
    });
    let wild = store.clone();
    let panics = queued(async move {
        wild.write(|tx, _| {
            tx.execute("INSERT INTO notes VALUES (200, 'wild')", [])?;
            if tx.is_autocommit() {
                return Ok(());
            }
            panic!("on purpose")
        })
        .await
    });
    let more: Vec<_> = (3..6).map(|n| queued(write_note(&store, n))).collect();
    drop(release);
    for write in good.into_iter().chain(more) {
        assert_eq!(write.await.unwrap(), 1);
    }
    let error = bad.await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Statement, Effect::NotApplied), "{error}");
    assert_eq!(panics.await.unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(count(&store).await, 6, "neither half a job nor a panicked one is left");
    write_note(&store, 7).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_named_so_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path().join("a.db")), |conn| {
        schema(conn)?;
        conn.pragma_update(None, "max_page_count", 8)
    })
    .unwrap();
    let error = store
        .write(|tx, _| tx.execute("INSERT INTO notes VALUES (1, hex(zeroblob(100000)))", []))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Poisoned, Effect::NotApplied), "{error}");
    assert!(error.to_string().contains("a.db"), "{error}");
    assert_eq!(count(&store).await, 0);
    write_note(&store, 1).await.unwrap();
}

#[tokio::test]
async fn another_writer_is_waited_for_and_then_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let patience = Duration::from_millis(100);
    let store = Store::open(Options::new(&path).with_busy_patience(patience), schema).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = write_note(&store, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Busy, Effect::NotApplied), "{error}");
    assert!(error.is_retryable());
    other.execute_batch("COMMIT").unwrap();
    write_note(&store, 1).await.unwrap();
}

#[tokio::test]
async fn jobs_are_told_the_time_of_the_clock_in_the_options() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualHostClock::new());
    let options = Options::new(dir.path().join("a.db")).with_clock(clock.clone()).with_readers(1);
    let store = Store::open(options, schema).unwrap();
    let before = store.write(|_, now| Ok(now)).await.unwrap();
    clock.advance(Duration::from_secs(5));
    let after = store.read(|_, now| Ok(now)).await.unwrap();
    assert_eq!(after.boot_ms - before.boot_ms, 5_000);
    let deadline = before.boot_ms_after(Duration::from_secs(7));
    assert_eq!(after.remaining_until(before.boot_id, deadline), Some(Duration::from_secs(2)));
    clock.reboot();
    let rebooted = store.read(|_, now| Ok(now)).await.unwrap();
    assert_eq!(
        rebooted.remaining_until(before.boot_id, deadline),
        None,
        "another boot's deadline has passed"
    );
}

#[tokio::test]
async fn dropping_the_last_clone_carries_the_log_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let log = dir.path().join("a.db-wal");
    // Several times, as without the wait the threads are sometimes done in time.
    for n in 0..20 {
        let store = Store::open(Options::new(&path), schema).unwrap();
        write_note(&store, n).await.unwrap();
        let clone = store.clone();
        drop(store);
        assert!(log.exists(), "a clone is left");
        drop(clone);
        assert!(!log.exists(), "round {n}");
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path().join("a.db")), schema).unwrap();
    store.read(|conn, _| conn.execute("INSERT INTO notes VALUES (1, 'x')", [])).await.unwrap_err();
    assert_eq!(count(&store).await, 0);
}

#[test]
fn unfit_places_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |options: Options| {
        let error = Store::open(options, schema).unwrap_err();
        assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
        error.kind()
    };
    assert_eq!(kind(Options::new(dir.path())), ErrorKind::Unfit);
    assert_eq!(kind(Options::new(dir.path().join("none.db")).with_create(false)), ErrorKind::Missing);
    assert!(!dir.path().join("none.db").exists());
    std::fs::write(dir.path().join("text"), "this is no database, ".repeat(100)).unwrap();
    assert_eq!(kind(Options::new(dir.path().join("text"))), ErrorKind::Corrupt);
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(kind(Options::new(dir.path().join("file").join("a.db"))), ErrorKind::Unfit);
}

#[test]
fn files_are_private_and_durable_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new").join("a.db");
    for (asked, level) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
        Store::open(Options::new(&path).with_synchronous(asked), |conn| {
            assert_eq!(conn.query_row("PRAGMA synchronous", [], |r| r.get::<_, i64>(0))?, level);
            schema(conn)
        })
        .unwrap();
    }
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn an_error_of_the_preparation_comes_back_as_it_is() {
    #[derive(Debug, thiserror::Error, PartialEq)]
    #[error("too new")]
    struct TooNew;
    let dir = tempfile::tempdir().unwrap();
    let error = Store::open(Options::new(dir.path().join("a.db")), |_| Err(TooNew)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Prepare);
    let source = std::error::Error::source(&error).and_then(|s| s.downcast_ref::<TooNew>());
    assert_eq!(source, Some(&TooNew));
}

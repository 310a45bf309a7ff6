//! A file that is moved, replaced or reachable by two names never becomes two files that both answer.
#![allow(clippy::unwrap_used, reason = "a test file: the lints' exemption covers only the test functions")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use bidlock_sqlite::{Effect, Error, ErrorKind, Options, Store};
use rusqlite::Connection;

fn schema(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS notes (n INTEGER PRIMARY KEY)")
}

fn open(path: &Path) -> Result<Store, Error> {
    Store::open(Options::new(path), schema)
}

async fn note(store: &Store, n: i64) -> Result<usize, Error> {
    store.write(move |tx, _| tx.execute("INSERT INTO notes VALUES (?1)", [n])).await
}

async fn notes(store: &Store) -> Result<Vec<i64>, Error> {
    store
        .read(|conn, _| {
            conn.prepare("SELECT n FROM notes ORDER BY n")?.query_map([], |r| r.get(0))?.collect()
        })
        .await
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

/// Opens a store in `data/a.db`, lets `disturb` do its work, and sees that neither reads nor writes go on.
async fn stops_after(disturb: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("data").join("a.db");
    let store = open(&path).unwrap();
    note(&store, 1).await.unwrap();
    disturb(&path);
    let refused = |error: Error| {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Poisoned, Effect::NotApplied), "{error}");
        assert!(error.to_string().contains("while it was open"), "{error}");
        assert!(error.hint().is_some(), "{error}");
    };
    refused(note(&store, 2).await.unwrap_err());
    refused(notes(&store).await.unwrap_err());
}

#[tokio::test]
async fn a_file_moved_with_its_folder_is_written_no_more() {
    stops_after(|path| {
        let data = path.parent().unwrap();
        fs::rename(data, data.with_file_name("old")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deleted_file_is_written_no_more() {
    stops_after(|path| fs::remove_file(path).unwrap()).await;
}

#[tokio::test]
async fn a_file_replaced_by_its_copy_is_written_no_more() {
    stops_after(|path| {
        fs::copy(path, beside(path, ".copy")).unwrap();
        fs::rename(beside(path, ".copy"), path).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deleted_log_ends_the_writing_too() {
    stops_after(|path| fs::remove_file(beside(path, "-wal")).unwrap()).await;
    stops_after(|path| fs::remove_file(beside(path, "-shm")).unwrap()).await;
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_ends_the_writing() {
    let dir = tempfile::tempdir().unwrap();
    let [blue, green, current] = ["blue", "green", "current"].map(|name| dir.path().join(name));
    fs::create_dir(&green).unwrap();
    open(&blue.join("a.db")).unwrap();
    std::os::unix::fs::symlink(&blue, &current).unwrap();
    let store = open(&current.join("a.db")).unwrap();
    note(&store, 1).await.unwrap();
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink(&green, &current).unwrap();
    assert_eq!(note(&store, 2).await.unwrap_err().kind(), ErrorKind::Poisoned);
}

/// A file that comes back may lack what others did while it was away.
#[tokio::test]
async fn a_file_that_is_back_is_still_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = open(&path).unwrap();
    fs::rename(&path, beside(&path, ".away")).unwrap();
    notes(&store).await.unwrap_err();
    fs::rename(beside(&path, ".away"), &path).unwrap();
    assert_eq!(note(&store, 1).await.unwrap_err().kind(), ErrorKind::Poisoned);
    drop(store);
    note(&open(&path).unwrap(), 1).await.unwrap();
}

#[tokio::test]
async fn a_file_moved_within_a_transaction_is_not_called_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = open(&path).unwrap();
    let (from, to) = (path.clone(), beside(&path, ".away"));
    let error = store
        .write(move |tx, _| {
            fs::rename(&from, &to).unwrap();
            tx.execute("INSERT INTO notes VALUES (1)", [])
        })
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Poisoned, Effect::Unknown), "{error}");
}

/// Closing carries the log over into the file; where the log was replaced, that would undo what others did.
#[test]
fn closing_leaves_the_successors_work_alone() {
    const FILE: &str = "BIDLOCK_SQLITE_TEST_SUCCESSOR";
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(file) = std::env::var_os(FILE) {
        let store = open(Path::new(&file)).unwrap();
        runtime.block_on(note(&store, 7)).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let old = open(&path).unwrap();
    runtime.block_on(note(&old, 1)).unwrap();
    fs::remove_file(beside(&path, "-wal")).unwrap();
    fs::remove_file(beside(&path, "-shm")).unwrap();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["closing_leaves_the_successors_work_alone", "--exact"])
        .env(FILE, &path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    drop(old);
    assert_eq!(runtime.block_on(notes(&open(&path).unwrap())).unwrap(), [7]);
}

#[test]
fn a_file_with_two_names_is_refused_by_either() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one.db", "two.db"].map(|name| dir.path().join(name));
    open(&one).unwrap();
    fs::hard_link(&one, &two).unwrap();
    for path in [&one, &two] {
        let error = open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unfit, "{error}");
        assert!(error.to_string().contains("hard links"), "{error}");
    }
    fs::remove_file(&two).unwrap();
    open(&one).unwrap();
}

/// Needs the right to mount within a namespace of its own; where that is missing, the test says so.
#[test]
fn a_file_that_is_mounted_alone_is_refused() {
    const FILE: &str = "BIDLOCK_SQLITE_TEST_MOUNTED";
    if let Some(file) = std::env::var_os(FILE) {
        let error = open(Path::new(&file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unfit, "{error}");
        assert!(error.to_string().contains("mount point"), "{error}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one.db", "two.db"].map(|name| dir.path().join(name));
    open(&one).unwrap();
    fs::write(&two, "").unwrap();
    let run = |words: &[&str]| {
        Command::new("unshare")
            .args([
                "--mount",
                "--map-root-user",
                "sh",
                "-c",
                "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"",
                "sh",
            ])
            .args([&one, &two])
            .args(words)
            .env(FILE, &two)
            .output()
    };
    if !run(&["true"]).is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED (no right to mount): a_file_that_is_mounted_alone_is_refused");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let done = run(&[this.to_str().unwrap(), "a_file_that_is_mounted_alone_is_refused", "--exact"]).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

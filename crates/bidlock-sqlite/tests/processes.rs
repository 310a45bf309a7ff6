//! Several processes on one file: opening an empty folder at once, and fairness at the write lock.
//! The children are this test binary itself, started again with a variable that says what to do.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bidlock_sqlite::{Effect, ErrorKind, Options, Store, Synchronous};
use rusqlite::Connection;

const CHILD: &str = "BIDLOCK_SQLITE_TEST_CHILD";

fn schema(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS notes (n INTEGER PRIMARY KEY, who INTEGER NOT NULL)")
}

fn start(test: &str, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(CHILD, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_file() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

#[test]
fn eight_processes_open_an_empty_folder_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(file) = child_file() {
        let store = Store::open(Options::new(file), schema).unwrap();
        let who = i64::from(std::process::id());
        let insert =
            move |tx: &rusqlite::Transaction<'_>, _| tx.execute("INSERT INTO notes (who) VALUES (?1)", [who]);
        runtime.block_on(store.write(insert)).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data").join("a.db");
    let children: Vec<_> =
        (0..8).map(|_| start("eight_processes_open_an_empty_folder_at_once", &file)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let store = Store::open(Options::new(&file).with_create(false), schema).unwrap();
    let count = store.read(|c, _| c.query_row("SELECT count(*) FROM notes", [], |r| r.get::<_, i64>(0)));
    assert_eq!(runtime.block_on(count).unwrap(), 8);
}

/// A measurement, not a check: `cargo test -p bidlock-sqlite --test processes -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement of two processes that write as fast as they can"]
fn two_processes_share_the_write_lock() {
    if let Some(file) = child_file() {
        let (writes, longest) = write_for(Duration::from_secs(2), &file);
        println!("RESULT {writes} {}", longest.as_micros());
        return;
    }
    for tasks in ["1", "64"] {
        for sync in ["NORMAL", "FULL"] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(format!("{sync}-{tasks}.db"));
            Store::open(Options::new(&file), schema).unwrap();
            let children: Vec<_> =
                (0..2).map(|_| start("two_processes_share_the_write_lock", &file)).collect();
            for child in children {
                let output = child.wait_with_output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                println!("{sync} {tasks} tasks: {}", text.lines().find(|l| l.contains("RESULT")).unwrap());
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement of real time")]
fn write_for(length: Duration, file: &Path) -> (u64, Duration) {
    use std::time::Instant;
    let name = file.file_name().unwrap().to_str().unwrap();
    let (sync, tasks) = name.strip_suffix(".db").unwrap().split_once('-').unwrap();
    let sync = if sync == "FULL" { Synchronous::Full } else { Synchronous::Normal };
    let store = Store::open(Options::new(file).with_synchronous(sync), schema).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let tasks = (0..tasks.parse::<usize>().unwrap()).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let (mut writes, mut longest) = (0, Duration::ZERO);
                while start.elapsed() < length {
                    let began = Instant::now();
                    store
                        .write(|tx, _| tx.prepare_cached("INSERT INTO notes (who) VALUES (1)")?.execute([]))
                        .await
                        .unwrap();
                    longest = longest.max(began.elapsed());
                    writes += 1;
                }
                (writes, longest)
            })
        });
        let (mut writes, mut longest) = (0, Duration::ZERO);
        for task in tasks.collect::<Vec<_>>() {
            let (w, l) = task.await.unwrap();
            (writes, longest) = (writes + w, longest.max(l));
        }
        (writes, longest)
    })
}

/// A disk that fails: nothing is said to be done, and nothing more is tried. The child's writes fail once a
/// file would grow beyond the shell's limit, as a failing disk's do.
#[test]
fn a_failing_disk_poisons_the_store() {
    const LIMIT_BLOCKS: u32 = 128;
    if let Some(file) = child_file() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Store::open(Options::new(file), schema).unwrap();
        let grow = |tx: &rusqlite::Transaction<'_>, _| {
            tx.execute_batch("CREATE TABLE IF NOT EXISTS big (b)")?;
            tx.execute("INSERT INTO big VALUES (zeroblob(400000))", [])
        };
        let error = runtime.block_on(store.write(grow)).unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Poisoned, Effect::Unknown), "{error}");
        let small = |tx: &rusqlite::Transaction<'_>, _| tx.execute("INSERT INTO notes (who) VALUES (1)", []);
        let error = runtime.block_on(store.write(small)).unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Poisoned, Effect::NotApplied), "{error}");
        println!("POISONED");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f {LIMIT_BLOCKS}; exec \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["a_failing_disk_poisons_the_store", "--exact", "--nocapture"])
        .env(CHILD, dir.path().join("a.db"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("POISONED"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let store = Store::open(Options::new(dir.path().join("a.db")), schema).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let count = store.read(|c, _| c.query_row("SELECT count(*) FROM notes", [], |r| r.get::<_, i64>(0)));
    assert_eq!(runtime.block_on(count).unwrap(), 0);
}

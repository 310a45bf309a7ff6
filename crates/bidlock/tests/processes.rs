//! Several processes on one file: each test starts this binary again as its children.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints know test functions, and not what these call"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bidlock::backends::sqlite::SqliteBackend;
use bidlock::{Attempt, LockBackend, LockKey, LockManager, Wait};

const PROCESSES: usize = 4;
const ROUNDS: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a lock outlasts its holder here: more than a busy host takes between two renewals.
const HOLDERS_TTL: Duration = Duration::from_secs(2);

/// Names the role and the folder of a child.
const ROLE: &str = "BIDLOCK_TEST_CHILD";
const FOLDER: &str = "BIDLOCK_TEST_FOLDER";
/// The URL of another engine that processes share; children inherit it. Without it, an SQLite file in the folder.
const LOCKS: &str = "BIDLOCK_TEST_LOCKS";

fn start(role: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the child prints this word.
fn wait_for_word(child: &mut Child, word: &str) -> impl Read + use<> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended without saying {word}");
    }
    lines.into_inner()
}

/// Each test has a key of its own, so that what one leaves behind in a shared engine holds up no other.
fn key(folder: &Path) -> LockKey {
    LockKey::posting("upwork", folder.file_name().unwrap().to_str().unwrap()).unwrap()
}

async fn open(folder: &Path) -> LockManager {
    let url = std::env::var(LOCKS).unwrap_or_else(|_| folder.join("locks.db").display().to_string());
    LockManager::connect(&url).await.unwrap()
}

#[tokio::test]
#[ignore = "a child of the other tests"]
async fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let locks = open(&folder).await;
    match std::env::var(ROLE).unwrap().as_str() {
        "count" => count(&locks, &folder).await,
        "hold" => {
            let locks = locks.with_ttl(HOLDERS_TTL).unwrap();
            let _lease = locks.try_lock(&key(&folder)).await.unwrap().acquired().unwrap();
            println!("holding");
            std::future::pending::<()>().await;
        }
        other => unreachable!("no role {other}"),
    }
}

/// Reads the file, waits, writes it back: one more process inside, and an update is lost.
async fn count(locks: &LockManager, folder: &Path) {
    let file = &folder.join("counter");
    for _ in 0..ROUNDS {
        let Attempt::Acquired(lease) = locks.lock(&key(folder), Wait::up_to(PATIENCE)).await.unwrap() else {
            panic!("not granted in {PATIENCE:?}")
        };
        let seen: u64 = std::fs::read_to_string(file).unwrap().parse().unwrap();
        tokio::task::yield_now().await;
        std::fs::write(file, (seen + 1).to_string()).unwrap();
        lease.release().await.unwrap();
    }
}

#[tokio::test]
async fn an_unguarded_counter_in_a_file_loses_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counter");
    std::fs::write(&file, "0").unwrap();
    // All of them at once on an empty folder: the first one makes the file.
    let children: Vec<Child> = (0..PROCESSES).map(|_| start("count", folder.path())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), (PROCESSES as u64 * ROUNDS).to_string());
}

#[tokio::test]
async fn a_killed_holder_blocks_its_posting_while_its_lease_lasts_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = start("hold", folder.path());
    let _output = wait_for_word(&mut holder, "holding");
    let locks = open(folder.path()).await;
    // It renews: beyond its TTL it still has the lock.
    let other = locks.lock(&key(folder.path()), Wait::up_to(HOLDERS_TTL * 3 / 2)).await.unwrap();
    assert!(!other.is_acquired());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let lease = locks.lock(&key(folder.path()), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
    lease.release().await.unwrap();
}

#[tokio::test]
async fn a_paused_holder_learns_that_it_has_lost_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = start("hold", folder.path());
    let _output = wait_for_word(&mut holder, "holding");
    let pid = rustix::process::Pid::from_child(&holder);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let locks = open(folder.path()).await;
    let lease = locks.lock(&key(folder.path()), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    // Its renewals change nothing: after two of its TTLs the lock is still ours.
    let held = locks.lock(&key(folder.path()), Wait::up_to(HOLDERS_TTL * 2)).await.unwrap();
    assert!(matches!(held, Attempt::Held(other) if other.holder == locks.holder().as_str()));
    assert!(!lease.is_lost());
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn a_forked_child_is_refused_and_its_parent_is_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let backend = std::sync::Arc::new(bidlock::backends::memory::MemoryBackend::new());
    let locks = LockManager::new(backend.clone() as std::sync::Arc<dyn LockBackend>);
    let key = || LockKey::named("the", "parents").unwrap();
    let lease = runtime.block_on(locks.try_lock(&key())).unwrap().acquired().unwrap();
    let another = runtime.block_on(locks.try_lock(&LockKey::named("an", "other").unwrap())).unwrap();
    // SAFETY: the child only asks, on a runtime of its own, and leaves without running anything of the parent's.
    #[allow(unsafe_code, reason = "forking is what is tested")]
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let refused = runtime.block_on(locks.try_lock(&key()));
        let refused = matches!(refused, Err(error) if error.kind() == bidlock::ErrorKind::Forked);
        // Neither a drop nor a release in the child ends its parent's lease.
        let released = runtime.block_on(async {
            drop(another);
            tokio::time::sleep(Duration::from_millis(50)).await;
            lease.release().await.is_ok()
        });
        let all = bidlock::KeyFilter::all();
        let shown = runtime.block_on(backend.inspect(&all, bidlock::Page::default())).unwrap();
        let refused = refused && !released && shown.len() == 2;
        // A manager of the child's own works.
        let own = LockManager::new(backend);
        let works = runtime.block_on(own.try_lock(&LockKey::named("a", "b").unwrap())).is_ok();
        #[allow(unsafe_code, reason = "a forked child must not run what its parent left to do")]
        // SAFETY: ends this process at once.
        unsafe {
            libc::_exit(if refused && works { 0 } else { 1 })
        };
    }
    let child = rustix::process::Pid::from_raw(pid).unwrap();
    let (_, status) =
        rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
    runtime.block_on(locks.try_lock(&LockKey::named("a", "b").unwrap())).unwrap();
}

#[test]
fn the_file_is_private_to_its_user() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let backend = SqliteBackend::open(folder.path().join("locks.db")).unwrap();
    let mode = std::fs::metadata(backend.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

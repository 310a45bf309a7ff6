//! Several processes on one server: each test starts this binary again as its children.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use bidlock::{Attempt, Wait};
use bidlock_testkit::RedisServer;

use super::*;

const PROCESSES: usize = 4;
const ROUNDS: u64 = 100;

/// Names the server and the file of a child.
const URL: &str = "BIDLOCK_TEST_URL";
const FILE: &str = "BIDLOCK_TEST_FILE";

fn start(server: &RedisServer, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(URL, server.url())
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "a child of the other tests"]
async fn child() {
    let locks = LockManager::connect(&std::env::var(URL).unwrap()).await.unwrap();
    let file = std::env::var_os(FILE).unwrap();
    for _ in 0..ROUNDS {
        let Attempt::Acquired(lease) = locks.lock(&posting("counter"), Wait::up_to(PATIENCE)).await.unwrap()
        else {
            panic!("not granted in {PATIENCE:?}")
        };
        // Reads, waits, writes back: one more process inside, and an update is lost.
        let seen: u64 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        tokio::task::yield_now().await;
        std::fs::write(&file, (seen + 1).to_string()).unwrap();
        lease.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unguarded_counter_in_a_file_loses_no_update() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counter");
    std::fs::write(&file, "0").unwrap();
    let children: Vec<Child> = (0..PROCESSES).map(|_| start(&server, &file)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), (PROCESSES as u64 * ROUNDS).to_string());
}

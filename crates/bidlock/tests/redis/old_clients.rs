//! Clients of the system that bidlock replaces, on the same server: `SET key holder NX EX 300`, GET, DEL.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use bidlock::{Attempt, Wait};
use bidlock_testkit::RedisServer;

use super::*;

const ROUNDS: u64 = 150;

/// A Python that has redis-py: the one at hand, or one in an environment of the test's own.
fn python() -> Option<PathBuf> {
    let has_redis = |python: &PathBuf| {
        let tried = Command::new(python).args(["-c", "import redis"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let found = PathBuf::from("python3");
    if has_redis(&found) {
        return Some(found);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("redis-py");
    let own = folder.join("bin/python");
    if !has_redis(&own) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
        let quietly = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "redis"];
        let _ = Command::new(&own).args(quietly).status(); // looked at below
    }
    has_redis(&own).then_some(own)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_redis_py_and_ours_exclude_each_other_under_contention() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let Some(python) = python() else {
        bidlock_testkit::missing("redis-py", "no Python with redis-py");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counter");
    std::fs::write(&file, "0").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/old_client.py");
    let mut old: Vec<_> = (0..2)
        .map(|_| {
            Command::new(&python)
                .arg(script)
                .args([&server.port().to_string(), "bid_lock:upwork:counter"])
                .arg(&file)
                .arg(ROUNDS.to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    // Python takes its time to start; both are to be there.
    while std::fs::read_to_string(&file).unwrap().parse().unwrap_or(0) < 2 {
        assert!(old.iter_mut().all(|client| client.try_wait().unwrap().is_none()), "an old client broke");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let mut waited = 0u64;
    let locks = manager(&server).await;
    for round in 0..ROUNDS {
        // Otherwise all of our rounds fit between two tries of the old clients.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let lease = loop {
            match locks.try_lock(&posting("counter")).await.unwrap() {
                Attempt::Acquired(lease) => break lease,
                Attempt::Held(held) => {
                    assert!(held.holder.starts_with("old-client:"), "{held:?}");
                    waited += 1;
                }
            }
            // Both ways of ours: waiting, and trying again and again.
            if round % 2 == 0 {
                let waited = locks.lock(&posting("counter"), Wait::up_to(PATIENCE)).await.unwrap();
                break waited.acquired().unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_micros(300)).await;
        };
        let seen: u64 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        tokio::task::yield_now().await;
        std::fs::write(&file, (seen + 1).to_string()).unwrap();
        assert_eq!(lease.release().await.unwrap(), bidlock::Released::Released);
    }
    let mut refused = 0u64;
    for client in old {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        refused += String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), (3 * ROUNDS).to_string());
    assert!(refused > 0 && waited > 0, "there was no contention: {refused} refused, {waited} waited");
}

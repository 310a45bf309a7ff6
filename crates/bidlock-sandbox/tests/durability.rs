//! What was answered is on record: after a restart, after kill -9, and with a full disk.
#![allow(clippy::unwrap_used, reason = "also the functions beside the tests are only part of them")]

mod client;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use bidlock_sandbox::{Report, Sandbox, SandboxError, SandboxOptions};
use client::{bid, ids, sandbox, send, submit, withdraw};

/// Set for the child process only.
const CHILD_LOG: &str = "BIDLOCK_SANDBOX_TEST_LOG";

#[tokio::test]
async fn a_restarted_sandbox_remembers() {
    let (first, dir) = sandbox("").await;
    submit(&first, "p", "k1").await.unwrap();
    submit(&first, "q", "k2").await.unwrap();
    withdraw(&first, "sb-2").await;
    first.stop().await;

    let modes = "duplicates=refused,keys=honoured,404=first:2".parse().unwrap();
    let again = Sandbox::start(SandboxOptions::new(dir.path().join("log")).modes(modes)).await.unwrap();
    assert_eq!(again.submissions(), 2);
    assert_eq!(ids(&again, "p").await, ["sb-1"]);
    // `first:2` counts the record's submissions: these are the third and on.
    assert_eq!(submit(&again, "p", "k1").await.unwrap().json()["id"], "sb-1");
    assert_eq!(submit(&again, "p", "k3").await.unwrap().status, 409);
    assert_eq!(submit(&again, "q", "k4").await.unwrap().json()["id"], "sb-3");
    again.stop().await;
    let report = Report::read(dir.path().join("log")).unwrap();
    assert_eq!((report.submissions, report.accepted, report.duplicates), (5, 3, 0));
    assert_eq!((report.unanswered, report.unreadable_lines), (0, 0));
}

#[tokio::test]
async fn a_record_serves_one_sandbox_at_a_time() {
    let (first, dir) = sandbox("").await;
    let options = SandboxOptions::new(dir.path().join("log"));
    let error = Sandbox::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, SandboxError::InUse { .. }), "{error}");
    let taken = SandboxOptions::new(dir.path().join("other")).listen(first.address());
    let error = Sandbox::start(taken).await.unwrap_err();
    assert!(error.to_string().contains("port 0 for a free one"), "{error}");
    first.stop().await;
    Sandbox::start(options).await.unwrap();
}

#[tokio::test]
async fn requests_of_many_clients_at_once_are_all_on_record() {
    let (sandbox, _dir) = sandbox("").await;
    let clients = (0..200).map(|n| {
        let address = sandbox.address();
        tokio::spawn(async move {
            let key = format!("k{n}");
            send(address, "POST", "/bids", "", &bid(&format!("p{}", n % 100), &key)).await.unwrap().status
        })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.unwrap(), 201);
    }
    let report = sandbox.report().unwrap();
    assert_eq!((report.submissions, report.accepted, report.duplicates), (200, 200, 100));
    assert_eq!((report.postings_accepted(), report.duplicated().count()), (100, 100));
}

/// A sandbox in a process of its own, started by `sh` after it has run `before`.
struct Child {
    process: std::process::Child,
    address: SocketAddr,
}

impl Child {
    fn start(log: &Path, before: &str) -> Child {
        let mut process = Command::new("sh")
            .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "a_sandbox_in_a_child_process", "--ignored", "--nocapture"])
            .env(CHILD_LOG, log)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().split_once("listening at ").map(|(_, at)| at.parse().unwrap()))
            .unwrap();
        Child { process, address }
    }

    async fn submit(&self, n: u64) -> u16 {
        let body = bid(&format!("p{n}"), &format!("k{n}"));
        send(self.address, "POST", "/bids", "", &body).await.unwrap().status
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_is_on_record_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let child = Child::start(&log, "");
    for n in 0..20 {
        assert_eq!(child.submit(n).await, 201);
    }
    child.kill();
    let report = Report::read(&log).unwrap();
    assert_eq!((report.submissions, report.accepted, report.unreadable_lines), (20, 20, 0));
    // The lock on the record has gone with the process.
    let again = Sandbox::start(SandboxOptions::new(&log)).await.unwrap();
    assert_eq!(ids(&again, "p19").await, ["sb-20"]);
}

#[tokio::test]
async fn nothing_is_accepted_off_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // The file can't grow beyond a few kilobytes, as on a full disk.
    let child = Child::start(&log, "trap '' XFSZ; ulimit -f 8;");
    let mut statuses = Vec::new();
    for n in 0..40 {
        statuses.push(child.submit(n).await);
    }
    child.kill();
    let accepted = statuses.iter().take_while(|status| **status == 201).count();
    assert!((1..40).contains(&accepted), "{statuses:?}");
    assert!(statuses[accepted..].iter().all(|status| *status == 503), "{statuses:?}");
    let report = Report::read(&log).unwrap();
    assert_eq!(report.accepted, accepted as u64);
}

/// Not a test: the child process of those above.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
async fn a_sandbox_in_a_child_process() {
    let Ok(log) = std::env::var(CHILD_LOG) else { return };
    let sandbox = Sandbox::start(SandboxOptions::new(log)).await.unwrap();
    println!("listening at {}", sandbox.address());
    std::future::pending::<()>().await;
}

//! Locks in Redis serve one ledger. A scan whose Redis is given to another ledger while it runs stops sending; a Redis that
//! has lost its data is bound again before its locks are used. Real servers and processes.

#![allow(clippy::disallowed_methods, reason = "a bound on how long a test waits is real time")]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout},
    thread::sleep,
    time::{Duration, Instant},
};

use bidlock_testkit::RedisServer;
use rustix::process::Signal;
use serde_json::json;

use crate::kit::{
    Desk,
    engines::{FEED, Market, With, record, redis, say_to},
};

/// The scan looks every 30 s at the latest; a fall-back goes back after 10 s of health. Only a fault takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A scan that goes on for ever, past its first answers.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(with: &With<'_>, market: &Market) -> Running {
        with.desk.file("feed.json", FEED);
        let words =
            format!("scan feed.json --marketplace example --submit {} --json --every 100ms", market.url);
        let mut child = with.call(&words).start();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("submitted") {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the scan ended");
        }
        Running { child, out }
    }

    /// Waits for its end: the exit code, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + PATIENCE;
        // Read on, or the scan would wait for its reader.
        let reading = std::thread::spawn(move || self.out.read_to_string(&mut String::new()));
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                crate::kit::signal(&self.child, Signal::KILL);
                panic!("the scan goes on");
            }
            sleep(Duration::from_millis(20));
        }
        reading.join().unwrap().unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

fn bound_to(redis: &RedisServer) -> String {
    say_to(redis.port(), "GET bidlock:ledger_id")
}

#[test]
fn a_scan_whose_locks_are_given_to_another_ledger_stops() {
    let Some(redis) = redis(&[]) else { return };
    let desk = Desk::new();
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables: vec![("REDIS_URL", redis.url())] };
    let scan = Running::start(&with, &market);
    let before = bound_to(&redis);
    // As a scanner on another ledger does that is told to.
    with.run("migrate up --database two.db").code(0);
    with.run("reconcile --database two.db --rebind-ledger").code(0);
    assert_ne!(bound_to(&redis), before);
    let (code, told) = scan.end();
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("serve the scanners of ledger") && told.contains("--rebind-ledger"), "{told}");
    // What comes later is for the other ledger's scanners.
    let (sent, duplicates) = record(&desk);
    desk.file(
        "feed.json",
        &json!([{"id": "3", "title": "Dig a well", "url": "https://jobs.example/3"}]).to_string(),
    );
    let again = format!("scan feed.json --marketplace example --submit {}", market.url);
    with.run(&again).refused(2, &["serve the scanners of ledger"]);
    assert_eq!(record(&desk), (sent, duplicates));
}

#[test]
fn a_redis_that_comes_back_empty_serves_the_same_ledger_again() {
    let Some(mut redis) = redis(&[]) else { return };
    let desk = Desk::new();
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables: vec![("REDIS_URL", redis.url())] };
    let scan = Running::start(&with, &market);
    let before = bound_to(&redis);
    assert!(before.len() > 5, "{before}");
    redis.kill();
    redis.start_again();
    let until = Instant::now() + PATIENCE;
    while bound_to(&redis) != before {
        assert!(Instant::now() < until, "it is not bound again: {}", bound_to(&redis));
        sleep(Duration::from_millis(20));
    }
    let other = format!(
        "scan feed.json --marketplace example --submit {} --database two.db --new-ledger",
        market.url
    );
    with.run(&other).refused(2, &["serve the scanners of ledger"]);
    crate::kit::signal(&scan.child, Signal::TERM);
    let (code, told) = scan.end();
    assert!(matches!(code, Some(0 | 3)), "{code:?} {told}");
    assert_eq!(record(&desk).1, 0);
}

/// Whatever refuses a scan comes before its ledger takes the locks over: those who work there are not stopped for nothing.
#[test]
fn a_scan_that_is_refused_takes_no_locks_over() {
    let Some(redis) = redis(&[]) else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables: vec![("REDIS_URL", redis.url())] };
    let scan = |ledger: &str, more: &str| {
        let target = &market.url;
        with.run(&format!(
            "scan feed.json --marketplace example --submit {target} --database {ledger} {more}"
        ))
    };
    scan("one.db", "").code(0);
    let before = bound_to(&redis);
    // The other ledger is kept beside old instances, whom its scan does not name.
    let old = rusqlite::Connection::open(desk.work().join("old.db")).unwrap();
    old.execute_batch(
        "CREATE TABLE bids (job_id TEXT NOT NULL, marketplace TEXT NOT NULL, status TEXT NOT NULL, created_at TIMESTAMP)",
    )
    .unwrap();
    with.run("import legacy old.db --database two.db --new-ledger").code(0);
    scan("two.db", "--rebind-ledger").refused(2, &["old.db", "--legacy-database"]);
    assert_eq!(bound_to(&redis), before);
    scan("one.db", "").code(0);
    assert_eq!(record(&desk), (2, 0));
}

//! Real scanner processes in a home of their own, a recording sandbox in the test's process, made-up feeds,
//! and the checks that every end-to-end test makes. Waiting for a process blocks the test's thread, so that
//! every test needs a runtime of several.

#![allow(unreachable_pub, reason = "a module of a test binary")]
#![allow(clippy::print_stdout, reason = "for whoever reads a failure")]

#[path = "../../command/mod.rs"]
mod command;
pub mod engines;
pub mod feeds;
pub mod lines;
pub mod proxy;
pub mod real;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use bidlock_sandbox::{Report, Sandbox, SandboxOptions};
use rustix::process::{Pid, Signal, kill_process};

use self::lines::Lines;

/// No process of these tests needs longer, on however slow a host; one that does is killed and told.
const LIMIT: Duration = Duration::from_secs(120);

/// A user's home with nothing in it, and a marketplace.
pub struct Stage {
    pub home: tempfile::TempDir,
    pub sandbox: Sandbox,
    started: std::sync::atomic::AtomicUsize,
}

impl Stage {
    pub async fn new(modes: &str) -> Stage {
        let home = tempfile::tempdir().unwrap();
        // No test takes this host's power, and a disk that others use is no slow marketplace.
        let options = SandboxOptions::new(home.path().join("market.jsonl"));
        let options = options.modes(modes.parse().unwrap()).without_sync();
        let sandbox = Sandbox::start(options).await.unwrap();
        Stage { home, sandbox, started: Default::default() }
    }

    /// The binary with these words, in an environment that holds nothing else.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = command::bidlock(self.home.path(), self.home.path());
        command.args(words).stdin(Stdio::null());
        command
    }

    /// `bidlock scan FEED --submit SANDBOX --json` and these words.
    pub fn scan(&self, feed: &Path, more: &[&str]) -> Command {
        let url = self.sandbox.url();
        let mut command = self.command(&["scan", "--submit", &url, "--json"]);
        command.arg(feed).args(more);
        command
    }

    /// Starts a command; what it prints goes to files, so that no pipe can stop it.
    pub fn start(&self, mut command: Command) -> Running {
        let n = self.started.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let out = self.home.path().join(format!("out-{n}.jsonl"));
        let err = self.home.path().join(format!("err-{n}.txt"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Running { child: command.spawn().unwrap(), out, err, stopped: false }
    }

    /// Runs a command to its end.
    pub fn run(&self, command: Command) -> Ended {
        self.start(command).end()
    }

    /// The default ledger.
    pub fn ledger(&self) -> PathBuf {
        self.home.path().join("data/bidlock/ledger.db")
    }

    /// What the marketplace has on record.
    pub fn report(&self) -> Report {
        self.sandbox.report().unwrap()
    }

    /// The ledger's rows by state.
    pub fn states(&self) -> BTreeMap<String, u64> {
        let conn = rusqlite::Connection::open(self.ledger()).unwrap();
        let mut counts = conn.prepare("SELECT state, count(*) FROM bids GROUP BY state").unwrap();
        let rows = counts.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())));
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Posting, state and cause of every row.
    pub fn rows(&self) -> Vec<Row> {
        let conn = rusqlite::Connection::open(self.ledger()).unwrap();
        let mut rows = conn.prepare("SELECT posting, state, unknown_cause FROM bids").unwrap();
        let read = rows
            .query_map([], |row| Ok(Row { posting: row.get(0)?, state: row.get(1)?, cause: row.get(2)? }));
        read.unwrap().map(Result::unwrap).collect()
    }
}

/// A row of the ledger, as far as these tests look at it.
#[derive(Debug)]
pub struct Row {
    pub posting: String,
    pub state: String,
    pub cause: Option<String>,
}

/// A process that a test started.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    pub stopped: bool,
}

impl Running {
    pub fn signal(&mut self, signal: Signal) {
        // It may have ended by itself; its id is not given away before it has been waited for.
        let _ = kill_process(Pid::from_child(&self.child), signal);
        match signal {
            Signal::STOP => self.stopped = true,
            Signal::CONT => self.stopped = false,
            _ => {}
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it with -9 and forgets it.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for it.
    pub fn end(mut self) -> Ended {
        let mut waited = Duration::ZERO;
        let pause = Duration::from_millis(10);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if waited >= LIMIT {
                self.signal(Signal::KILL);
                panic!("a process did not end in time: {}", std::fs::read_to_string(&self.err).unwrap());
            }
            std::thread::sleep(pause);
            waited += pause;
        };
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        Ended { status, out: read(&self.out), err: read(&self.err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn code(self, expected: i32) -> Ended {
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert_eq!(self.status.code(), Some(expected), "{}\n{}", self.err, tail(&self.out));
        self
    }

    /// The exit code, whatever it is; `None` after a signal.
    pub fn any_code(&self) -> Option<i32> {
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self.status.code()
    }

    /// Its stdout, checked against the contract of `scan --json`.
    #[track_caller]
    pub fn lines(&self) -> Lines {
        Lines::checked(&self.out)
    }

    /// Its stdout as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

fn tail(text: &str) -> &str {
    text.get(text.len().saturating_sub(2_000)..).unwrap_or(text)
}

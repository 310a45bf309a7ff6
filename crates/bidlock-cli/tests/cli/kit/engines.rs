//! Servers, a marketplace, and calls whose output is looked through for passwords.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Child,
};

use bidlock_testkit::{PostgresOptions, PostgresServer, RedisServer};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Call, Desk, Done, signal};

/// Postings of [`many_postings`]: enough that the scan is not through when something happens after the first answers.
pub(crate) const MANY: u64 = 60;

pub(crate) const SECRET: &str = "hunter2-secret";
pub(crate) const FEED: &str = r#"[{"id": "1", "title": "Write a parser", "url": "https://jobs.example/1", "budget": "$500"},
                       {"id": "2", "title": "Build a shed", "url": "https://jobs.example/2", "budget": "$20"}]"#;

pub(crate) fn redis(args: &[&str]) -> Option<RedisServer> {
    RedisServer::start(&[&["--maxmemory-policy", "noeviction"], args].concat())
}

pub(crate) fn postgres() -> Option<PostgresServer> {
    PostgresServer::start(PostgresOptions::new())
}

/// A running sandbox; stopped when dropped.
pub(crate) struct Market {
    child: Child,
    pub(crate) url: String,
}

impl Market {
    pub(crate) fn open(desk: &Desk) -> Market {
        Market::open_with(desk, "")
    }

    pub(crate) fn open_with(desk: &Desk, more: &str) -> Market {
        let mut child = desk.call(&format!("sandbox run --log market.jsonl --json {more}")).start();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).unwrap();
        Market { child, url: started["url"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        signal(&self.child, Signal::TERM);
        self.child.wait().unwrap();
    }
}

/// What the marketplace saw: submissions, duplicates.
pub(crate) fn record(desk: &Desk) -> (u64, u64) {
    let report = desk.run("sandbox report market.jsonl --json").code(0).json();
    (report["submissions"].as_u64().unwrap(), report["duplicates"].as_u64().unwrap())
}

/// Calls with these variables set, whose every output is looked through for passwords.
pub(crate) struct With<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl With<'_> {
    pub(crate) fn call(&self, words: &str) -> Call {
        let call = self.desk.call(words).env("BID_LOCK_RETRY_COUNT", "0");
        self.variables.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &str) -> Done {
        discreet(self.call(words).run())
    }
}

#[track_caller]
pub(crate) fn discreet(done: Done) -> Done {
    for secret in [SECRET, "made-up secret", "made-up%20secret"] {
        assert!(!done.out.contains(secret) && !done.err.contains(secret), "a password shows: {done:#?}");
    }
    done
}

pub(crate) fn say_to(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

pub(crate) fn many_postings() -> String {
    let posting = |n: u64| json!({"id": n.to_string(), "title": format!("Job {n}"), "url": format!("https://jobs.example/{n}")});
    Value::from((1..=MANY).map(posting).collect::<Vec<Value>>()).to_string()
}

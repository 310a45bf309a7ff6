//! The Redis backend: the conformance suite, with each instance on a connection of its own, and what only Redis has.
#![cfg(feature = "redis")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints know test functions, and not what these call"
)]

mod faults;
mod keys;
mod measuring;
mod old_clients;
mod processes;
mod tls;
mod turns;
mod valkey;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use bidlock::backends::redis::{RedisBackend, RedisOptions};
use bidlock::conformance::Fixture;
use bidlock::{Lease, LockKey, LockManager};
use bidlock_testkit::RedisServer;

/// A wait that only a fault outlasts.
const PATIENCE: Duration = Duration::from_secs(30);

fn fixture(server: RedisServer) -> Fixture {
    let url = server.url();
    Fixture::new(move || Arc::new(RedisBackend::lazy(RedisOptions::from_url(&url).unwrap()))).keeping(server)
}

bidlock::conformance_suite!({
    let Some(server) = RedisServer::start(&[]) else { return };
    fixture(server)
});

/// The same for the old protocol, on which nobody is woken: a server that hides `HELLO` is like one before Redis 6.
mod before_redis_6 {
    use super::*;

    bidlock::conformance_suite!({
        let Some(server) = RedisServer::start(&[]) else { return };
        let server = match version(&server) {
            ..6 => server,
            _ => RedisServer::start(&["--rename-command", "HELLO", ""]).unwrap(),
        };
        fixture(server)
    });
}

/// The server's major version, of the Redis that it is or resembles.
fn version(server: &RedisServer) -> u32 {
    let info: String = ask(server, &["INFO", "server"]);
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap();
    version.split('.').next().unwrap().parse().unwrap()
}

/// A server that wakes waiters and knows users; for tests of that.
fn since_redis_6() -> Option<RedisServer> {
    let server = RedisServer::start(&[])?;
    if version(&server) < 6 {
        bidlock_testkit::missing("redis 6", "the server is older than Redis 6");
        return None;
    }
    Some(server)
}

async fn manager(server: &RedisServer) -> LockManager {
    LockManager::connect(&server.url()).await.unwrap()
}

/// A connection for what the test itself asks.
fn asked(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

fn ask<T: redis::FromRedisValue>(server: &RedisServer, words: &[&str]) -> T {
    let mut cmd = redis::Cmd::new();
    for word in words {
        cmd.arg(*word);
    }
    cmd.query(&mut asked(server)).unwrap()
}

/// How often the server has run this command.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats: String = ask(server, &["INFO", "commandstats"]);
    let name = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

fn posting(id: &str) -> LockKey {
    LockKey::posting("upwork", id).unwrap()
}

async fn lease(locks: &LockManager, id: &str) -> Lease {
    locks.try_lock(&posting(id)).await.unwrap().acquired().unwrap()
}

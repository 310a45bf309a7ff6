//! Scans that fall back from Redis to the database: bidding goes on, and everybody who looks is told.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

use bidlock_testkit::{PostgresOptions, PostgresServer, RedisServer};
use serde_json::Value;
use tokio::time::timeout;

use crate::kit::{
    Ended, Stage,
    engines::{Engines, Pair},
    feeds::{self, Dice},
};

const POSTINGS: usize = 60;
/// No part of a scan lasts longer, on however slow a host.
const LIMIT: Duration = Duration::from_secs(90);

fn feed(stage: &Stage) -> PathBuf {
    feeds::folder(stage.home.path(), POSTINGS, &mut Dice::new("fallback", 3))
}

fn words<'a>(engines: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let words = engines.iter().map(String::as_str).chain(["--marketplace", "test"]);
    words.chain(more.iter().copied()).collect()
}

fn summary(ended: &Ended) -> Value {
    let last = ended.out.lines().last().unwrap();
    serde_json::from_str(last).unwrap()
}

/// The value of a series without labels.
fn metric(port: u16, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_whose_redis_dies_finishes_and_says_so() {
    for pair in [Pair::RedisAndPostgres, Pair::RedisAndSqlite] {
        let Some(mut engines) = Engines::start(pair) else { return };
        let stage = Stage::new("duplicates=accepted,delay=20ms..50ms").await;
        let feed = feed(&stage);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = port.to_string();
        let from = engines.words();
        // Small batches, so that locks are asked for from the first posting to the last.
        let mut command = stage.scan(&feed, &words(&from, &["--metrics-listen", &listen]));
        command.env("BIDLOCK_SCAN__BATCH", "8").env("BIDLOCK_SCAN__CONCURRENCY", "2");
        let scan = stage.start(command);
        timeout(LIMIT, stage.sandbox.wait_for_submissions(10)).await.unwrap();
        assert_eq!(metric(port, "bidlock_fallback_active"), Some(0.0));
        engines.redis.as_mut().unwrap().kill();
        timeout(LIMIT, stage.sandbox.wait_for_submissions(35)).await.unwrap();
        assert_eq!(metric(port, "bidlock_fallback_active"), Some(1.0));
        let ended = scan.end().code(0);
        let summary = summary(&ended);
        assert_eq!(summary["submitted"], POSTINGS, "{summary}");
        assert_eq!((&summary["fallback_active"], &summary["fallback_times"]), (&true.into(), &1.into()));
        assert_eq!(ended.err.matches("locks fall back to another engine").count(), 1, "{}", ended.err);
        let report = stage.report();
        assert_eq!((report.submissions, report.duplicates), (POSTINGS as u64, 0));

        // Redis is still away: a scan of the ledger that all share begins without it, and the doctor says that not all
        // is well.
        let again = stage.run(stage.scan(&feed, &words(&from, &[])));
        let again = again.code(if pair == Pair::RedisAndPostgres { 0 } else { 5 });
        for told in ["locks fall back", "are away and can't say which ledger they serve"] {
            assert!(again.err.contains(told), "{}", again.err);
        }
        let mut doctor = vec!["doctor", "--json"];
        doctor.extend(from.iter().map(String::as_str));
        let told = stage.run(stage.command(&doctor)).code(9);
        assert!(told.out.contains("nothing answers") && told.out.contains("lock fall-back"), "{}", told.out);
        stage.sandbox.stop().await;
    }
}

/// A fault of the configuration is not fallen back from, nor is it without a fall-back, nor to what is not shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_fallen_back_from_and_what_not_to() {
    let Some(mut engines) = Engines::start(Pair::RedisAndSqlite) else { return };
    let stage = Stage::new("duplicates=accepted").await;
    let feed = feed(&stage);
    let from = engines.words();
    let scan = |variables: &[(&str, &str)]| {
        let mut command = stage.scan(&feed, &words(&from, &[]));
        command.envs(variables.iter().copied());
        stage.run(command)
    };
    let refused = scan(&[("BIDLOCK_LOCK__FALLBACK", "memory")]).code(5);
    let told = ["BIDLOCK_LOCK__FALLBACK", "ENV=development"].iter().all(|word| refused.err.contains(word));
    assert!(told, "{}", refused.err);
    let wrong = from[1].replace("redis://", "redis://nobody:wrong-secret@");
    let refused = stage.run(stage.scan(&feed, &["--locks", &wrong, "--marketplace", "test"])).code(5);
    assert!(refused.err.contains("REDIS_") && !refused.err.contains("wrong-secret"), "{}", refused.err);
    assert_eq!(stage.report().submissions, 0);
    engines.redis.as_mut().unwrap().kill();
    let alone = scan(&[("BIDLOCK_LOCK__FALLBACK", "none")]).code(5);
    assert!(alone.err.contains("nothing answers"), "{}", alone.err);
    scan(&[("BIDLOCK_LOCK__FALLBACK", "memory"), ("ENV", "development")]).code(0);
    assert_eq!(stage.report().submissions, POSTINGS as u64);
}

/// A Redis that keeps what it was told when it is killed.
fn lasting_redis() -> Option<RedisServer> {
    RedisServer::start(&["--maxmemory-policy", "noeviction", "--appendonly", "yes"])
}

/// Another ledger is another host's file: while Redis can't say which one its locks serve, nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_file_a_scan_does_not_begin_while_redis_is_away() {
    let Some(redis) = lasting_redis() else { return };
    let mut engines = Engines { redis: Some(redis), postgres: None };
    let stage = Stage::new("duplicates=accepted").await;
    let feed = feed(&stage);
    let from = engines.words();
    let scan = |ledger| stage.run(stage.scan(&feed, &words(&from, &["--new-ledger", "--database", ledger])));
    scan("one.db").code(0);
    stage.run(stage.command(&["migrate", "up", "--database", "two.db"])).code(0);
    scan("two.db").code(2);
    engines.redis.as_mut().unwrap().kill();
    let refused = scan("two.db").code(5);
    for told in
        ["which ledger they serve", "wait until the locks are back", "DATABASE_URL", "ENV=development"]
    {
        assert!(refused.err.contains(told), "{}", refused.err);
    }
    assert_eq!(stage.report().submissions, POSTINGS as u64, "the other ledger's scans sent nothing");
}

/// With another database it begins, warns, and stops as soon as Redis is back and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_of_another_ledger_that_began_without_redis_stops_when_it_is_back() {
    let Some(redis) = lasting_redis() else { return };
    let Some(postgres) = PostgresServer::start(PostgresOptions::new()) else { return };
    postgres.sql("CREATE DATABASE another");
    let another = postgres.url_of("bidlock", postgres.password(), "another");
    let mut engines = Engines { redis: Some(redis), postgres: Some(postgres) };
    let stage = Stage::new("duplicates=accepted").await;
    let feed = feed(&stage);
    let from = engines.words();
    let redis = engines.redis.as_ref().unwrap().url();
    // Both ledgers have met this Redis; it serves the first one.
    let one = stage.command(&["reconcile", "--database", &another, "--locks", &redis]);
    stage.run(stage.command(&["migrate", "up", "--database", &another])).code(0);
    stage.run(one).code(0);
    stage.run(stage.scan(&feed, &words(&from, &["--rebind-ledger"]))).code(0);
    engines.redis.as_mut().unwrap().kill();
    // It never ends by itself.
    let words =
        ["--locks", &redis, "--database", &another, "--marketplace", "test", "--every", "1s", "--new-ledger"];
    let scan = stage.start(stage.scan(&feed, &words));
    timeout(LIMIT, stage.sandbox.wait_for_submissions(POSTINGS as u64 + 1)).await.unwrap();
    engines.redis.as_mut().unwrap().start_again();
    let ended = scan.end().code(2);
    for told in ["this scan stops if", "serve the scanners of ledger", "--rebind-ledger"] {
        assert!(ended.err.contains(told), "{}", ended.err);
    }
}

//! Redis fails in every way in the middle of a scan, for all scanners or for one alone: bidding goes on, with locks in
//! the database that the ledger is in or beside, and still nothing is submitted twice.

use std::time::Duration;

use tokio::time::timeout;

use crate::kit::{
    Ended, Running, Stage,
    engines::{Engines, Pair},
    proxy::Proxy,
    real::{self, Feed, SCANNERS},
};

/// The made-up feeds' distinct postings.
const POSTINGS: usize = 200;
/// The marketplace takes its time, so that things can happen meanwhile.
const SLOW: &str = "duplicates=accepted,delay=10ms..30ms";
/// No part of a scan lasts longer, on however slow a host.
const LIMIT: Duration = Duration::from_secs(90);
/// What a scan says when its locks go to the database.
const FALLS_BACK: &str = "locks fall back to another engine";

/// Starts a scanner that asks for locks from its first posting to its last: in small batches.
fn start(stage: &Stage, feed: &Feed, words: &[String]) -> Running {
    let mut scan = real::scan(stage, feed, words);
    scan.env("BIDLOCK_SCAN__BATCH", "8").env("BIDLOCK_SCAN__CONCURRENCY", "2");
    stage.start(scan)
}

/// Waits until the marketplace has seen this share of all postings, in eighths.
async fn bidding_goes_on(stage: &Stage, feed: &Feed, eighths: u64) {
    let reached = stage.sandbox.wait_for_submissions(feed.distinct * eighths / 8);
    if timeout(LIMIT, reached).await.is_err() {
        panic!("bidding stopped at {} of {} submissions", stage.sandbox.submissions(), feed.distinct);
    }
}

fn fell_back(scan: &Ended) -> bool {
    scan.err.contains(FALLS_BACK)
}

/// Redis is flushed, then paused, then killed and started again, and bidding goes on all the while.
async fn redis_fails(stage: &Stage, feed: &Feed, mut engines: Engines) {
    let words = engines.words();
    let scans = (0..SCANNERS).map(|_| start(stage, feed, &words)).collect();
    bidding_goes_on(stage, feed, 1).await;
    engines.flush();
    bidding_goes_on(stage, feed, 2).await;
    engines.redis.as_ref().unwrap().pause();
    bidding_goes_on(stage, feed, 4).await;
    engines.redis.as_ref().unwrap().go_on();
    bidding_goes_on(stage, feed, 5).await;
    engines.redis.as_mut().unwrap().kill();
    bidding_goes_on(stage, feed, 7).await;
    engines.redis.as_mut().unwrap().start_again();
    let ended = real::end(stage, feed, scans);
    assert_eq!(engines.states(stage), feed.settled());
    assert!(ended.iter().all(fell_back), "{}", ended[0].err);
}

/// One of the scanners loses Redis, silently and for good, while the others keep it.
async fn one_is_cut_off(stage: &Stage, feed: &Feed, engines: Engines) {
    let proxy = Proxy::start(engines.redis.as_ref().unwrap().port());
    let way = format!("redis://127.0.0.1:{}/0", proxy.port());
    let alone = start(stage, feed, &engines.words_with_locks(Some(&way)));
    let others = (1..SCANNERS).map(|_| start(stage, feed, &engines.words()));
    let scans = std::iter::once(alone).chain(others).collect();
    bidding_goes_on(stage, feed, 2).await;
    proxy.cut();
    let ended = real::end(stage, feed, scans);
    assert_eq!(engines.states(stage), feed.settled());
    let told: Vec<bool> = ended.iter().map(fell_back).collect();
    assert_eq!(told, [true, false, false, false], "{}", ended[0].err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bidding_goes_on_while_redis_is_flushed_paused_killed_and_restarted() {
    for pair in [Pair::RedisAndPostgres, Pair::RedisAndSqlite] {
        let Some(engines) = Engines::start(pair) else { return };
        let stage = Stage::new(SLOW).await;
        let feed = Feed::made_up(&stage, "redis_fails", POSTINGS);
        redis_fails(&stage, &feed, engines).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_while_redis_is_flushed_paused_killed_and_restarted() {
    let test = "real_data_while_redis_is_flushed_paused_killed_and_restarted";
    for (pair, folder) in
        [(Pair::RedisAndPostgres, "upwork_feed_2018"), (Pair::RedisAndSqlite, "upwork_search")]
    {
        let Some(feed) = real::real(test, folder) else { return };
        let Some(engines) = Engines::start(pair) else { return };
        let stage = Stage::new(SLOW).await;
        redis_fails(&stage, &feed, engines).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_cut_off_from_redis_bids_on_nothing_twice() {
    let Some(engines) = Engines::start(Pair::RedisAndPostgres) else { return };
    let stage = Stage::new(SLOW).await;
    let feed = Feed::made_up(&stage, "one_is_cut_off", POSTINGS);
    one_is_cut_off(&stage, &feed, engines).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_with_one_process_cut_off_from_redis() {
    let Some(feed) = real::real("real_data_with_one_process_cut_off_from_redis", "upwork_rss") else {
        return;
    };
    let Some(engines) = Engines::start(Pair::RedisAndPostgres) else { return };
    let stage = Stage::new(SLOW).await;
    one_is_cut_off(&stage, &feed, engines).await;
}

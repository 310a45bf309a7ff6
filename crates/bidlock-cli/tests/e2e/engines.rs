//! The main job on the engines that hosts share: four scanner processes started together on an empty ledger, and a
//! marketplace that accepts duplicates. Exactly one submission for each distinct posting, the same counts on every
//! pair of engines.

use crate::kit::{
    Stage,
    engines::{Engines, Pair},
    real::{self, CRAWLS, FOLDERS, Feed},
};

/// The made-up feeds' distinct postings.
const POSTINGS: usize = 200;

/// Made-up feeds on engines that work.
async fn one_bid_each(test: &str, pair: Pair) {
    let Some(engines) = Engines::start(pair) else { return };
    let stage = Stage::new("duplicates=accepted").await;
    let feed = Feed::made_up(&stage, test, POSTINGS);
    let scans = real::start(&stage, &feed, &engines.words());
    real::end(&stage, &feed, scans);
    assert_eq!(engines.states(&stage), feed.settled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bid_each_with_locks_in_redis_and_the_ledger_in_postgres() {
    one_bid_each("redis_and_postgres", Pair::RedisAndPostgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bid_each_with_postgres_alone() {
    one_bid_each("postgres", Pair::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bid_each_with_locks_in_redis_and_the_ledger_in_sqlite() {
    one_bid_each("redis_and_sqlite", Pair::RedisAndSqlite).await;
}

/// Real folders, each with a ledger of its own; but for the largest one, which takes longer than all others together and is
/// read on embedded defaults.
async fn real_folders(test: &str, pair: Pair) {
    let Some(engines) = Engines::start(pair) else { return };
    let folders = FOLDERS.iter().map(|(folder, ..)| *folder);
    for folder in folders.filter(|folder| *folder != CRAWLS) {
        let Some(feed) = real::real(test, folder) else { return };
        engines.forget();
        let stage = Stage::new("duplicates=accepted").await;
        let scans = real::start(&stage, &feed, &engines.words());
        real::end(&stage, &feed, scans);
        assert_eq!(engines.states(&stage), feed.settled(), "{folder}");
        stage.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_with_locks_in_redis_and_the_ledger_in_postgres() {
    let test = "real_data_with_locks_in_redis_and_the_ledger_in_postgres";
    real_folders(test, Pair::RedisAndPostgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_with_postgres_alone() {
    real_folders("real_data_with_postgres_alone", Pair::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_with_locks_in_redis_and_the_ledger_in_sqlite() {
    let test = "real_data_with_locks_in_redis_and_the_ledger_in_sqlite";
    real_folders(test, Pair::RedisAndSqlite).await;
}

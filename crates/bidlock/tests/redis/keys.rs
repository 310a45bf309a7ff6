//! What is on the server.

use std::time::Duration;

use bidlock::{Attempt, KeyFilter, LedgerBinding, LockBackend, Page, Wait};
use bidlock_testkit::RedisServer;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_key_holder_and_ttl_and_nothing_is_left() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let locks = manager(&server).await;
    let held = lease(&locks, "job_123").await;
    let value: String = ask(&server, &["GET", "bid_lock:upwork:job_123"]);
    assert!(value.starts_with(&format!("{}|", locks.holder())), "{value}");
    let ttl: u64 = ask(&server, &["TTL", "bid_lock:upwork:job_123"]);
    assert!((298..=300).contains(&ttl), "{ttl}");
    // Another acquisition has another value, although the holder is the same.
    held.release().await.unwrap();
    let _again = lease(&locks, "job_123").await;
    let other: String = ask(&server, &["GET", "bid_lock:upwork:job_123"]);
    assert_ne!(value, other);
    locks.shutdown().await.unwrap();
    assert!(ask::<Vec<String>>(&server, &["KEYS", "*"]).is_empty());
}

/// P13: with all helper keys, for an id of 20 characters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_lock_takes_less_than_200_bytes() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let locks = manager(&server).await;
    let _held = lease(&locks, "~0123456789abcdefghi").await;
    let keys: Vec<String> = ask(&server, &["KEYS", "*"]);
    let bytes = |key: &String| ask::<u64>(&server, &["MEMORY", "USAGE", key]);
    let total: u64 = keys.iter().map(bytes).sum();
    assert!(total < 200, "{total} bytes in {keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_grow_although_the_servers_clock_goes_back() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    // As if the clock had been an hour ahead when somebody counted.
    let (seconds, _): (u64, u64) = ask(&server, &["TIME"]);
    let ahead = (seconds + 3600) * 1_000_000;
    let () = ask(&server, &["SET", "bidlock:token", &ahead.to_string(), "PX", "5000"]);
    let mut last = ahead;
    for (round, locks) in [&a, &b, &a, &b, &b, &a].into_iter().enumerate() {
        let held = lease(locks, "1").await;
        assert!(held.fencing_token().get() > last);
        last = held.fencing_token().get();
        held.release().await.unwrap();
        if round == 3 {
            // Forgotten by the server; who has seen it goes on from there, and tells the others by it.
            let () = ask(&server, &["DEL", "bidlock:token"]);
        }
    }
}

/// Most attempts lose: they are answered without a script once that has been seen, and still rightly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losers_are_answered_by_native_reads() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    let keys: Vec<LockKey> = (0..100).map(|n| posting(&n.to_string())).collect();
    let mut leases = a.try_lock_many(&keys).await.unwrap();
    let calls = || {
        let stats: String = ask(&server, &["INFO", "commandstats"]);
        let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap().to_owned();
        line.split(['=', ',']).nth(1).unwrap().parse::<u64>().unwrap()
    };
    for _ in 0..10 {
        assert!(b.try_lock_many(&keys).await.unwrap().iter().all(|attempt| !attempt.is_acquired()));
    }
    let before = calls();
    for _ in 0..10 {
        for attempt in b.try_lock_many(&keys).await.unwrap() {
            let Attempt::Held(held) = attempt else { panic!("granted") };
            assert_eq!(held.holder, a.holder().as_str());
            assert!(held.remaining > Duration::from_secs(200));
        }
    }
    assert_eq!(calls(), before);
    // What is free is granted all the same, and nothing else.
    leases.pop().unwrap().acquired().unwrap().release().await.unwrap();
    let attempts = b.try_lock_many(&keys).await.unwrap();
    let granted: Vec<usize> = (0..100).filter(|n| attempts[*n].is_acquired()).collect();
    assert_eq!(granted, [99]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_lock_of_ours_is_left_alone() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let locks = manager(&server).await;
    let () = ask(&server, &["RPUSH", "bid_lock:upwork:list", "x"]);
    let () = ask(&server, &["SET", "bid_lock:upwork:forever", "old-client"]);
    let () = ask(&server, &["SET", "bid_lock:a:b:c", "no key of ours"]);
    let () = ask(&server, &["SET", "unrelated", "x"]);
    for id in ["list", "forever"] {
        assert!(!locks.try_lock(&posting(id)).await.unwrap().is_acquired(), "{id}");
        let waited = locks.lock(&posting(id), Wait::up_to(Duration::from_millis(100))).await.unwrap();
        assert!(!waited.is_acquired(), "{id}");
    }
    let locks = locks.inspect(KeyFilter::all(), Page::default()).await.unwrap();
    let shown: Vec<_> = locks.iter().map(|lock| (lock.key.as_str(), lock.holder.as_str())).collect();
    assert_eq!(shown, [("bid_lock:upwork:forever", "old-client")]);
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(locks[0].remaining > year, "it has no end: {:?}", locks[0].remaining);
    assert_eq!(ask::<String>(&server, &["TYPE", "bid_lock:upwork:list"]), "list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scanners_of_another_ledger_are_told() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let backend = RedisBackend::connect(RedisOptions::from_url(&server.url()).unwrap()).await.unwrap();
    let memory = Duration::from_secs(600);
    assert_eq!(backend.bind_ledger("one", memory, false).await.unwrap(), LedgerBinding::Bound);
    assert_eq!(backend.bind_ledger("one", memory, false).await.unwrap(), LedgerBinding::Bound);
    let another = backend.bind_ledger("two", memory, false).await.unwrap();
    assert_eq!(another, LedgerBinding::Another("one".to_owned()));
    assert_eq!(ask::<String>(&server, &["GET", "bidlock:ledger_id"]), "one");
    assert!((598..=600).contains(&ask::<u64>(&server, &["TTL", "bidlock:ledger_id"])));
    assert_eq!(backend.bind_ledger("two", memory, true).await.unwrap(), LedgerBinding::Bound);
    assert_eq!(ask::<String>(&server, &["GET", "bidlock:ledger_id"]), "two");
}

/// No key is without an end, and none is longer than what docs/backends/redis.md says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_has_its_documented_end() {
    let Some(server) = since_redis_6() else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    let held = lease(&a, "1").await;
    let waiting = tokio::spawn(async move { b.lock(&posting("1"), Wait::up_to(PATIENCE)).await });
    let queue = "bidlock_wait:{bid_lock:upwork:1}";
    while ask::<u64>(&server, &["ZCARD", queue]) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The clock goes back by a minute, as it seems to those who ask next.
    let (seconds, _): (u64, u64) = ask(&server, &["TIME"]);
    let ahead = ((seconds + 60) * 1_000_000).to_string();
    let () = ask(&server, &["SET", "bidlock:token", &ahead, "PX", "5000"]);
    let _other = lease(&a, "2").await;
    for (key, least_ms, most_ms) in [
        ("bid_lock:upwork:1", 290_000, 300_000),
        ("bid_lock:upwork:2", 290_000, 300_000),
        (queue, 28_000, 30_000),
        ("bidlock:token", 58_000, 62_000),
    ] {
        let left_ms: i64 = ask(&server, &["PTTL", key]);
        assert!((least_ms..=most_ms).contains(&left_ms), "{key}: {left_ms}");
    }
    assert_eq!(ask::<u64>(&server, &["DBSIZE"]), 4);
    held.release().await.unwrap();
    waiting.await.unwrap().unwrap().acquired().unwrap();
}

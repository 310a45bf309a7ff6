//! Turns among waiters (`in_turn`), and keys with a text before them.

use std::time::Duration;

use bidlock::{KeyFilter, LockBackend, Page, Wait};
use bidlock_testkit::RedisServer;

use super::*;

async fn with(server: &RedisServer, settings: &str) -> LockManager {
    LockManager::connect(&format!("{}?{settings}", server.url())).await.unwrap()
}

async fn queued(server: &RedisServer, count: u64) {
    while ask::<u64>(server, &["ZCARD", "bidlock_wait:{bid_lock:upwork:1}"]) < count {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Where turns are kept, whoever finds a lock free although others wait gives it to whoever has waited longest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_turns_are_kept_nobody_overtakes() {
    let Some(server) = since_redis_6() else { return };
    // An old client has the lock: it frees it without handing it over.
    let () = ask(&server, &["SET", "bid_lock:upwork:1", "old-client", "PX", "300000"]);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for n in 0..4 {
        let (locks, order) = (with(&server, "in_turn=yes").await, Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let lease = locks.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
            order.lock().unwrap().push(n);
            lease.release().await.unwrap();
        }));
        queued(&server, n + 1).await;
    }
    let newcomer = with(&server, "in_turn=yes").await;
    let () = ask(&server, &["DEL", "bid_lock:upwork:1"]);
    // Whether a waiter looked first or the newcomer did: while anybody waits, it is not the newcomer's turn.
    let came = loop {
        if let Some(lease) = newcomer.try_lock(&posting("1")).await.unwrap().acquired() {
            break lease;
        }
    };
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    drop(came);
    for task in waiting {
        task.await.unwrap();
    }
}

/// One that has gone holds nobody up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_turns_are_kept_who_has_gone_is_passed_over() {
    let Some(server) = since_redis_6() else { return };
    let member = "bidlock_wake:gone 300000 gone|00000000000000010|";
    for by_waiting in [false, true] {
        let () = ask(&server, &["ZADD", "bidlock_wait:{bid_lock:upwork:1}", "1", member]);
        let locks = with(&server, "in_turn=yes").await;
        let wait = if by_waiting { Wait::up_to(PATIENCE) } else { Wait::none() };
        let lease = locks.lock(&posting("1"), wait).await.unwrap().acquired().unwrap();
        lease.release().await.unwrap();
        assert!(ask::<Vec<String>>(&server, &["KEYS", "*"]).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_stands_before_every_key_and_separates_fleets() {
    let Some(server) = since_redis_6() else { return };
    let (one, again, other) =
        (with(&server, "key_prefix=a:").await, with(&server, "key_prefix=a:").await, manager(&server).await);
    let held = lease(&one, "1").await;
    assert!(!again.try_lock(&posting("1")).await.unwrap().is_acquired());
    lease(&other, "1").await.release().await.unwrap();
    // Shown to those of the same prefix, under the name that it has without.
    let shown = |locks: &LockManager, filter: KeyFilter| {
        let locks = locks.clone();
        async move {
            let shown = locks.inspect(filter, Page::default()).await.unwrap();
            shown.iter().map(|lock| lock.key.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(shown(&again, KeyFilter::all()).await, ["bid_lock:upwork:1"]);
    let of = |prefix: &str| KeyFilter { prefix: Some(prefix.to_owned()), ..KeyFilter::all() };
    assert_eq!(shown(&again, of("bid_lock:upwork:")).await, ["bid_lock:upwork:1"]);
    assert!(shown(&again, of("bid_lock:other:")).await.is_empty());
    assert!(shown(&other, KeyFilter::all()).await.is_empty());

    let waiting = tokio::spawn(async move { again.lock(&posting("1"), Wait::up_to(PATIENCE)).await });
    while ask::<u64>(&server, &["EXISTS", "a:bidlock_wait:{a:bid_lock:upwork:1}"]) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let backend =
        RedisBackend::connect(RedisOptions::from_url(&server.url()).unwrap().with_key_prefix("a:").unwrap());
    backend.await.unwrap().bind_ledger("x", PATIENCE, false).await.unwrap();
    let keys: Vec<String> = ask(&server, &["KEYS", "*"]);
    assert!(keys.len() == 3 && keys.iter().all(|key| key.starts_with("a:")), "{keys:?}");
    held.release().await.unwrap();
    waiting.await.unwrap().unwrap().acquired().unwrap().release().await.unwrap();
    one.shutdown().await.unwrap();
}

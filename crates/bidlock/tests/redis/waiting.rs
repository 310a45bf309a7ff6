//! Waiting by hand-off, and what can go wrong with it.

use std::time::Duration;

use bidlock::{Clock, SystemClock, Wait};
use bidlock_testkit::RedisServer;

use super::*;

/// Waits until so many stand in the lock's queue.
async fn queued(server: &RedisServer, id: &str, count: u64) {
    let queue = format!("bidlock_wait:{{bid_lock:upwork:{id}}}");
    while ask::<u64>(server, &["ZCARD", &queue]) < count {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn commands(server: &RedisServer) -> u64 {
    let stats: String = ask(server, &["INFO", "commandstats"]);
    let count = |line: &str| line.split(['=', ',']).nth(1)?.parse::<u64>().ok();
    let of_locks = |line: &&str| {
        ["evalsha", "delex", "delifeq"].iter().any(|name| line.starts_with(&format!("cmdstat_{name}:")))
    };
    stats.lines().filter(of_locks).filter_map(count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_hands_over_in_two_commands_an_acquisition() {
    let Some(server) = since_redis_6() else { return };
    let first = manager(&server).await;
    let held = lease(&first, "1").await;
    let mut waiting = Vec::new();
    for n in 0..8 {
        let locks = manager(&server).await;
        let id = posting("1");
        waiting.push(tokio::spawn(async move {
            let lease = locks.lock(&id, Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
            lease.release().await.unwrap();
        }));
        queued(&server, "1", n + 1).await;
    }
    let before = commands(&server);
    held.release().await.unwrap();
    for task in waiting {
        task.await.unwrap();
    }
    // Each has queued before; now there is a release for each, and few polls that came in between.
    let after = commands(&server) - before;
    assert!((9..=17).contains(&after), "{after} commands");
    first.shutdown().await.unwrap();
    let left: Vec<String> = ask(&server, &["KEYS", "*"]);
    assert!(left.is_empty(), "{left:?}");
}

/// The lock goes to the second when the first in the queue has gone without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_that_have_gone_are_passed_over() {
    let Some(server) = since_redis_6() else { return };
    let locks = manager(&server).await;
    let held = lease(&locks, "1").await;
    let queue = "bidlock_wait:{bid_lock:upwork:1}";
    for gone in ["a", "b"] {
        let member = format!("bidlock_wake:{gone} 300000 {gone}|00000000000000010|");
        let () = ask(&server, &["ZADD", queue, "1", &member]);
    }
    let other = manager(&server).await;
    let waiting =
        tokio::spawn(
            async move { other.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired() },
        );
    queued(&server, "1", 3).await;
    held.release().await.unwrap();
    // It holds it, and neither of those that have gone.
    let lease = waiting.await.unwrap().unwrap();
    let value: String = ask(&server, &["GET", "bid_lock:upwork:1"]);
    assert!(value.starts_with(lease.holder().as_str()), "{value}");
    lease.release().await.unwrap();
}

/// Handed over to a process that hears it and does nothing: others wait for the short grant and no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_that_sleeps_blocks_the_others_for_a_short_while() {
    let Some(server) = since_redis_6() else { return };
    let locks = manager(&server).await;
    let held = lease(&locks, "1").await;
    // Somebody listens on that channel, and never says a word.
    let mut asleep = asked(&server);
    let mut asleep = asleep.as_pubsub();
    asleep.subscribe("bidlock_wake:asleep").unwrap();
    let member = "bidlock_wake:asleep 300000 asleep|00000000000000010|";
    let () = ask(&server, &["ZADD", "bidlock_wait:{bid_lock:upwork:1}", "1", member]);
    let other = manager(&server).await;
    let waiting =
        tokio::spawn(
            async move { other.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired() },
        );
    queued(&server, "1", 2).await;
    let start = SystemClock.now();
    held.release().await.unwrap();
    let value: String = ask(&server, &["GET", "bid_lock:upwork:1"]);
    assert!(value.starts_with("asleep|"), "{value}");
    let lease = waiting.await.unwrap().unwrap();
    assert!(SystemClock.now().since(start) < Duration::from_secs(10));
    lease.release().await.unwrap();
}

/// A lock that was handed over is held beyond its short grant, with renewal in the background and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_handed_over_is_made_whole() {
    let Some(server) = since_redis_6() else { return };
    for renewal in [true, false] {
        let locks = manager(&server).await;
        let held = lease(&locks, "1").await;
        let backend = bidlock::backends::open(&server.url()).await.unwrap();
        let other = LockManager::builder(backend).renewal(renewal).build().unwrap();
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap() }
        });
        queued(&server, "1", 1).await;
        held.release().await.unwrap();
        let lease = waiting.await.unwrap();
        while ask::<u64>(&server, &["PTTL", "bid_lock:upwork:1"]) < 100_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The server knows a moment before we do.
        while lease.remaining() < Duration::from_secs(100) {
            assert!(!lease.is_lost());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lease.release().await.unwrap();
    }
}

/// An old client frees the lock without a word: the waiter finds out by looking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_tells_nobody_is_found_by_polling() {
    let Some(server) = since_redis_6() else { return };
    let locks = manager(&server).await;
    let () = ask(&server, &["SET", "bid_lock:upwork:1", "old-client", "NX", "EX", "300"]);
    let waiting =
        tokio::spawn(
            async move { locks.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired() },
        );
    queued(&server, "1", 1).await;
    // Its value is untouched, or it would not recognise it.
    assert_eq!(ask::<String>(&server, &["GET", "bid_lock:upwork:1"]), "old-client");
    let start = SystemClock.now();
    let () = ask(&server, &["DEL", "bid_lock:upwork:1"]);
    waiting.await.unwrap().unwrap().release().await.unwrap();
    assert!(SystemClock.now().since(start) < Duration::from_secs(5));
}

/// The holder's lock expires, the waiters go on among themselves by hand-off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_go_on_after_a_holders_death_and_a_broken_connection() {
    let Some(server) = since_redis_6() else { return };
    let () = ask(&server, &["SET", "bid_lock:upwork:1", "dead", "PX", "800"]);
    let mut waiting = Vec::new();
    for n in 0..4 {
        let locks = manager(&server).await;
        waiting.push(tokio::spawn(async move {
            let lease = locks.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
            lease.release().await.unwrap();
        }));
        if n == 1 {
            queued(&server, "1", 2).await;
            // All of bidlock's connections are of this type.
            let killed: u64 = ask(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]);
            assert_eq!(killed, 2);
        }
    }
    for task in waiting {
        task.await.unwrap();
    }
}

/// A caller that leaves while its request is under way: what the server grants then comes free long before its TTL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_granted_to_a_caller_that_has_left_is_given_back() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let backend = RedisBackend::connect(RedisOptions::from_url(&server.url()).unwrap()).await.unwrap();
    let other = manager(&server).await;
    // From here on the server knows the script.
    lease(&other, "0").await.release().await.unwrap();
    // A call may be cut off just before its request goes into the socket; then there is nothing to give back.
    for _ in 0..100 {
        let granted = calls(&server, "set");
        let locks = LockManager::new(Arc::new(backend.clone()));
        // Its socket takes the request, and it answers when nobody listens any more.
        server.pause();
        let before = backend.commands_sent();
        let leaving = tokio::spawn(async move { locks.try_lock(&posting("1")).await.map(drop) });
        while backend.commands_sent() == before {
            tokio::task::yield_now().await;
        }
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        server.go_on();
        for _ in 0..100 {
            if calls(&server, "set") > granted {
                other.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    panic!("no request ever left");
}

/// Whoever stops waiting leaves the queue, and not only when the queue ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_that_leaves_is_out_of_the_queue() {
    let Some(server) = since_redis_6() else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    let _held = lease(&a, "1").await;
    let waiting = tokio::spawn(async move { b.lock(&posting("1"), Wait::up_to(PATIENCE)).await.map(drop) });
    queued(&server, "1", 1).await;
    waiting.abort();
    tokio::time::timeout(PATIENCE / 3, async {
        while ask::<u64>(&server, &["ZCARD", "bidlock_wait:{bid_lock:upwork:1}"]) > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
}

/// A connection that was given up for another may still bring what was heard long ago: by then the lock is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_copy_of_a_hand_over_frees_nothing() {
    let Some(server) = since_redis_6() else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    let held = lease(&a, "1").await;
    let waiting = tokio::spawn({
        let b = b.clone();
        async move { b.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap() }
    });
    queued(&server, "1", 1).await;
    let waiter: Vec<String> = ask(&server, &["ZRANGE", "bidlock_wait:{bid_lock:upwork:1}", "0", "0"]);
    let mut waiter = waiter[0].splitn(3, ' ');
    let (channel, prefix) = (waiter.next().unwrap(), waiter.nth(1).unwrap());
    held.release().await.unwrap();
    let lease_of_b = waiting.await.unwrap();
    let value: String = ask(&server, &["GET", "bid_lock:upwork:1"]);
    let token = value.strip_prefix(prefix).unwrap().trim_end_matches("|w");
    let copy = format!("{token} {token} {prefix}");
    assert_eq!(ask::<u64>(&server, &["PUBLISH", channel, &copy]), 1, "it listens");
    // On the connection that brought the copy, so after it; and with time for whatever it might set off.
    for _ in 0..20 {
        lease(&b, "2").await.release().await.unwrap();
    }
    assert_eq!(ask::<String>(&server, &["GET", "bid_lock:upwork:1"]), value);
    assert_eq!(lease_of_b.release().await.unwrap(), bidlock::Released::Released);
}

//! What breaks, and what is said of it.

use std::time::Duration;

use bidlock::{Effect, Error, ErrorKind, LockBackend, Wait};
use bidlock_testkit::RedisServer;

use super::*;

/// The rights that docs/backends/redis.md lists.
const RIGHTS: &str = include_str!("rights.txt");
const SECRET: &str = "hunter2-secret";

async fn refused(url: &str) -> Error {
    let error = LockManager::connect(url).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(shown.contains("127.0.0.1") || error.kind() == ErrorKind::Invalid, "does not say where: {shown}");
    error
}

#[track_caller]
fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn nobody_listens_or_somebody_else_does() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let port = server.port();
    drop(server);
    let error = refused(&format!("redis://:{SECRET}@127.0.0.1:{port}")).await;
    says(&error, ErrorKind::Unavailable, &["nothing answers at", "host and port"]);
    assert_eq!(error.effect(), Effect::NotApplied);

    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let web = std::thread::spawn(move || {
        use std::io::{Read, Write};
        // The client may look more than once.
        for stream in other.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = refused(&format!("redis://:{SECRET}@127.0.0.1:{port}")).await;
    assert!(matches!(error.kind(), ErrorKind::Unfit | ErrorKind::Unavailable), "{error}");
    drop(web);
}

/// Nothing of a batch can have been granted where no connection was there to ask by.
#[tokio::test]
async fn a_batch_that_never_left_was_not_applied() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let locks = manager(&server).await;
    server.kill();
    let keys = [posting("1"), posting("2")];
    // The connection may only notice at the first question.
    let _ = locks.try_lock_many(&keys).await;
    let error = locks.try_lock_many(&keys).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::NotApplied), "{error}");
}

#[tokio::test]
async fn log_in() {
    let Some(server) = RedisServer::start(&["--requirepass", SECRET]) else { return };
    let port = server.port();
    says(&refused(&server.url()).await, ErrorKind::Unfit, &["wants a password", "REDIS_PASSWORD"]);
    let error = refused(&format!("redis://:{SECRET}x@127.0.0.1:{port}")).await;
    says(&error, ErrorKind::Unfit, &["refuses", "REDIS_PASSWORD"]);
    let locks = LockManager::connect(&format!("redis://:{SECRET}@127.0.0.1:{port}")).await.unwrap();
    let shown = format!("{locks:?} {:?}", locks.check().await.unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn a_server_that_is_unfit() {
    let Some(server) = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]) else { return };
    let error = refused(&server.url()).await;
    says(
        &error,
        ErrorKind::Unfit,
        &["maxmemory-policy", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"],
    );

    let Some(master) = RedisServer::start(&[]) else { return };
    let port = master.port().to_string();
    let Some(replica) = RedisServer::start(&["--replicaof", "127.0.0.1", &port]) else { return };
    let error = refused(&replica.url()).await;
    says(&error, ErrorKind::Unfit, &["replica of 127.0.0.1", &port, "name the master"]);

    // A master that is turned into a replica while it is used.
    let locks = manager(&master).await;
    lease(&locks, "1").await.release().await.unwrap();
    let () = ask(&master, &["REPLICAOF", "127.0.0.1", "1"]);
    let error = locks.try_lock(&posting("1")).await.unwrap_err();
    says(&error, ErrorKind::Unfit, &["read-only replica", "name the master"]);
    let () = ask(&master, &["REPLICAOF", "NO", "ONE"]);
    while locks.try_lock(&posting("1")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let error = refused(&format!("redis://127.0.0.1:{port}/99")).await;
    says(&error, ErrorKind::Invalid, &["no database of that number", "REDIS_DB"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_rights_are_enough_and_fewer_are_named() {
    let Some(server) = since_redis_6() else { return };
    let rights: Vec<&str> = RIGHTS.lines().flat_map(str::split_whitespace).collect();
    let user = |name: &str, rights: &[&str]| {
        let password = format!(">{SECRET}");
        let mut words = vec!["ACL", "SETUSER", name, "reset", "on", &password];
        words.extend(rights);
        let () = ask(&server, &words);
        format!("redis://{name}:{SECRET}@127.0.0.1:{}/0", server.port())
    };
    let url = user("bidlock", &rights);
    // All of the suite that has something to do with rights.
    let open = move || -> Arc<dyn LockBackend> {
        Arc::new(RedisBackend::lazy(RedisOptions::from_url(&url).unwrap()))
    };
    bidlock::conformance::whole_workflow(Fixture::new(open.clone())).await;
    bidlock::conformance::three_queued(Fixture::new(open.clone())).await;
    bidlock::conformance::a_cancelled_wait_takes_nothing(Fixture::new(open.clone())).await;
    bidlock::conformance::tokens_grow(Fixture::new(open.clone())).await;
    bidlock::conformance::clean_up_of_the_fleet_needs_force(Fixture::new(open.clone())).await;
    open().bind_ledger("x", Duration::from_secs(1), false).await.unwrap();
    open().check().await.unwrap();

    // Without any one of them, the error says where the list is.
    for missing in ["+set", "+info", "+evalsha", "~bid_lock:*"] {
        let fewer: Vec<&str> = rights.iter().copied().filter(|right| *right != missing).collect();
        let url = user("fewer", &fewer);
        let tried = match LockManager::connect(&url).await {
            Ok(locks) => locks.try_lock(&posting("fewer")).await.map(drop),
            Err(error) => Err(error),
        };
        let error = tried.unwrap_err();
        says(&error, ErrorKind::Unfit, &["does not permit this user", "docs/backends/redis.md"]);
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
}

#[test]
fn the_documentation_lists_the_least_rights() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/backends/redis.md");
    let page = std::fs::read_to_string(page).unwrap();
    for line in RIGHTS.lines() {
        assert!(page.contains(line), "{line}");
    }
}

#[tokio::test]
async fn out_of_memory() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let locks = manager(&server).await;
    let held = lease(&locks, "1").await;
    let () = ask(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    let error = locks.try_lock(&posting("2")).await.unwrap_err();
    says(&error, ErrorKind::Poisoned, &["out of memory", "raise `maxmemory`"]);
    assert_eq!(error.effect(), Effect::NotApplied);
    // What is held can be given back.
    held.release().await.unwrap();
}

#[tokio::test]
async fn scripts_that_were_flushed_are_sent_again() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let locks = manager(&server).await;
    let held = lease(&locks, "1").await;
    let () = ask(&server, &["SCRIPT", "FLUSH"]);
    held.renew().await.unwrap();
    let () = ask(&server, &["SCRIPT", "FLUSH"]);
    assert_eq!(held.release().await.unwrap(), bidlock::Released::Released);
    let () = ask(&server, &["SCRIPT", "FLUSH"]);
    locks.lock(&posting("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
}

#[tokio::test]
async fn a_server_that_lost_everything_is_used_again_and_holders_know() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    let held = lease(&a, "1").await;
    let () = ask(&server, &["FLUSHALL"]);
    assert_eq!(held.renew().await.unwrap(), bidlock::Renewed::Lost);
    assert!(held.is_lost());
    lease(&b, "1").await.release().await.unwrap();

    let held = lease(&a, "1").await;
    server.kill();
    let error = b.try_lock(&posting("1")).await.unwrap_err();
    says(&error, ErrorKind::Unavailable, &["127.0.0.1"]);
    assert!(error.is_retryable());
    server.start_again();
    // The pause between attempts to connect is short.
    let next = loop {
        match b.try_lock(&posting("1")).await {
            Ok(attempt) => break attempt.acquired().unwrap(),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    while a.try_lock(&posting("2")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(held.release().await.unwrap(), bidlock::Released::Stolen);
    assert!(!next.is_lost());
}

#[tokio::test]
async fn a_server_that_lost_everything_knows_its_ledger_before_a_lock_is_taken() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let backend = RedisBackend::connect(RedisOptions::from_url(&server.url()).unwrap()).await.unwrap();
    let memory = Duration::from_secs(3_600);
    backend.bind_ledger("ours", memory, false).await.unwrap();
    let locks = LockManager::new(Arc::new(backend.clone()));
    for known in ["ours", "another"] {
        server.kill();
        locks.try_lock(&posting("1")).await.unwrap_err();
        server.start_again();
        if known == "another" {
            let () = ask(&server, &["SET", "bidlock:ledger_id", known]);
        }
        while locks.try_lock(&posting("1")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Another's id is not put aside by a connection; asking tells.
        assert_eq!(ask::<Option<String>>(&server, &["GET", "bidlock:ledger_id"]).as_deref(), Some(known));
    }
    assert!(ask::<i64>(&server, &["PTTL", "bidlock:ledger_id"]) < 0, "the other's is not touched");
    let told = backend.bind_ledger("ours", memory, false).await.unwrap();
    assert_eq!(told, bidlock::LedgerBinding::Another("another".to_owned()));
}

#[tokio::test]
async fn a_cut_connection_is_made_again_and_nobody_hears_of_it() {
    let Some(server) = since_redis_6() else { return };
    let locks = manager(&server).await;
    for _ in 0..5 {
        let held = lease(&locks, "1").await;
        let () = ask(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]);
        // The answer may be lost with the connection; the release then goes on in the background.
        let _ = held.release().await;
        let () = ask(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]);
        locks
            .lock(&posting("1"), Wait::up_to(PATIENCE))
            .await
            .unwrap()
            .acquired()
            .unwrap()
            .release()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_paused_server_is_not_waited_for_and_leaves_nothing() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut options = RedisOptions::from_url(&server.url()).unwrap();
    options.response_limit = Duration::from_millis(200);
    options.connect_limit = Duration::from_millis(300);
    let locks = LockManager::new(Arc::new(RedisBackend::connect(options).await.unwrap()));
    server.pause();
    let error = locks.try_lock(&posting("1")).await.unwrap_err();
    says(&error, ErrorKind::Unavailable, &["does not answer in time"]);
    server.go_on();
    // What the server found in its sockets when it went on may have taken the lock: it comes free again.
    let other = manager(&server).await;
    other
        .lock(&posting("1"), Wait::up_to(PATIENCE))
        .await
        .unwrap()
        .acquired()
        .unwrap()
        .release()
        .await
        .unwrap();
    // And it is used again, after a pause that keeps processes from coming back in step.
    while locks.try_lock(&posting("1")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_tried_now_and_then() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut options = RedisOptions::from_url(&server.url()).unwrap();
    options.health_check_every = Duration::from_millis(20);
    let backend = RedisBackend::connect(options).await.unwrap();
    let pings = || {
        let stats: String = ask(&server, &["INFO", "commandstats"]);
        stats.contains("cmdstat_ping:calls=3")
    };
    tokio::time::timeout(PATIENCE, async {
        while !pings() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    drop(backend);
}

/// What a batch took before its script was stopped is not forgotten.
#[tokio::test]
async fn a_batch_that_stops_half_way_may_have_taken_locks() {
    use bidlock::{Acquire, HolderId, Nonce};
    let Some(server) = since_redis_6() else { return };
    let rights: Vec<&str> = RIGHTS.lines().flat_map(str::split_whitespace).collect();
    let request = |id: &str, count: u8| Acquire {
        key: posting(id),
        holder: HolderId::named("h").unwrap(),
        nonce: Nonce::from_bytes([count; 16]),
        ttl: Duration::from_secs(60),
    };
    let mut words = vec!["ACL", "SETUSER", "bidlock", "reset", "on", ">x"];
    words.extend(rights.iter().filter(|right| **right != "+pexpire"));
    let () = ask(&server, &words);
    let url = format!("redis://bidlock:x@127.0.0.1:{}", server.port());
    let backend = RedisBackend::connect(RedisOptions::from_url(&url).unwrap()).await.unwrap();
    backend.try_acquire(&[request("2", 2)]).await.unwrap();
    // The second is granted again, for which its TTL is set anew, which this user may not.
    let error = backend.try_acquire(&[request("1", 1), request("2", 2)]).await.unwrap_err();
    says(&error, ErrorKind::Unfit, &["does not permit this user"]);
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(ask::<u64>(&server, &["EXISTS", "bid_lock:upwork:1"]), 1);
}

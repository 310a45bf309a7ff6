//! Falling back from a real Redis server to a real PostgreSQL server. Timings are short, and nothing rests on them.

mod proxy;

use bidlock::backends::postgres::PostgresBackend;
use bidlock::backends::redis::{RedisBackend, RedisOptions};
use bidlock::layers::fallback::Fallback;
use bidlock::layers::retry::Retry;
use bidlock::{FencingToken, LedgerBinding, LockManager, Released, Wait};
use bidlock_testkit::{PostgresOptions, PostgresServer, RedisServer};

use self::proxy::Proxy;
use super::*;

struct Servers {
    redis: RedisServer,
    postgres: PostgresServer,
}

/// One process: its own connections, its own view of what is away.
struct Process {
    fallback: Fallback,
    locks: LockManager,
}

impl Servers {
    fn start() -> Option<Servers> {
        Some(Servers {
            redis: RedisServer::start(&[])?,
            postgres: PostgresServer::start_or_exit(PostgresOptions::new()),
        })
    }

    async fn process(&self) -> Process {
        self.process_via(&self.redis.url()).await
    }

    async fn process_via(&self, redis: &str) -> Process {
        let mut options = RedisOptions::from_url(redis).unwrap();
        options.connect_limit = Duration::from_millis(500);
        options.response_limit = Duration::from_millis(300);
        let primary = Retry::new(Arc::new(RedisBackend::lazy(options)), 1);
        let secondary = Arc::new(PostgresBackend::open(&self.postgres.url()).await.unwrap());
        let fallback = Fallback::builder(Arc::new(primary), secondary)
            .way_back(Duration::from_millis(20), 3, Duration::from_millis(100))
            .build()
            .unwrap();
        Process { locks: LockManager::new(Arc::new(fallback.clone())), fallback }
    }

    fn ask(&self, words: &[&str]) {
        let mut cmd = redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        let mut connection = redis::Client::open(self.redis.url()).unwrap().get_connection().unwrap();
        let () = cmd.query(&mut connection).unwrap();
    }
}

impl Process {
    /// Takes a lock and gives it back; its token.
    async fn work(&self, id: &str) -> FencingToken {
        let lease = match self.locks.lock(&posting(id), Wait::up_to(PATIENCE)).await.unwrap() {
            bidlock::Attempt::Acquired(lease) => lease,
            bidlock::Attempt::Held(held) => panic!("{id} is {held:?}: {:?}", self.fallback),
        };
        let token = lease.fencing_token();
        // An engine that goes away in between has its release made up for.
        let _ = lease.release().await;
        token
    }

    fn is_active(&self) -> bool {
        self.fallback.status().active
    }

    async fn is_back(&self) {
        let back = async {
            while self.is_active() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, back).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_go_on_while_redis_is_stopped_restarted_paused_and_flushed() {
    let Some(mut servers) = Servers::start() else { return };
    let (a, b) = (servers.process().await, servers.process().await);
    let held = a.locks.try_lock(&posting("held")).await.unwrap().acquired().unwrap();
    let mut last = a.work("1").await;

    servers.redis.kill();
    for process in [&a, &b, &a, &b] {
        let token = process.work("1").await;
        assert!(token > last, "{last} and then {token}");
        last = token;
        assert!(process.is_active());
    }
    // In the engine that stands in, they exclude each other.
    let mine = a.locks.try_lock(&posting("2")).await.unwrap().acquired().unwrap();
    assert!(!b.locks.try_lock(&posting("2")).await.unwrap().is_acquired());

    servers.redis.start_again();
    a.is_back().await;
    b.is_back().await;
    assert_eq!(mine.release().await.unwrap(), Released::Released);
    let token = b.work("1").await;
    assert!(token > last, "{last} and then {token}");
    // The server came back empty: whoever held a lock there learns it.
    assert_eq!(held.release().await.unwrap(), Released::Expired);

    servers.redis.pause();
    b.work("3").await;
    assert!(b.is_active());
    servers.redis.go_on();
    b.is_back().await;
    // What the paused server found in its sockets when it went on is given back.
    b.work("3").await;

    servers.ask(&["FLUSHALL"]);
    servers.ask(&["SCRIPT", "FLUSH"]);
    a.work("4").await;
    assert!(!a.is_active() && a.fallback.status().times == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_in_redis_go_over_with_it() {
    let Some(mut servers) = Servers::start() else { return };
    let (a, b) = (servers.process().await, servers.process().await);
    let held = a.locks.try_lock(&posting("1")).await.unwrap().acquired().unwrap();
    let waiting = tokio::spawn(async move { b.work("1").await });
    // It stands in the server's queue.
    let mut connection = redis::Client::open(servers.redis.url()).unwrap().get_connection().unwrap();
    while !redis::cmd("KEYS")
        .arg("bidlock_wait:*")
        .query::<Vec<String>>(&mut connection)
        .is_ok_and(|keys| keys.len() == 1)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    servers.redis.kill();
    waiting.await.unwrap();
    drop(held);
}

/// Its neighbours go on in Redis, and it in the database: nobody stands still. That both may hold one key then is what
/// the ledger is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_alone_is_cut_off_and_comes_back() {
    let Some(servers) = Servers::start() else { return };
    let proxy = Proxy::start(servers.redis.port()).await;
    let (alone, others) = (servers.process_via(&proxy.url()).await, servers.process().await);
    let theirs = others.locks.try_lock(&posting("1")).await.unwrap().acquired().unwrap();
    assert!(!alone.locks.try_lock(&posting("1")).await.unwrap().is_acquired());
    proxy.cut(true);
    alone.work("1").await;
    others.work("2").await;
    assert!(alone.is_active() && !others.is_active() && !theirs.is_lost());
    proxy.cut(false);
    alone.is_back().await;
    assert!(!alone.locks.try_lock(&posting("1")).await.unwrap().is_acquired());
    theirs.release().await.unwrap();
    alone.work("1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_away_until_it_does() {
    let Some(servers) = Servers::start() else { return };
    let process = servers.process().await;
    process.work("1").await;
    servers.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    process.locks.try_lock(&posting("1")).await.unwrap().acquired().unwrap().release().await.unwrap();
    assert!(process.is_active(), "{:?}", process.fallback.changes());
    let reason = process.fallback.status().reason.unwrap();
    assert!(reason.contains("out of memory") && reason.contains("raise `maxmemory`"), "{reason}");
    servers.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    process.is_back().await;

    servers.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    process.work("1").await;
    assert!(process.is_active());
    servers.ask(&["REPLICAOF", "NO", "ONE"]);
    process.is_back().await;
    process.work("1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_way_back_to_a_server_that_knows_another_ledger() {
    let Some(mut servers) = Servers::start() else { return };
    let memory = Duration::from_secs(60);
    let process = servers.process().await;
    servers.redis.kill();
    let bound = process.fallback.bind_ledger("ours", memory, false).await.unwrap();
    assert_eq!(bound, LedgerBinding::Unknown);
    servers.redis.start_again();
    let other = RedisBackend::connect(RedisOptions::from_url(&servers.redis.url()).unwrap()).await.unwrap();
    other.bind_ledger("another", memory, true).await.unwrap();
    while !process.fallback.status().reason.is_some_and(|reason| reason.contains("another ledger")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(process.is_active());
    let told = process.fallback.bind_ledger("ours", memory, false).await.unwrap();
    assert_eq!(told, LedgerBinding::Another("another".to_owned()));
    servers.ask(&["FLUSHALL"]);
    process.is_back().await;
    // The binding was made up for.
    let bound = other.bind_ledger("another", memory, false).await.unwrap();
    assert_eq!(bound, LedgerBinding::Another("ours".to_owned()));
}

/// Asking again does not take back that another's id is to be put aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_to_be_replaced_while_redis_was_away_is_replaced_when_it_is_back() {
    let Some(servers) = Servers::start() else { return };
    let memory = Duration::from_secs(60);
    let other = RedisBackend::connect(RedisOptions::from_url(&servers.redis.url()).unwrap()).await.unwrap();
    other.bind_ledger("another", memory, false).await.unwrap();
    let proxy = Proxy::start(servers.redis.port()).await;
    proxy.cut(true);
    let process = servers.process_via(&proxy.url()).await;
    for replace in [true, false] {
        let told = process.fallback.bind_ledger("ours", memory, replace).await.unwrap();
        assert_eq!(told, LedgerBinding::Unknown);
    }
    proxy.cut(false);
    process.is_back().await;
    let told = other.bind_ledger("another", memory, false).await.unwrap();
    assert_eq!(told, LedgerBinding::Another("ours".to_owned()));
}

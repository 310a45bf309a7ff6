//! The PostgreSQL backend: the conformance suite, and what is particular to it.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use bidlock::backends::postgres::{lock_in_transaction, try_lock_in_transaction};
use bidlock::{
    Acquire, Acquired, Attempt, ErrorKind, Grant, HolderId, LockKey, LockManager, Nonce, Released, Renewed,
    Wait,
};
use bidlock_postgres::tokio_postgres::{Client, NoTls};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bidlock::LockBackend;
use bidlock::backends::postgres::PostgresBackend;
use bidlock::conformance::Fixture;
use bidlock_testkit::{PgBouncer, PostgresOptions, PostgresServer};

fn server() -> PostgresServer {
    PostgresServer::start_or_exit(PostgresOptions::new())
}

fn fixture() -> Fixture {
    let server = server();
    let url = server.url();
    let open = move || -> Arc<dyn LockBackend> {
        let opening = PostgresBackend::open(&url);
        let handle = tokio::runtime::Handle::current();
        Arc::new(tokio::task::block_in_place(|| handle.block_on(opening)).unwrap())
    };
    Fixture::new(open).keeping(server)
}

bidlock::conformance_suite!(fixture());

const PATIENCE: Duration = Duration::from_secs(60);

fn key(name: &str) -> LockKey {
    LockKey::posting("upwork", name).unwrap()
}

fn request(name: &str, nonce: u8) -> Acquire {
    let holder = HolderId::named(&format!("holder-{nonce}")).unwrap();
    Acquire { key: key(name), holder, nonce: Nonce::from_bytes([nonce; 16]), ttl: Duration::from_secs(60) }
}

async fn granted(backend: &PostgresBackend, name: &str, nonce: u8) -> Option<Grant> {
    match backend.try_acquire(&[request(name, nonce)]).await.unwrap().remove(0) {
        Acquired::Granted(grant) => Some(grant),
        Acquired::Held(_) => None,
    }
}

async fn client(server: &PostgresServer) -> Client {
    let (client, connection) = bidlock_postgres::tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Every form of the URL leads here, and none shows its password.
#[tokio::test]
async fn every_form_of_the_url_opens_the_same_locks() {
    let server = server();
    let lease = LockManager::connect(&server.url()).await.unwrap().try_lock(&key("1")).await.unwrap();
    assert!(lease.is_acquired());
    for scheme in ["postgresql", "postgresql+asyncpg", "postgresql+psycopg2", "postgres"] {
        let url = server.url().replacen("postgres", scheme, 1);
        let locks = LockManager::connect(&url).await.unwrap();
        assert!(!locks.try_lock(&key("1")).await.unwrap().is_acquired(), "{scheme}");
        let shown = format!("{locks:?} {:?}", locks.check().await.unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}

/// A lock outlives the connection by which it was taken, and a restart of the server.
#[tokio::test]
async fn a_lock_survives_lost_connections_and_a_restart() {
    let mut server = server();
    let backend = PostgresBackend::open(&server.url()).await.unwrap();
    let mine = granted(&backend, "1", 1).await.unwrap();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'bidlock'");
    // What is asked while the server says goodbye may fail; it says so, and the next time it works.
    let other = loop {
        match backend.try_acquire(&[request("1", 2)]).await {
            Ok(answers) => break answers,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    };
    assert!(matches!(&other[..], [Acquired::Held(held)] if held.holder == "holder-1"), "{other:?}");

    server.stop();
    let away = backend.try_acquire(&[request("1", 2)]).await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::Unavailable, "away is never held: {away}");
    assert!(away.to_string().contains("127.0.0.1") && !away.to_string().contains("secret"), "{away}");
    server.start_again();
    assert!(granted(&backend, "1", 2).await.is_none());
    assert_eq!(backend.release(std::slice::from_ref(&mine)).await.unwrap(), [Released::Released]);
    let next = granted(&backend, "1", 2).await.unwrap();
    assert!(next.token > mine.token);
}

/// The clock is set back by half an hour, as the row tells it: tokens grow all the same.
#[tokio::test]
async fn a_check_names_the_database_and_what_is_missing_in_it() {
    let server = server();
    let backend = PostgresBackend::open(&server.url()).await.unwrap();
    assert!(backend.place().contains(&format!("127.0.0.1:{}", server.port())), "{}", backend.place());
    let health = backend.check().await.unwrap();
    assert_eq!((health.place.as_str(), health.warnings.as_slice()), (backend.place(), [].as_slice()));
    assert!(!health.place.contains(server.password()), "{}", health.place);
    for lost in ["FUNCTION bidlock.exchange_1", "TABLE bidlock.lease CASCADE"] {
        server.sql(&format!("DROP {lost}"));
        let warnings = backend.check().await.unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("bidlock.lease or its function"), "{warnings:?}");
    }
}

#[tokio::test]
async fn tokens_grow_although_the_clock_goes_back() {
    let server = server();
    let backend = PostgresBackend::open(&server.url()).await.unwrap();
    let first = granted(&backend, "1", 1).await.unwrap();
    backend.release(std::slice::from_ref(&first)).await.unwrap();
    server.sql("UPDATE bidlock.lease SET token = token + 1800000000");
    let second = granted(&backend, "1", 2).await.unwrap();
    assert_eq!(second.token.get(), first.token.get() + 1_800_000_001);
}

/// Losers write nothing: a scan of held postings costs the server no transaction id.
#[tokio::test]
async fn losers_write_nothing() {
    let server = server();
    let backend = PostgresBackend::open(&server.url()).await.unwrap();
    let requests: Vec<Acquire> = (0..500).map(|n| request(&n.to_string(), 1)).collect();
    backend.try_acquire(&requests).await.unwrap();
    let others: Vec<Acquire> = (0..500).map(|n| request(&n.to_string(), 2)).collect();
    let next_id = || server.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())");
    let before = next_id();
    let answers = backend.try_acquire(&others).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Acquired::Held(_))));
    assert_eq!(next_id(), before);
}

/// A plan that a session has kept since the table was empty still only probes the index when it has grown.
#[tokio::test]
async fn a_kept_plan_probes_the_index_however_small_the_table_was() {
    let server = server();
    PostgresBackend::open(&server.url()).await.unwrap();
    let client = client(&server).await;
    client.batch_execute("BEGIN").await.unwrap();
    let exchange = async |round: i32| {
        let call = format!(
            "SELECT e.* FROM (SELECT array_agg('key ' || {} || i) AS freed, array_agg('key ' || {round} || i) AS wanted,
                array_agg(gen_random_uuid()) AS nonces, array_agg(60000000::BIGINT) AS ttls
                FROM generate_series(1, 3) AS i) AS a,
                bidlock.exchange_1(a.freed, a.nonces, a.wanted, a.wanted, a.nonces, a.ttls) AS e",
            round - 1
        );
        client.query(&call, &[]).await.unwrap()
    };
    // More often than a session plans anew before it keeps a plan.
    for round in 0..10 {
        assert!(exchange(round).await.len() >= 3);
    }
    client
        .batch_execute(
            "INSERT INTO bidlock.lease SELECT 'x' || n, 'x', gen_random_uuid(), 1, 1, 1
             FROM generate_series(1, 20000) AS n",
        )
        .await
        .unwrap();
    let read = async || -> i64 {
        let rows =
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'lease'";
        client.query_one(rows, &[]).await.unwrap().get(0)
    };
    let before = read().await;
    assert_eq!(exchange(10).await.len(), 6, "three are freed by none, three are granted");
    let looked_at = read().await - before;
    assert!(looked_at < 100, "{looked_at} rows were looked at for three keys");
}

/// Four processes' worth of locks through a pooler that hands one connection of the server to all of them in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_work_behind_a_transaction_pooler() {
    let server = server();
    let Some(pooler) = PgBouncer::start(&server) else { return };
    let mut openers = Vec::new();
    for opener in 1..=4 {
        let url = pooler.url();
        openers.push(tokio::spawn(async move {
            let backend = PostgresBackend::open(&url).await.unwrap();
            let mut won = 0;
            for n in 0..40 {
                let Some(grant) = granted(&backend, &format!("{}", (n + opener * 10) % 40), opener).await
                else {
                    continue;
                };
                won += 1;
                if n % 2 == 0 {
                    let renewed = backend.renew(std::slice::from_ref(&grant), Duration::from_secs(90)).await;
                    assert_eq!(renewed.unwrap(), [Renewed::Renewed]);
                }
            }
            won
        }));
    }
    let mut won = 0;
    for opener in openers {
        won += opener.await.unwrap();
    }
    assert_eq!(won, 40, "each key has one holder");
}

/// Rows that have been free for long are taken out while others come; young ones and held ones stay.
#[tokio::test]
async fn old_rows_are_taken_out_while_others_come() {
    let server = server();
    let backend = PostgresBackend::open(&server.url()).await.unwrap();
    let held: Vec<Acquire> = (0..10).map(|n| request(&format!("held-{n}"), 1)).collect();
    backend.try_acquire(&held).await.unwrap();
    server.sql(
        "INSERT INTO bidlock.lease SELECT 'bid_lock:old:' || n, 'x', gen_random_uuid(), 1, 1, 1
         FROM generate_series(1, 3000) AS n",
    );
    for round in 0..8 {
        let more: Vec<Acquire> = (0..1_024).map(|n| request(&format!("{round}-{n}"), 1)).collect();
        backend.try_acquire(&more).await.unwrap();
    }
    // A sweep comes after the answers of its batch: this one waits for the last.
    granted(&backend, "last", 1).await.unwrap();
    granted(&backend, "very last", 1).await.unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM bidlock.lease WHERE key LIKE 'bid_lock:old:%'"), "0");
    assert_eq!(server.sql("SELECT count(*) FROM bidlock.lease WHERE key LIKE '%held%'"), "10");
}

/// Inside a transaction of the caller's own: excluded until it ends, however it ends.
#[tokio::test]
async fn an_advisory_lock_lasts_as_long_as_its_transaction() {
    let server = server();
    let (mut a, mut b) = (client(&server).await, client(&server).await);
    for commit in [true, false] {
        let first = a.transaction().await.unwrap();
        assert!(try_lock_in_transaction(&first, &key("1")).await.unwrap());
        let second = b.transaction().await.unwrap();
        assert!(!try_lock_in_transaction(&second, &key("1")).await.unwrap());
        assert!(try_lock_in_transaction(&second, &key("2")).await.unwrap());
        if commit {
            first.commit().await.unwrap()
        } else {
            first.rollback().await.unwrap()
        }
        lock_in_transaction(&second, &key("1")).await.unwrap();
        second.commit().await.unwrap();
    }
    let holder = a.transaction().await.unwrap();
    lock_in_transaction(&holder, &key("1")).await.unwrap();
    let waiter = b.transaction().await.unwrap();
    waiter.batch_execute("SET LOCAL lock_timeout = '20ms'").await.unwrap();
    assert!(lock_in_transaction(&waiter, &key("1")).await.is_err());
}

/// Names the role and the database of a child.
const ROLE: &str = "BIDLOCK_TEST_CHILD";
const URL: &str = "BIDLOCK_TEST_URL";
const FOLDER: &str = "BIDLOCK_TEST_FOLDER";
const PROCESSES: u64 = 4;
const ROUNDS: u64 = 40;
/// How long a lock outlasts its holder here: more than a busy host takes between two renewals.
const HOLDERS_TTL: Duration = Duration::from_secs(2);

fn start(role: &str, url: &str, folder: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(URL, url)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "a child of the other tests"]
async fn child() {
    let locks = LockManager::connect(&std::env::var(URL).unwrap()).await.unwrap();
    match std::env::var(ROLE).unwrap().as_str() {
        "count" => {
            let file = std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap()).join("counter");
            for _ in 0..ROUNDS {
                let Attempt::Acquired(lease) =
                    locks.lock(&key("counter"), Wait::up_to(PATIENCE)).await.unwrap()
                else {
                    panic!("not granted in {PATIENCE:?}")
                };
                // One more process inside, and an update is lost.
                let seen: u64 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
                tokio::task::yield_now().await;
                std::fs::write(&file, (seen + 1).to_string()).unwrap();
                lease.release().await.unwrap();
            }
        }
        _ => {
            let locks = locks.with_ttl(HOLDERS_TTL).unwrap();
            let _lease = locks.try_lock(&key("1")).await.unwrap().acquired().unwrap();
            println!("holding");
            std::future::pending::<()>().await;
        }
    }
}

/// All at once on an empty database, whose table the first of them makes.
#[tokio::test]
async fn an_unguarded_counter_in_a_file_loses_no_update_between_processes() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("counter"), "0").unwrap();
    let children: Vec<Child> = (0..PROCESSES).map(|_| start("count", &server.url(), folder.path())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let counted = std::fs::read_to_string(folder.path().join("counter")).unwrap();
    assert_eq!(counted, (PROCESSES * ROUNDS).to_string());
}

#[tokio::test]
async fn a_killed_holder_blocks_its_posting_while_its_lease_lasts_and_not_for_ever() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let mut holder = start("hold", &server.url(), folder.path());
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holding")));
    let locks = LockManager::connect(&server.url()).await.unwrap();
    // It renews: beyond its TTL it still has the lock.
    let other = locks.lock(&key("1"), Wait::up_to(HOLDERS_TTL * 3 / 2)).await.unwrap();
    assert!(!other.is_acquired());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let lease = locks.lock(&key("1"), Wait::up_to(PATIENCE)).await.unwrap().acquired().unwrap();
    lease.release().await.unwrap();
}

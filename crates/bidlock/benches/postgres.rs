//! P8 of the performance page: pairs of acquire and release on PostgreSQL, beside prepared single statements in the same
//! run, on a server of its own that syncs.
//!
//! `cargo bench -p bidlock --features postgres --bench postgres`, or with `-- --quick` for a look.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark reports by printing, and stops at the first surprise"
)]

use std::sync::Arc;
use std::time::Duration;

use bidlock::backends::postgres::PostgresBackend;
use bidlock::{
    Acquire, Acquired, Clock, HolderId, LockBackend, LockKey, Moment, Nonce, Released, SystemClock,
};
use bidlock_postgres::tokio_postgres::{Client, NoTls, connect};
use bidlock_testkit::{PostgresOptions, PostgresServer};
use futures::future::join_all;

const TASKS: usize = 64;
const TTL: Duration = Duration::from_secs(60);
/// Connections of the raw limit: as many as help it.
const RAW_CONNECTIONS: usize = 4;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length) =
        if quick { (1, Duration::from_millis(500)) } else { (5, Duration::from_millis(1_500)) };
    let Some(server) = PostgresServer::start(PostgresOptions::durable().with("max_wal_size", "4GB")) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let backend = PostgresBackend::open(&server.url()).await.unwrap();
        let (mut single, mut raw, mut batch) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            raw.push(raw_pairs(&server, length).await);
            single.push(pairs(&backend, TASKS, 1, length).await);
            batch.push(pairs(&backend, RAW_CONNECTIONS, 64, length).await);
        }
        let raw = median(raw);
        report("P8", "pairs, 64 tasks, one key a call", median(single), raw, 5.0);
        report("P8", "pairs, 4 tasks, 64 keys a call", median(batch), raw, 5.0);
        let (one, round_trip) = alone(&server, &backend, if quick { 300 } else { 2_000 }).await;
        println!("     for comparison: one acquire alone {one:.0} us, an empty statement {round_trip:.0} us");
    });
}

fn report(id: &str, what: &str, figure: f64, raw: f64, goal: f64) {
    let (ratio, verdict) = (figure / raw, if figure / raw >= goal { "met" } else { "MISSED" });
    println!(
        "{id:<4} {what:<40} {figure:>9.0} pairs/s  raw {raw:>9.0} pairs/s  ratio {ratio:>6.2}x  goal >= {goal}x  {verdict}"
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn seconds_since(start: Moment) -> f64 {
    SystemClock.now().since(start).as_secs_f64()
}

/// Pairs a second of `tasks` tasks with `width` keys a call.
async fn pairs(backend: &PostgresBackend, tasks: usize, width: usize, length: Duration) -> f64 {
    let start = SystemClock.now();
    let running = (0..tasks).map(|task| {
        let backend = backend.clone();
        tokio::spawn(async move {
            let mut count = 0_usize;
            while SystemClock.now().since(start) < length {
                let requests: Vec<Acquire> = (0..width).map(|n| request(task, n, count)).collect();
                let grants: Vec<_> = backend
                    .try_acquire(&requests)
                    .await
                    .unwrap()
                    .into_iter()
                    .map(|answer| match answer {
                        Acquired::Granted(grant) => grant,
                        Acquired::Held(held) => panic!("{held:?}"),
                    })
                    .collect();
                let released = backend.release(&grants).await.unwrap();
                assert!(released.iter().all(|found| *found == Released::Released));
                count += width;
            }
            count
        })
    });
    let total: usize = join_all(running).await.into_iter().map(Result::unwrap).sum();
    total as f64 / seconds_since(start)
}

fn request(task: usize, n: usize, count: usize) -> Acquire {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&(task as u64 + 1).to_be_bytes());
    nonce[8..].copy_from_slice(&((count + n) as u64).to_be_bytes());
    Acquire {
        key: LockKey::posting("upwork", &format!("{task}-{n}")).unwrap(),
        holder: HolderId::named("bench").unwrap(),
        nonce: Nonce::from_bytes(nonce),
        ttl: TTL,
    }
}

async fn client(server: &PostgresServer) -> Client {
    let (client, connection) = connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The same by two prepared statements a pair, pipelined, with commits that do not wait for the disk either.
async fn raw_pairs(server: &PostgresServer, length: Duration) -> f64 {
    const ACQUIRE: &str =
        "INSERT INTO bidlock.lease AS l (key, holder, nonce, token, granted_us, deadline_us)
        VALUES ($1, 'raw', gen_random_uuid(), 1, 1, 2)
        ON CONFLICT (key) DO UPDATE SET nonce = excluded.nonce WHERE l.deadline_us <= 2 RETURNING token";
    const RELEASE: &str = "DELETE FROM bidlock.lease WHERE key = $1";
    let mut connections = Vec::new();
    for _ in 0..RAW_CONNECTIONS {
        let client = client(server).await;
        client.batch_execute("SET synchronous_commit = off").await.unwrap();
        let (acquire, release) =
            (client.prepare(ACQUIRE).await.unwrap(), client.prepare(RELEASE).await.unwrap());
        connections.push(Arc::new((client, acquire, release)));
    }
    let start = SystemClock.now();
    let running = (0..TASKS).map(|task| {
        let connection = Arc::clone(&connections[task % RAW_CONNECTIONS]);
        tokio::spawn(async move {
            let (client, acquire, release) = &*connection;
            let (mut count, key) = (0_usize, format!("raw-{task}"));
            while SystemClock.now().since(start) < length {
                assert_eq!(client.query(acquire, &[&key]).await.unwrap().len(), 1);
                client.execute(release, &[&key]).await.unwrap();
                count += 1;
            }
            count
        })
    });
    let total: usize = join_all(running).await.into_iter().map(Result::unwrap).sum();
    total as f64 / seconds_since(start)
}

/// Median microseconds of one acquire with nobody else about, and of a statement that does nothing.
async fn alone(server: &PostgresServer, backend: &PostgresBackend, count: usize) -> (f64, f64) {
    let client = client(server).await;
    let (mut ours, mut empty) = (Vec::new(), Vec::new());
    for n in 0..count {
        let start = SystemClock.now();
        backend.try_acquire(&[request(9_999, n, 0)]).await.unwrap();
        ours.push(seconds_since(start) * 1e6);
        let start = SystemClock.now();
        client.query_typed("SELECT 1", &[]).await.unwrap();
        empty.push(seconds_since(start) * 1e6);
    }
    (median(ours), median(empty))
}

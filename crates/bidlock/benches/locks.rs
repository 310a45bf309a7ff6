//! The lock core's goals P7, P10 and P13 of the performance page, each as a ratio to the raw limit in the same run.
//!
//! `cargo bench -p bidlock --bench locks`, or with `-- --quick` for a look, or with goals' names (`-- P10`). One line a goal: figure, raw limit, ratio,
//! goal, met or MISSED. A pair is one acquire and one release.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark reports by printing, and stops at the first surprise"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bidlock::backends::{memory::MemoryBackend, sqlite::SqliteBackend};
use bidlock::layers::grant_all::GrantAll;
use bidlock::{Clock, LockBackend, LockKey, LockManager, Moment, SystemClock};
use bidlock_sqlite::{Options, Synchronous};

const TASKS: usize = 64;
/// Names the file that a child process works on.
const CHILD_FILE: &str = "BIDLOCK_BENCH_FILE";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(file) = std::env::var_os(CHILD_FILE) {
        runtime.block_on(compete(Path::new(&file)));
        return;
    }
    let rounds = if quick { 1 } else { 5 };
    let length = Duration::from_millis(if quick { 300 } else { 1_500 });
    let chosen: Vec<String> = std::env::args().filter(|argument| argument.starts_with('P')).collect();
    let wanted = |id: &str| chosen.is_empty() || chosen.iter().any(|argument| argument == id);
    if wanted("P7") {
        p7_group_commit(&runtime, rounds, length);
        p7_two_processes(length);
    }
    if wanted("P10") {
        p10_memory(rounds, length / 3);
    }
    if wanted("P13") {
        p13_bytes(&runtime);
    }
}

/// One line of the summary.
fn report(id: &str, what: &str, figure: &str, raw: &str, ratio: &str, goal: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("{id:<4} {what:<44} {figure:>18}  raw {raw:>18}  ratio {ratio:>7}  goal {goal:<12} {verdict}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn per_second(count: u64, since: Moment) -> f64 {
    count as f64 / SystemClock.now().since(since).as_secs_f64()
}

fn key(name: impl std::fmt::Display) -> LockKey {
    LockKey::posting("upwork", &format!("job_{name}")).unwrap()
}

fn on_file(file: &Path) -> LockManager {
    let options = Options::new(file).with_synchronous(Synchronous::Full);
    LockManager::new(Arc::new(SqliteBackend::open_with(options).unwrap()))
}

/// P7: 64 tasks through group commit, against one operation a transaction, both `synchronous=FULL`.
fn p7_group_commit(runtime: &tokio::runtime::Runtime, rounds: usize, length: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    let locks = runtime.block_on(async { on_file(&folder.path().join("ours.db")) });
    for round in 0..rounds {
        raws.push(raw_sqlite(&folder.path().join(format!("raw{round}.db")), length));
        let start = SystemClock.now();
        let (pairs, _) = runtime.block_on(work(&locks, "p7", length));
        ours.push(per_second(pairs, start));
    }
    let (figure, raw) = (median(ours), median(raws));
    let ratio = figure / raw;
    report(
        "P7",
        "SQLite FULL, 64 tasks",
        &format!("{figure:.0} pairs/s"),
        &format!("{raw:.0} pairs/s"),
        &format!("{ratio:.1}x"),
        ">= 12x",
        ratio >= 12.0,
    );
}

/// The raw limit: the same two statements as a backend needs at the least, each in a transaction of its own.
fn raw_sqlite(file: &Path, length: Duration) -> f64 {
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE lease (key TEXT PRIMARY KEY, holder TEXT, token INTEGER, deadline INTEGER) WITHOUT ROWID;",
    )
    .unwrap();
    let run = |sql: &str, key: &str| {
        conn.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
        conn.prepare_cached(sql).unwrap().execute([key]).unwrap();
        conn.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
    };
    let start = SystemClock.now();
    let mut pairs = 0;
    while SystemClock.now().since(start) < length {
        let key = format!("bid_lock:upwork:job_{}", pairs % 1024);
        run("INSERT INTO lease VALUES (?1, 'host:1:abcdefgh', 1, 1)", &key);
        run("DELETE FROM lease WHERE key = ?1 AND holder = 'host:1:abcdefgh'", &key);
        pairs += 1;
    }
    per_second(pairs, start)
}

/// 64 tasks that take and release locks of their own; pairs, and the longest time that an acquisition took.
async fn work(locks: &LockManager, name: &str, length: Duration) -> (u64, Duration) {
    let pairs = Arc::new(AtomicU64::new(0));
    let longest_ns = Arc::new(AtomicU64::new(0));
    let end = SystemClock.now().later(length);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (locks, pairs, longest_ns) = (locks.clone(), Arc::clone(&pairs), Arc::clone(&longest_ns));
            let keys: Vec<LockKey> = (0..16).map(|n| key(format_args!("{name}_{task}_{n}"))).collect();
            tokio::spawn(async move {
                for key in keys.iter().cycle() {
                    let start = SystemClock.now();
                    if start >= end {
                        return;
                    }
                    let lease = locks.try_lock(key).await.unwrap().acquired().expect("uncontended");
                    let took = SystemClock.now().since(start).as_nanos() as u64;
                    longest_ns.fetch_max(took, Relaxed);
                    lease.release().await.unwrap();
                    pairs.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    (pairs.load(Relaxed), Duration::from_nanos(longest_ns.load(Relaxed)))
}

/// P7, second half: two processes on one file.
fn p7_two_processes(length: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    let children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .env(CHILD_FILE, &file)
                .env("BIDLOCK_BENCH_MS", length.as_millis().to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut figures = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        figures.push((numbers[0], numbers[1]));
    }
    let (slower, faster) = (figures[0].0.min(figures[1].0), figures[0].0.max(figures[1].0));
    let longest_ms = figures[0].1.max(figures[1].1);
    let ratio = slower / faster;
    report(
        "P7",
        "SQLite FULL, two processes, slower / faster",
        &format!("{slower:.0} pairs/s"),
        &format!("{faster:.0} pairs/s"),
        &format!("{ratio:.2}"),
        ">= 0.5",
        ratio >= 0.5,
    );
    report(
        "P7",
        "SQLite FULL, two processes, longest wait",
        &format!("{longest_ms:.1} ms"),
        "-",
        "-",
        "<= 50 ms",
        longest_ms <= 50.0,
    );
}

/// A child: meets the other one at the file, works, prints pairs a second and the longest wait in ms.
async fn compete(file: &Path) {
    let length = Duration::from_millis(std::env::var("BIDLOCK_BENCH_MS").unwrap().parse().unwrap());
    let locks = on_file(file);
    let name = std::process::id().to_string();
    // Both are there once two have signed in.
    let _here = locks.try_lock(&LockKey::named("bench", &name).unwrap()).await.unwrap();
    while locks.inspect(bidlock::KeyFilter::all(), bidlock::Page::default()).await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let start = SystemClock.now();
    let (pairs, longest) = work(&locks, &name, length).await;
    println!("{} {}", per_second(pairs, start), longest.as_secs_f64() * 1e3);
}

/// P10: one task, uncontended, through the whole manager, against a bare sharded map that does what any fenced and
/// owner-safe lock must: clock, token, owner, expiry.
fn p10_memory(rounds: usize, length: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys: Vec<LockKey> = (0..1024).map(key).collect();
    let locks = LockManager::new(Arc::new(MemoryBackend::new()));
    let (mut ours, mut raws, mut engines) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.max(3) {
        raws.push(raw_map(&keys, length));
        engines.push(runtime.block_on(engine_alone(&keys, length)));
        ours.push(runtime.block_on(async {
            let start = SystemClock.now();
            let mut pairs = 0;
            while SystemClock.now().since(start) < length {
                for key in &keys {
                    let lease = locks.try_lock(key).await.unwrap().acquired().unwrap();
                    lease.release().await.unwrap();
                }
                pairs += keys.len() as u64;
            }
            per_second(pairs, start)
        }));
    }
    let raw = median(raws);
    for (what, figure) in [
        ("memory, uncontended, manager", median(ours)),
        ("memory, uncontended, backend alone", median(engines)),
    ] {
        let ratio = figure / raw;
        report(
            "P10",
            what,
            &format!("{figure:.0} pairs/s"),
            &format!("{raw:.0} pairs/s"),
            &format!("{ratio:.2}x"),
            ">= 0.7x",
            ratio >= 0.7,
        );
    }
}

/// The backend without a manager: no leases, no renewal, no counters.
async fn engine_alone(keys: &[LockKey], length: Duration) -> f64 {
    let backend: Arc<dyn LockBackend> = Arc::new(MemoryBackend::new());
    let holder = bidlock::HolderId::for_this_process();
    let start = SystemClock.now();
    let mut pairs = 0u64;
    while SystemClock.now().since(start) < length {
        for key in keys {
            pairs += 1;
            let request = bidlock::Acquire {
                key: key.clone(),
                holder: holder.clone(),
                nonce: bidlock::Nonce::from_bytes(u128::from(pairs).to_be_bytes()),
                ttl: Duration::from_secs(300),
            };
            let granted = backend.try_acquire(std::slice::from_ref(&request)).await.unwrap();
            let Some(bidlock::Acquired::Granted(grant)) = granted.into_iter().next() else { panic!("held") };
            backend.release(std::slice::from_ref(&grant)).await.unwrap();
        }
    }
    per_second(pairs, start)
}

struct RawRow {
    holder: Arc<str>,
    nonce: u64,
    token: u64,
    expires: Moment,
}

fn raw_map(keys: &[LockKey], length: Duration) -> f64 {
    let hasher = RandomState::new();
    let shards: Vec<Mutex<HashMap<Arc<str>, RawRow>>> = (0..64).map(|_| Mutex::default()).collect();
    let keys: Vec<Arc<str>> = keys.iter().map(|key| key.as_str().into()).collect();
    let holder: Arc<str> = bidlock::HolderId::for_this_process().as_str().into();
    let last_token = AtomicU64::new(0);
    let start = SystemClock.now();
    let mut pairs = 0u64;
    while SystemClock.now().since(start) < length {
        for key in &keys {
            pairs += 1;
            let shard = &shards[hasher.hash_one(key) as usize % shards.len()];
            let now = SystemClock.now();
            let mut map = shard.lock().unwrap();
            assert!(map.get(key).is_none_or(|row| row.expires <= now), "held");
            let token = last_token.fetch_max(now.as_nanos() / 1000, Relaxed) + 1;
            let expires = now.later(Duration::from_secs(300));
            map.insert(Arc::clone(key), RawRow { holder: Arc::clone(&holder), nonce: pairs, token, expires });
            drop(map);
            let shard = &shards[hasher.hash_one(key) as usize % shards.len()];
            let now = SystemClock.now();
            let mut map = shard.lock().unwrap();
            let ours = map.get(key).is_some_and(|row| {
                row.nonce == pairs && row.holder == holder && row.token > 0 && row.expires > now
            });
            assert!(ours && map.remove(key).is_some());
        }
    }
    per_second(pairs, start)
}

/// P13: what a held lock costs its holder's process, on an engine that keeps nothing in it.
fn p13_bytes(runtime: &tokio::runtime::Runtime) {
    const LEASES: usize = 100_000;
    let held_bytes = |backend: Arc<dyn LockBackend>| {
        runtime.block_on(async {
            let locks = LockManager::new(backend);
            let keys: Vec<LockKey> = (0..LEASES).map(key).collect();
            drop(locks.try_lock(&keys[0]).await.unwrap());
            let before = ALLOCATED.load(Relaxed);
            // The key is part of what a lock costs, so each lease gets one of its own.
            let mut leases = Vec::with_capacity(LEASES);
            for n in 0..LEASES {
                leases.push(locks.try_lock(&key(n)).await.unwrap().acquired());
            }
            let bytes = (ALLOCATED.load(Relaxed) - before) as f64 / LEASES as f64;
            drop((leases, keys));
            locks.shutdown().await.unwrap();
            bytes
        })
    };
    let client = held_bytes(Arc::new(GrantAll::default()));
    let with_store = held_bytes(Arc::new(MemoryBackend::new()));
    report(
        "P13",
        "bytes per held lock, client",
        &format!("{client:.0} bytes"),
        &format!("{:.0} with store", with_store),
        "-",
        "<= 1024",
        client <= 1024.0,
    );
}

/// Counts what is allocated and not yet freed.
struct Counting;

static ALLOCATED: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "the trait is; each call goes straight to the system's allocator")]
// SAFETY: adds counting only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as i64, Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

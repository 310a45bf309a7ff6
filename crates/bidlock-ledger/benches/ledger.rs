//! The ledger's goals P9, P11 (through the ledger) and P12 of the performance page, each beside its raw limit in the
//! same run.
//!
//! `cargo bench -p bidlock-ledger --bench ledger`, or with `-- --quick` for a look. One line a goal: figure, raw
//! limit, ratio, goal, met or MISSED.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark reports by printing, stops at the first surprise, and measures real time"
)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bidlock_ledger::{
    ClaimOutcome, Claimant, Currency, LedgerStore, Money, NewClaim, Payload, PostingId, SqliteLedger,
    Standing, store::MAX_BATCH,
};
use rusqlite::{Connection, TransactionBehavior, params};
use uuid::Uuid;

const TASKS: usize = 64;
const TTL: Duration = Duration::from_secs(300);
/// A made-up proposal of a usual length.
const PROPOSAL: &str = "I have built four feeds of this kind and can start on Monday. ";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (rounds, length) =
        if quick { (1, Duration::from_millis(400)) } else { (5, Duration::from_millis(1_500)) };
    p9_claims(&runtime, rounds, length);
    p11_standing(&runtime, if quick { 50_000 } else { 500_000 });
    p12_growth(&runtime, if quick { &[1_000, 50_000] } else { &[1_000, 100_000, 1_000_000] });
}

fn report(id: &str, what: &str, figure: &str, raw: &str, ratio: &str, goal: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("{id:<4} {what:<44} {figure:>18}  raw {raw:>18}  ratio {ratio:>7}  goal {goal:<12} {verdict}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn posting(n: usize) -> PostingId {
    PostingId::new("examplework", format!("job_{n:012}")).unwrap()
}

fn request(n: usize, instance: Uuid) -> NewClaim {
    NewClaim {
        posting: posting(n),
        claimant: Claimant { holder: "bench:1:0123abcd".to_owned(), instance: Some(instance) },
        ttl: TTL,
        payload: Payload {
            amount: Some(Money { minor: 45_000, currency: Currency::USD }),
            proposal: PROPOSAL.repeat(4),
            posting_url: Some(format!("https://jobs.example/{n}")),
            via: "dry-run".to_owned(),
            evaluation: None,
        },
    }
}

/// P9: one durable claim a call from 64 tasks, against one claim a transaction on a bare connection.
fn p9_claims(runtime: &tokio::runtime::Runtime, rounds: usize, length: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut singles, mut batched) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        singles.push(raw_claims(&folder.path().join(format!("single{round}.db")), 1, length));
        batched.push(raw_claims(&folder.path().join(format!("batch{round}.db")), TASKS, length));
        let ledger = SqliteLedger::open(folder.path().join(format!("ours{round}.db"))).unwrap();
        ours.push(runtime.block_on(claim_for(&Arc::new(ledger), length)));
    }
    let (figure, single, batch) = (median(ours), median(singles), median(batched));
    let ratio = figure / single;
    report(
        "P9",
        "ledger claims, durable, 64 tasks",
        &format!("{figure:.0} claims/s"),
        &format!("{single:.0} claims/s"),
        &format!("{ratio:.2}x"),
        ">= 5x",
        ratio >= 5.0,
    );
    println!(
        "     for comparison: a bare connection with {TASKS} claims a transaction makes {batch:.0} claims/s"
    );
}

async fn claim_for(ledger: &Arc<SqliteLedger>, length: Duration) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                let mut claims = 0_usize;
                while start.elapsed() < length {
                    let request = request(claims * TASKS + task, ledger.instance());
                    let outcome = ledger.claim(&[request]).await.unwrap().remove(0);
                    assert!(matches!(outcome, ClaimOutcome::Granted(_)));
                    claims += 1;
                }
                claims
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    total as f64 / start.elapsed().as_secs_f64()
}

/// The same rows and indexes by hand: a bid and its event, `per_transaction` at a time.
fn raw_claims(file: &Path, per_transaction: usize, length: Duration) -> f64 {
    SqliteLedger::migrate(file, false).unwrap();
    let mut conn = Connection::open(file).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
        .unwrap();
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < length {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        for _ in 0..per_transaction {
            raw_claim(&tx, count);
            count += 1;
        }
        tx.commit().unwrap();
    }
    count as f64 / start.elapsed().as_secs_f64()
}

fn raw_claim(tx: &Connection, n: usize) {
    let (id, claim, request) = (Uuid::now_v7(), Uuid::new_v4(), request(n, Uuid::nil()));
    let bid = "INSERT INTO bids (id, marketplace, posting, state, claim_id, epoch, holder, instance, claim_boot,
            claim_until_ms, idempotency_key, created_at_ms, updated_at_ms, amount_minor, currency, posting_url, via,
            proposal)
        VALUES (?1, ?2, ?3, 'claimed', ?4, 1, ?5, ?4, ?4, 1, ?4, 1, 1, 45000, 'USD', ?6, 'dry-run', ?7)
        ON CONFLICT DO NOTHING";
    tx.prepare_cached(bid)
        .unwrap()
        .execute(params![
            id.as_bytes(),
            request.posting.marketplace(),
            request.posting.posting(),
            claim.as_bytes(),
            request.claimant.holder,
            request.payload.posting_url,
            request.payload.proposal,
        ])
        .unwrap();
    let event = "INSERT INTO events (bid, seq, at_ms, to_state, claim_id, epoch, actor, detail, hash)
        VALUES (?1, 1, 1, 'claimed', ?2, 1, ?3, '{}', ?4)";
    tx.prepare_cached(event)
        .unwrap()
        .execute(params![id.as_bytes(), claim.as_bytes(), request.claimant.holder, [7_u8; 32]])
        .unwrap();
}

async fn fill(ledger: &SqliteLedger, from: usize, to: usize) {
    for start in (from..to).step_by(MAX_BATCH) {
        let requests: Vec<_> =
            (start..to.min(start + MAX_BATCH)).map(|n| request(n, ledger.instance())).collect();
        ledger.claim(&requests).await.unwrap();
    }
}

/// P11, its second half: a scan of postings that all have a bid, asked of the ledger in batches.
fn p11_standing(runtime: &tokio::runtime::Runtime, asked: usize) {
    const BIDS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&file).unwrap();
    runtime.block_on(fill(&ledger, 0, BIDS));
    let batches: Vec<Vec<PostingId>> = (0..BIDS)
        .step_by(MAX_BATCH)
        .map(|at| (at..BIDS.min(at + MAX_BATCH)).map(posting).collect())
        .collect();
    let start = Instant::now();
    let mut answers = 0;
    while answers < asked {
        for batch in &batches {
            let standings = runtime.block_on(ledger.standing(batch)).unwrap();
            assert!(standings.iter().all(|s| matches!(s, Standing::Busy(_))));
            answers += standings.len();
        }
    }
    let figure = answers as f64 / start.elapsed().as_secs_f64();
    let raw = raw_standing(&file, &batches);
    report(
        "P11",
        "settled postings asked of the ledger",
        &format!("{figure:.0} postings/s"),
        &format!("{raw:.0} look-ups/s"),
        &format!("{:.2}x", figure / raw),
        ">= 100,000/s",
        figure >= 100_000.0,
    );
}

fn raw_standing(file: &Path, batches: &[Vec<PostingId>]) -> f64 {
    let conn = Connection::open(file).unwrap();
    // One snapshot, as a batch has.
    conn.execute_batch("BEGIN").unwrap();
    let query = "SELECT id, state FROM bids WHERE marketplace = ?1 AND posting = ?2 AND NOT rebid_allowed";
    let mut statement = conn.prepare(query).unwrap();
    let (start, mut count) = (Instant::now(), 0);
    for posting in batches.iter().flatten() {
        let _: [u8; 16] =
            statement.query_row(params![posting.marketplace(), posting.posting()], |row| row.get(0)).unwrap();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// P12: what a claim costs as the ledger grows; at most by the logarithm of its size.
fn p12_growth(runtime: &tokio::runtime::Runtime, sizes: &[usize]) {
    const MEASURED: usize = 16 * MAX_BATCH;
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path().join("ledger.db")).unwrap();
    let (mut filled, mut first) = (0, None::<(usize, f64)>);
    for &size in sizes {
        runtime.block_on(fill(&ledger, filled.min(size), size));
        let start = Instant::now();
        runtime.block_on(fill(&ledger, size, size + MEASURED));
        let cost = start.elapsed().as_secs_f64() * 1e6 / MEASURED as f64;
        filled = size + MEASURED;
        let Some((small, base)) = first else {
            first = Some((size, cost));
            continue;
        };
        let (grown, most) = (cost / base, (size as f64).ln() / (small as f64).ln());
        report(
            "P12",
            &format!("claim at {size} bids"),
            &format!("{cost:.1} us"),
            &format!("{base:.1} us at {small}"),
            &format!("{grown:.2}x"),
            &format!("<= {most:.2}x"),
            grown <= most,
        );
    }
}

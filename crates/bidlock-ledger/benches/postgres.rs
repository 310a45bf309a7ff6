//! The ledger's figures on PostgreSQL (P8's claim of a bid, and P9 and P11 there), each beside its raw limit in the same
//! run, on a server of its own that syncs.
//!
//! `cargo bench -p bidlock-ledger --features postgres --bench postgres`, or with `-- --quick` for a look.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark reports by printing, stops at the first surprise, and measures real time"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bidlock_ledger::{
    Actor, Applied, Change, ClaimOutcome, Claimant, Currency, LedgerStore, Money, Move, NewClaim, Payload,
    PostgresLedger, PostingId, Standing, store::MAX_BATCH,
};
use bidlock_postgres::tokio_postgres::{Client, NoTls, Statement, connect};
use bidlock_testkit::{PostgresOptions, PostgresServer};
use futures::future::join_all;
use uuid::Uuid;

const TASKS: usize = 64;
const TTL: Duration = Duration::from_secs(300);
/// A made-up proposal of a usual length.
const PROPOSAL: &str = "I have built four feeds of this kind and can start on Monday. ";
/// Connections of the raw limit: as many as help it.
const RAW_CONNECTIONS: usize = 4;

const RAW_CLAIM: &str = "WITH made AS (
        INSERT INTO bidlock.bids (id, marketplace, posting, state, claim_id, epoch, holder, claim_until_ms,
            idempotency_key, created_at_ms, updated_at_ms, amount_minor, currency, posting_url, via, proposal)
        VALUES ($1, 'examplework', $2, 'claimed', $1, 1, 'raw', 1, $1, 1, 1, 45000, 'USD', $2, 'dry-run', $3)
        ON CONFLICT (marketplace, posting) WHERE NOT rebid_allowed DO NOTHING RETURNING id)
    INSERT INTO bidlock.events (bid, seq, at_ms, to_state, claim_id, epoch, actor, detail, hash)
    SELECT id, 1, 1, 'claimed', id, 1, 'raw', '{}', $4 FROM made";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length) =
        if quick { (1, Duration::from_millis(500)) } else { (5, Duration::from_millis(1_500)) };
    let Some(server) = PostgresServer::start(PostgresOptions::durable().with("max_wal_size", "4GB")) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let ledger = Arc::new(PostgresLedger::open(&server.url()).await.unwrap());
        round_trip(&server, &ledger, if quick { 200 } else { 1_000 }).await;
        claims(&server, &ledger, rounds, length).await;
        moves(&ledger, length).await;
        standing(&server, &ledger, if quick { 20_000 } else { 200_000 }).await;
    });
}

fn report(id: &str, what: &str, figure: &str, raw: &str, ratio: f64, goal: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!(
        "{id:<4} {what:<44} {figure:>18}  raw {raw:>20}  ratio {ratio:>6.2}x  goal {goal:<12} {verdict}"
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn request(name: String) -> NewClaim {
    NewClaim {
        payload: Payload {
            amount: Some(Money { minor: 45_000, currency: Currency::USD }),
            proposal: PROPOSAL.repeat(4),
            posting_url: Some(format!("https://jobs.example/{name}")),
            via: "dry-run".to_owned(),
            evaluation: None,
        },
        posting: PostingId::new("examplework", name).unwrap(),
        claimant: Claimant { holder: "bench:1:0123abcd".to_owned(), instance: None },
        ttl: TTL,
    }
}

async fn client(server: &PostgresServer) -> Client {
    let (client, connection) = connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn raw_claim(client: &Client, statement: &Statement, name: &str) {
    let (id, text, hash) = (Uuid::now_v7(), PROPOSAL.repeat(4), &[7_u8; 32][..]);
    assert_eq!(client.execute(statement, &[&id, &name, &text, &hash]).await.unwrap(), 1);
}

/// One claim after the other, beside the same rows by one prepared statement: what the way and the disk cost.
async fn round_trip(server: &PostgresServer, ledger: &PostgresLedger, count: usize) {
    let client = client(server).await;
    let statement = client.prepare(RAW_CLAIM).await.unwrap();
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for n in 0..count {
        let start = Instant::now();
        ledger.claim(&[request(format!("single-{n}"))]).await.unwrap();
        ours.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        raw_claim(&client, &statement, &format!("raw-single-{n}")).await;
        raw.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let (ours, raw) = (median(ours), median(raw));
    let ratio = ours / raw;
    let (figure, limit) = (format!("{ours:.0} us"), format!("{raw:.0} us"));
    report("P8", "claim of a bid, alone: one round trip", &figure, &limit, ratio, "<= 2x", ratio <= 2.0);
}

/// 64 tasks with one durable claim a call, against the same by prepared single statements, pipelined.
async fn claims(server: &PostgresServer, ledger: &Arc<PostgresLedger>, rounds: usize, length: Duration) {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let start = Instant::now();
        let tasks = (0..TASKS).map(|task| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                let mut claims = 0;
                while start.elapsed() < length {
                    let request = request(format!("job-{round}-{task}-{claims}"));
                    let outcome = ledger.claim(&[request]).await.unwrap().remove(0);
                    assert!(matches!(outcome, ClaimOutcome::Granted(_)));
                    claims += 1;
                }
                claims
            })
        });
        let total: usize = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
        ours.push(total as f64 / start.elapsed().as_secs_f64());
        raw.push(raw_claims(server, round, length).await);
    }
    let (ours, raw) = (median(ours), median(raw));
    let ratio = ours / raw;
    let (figure, limit) = (format!("{ours:.0} claims/s"), format!("{raw:.0} claims/s"));
    report("P8", "ledger claims, durable, 64 tasks", &figure, &limit, ratio, ">= 1x", ratio >= 1.0);
}

async fn raw_claims(server: &PostgresServer, round: usize, length: Duration) -> f64 {
    let clients = join_all((0..RAW_CONNECTIONS).map(|_| client(server))).await;
    let mut prepared = Vec::new();
    for client in clients {
        let statement = client.prepare(RAW_CLAIM).await.unwrap();
        prepared.push(Arc::new((client, statement)));
    }
    let start = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let connection = Arc::clone(&prepared[task % RAW_CONNECTIONS]);
        tokio::spawn(async move {
            let mut claims = 0;
            while start.elapsed() < length {
                raw_claim(&connection.0, &connection.1, &format!("raw-{round}-{task}-{claims}")).await;
                claims += 1;
            }
            claims
        })
    });
    let total: usize = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    total as f64 / start.elapsed().as_secs_f64()
}

/// A bid's usual way, claim, door, accepted, by 64 tasks: three durable steps each.
async fn moves(ledger: &Arc<PostgresLedger>, length: Duration) {
    let start = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let ledger = Arc::clone(ledger);
        tokio::spawn(async move {
            let mut bids = 0;
            while start.elapsed() < length {
                let outcome = ledger.claim(&[request(format!("way-{task}-{bids}"))]).await.unwrap().remove(0);
                let ClaimOutcome::Granted(claim) = outcome else { panic!("{outcome:?}") };
                let at = claim.bid.claim_ref();
                let door = Move::EnterSubmitting { ttl: TTL, cap: None };
                for action in [door, Move::Accept { external_ref: "remote-1".to_owned() }] {
                    let change = Change::new(at, Actor::scanner("bench"), action);
                    let answer = ledger.apply(&[change]).await.unwrap().remove(0);
                    assert!(matches!(answer, Applied::Moved { .. }));
                }
                bids += 1;
            }
            bids
        })
    });
    let total: usize = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    let figure = total as f64 / start.elapsed().as_secs_f64();
    println!(
        "     for comparison: {figure:.0} bids/s go the whole way (claim, door, accepted: three commits)"
    );
}

/// A scan of postings that all have a bid, asked of the ledger in batches.
async fn standing(server: &PostgresServer, ledger: &PostgresLedger, asked: usize) {
    const BIDS: usize = 20_000;
    let names: Vec<String> = (0..BIDS).map(|n| format!("settled-{n}")).collect();
    for part in names.chunks(MAX_BATCH) {
        ledger.claim(&part.iter().cloned().map(request).collect::<Vec<_>>()).await.unwrap();
    }
    server.sql("VACUUM ANALYZE bidlock.bids");
    let batches: Vec<Vec<PostingId>> = names
        .chunks(MAX_BATCH)
        .map(|part| part.iter().map(|name| PostingId::new("examplework", name.as_str()).unwrap()).collect())
        .collect();
    let (start, mut answers) = (Instant::now(), 0);
    while answers < asked {
        for batch in &batches {
            let standings = ledger.standing(batch).await.unwrap();
            assert!(standings.iter().all(|s| matches!(s, Standing::Busy(_))));
            answers += standings.len();
        }
    }
    let figure = answers as f64 / start.elapsed().as_secs_f64();
    let client = client(server).await;
    let query =
        "SELECT id, state FROM bidlock.bids WHERE marketplace = $1 AND posting = $2 AND NOT rebid_allowed";
    let statement = client.prepare(query).await.unwrap();
    let (start, mut count) = (Instant::now(), 0);
    for name in names.iter().take(5_000) {
        client.query_one(&statement, &[&"examplework", name]).await.unwrap();
        count += 1;
    }
    let raw = f64::from(count) / start.elapsed().as_secs_f64();
    let ratio = figure / raw;
    let (figure, limit) = (format!("{figure:.0} postings/s"), format!("{raw:.0} look-ups/s"));
    report("P11", "settled postings asked of the ledger", &figure, &limit, ratio, ">= 5x", ratio >= 5.0);
}

//! Several processes on one PostgreSQL ledger. The children are this test binary itself, started again with a variable
//! that names the database.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use bidlock_ledger::{
    Action, Actor, Applied, BidFilter, BidState, Change, ClaimId, ClaimOutcome, Claimant, LedgerStore,
    NewClaim, Page, PostgresLedger, chain,
    conformance::fixtures::{TTL, door, payload, posting},
};
use bidlock_testkit::{PostgresOptions, PostgresServer};
use uuid::Uuid;

const CHILD: &str = "BIDLOCK_LEDGER_TEST_CHILD";
const PROCESSES: usize = 6;
const POSTINGS: usize = 200;

fn start(test: &str, url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Tells the parent that this child is ready, and waits until all are.
fn wait_for_the_others() {
    println!("READY");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Starts the children, lets them go at once, and returns what each printed; each must succeed.
fn run_children(test: &str, url: &str) -> Vec<Vec<String>> {
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut child = start(test, url);
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            (child, lines)
        })
        .collect();
    for (_, lines) in &mut children {
        assert!(lines.by_ref().any(|line| line.unwrap().contains("READY")), "a child ended early");
    }
    for (child, _) in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    let mut printed = Vec::new();
    for (mut child, lines) in children {
        printed.push(lines.map(Result::unwrap).collect());
        assert!(child.wait().unwrap().success(), "{printed:?}");
    }
    printed
}

#[tokio::test]
async fn many_processes_open_an_empty_database_at_once() {
    if let Ok(url) = std::env::var(CHILD) {
        wait_for_the_others();
        let ledger = PostgresLedger::open(&url).await.unwrap();
        println!("LEDGER {}", ledger.ledger_id());
        return;
    }
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let printed = run_children("many_processes_open_an_empty_database_at_once", &server.url());
    let ids: Vec<_> = printed.iter().flatten().filter(|line| line.contains("LEDGER ")).collect();
    assert_eq!(ids.len(), PROCESSES, "{printed:?}");
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
}

/// Each process claims every posting and takes what it is granted through the door: one passage each.
#[tokio::test]
async fn of_many_processes_one_passes_the_door_per_posting() {
    if let Ok(url) = std::env::var(CHILD) {
        let ledger = PostgresLedger::open(&url).await.unwrap();
        wait_for_the_others();
        race(&ledger).await;
        return;
    }
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledger = PostgresLedger::open(&server.url()).await.unwrap();
    let printed = run_children("of_many_processes_one_passes_the_door_per_posting", &server.url());
    let mut sent: HashMap<String, u32> = HashMap::new();
    for line in printed.iter().flatten().filter_map(|line| line.split_once("SENT ")) {
        *sent.entry(line.1.to_owned()).or_default() += 1;
    }
    assert_eq!(sent.len(), POSTINGS);
    assert!(sent.values().all(|count| *count == 1), "{sent:?}");
    let bids = ledger.list(&BidFilter::default(), &Page { after: None, limit: 1_000 }).await.unwrap();
    assert_eq!(bids.len(), POSTINGS);
    for bid in bids {
        let events = ledger.history(bid.id).await.unwrap();
        chain::verify(&events, bid.events).unwrap();
        let passages = events.iter().filter(|e| e.action == Some(Action::EnterSubmitting)).count();
        assert_eq!((bid.state, passages), (BidState::Submitting, 1));
    }
}

async fn race(ledger: &PostgresLedger) {
    let claimant = Claimant { holder: format!("{}", std::process::id()), instance: None };
    // Each in an order of its own, so that all postings are fought for.
    let offset = std::process::id() as usize * 37;
    for n in 0..POSTINGS {
        let posting = posting(&((n + offset) % POSTINGS).to_string());
        let request = NewClaim {
            posting: posting.clone(),
            claimant: claimant.clone(),
            ttl: TTL,
            payload: payload("p"),
        };
        let outcome = ledger.claim(&[request]).await.unwrap().remove(0);
        // Whoever was told "existing" tries the door all the same, as a broken scanner would.
        let at = match outcome {
            ClaimOutcome::Granted(claim) => claim.bid.claim_ref(),
            ClaimOutcome::Existing(mut bid) => {
                bid.claim_id = ClaimId(Uuid::new_v4());
                bid.claim_ref()
            }
        };
        let change = Change::new(at, Actor::scanner(&claimant.holder), door());
        if let Applied::Moved { .. } = ledger.apply(&[change]).await.unwrap().remove(0) {
            println!("SENT {posting}");
        }
    }
}

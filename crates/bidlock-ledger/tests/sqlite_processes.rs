//! Several processes on one ledger. The children are this test binary itself, started again with a variable
//! that names the file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bidlock_ledger::{
    Action, Actor, Applied, BidFilter, BidState, Change, ClaimOutcome, Claimant, LedgerStore, Liveness,
    NewClaim, Page, SqliteLedger, chain,
    conformance::fixtures::{TTL, door, payload, posting, request},
};

const CHILD: &str = "BIDLOCK_LEDGER_TEST_CHILD";
const PROCESSES: usize = 8;
const POSTINGS: usize = 200;

fn start(test: &str, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_file() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Tells the parent that this child is ready, and waits until all are.
fn wait_for_the_others() {
    println!("READY");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Starts the children, lets them go at once, and returns what each printed; each must succeed.
fn run_children(test: &str, file: &Path) -> Vec<Vec<String>> {
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut child = start(test, file);
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
async fn eight_processes_open_an_empty_folder_at_once() {
    if let Some(file) = child_file() {
        wait_for_the_others();
        let ledger = SqliteLedger::open(file).unwrap();
        println!("LEDGER {}", ledger.ledger_id());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data").join("ledger.db");
    let printed = run_children("eight_processes_open_an_empty_folder_at_once", &file);
    let ids: Vec<_> = printed.iter().flatten().filter(|line| line.contains("LEDGER ")).collect();
    assert_eq!(ids.len(), PROCESSES, "{printed:?}");
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
}

/// Each process claims every posting and takes what it is granted through the door: one passage each.
#[tokio::test]
async fn of_eight_processes_one_passes_the_door_per_posting() {
    if let Some(file) = child_file() {
        let ledger = SqliteLedger::open(file).unwrap();
        wait_for_the_others();
        race(&ledger).await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.db");
    let ledger = SqliteLedger::open(&file).unwrap();
    let printed = run_children("of_eight_processes_one_passes_the_door_per_posting", &file);
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

async fn race(ledger: &SqliteLedger) {
    let claimant = Claimant { holder: format!("{}", std::process::id()), instance: Some(ledger.instance()) };
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
                bid.claim_id = bidlock_ledger::ClaimId(ledger.instance());
                bid.claim_ref()
            }
        };
        let change = Change::new(at, Actor::scanner(&claimant.holder), door());
        if let Applied::Moved { .. } = ledger.apply(&[change]).await.unwrap().remove(0) {
            println!("SENT {posting}");
        }
    }
}

/// What a process wrote before it was killed is there, and its death is proven.
#[tokio::test]
async fn a_killed_process_is_proven_gone_and_its_passage_stays() {
    if let Some(file) = child_file() {
        let ledger = SqliteLedger::open(file).unwrap();
        let mut wanted = request(&posting("1"), "victim");
        wanted.claimant.instance = Some(ledger.instance());
        let ClaimOutcome::Granted(claim) = ledger.claim(&[wanted]).await.unwrap().remove(0) else { panic!() };
        let change = Change::new(claim.bid.claim_ref(), Actor::scanner("victim"), door());
        ledger.apply(&[change]).await.unwrap();
        wait_for_the_others();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.db");
    let ledger = SqliteLedger::open(&file).unwrap();
    let mut child = start("a_killed_process_is_proven_gone_and_its_passage_stays", &file);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("READY")));
    let bids = ledger.list(&BidFilter::default(), &Page::default()).await.unwrap();
    assert_eq!((bids.len(), bids[0].state), (1, BidState::Submitting));
    assert_eq!(ledger.liveness(&bids[0].claimant).await.unwrap(), Liveness::Alive);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ledger.liveness(&bids[0].claimant).await.unwrap(), Liveness::Gone);
    assert_eq!(ledger.bid(bids[0].id).await.unwrap().unwrap().state, BidState::Submitting);
}

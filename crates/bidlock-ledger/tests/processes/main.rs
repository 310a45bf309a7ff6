//! Several processes on one ledger. The children are this test binary itself, started again with a variable that names the
//! place of the ledger.
#![cfg(any(feature = "postgres", feature = "sqlite"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use bidlock_ledger::{
    Action, Actor, Applied, BidFilter, BidState, Change, ClaimId, ClaimOutcome, Claimant, LedgerStore,
    NewClaim, Page, chain,
    conformance::fixtures::{TTL, door, payload, posting},
};
use uuid::Uuid;

const CHILD: &str = "BIDLOCK_LEDGER_TEST_CHILD";
const PROCESSES: usize = 8;
const POSTINGS: usize = 200;

/// In a child: where the ledger is.
fn place() -> Option<OsString> {
    std::env::var_os(CHILD)
}

/// Tells the parent that this child is ready, and waits until all are.
fn wait_for_the_others() {
    println!("READY");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Starts this test in a child, and waits until it is ready.
fn start(test: &str, place: &OsStr) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, place);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("READY")), "a child ended early");
    (child, lines)
}

/// Starts the children, lets them go at once, and returns what each printed; each must succeed.
fn run_children(test: &str, place: &OsStr) -> Vec<Vec<String>> {
    let mut children: Vec<_> = (0..PROCESSES).map(|_| start(test, place)).collect();
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

/// All children opened the same ledger.
fn check_one_ledger(printed: &[Vec<String>]) {
    let ids: Vec<_> = printed.iter().flatten().filter(|line| line.contains("LEDGER ")).collect();
    assert_eq!(ids.len(), PROCESSES, "{printed:?}");
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
}

/// Claims every posting and takes what is granted through the door; prints what may be sent.
async fn race(ledger: &dyn LedgerStore) {
    let claimant = Claimant { holder: format!("{}", std::process::id()), instance: ledger.instance() };
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

/// One child passed the door for each posting, and the ledger says so too.
async fn check_one_passage_each(ledger: &dyn LedgerStore, printed: &[Vec<String>]) {
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

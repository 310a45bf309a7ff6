//! On a file.

use bidlock_ledger::{Liveness, SqliteLedger, conformance::fixtures::request};

use super::*;

#[tokio::test]
async fn processes_open_an_empty_folder_at_once() {
    if let Some(file) = place() {
        wait_for_the_others();
        println!("LEDGER {}", SqliteLedger::open(file).unwrap().ledger_id());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data").join("ledger.db");
    check_one_ledger(&run_children("sqlite::processes_open_an_empty_folder_at_once", file.as_os_str()));
}

#[tokio::test]
async fn one_process_passes_the_door_per_posting() {
    if let Some(file) = place() {
        let ledger = SqliteLedger::open(file).unwrap();
        wait_for_the_others();
        race(&ledger).await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.db");
    let ledger = SqliteLedger::open(&file).unwrap();
    let printed = run_children("sqlite::one_process_passes_the_door_per_posting", file.as_os_str());
    check_one_passage_each(&ledger, &printed).await;
}

/// What a process wrote before it was killed is there, and its death is proven.
#[tokio::test]
async fn a_killed_process_is_proven_gone_and_its_passage_stays() {
    if let Some(file) = place() {
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
    let test = "sqlite::a_killed_process_is_proven_gone_and_its_passage_stays";
    let (mut child, _lines) = start(test, file.as_os_str());
    let bids = ledger.list(&BidFilter::default(), &Page::default()).await.unwrap();
    assert_eq!((bids.len(), bids[0].state), (1, BidState::Submitting));
    assert_eq!(ledger.liveness(&bids[0].claimant).await.unwrap(), Liveness::Alive);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ledger.liveness(&bids[0].claimant).await.unwrap(), Liveness::Gone);
    assert_eq!(ledger.bid(bids[0].id).await.unwrap().unwrap().state, BidState::Submitting);
}

//! Transactions that meet another one, each step in its place: a session of the test's own is the other one.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use bidlock_ledger::{
    Actor, Applied, Bid, BidState, Change, LedgerStore, Move, NotMoved, PostgresLedger, chain,
    conformance::fixtures::{
        attempt, bid_in, door, find, granted, lose_answer, posting, read, request, walk,
    },
};
use bidlock_postgres::tokio_postgres::{Client, NoTls, connect};
use bidlock_testkit::{PostgresOptions, PostgresServer};

async fn open(server: &PostgresServer) -> PostgresLedger {
    PostgresLedger::open(&server.url()).await.unwrap()
}

async fn other(server: &PostgresServer) -> Client {
    let (client, connection) = connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn verified(ledger: &PostgresLedger, bid: &Bid) -> Bid {
    let row = read(ledger, bid).await;
    chain::verify(&ledger.history(bid.id).await.unwrap(), row.events).unwrap();
    row
}

/// Two transactions that want two rows crosswise: the server ends ours, and it is run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_victim_of_a_deadlock_is_run_again() {
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledger = open(&server).await;
    let mut bids = Vec::new();
    for name in ["1", "2"] {
        bids.push(granted(&ledger, &posting(name), "here").await.bid);
    }
    // The ledger locks rows in the order of their ids.
    bids.sort_by_key(|bid| bid.id);
    let client = other(&server).await;
    // The other one never looks for deadlocks, so that the victim is ours.
    client.batch_execute("SET deadlock_timeout = '1h'; BEGIN").await.unwrap();
    let lock = |bid: &Bid| format!("SELECT 1 FROM bidlock.bids WHERE id = '{}' FOR UPDATE", bid.id);
    client.batch_execute(&lock(&bids[1])).await.unwrap();
    let changes: Vec<Change> =
        bids.iter().map(|bid| Change::new(bid.claim_ref(), Actor::scanner("here"), door())).collect();
    let sending = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.apply(&changes).await }
    });
    server.wait_for_waiting(1);
    // Granted as soon as our transaction has been undone; meanwhile it may not come by both rows again.
    client.batch_execute(&lock(&bids[0])).await.unwrap();
    client.batch_execute("COMMIT").await.unwrap();
    let moved = sending.await.unwrap().unwrap();
    assert!(moved.iter().all(|m| matches!(m, Applied::Moved { .. })), "{moved:?}");
    assert!(server.log().contains("deadlock detected"), "{}", server.log());
    for bid in &bids {
        assert_eq!(verified(&ledger, bid).await.attempts, 1);
    }
}

/// A later bid of the posting appears while an earlier one is reopened: the run that could not see it is repeated, and
/// the alarm is raised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_could_not_be_seen_is_seen_by_the_next_run() {
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledger = open(&server).await;
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    let free = Move::ResolveNotSubmitted { allow_new_bid: true };
    let bid = walk(&ledger, bid, vec![door(), lose_answer(), free]).await;
    assert!(bid.rebid_allowed);
    let client = other(&server).await;
    client
        .batch_execute(
            "BEGIN; CREATE TEMP TABLE later AS SELECT * FROM bidlock.bids;
             UPDATE later SET id = gen_random_uuid(), claim_id = gen_random_uuid(), epoch = epoch + 1,
                 rebid_allowed = FALSE, state = 'submitted', external_ref = 'remote-2';
             INSERT INTO bidlock.bids SELECT * FROM later",
        )
        .await
        .unwrap();
    let finding = tokio::spawn({
        let (ledger, at) = (ledger.clone(), bid.claim_ref());
        async move { attempt(&ledger, at, find("remote-1")).await }
    });
    server.wait_for_waiting(1);
    client.batch_execute("COMMIT").await.unwrap();
    let found = finding.await.unwrap();
    let Applied::Moved { bid, alarm: Some(alarm) } = found else { panic!("{found:?}") };
    assert!(bid.rebid_allowed && alarm.starts_with("duplicate"), "{alarm}");
    assert_eq!(verified(&ledger, &bid).await.state, BidState::Submitted);
}

/// Two further attempts of one claim at the same moment: one after the other, each with the hash of the one before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_meet_on_one_bid_follow_each_other() {
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledgers = [open(&server).await, open(&server).await];
    let bid = bid_in(&ledgers[0], &posting("1"), BidState::Submitting).await;
    let client = other(&server).await;
    client.batch_execute("BEGIN; SELECT 1 FROM bidlock.bids FOR UPDATE").await.unwrap();
    let attempts = ledgers.clone().map(|ledger| {
        let at = bid.claim_ref();
        tokio::spawn(async move { attempt(&ledger, at, door()).await })
    });
    server.wait_for_waiting(ledgers.len());
    client.batch_execute("COMMIT").await.unwrap();
    for attempt in attempts {
        let answer = attempt.await.unwrap();
        assert!(matches!(answer, Applied::Moved { .. }), "{answer:?}");
    }
    assert_eq!(verified(&ledgers[0], &bid).await.attempts, 3);
}

/// The event can't be written: then the row has not moved either.
#[tokio::test]
async fn no_row_moves_without_its_event() {
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledger = open(&server).await;
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    server.sql("ALTER TABLE bidlock.events ADD CONSTRAINT none CHECK (seq < 2)");
    let change = || Change::new(bid.claim_ref(), Actor::scanner("here"), door());
    assert!(ledger.apply(&[change()]).await.is_err());
    let row = verified(&ledger, &bid).await;
    assert_eq!((row.state, row.attempts, row.events), (BidState::Claimed, 0, 1));

    server.sql("ALTER TABLE bidlock.events ADD CONSTRAINT nothing CHECK (seq < 1) NOT VALID");
    assert!(ledger.claim(&[request(&posting("2"), "here")]).await.is_err());
    assert_eq!(server.sql("SELECT count(*) FROM bidlock.bids"), "1");

    server.sql("ALTER TABLE bidlock.events DROP CONSTRAINT none, DROP CONSTRAINT nothing");
    assert!(matches!(&ledger.apply(&[change()]).await.unwrap()[..], [Applied::Moved { .. }]));
    assert_eq!(verified(&ledger, &bid).await.attempts, 1);
    bid_in(&ledger, &posting("2"), BidState::Submitted).await;
}

/// The changes of one call are all made, or none: also those of one bid, and what a change brings with it.
#[tokio::test]
async fn a_call_is_all_or_nothing() {
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledger = open(&server).await;
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    let change = |action| Change::new(bid.claim_ref(), Actor::scanner("here"), action);
    let both = [change(door()), change(Move::Accept { external_ref: "remote-1".to_owned() })];
    server.sql("ALTER TABLE bidlock.events ADD CONSTRAINT no_third CHECK (seq < 3)");
    assert!(ledger.apply(&both).await.is_err());
    let row = verified(&ledger, &bid).await;
    assert_eq!((row.state, row.attempts, row.events), (BidState::Claimed, 0, 1));
    server.sql("ALTER TABLE bidlock.events DROP CONSTRAINT no_third");

    // A bid that turns out to be the marketplace's, beside a later one that has to be declined for it.
    let free = Move::ResolveNotSubmitted { allow_new_bid: true };
    let first = walk(&ledger, bid, vec![door(), lose_answer(), free]).await;
    let later = granted(&ledger, &posting("1"), "there").await.bid;
    server.sql("ALTER TABLE bidlock.events ADD CONSTRAINT no_decline CHECK (to_state <> 'declined')");
    let finding = || [Change::new(first.claim_ref(), Actor::scanner("here"), find("remote-1"))];
    assert!(ledger.apply(&finding()).await.is_err());
    assert_eq!(verified(&ledger, &first).await.state, BidState::NotSubmitted);
    assert_eq!(verified(&ledger, &later).await.state, BidState::Claimed);

    // And before another change, which can't be made.
    server.sql(
        "ALTER TABLE bidlock.events DROP CONSTRAINT no_decline;
         ALTER TABLE bidlock.events ADD CONSTRAINT no_withdrawal CHECK (to_state <> 'withdrawing')",
    );
    let withdrawing = Change::new(first.claim_ref(), Actor::scanner("here"), Move::Withdraw);
    assert!(ledger.apply(&[finding(), [withdrawing]].concat()).await.is_err());
    assert_eq!(verified(&ledger, &first).await.state, BidState::NotSubmitted);
    assert_eq!(verified(&ledger, &later).await.state, BidState::Claimed);

    server.sql("ALTER TABLE bidlock.events DROP CONSTRAINT no_withdrawal");
    assert!(matches!(&ledger.apply(&finding()).await.unwrap()[..], [Applied::Moved { alarm: Some(_), .. }]));
    assert_eq!(verified(&ledger, &first).await.state, BidState::Submitted);
    assert_eq!(verified(&ledger, &later).await.state, BidState::Declined);
}

/// While one of a posting's bids is given its name at the marketplace, the others wait: two never have one name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn siblings_are_named_one_after_the_other() {
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let ledger = open(&server).await;
    let first = granted(&ledger, &posting("1"), "here").await.bid;
    let free = Move::ResolveNotSubmitted { allow_new_bid: true };
    let first = walk(&ledger, first, vec![door(), lose_answer(), free]).await;
    let second = bid_in(&ledger, &posting("1"), BidState::Submitting).await;
    let client = other(&server).await;
    let name = "UPDATE bidlock.bids SET state = 'submitted', external_ref = 'remote-1'";
    client.batch_execute(&format!("BEGIN; {name} WHERE id = '{}'", second.id)).await.unwrap();
    let finding = tokio::spawn({
        let (ledger, at) = (ledger.clone(), first.claim_ref());
        async move { attempt(&ledger, at, find("remote-1")).await }
    });
    server.wait_for_waiting(1);
    client.batch_execute("COMMIT").await.unwrap();
    let found = finding.await.unwrap();
    let Applied::Not(NotMoved::WrongState(named)) = found else { panic!("{found:?}") };
    assert_eq!(named.id, second.id);
    assert_eq!(verified(&ledger, &first).await.state, BidState::NotSubmitted);
}

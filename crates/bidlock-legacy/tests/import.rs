//! The old table into a ledger, on SQLite and PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by them")]

mod old;

use std::collections::BTreeMap;

use bidlock_ledger::{Action, BidState, ClaimOutcome, UnknownCause, WallTime, chain};
use bidlock_legacy::{Importer, import::MAX_LISTED};

use old::{Old, actor, bids, posting, request};

const EVERY: [(&str, BidState); 11] = [
    ("SUBMITTED", BidState::Submitted),
    ("ACTIVE", BidState::Submitted),
    ("WON", BidState::Won),
    ("LOST", BidState::Lost),
    ("REJECTED", BidState::Rejected),
    ("WITHDRAWN", BidState::Withdrawn),
    ("PENDING", BidState::Unknown),
    ("APPROVED", BidState::Unknown),
    ("DUPLICATE", BidState::Unknown),
    ("pending", BidState::Unknown),
    ("Odd", BidState::Unknown),
];

/// A PENDING above all: it may have been sent, so it is no claim that somebody could take over.
#[tokio::test]
async fn no_posting_of_the_old_table_is_ever_claimed() {
    for old in Old::each() {
        for (at, (status, _)) in EVERY.iter().enumerate() {
            old.add("Example", &format!("job-{at}"), status);
        }
        let ledger = old.ledger();
        let report = old.import(&ledger).await;
        assert_eq!((report.read, report.postings, report.already_there), (11, 11, 0));
        let counts: BTreeMap<BidState, u64> = report.imported;
        assert_eq!(counts[&BidState::Unknown], 5);
        for (at, (status, state)) in EVERY.iter().enumerate() {
            let posting = posting("example", &format!("job-{at}"));
            let answer = ledger.claim(&[request(&posting)]).await.unwrap().remove(0);
            let ClaimOutcome::Existing(bid) = answer else {
                panic!("{status} could be bid on again: {answer:?}")
            };
            assert_eq!((bid.state, bid.rebid_allowed), (*state, false), "{status}");
            assert_eq!(bid.unknown_cause, (*state == BidState::Unknown).then_some(UnknownCause::Legacy));
            assert_eq!(bid.last_sent_at, Some(WallTime(1_767_323_045_000)), "caps and look-ups go by it");
            assert_eq!(bid.payload.proposal, "An old proposal");
            let history = ledger.history(bid.id).await.unwrap();
            chain::verify(&history, bid.events).unwrap();
            assert_eq!(history[0].action, Some(Action::Import));
            assert_eq!(history[0].actor, "operator:mara");
            let row = &history[0].detail["legacy"]["row"];
            assert_eq!((&row["status"], &row["bid_amount"]), (&(*status).into(), &row["bid_amount"]));
            assert!(row["bid_amount"].as_str().unwrap().starts_with("125.5"), "{row}");
        }
        ledger.sweep(100).await.unwrap();
        assert!(bids(&ledger).await.iter().all(|bid| bid.state != BidState::Abandoned));
    }
}

#[tokio::test]
async fn a_second_import_finds_everything_there_and_brings_up_what_has_moved_on() {
    for old in Old::each() {
        for id in ["a", "b", "c", "d", "e"] {
            old.add("example", id, "PENDING");
        }
        let ledger = old.ledger();
        old.import(&ledger).await;
        let before = bids(&ledger).await;
        let again = old.import(&ledger).await;
        assert_eq!((again.already_there, again.imported.len(), again.brought_up), (5, 0, 0));
        assert_eq!(bids(&ledger).await, before);
        for (id, status) in [("a", "SUBMITTED"), ("b", "WON"), ("c", "REJECTED"), ("d", "WITHDRAWN")] {
            old.sql(&format!("UPDATE bids SET status = '{status}' WHERE job_id = '{id}'"));
        }
        let later = old.import(&ledger).await;
        assert_eq!((later.already_there, later.brought_up), (1, 4));
        let states: Vec<BidState> = bids(&ledger).await.iter().map(|bid| bid.state).collect();
        use BidState::*;
        assert_eq!(states, [Submitted, Won, Rejected, Withdrawn, Unknown]);
        for bid in bids(&ledger).await {
            chain::verify(&ledger.history(bid.id).await.unwrap(), bid.events).unwrap();
        }
    }
}

/// Rows under several spellings and statuses are one bid: the strongest speaks, the others stand in its event.
#[tokio::test]
async fn several_rows_of_one_posting_become_one_bid_and_duplicates_are_listed() {
    for old in Old::each() {
        old.add("Upwork", "~021900000000000000017", "PENDING");
        old.add("upwork", "1900000000000000017", "SUBMITTED");
        old.add("upwork", "1900000000000000017", "WITHDRAWN");
        old.add("upwork", "https://www.upwork.com/jobs/A-job_~021900000000000000017/", "DUPLICATE");
        old.add("upwork", "1900000000000000025", "WON");
        let ledger = old.ledger();
        let report = old.import(&ledger).await;
        assert_eq!((report.read, report.postings), (5, 2));
        assert_eq!(report.duplicates.len(), 1, "{:?}", report.duplicates);
        let duplicate = &report.duplicates[0];
        assert_eq!(
            (duplicate.posting.as_str(), duplicate.state),
            ("1900000000000000017", BidState::Submitted)
        );
        assert_eq!(
            duplicate.rows,
            [
                ("1900000000000000017".to_owned(), "SUBMITTED".to_owned()),
                ("~021900000000000000017".to_owned(), "PENDING".to_owned())
            ]
        );
        let bid = bids(&ledger).await.into_iter().find(|b| b.posting.posting().ends_with("17")).unwrap();
        let history = ledger.history(bid.id).await.unwrap();
        assert_eq!(history[0].detail["legacy"]["others"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn rows_whose_ids_cant_be_one_are_listed() {
    for old in Old::each() {
        for id in ["undefined", "~0219000000", ""] {
            old.add("upwork", id, "SUBMITTED");
        }
        let ledger = old.ledger();
        let report = old.import(&ledger).await;
        assert_eq!((report.read, report.postings), (3, 0));
        let listed: Vec<&str> = report.unusable.iter().map(|row| row.job_id.as_str()).collect();
        assert_eq!(listed, ["undefined", "~0219000000", ""]);
        assert!(report.unusable.iter().all(|row| !row.cause.is_empty()));
        assert!(bids(&ledger).await.is_empty());
    }
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    for old in Old::each() {
        old.add("example", "a", "SUBMITTED");
        old.add("example", "b", "PENDING");
        let ledger = old.ledger();
        let dry = Importer::new(old.open().await, Some(ledger.clone()), true, 0).run().await.unwrap();
        assert!(bids(&ledger).await.is_empty());
        let without = Importer::new(old.open().await, None, true, 0).run().await.unwrap();
        let done = old.import(&ledger).await;
        assert_eq!((&dry.imported, &without.imported), (&done.imported, &done.imported));
        let dry = Importer::new(old.open().await, Some(ledger.clone()), true, 0).run().await.unwrap();
        assert_eq!((dry.imported.len(), dry.already_there), (0, 2));
    }
}

/// A claim, or what is left of one, that our scanners could still send: not after the import.
#[tokio::test]
async fn an_import_shuts_what_our_scanners_could_still_send() {
    for old in Old::each() {
        let ledger = old.ledger();
        let posting = posting("example", "a");
        let ClaimOutcome::Granted(claim) = ledger.claim(&[request(&posting)]).await.unwrap().remove(0) else {
            panic!("the ledger was empty")
        };
        old.add("example", "a", "SUBMITTED");
        let report = old.import(&ledger).await;
        assert_eq!((report.shut, report.imported.len()), (1, 0));
        let row = ledger.bid(claim.bid.id).await.unwrap().unwrap();
        assert_eq!((row.state, row.unknown_cause), (BidState::Unknown, Some(UnknownCause::Legacy)));
    }
}

/// Columns that are missing are no fault but for three; those are named. Types may be any.
#[tokio::test]
async fn only_three_columns_are_demanded_and_missing_ones_are_named() {
    let old = Old::sqlite();
    old.sql("CREATE TABLE bids (marketplace TEXT, job_id INTEGER, status TEXT)");
    old.sql("INSERT INTO bids VALUES ('remoteok', 1000017, 'submitted')");
    let ledger = old.ledger();
    assert_eq!(old.import(&ledger).await.imported[&BidState::Submitted], 1);
    let poor = Old::sqlite();
    poor.sql("CREATE TABLE bids (marketplace TEXT, id TEXT)");
    let error = bidlock_legacy::LegacyDatabase::open(&poor.place(), actor()).await.unwrap_err();
    assert!(error.to_string().contains("lacks job_id, status"), "{error}");
    let empty = Old::sqlite();
    let error = bidlock_legacy::LegacyDatabase::open(&empty.place(), actor()).await.unwrap_err();
    assert!(error.to_string().contains("no table `bids`"), "{error}");
    if let Some(old) = Old::postgres() {
        old.sql("CREATE TYPE word AS ENUM ('pending', 'submitted', 'won')");
        old.sql("CREATE TABLE bids (marketplace TEXT, job_id BIGINT, status word, created_at BIGINT)");
        old.sql("INSERT INTO bids VALUES ('remoteok', 1000017, 'won', 1767323045)");
        let ledger = old.ledger();
        assert_eq!(old.import(&ledger).await.imported[&BidState::Won], 1);
        assert_eq!(bids(&ledger).await[0].last_sent_at, Some(WallTime(1_767_323_045_000)));
    }
}

#[tokio::test]
async fn old_locks_are_counted() {
    for old in Old::each() {
        assert_eq!(old.import(&old.ledger()).await.old_locks, None);
        old.sql("CREATE TABLE distributed_locks (lock_key TEXT, holder TEXT, expires_at TEXT)");
        old.sql("INSERT INTO distributed_locks VALUES ('a', 'x', '1969-01-01 00:00:00'), ('b', 'x', '2096-01-01 00:00:00')");
        let locks = old.import(&old.ledger()).await.old_locks.unwrap();
        assert_eq!((locks.rows, locks.running), (2, 1));
    }
}

/// A posting on which both have bid is told; one that only they, or only we, could still send is not.
#[tokio::test]
async fn postings_with_a_live_row_and_a_sent_bid_of_ours_are_told() {
    use bidlock_ledger::{Actor, Change, ClaimOutcome, Move};
    for old in Old::each() {
        let ledger = old.ledger();
        for (id, sent) in [("both", true), ("over", true), ("claimed", false)] {
            let request = request(&posting("example", id));
            let ClaimOutcome::Granted(claim) = ledger.claim(&[request]).await.unwrap().remove(0) else {
                panic!("it was free")
            };
            if sent {
                let ttl = std::time::Duration::from_secs(60);
                let door = Move::EnterSubmitting { ttl, cap: None };
                for action in [door, Move::Accept { external_ref: "theirs".to_owned() }] {
                    let change = Change::new(claim.bid.claim_ref(), Actor::scanner("here"), action);
                    ledger.apply(&[change]).await.unwrap();
                }
            }
        }
        for (id, status) in
            [("both", "PENDING"), ("over", "REJECTED"), ("claimed", "PENDING"), ("theirs", "WON")]
        {
            old.add("example", id, status);
        }
        let from = old.open().await;
        let dry = Importer::new(from, Some(ledger.clone()), true, 0).run().await.unwrap();
        let report = old.import(&ledger).await;
        for report in [dry, report, old.import(&ledger).await] {
            assert_eq!((report.bid_on_by_both, &report.named[..]), (1, &["example/both".to_owned()][..]));
        }
    }
}

/// What should not be is counted, and listed up to a limit.
#[tokio::test]
async fn a_table_full_of_rows_that_cant_be_imported_is_not_held_in_memory() {
    let old = Old::sqlite();
    old.sql("CREATE TABLE bids (marketplace TEXT, job_id TEXT, status TEXT)");
    old.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO bids SELECT 'example', 'undefined', 'WON' FROM n",
        MAX_LISTED + 5
    ));
    let report = old.import(&old.ledger()).await;
    assert_eq!((report.unusable_rows, report.unusable.len()), (MAX_LISTED as u64 + 5, MAX_LISTED));
}

//! The life of a bid by the command line: approved, sent, withdrawn, and its history checked.

use std::path::{Path, PathBuf};

use crate::kit::{Ended, Stage};

async fn stage(modes: &str) -> (Stage, PathBuf) {
    let stage = Stage::new(modes).await;
    let feed = stage.home.path().join("feed.jsonl");
    let rows = ["one", "two", "three"].map(|id| format!("{{\"id\":\"{id}\",\"title\":\"Task {id}\"}}\n"));
    std::fs::write(&feed, rows.concat()).unwrap();
    (stage, feed)
}

fn scan(stage: &Stage, feed: &Path, more: &[&str]) -> Ended {
    let mut command = stage.scan(feed, &["--marketplace", "test"]);
    command.args(more);
    stage.run(command)
}

fn bidlock(stage: &Stage, words: &[&str]) -> Ended {
    stage.run(stage.command(words))
}

fn state(stage: &Stage, posting: &str) -> String {
    let rows = stage.rows();
    rows.into_iter().find(|r| r.posting == posting).unwrap().state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_approves_and_the_next_scan_sends() {
    let (stage, feed) = stage("").await;
    let lines = scan(&stage, &feed, &["--approve"]).code(0).lines();
    assert_eq!((lines.count("awaiting_approval"), stage.report().submissions), (3, 0));
    let list = bidlock(&stage, &["bid", "list", "--state", "awaiting_approval", "--json"]).code(0).json();
    assert_eq!(list["bids"].as_array().unwrap().len(), 3);
    bidlock(&stage, &["bid", "approve", "test/one"]).code(0);
    bidlock(&stage, &["bid", "decline", "test/three", "--reason", "too far away"]).code(0);
    // Whatever the next scan's own policy is, and though its feed shows none of them.
    let other = stage.home.path().join("other.jsonl");
    std::fs::write(&other, "{\"id\":\"four\",\"title\":\"Task four\"}\n").unwrap();
    let ended = scan(&stage, &other, &["--approve"]).code(0);
    assert_eq!(ended.lines().count("approved_sent"), 1);
    assert_eq!(stage.report().submissions, 1);
    let states = ["one", "two", "three", "four"].map(|id| state(&stage, id));
    assert_eq!(states, ["submitted", "awaiting_approval", "declined", "awaiting_approval"]);
    // What was declined stays so, also without the policy; what awaits a person goes on awaiting.
    let lines = scan(&stage, &feed, &[]).code(0).lines();
    assert_eq!((lines.count("already_bid"), stage.report().submissions), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_bid_stays_used_unless_the_owner_allows_another() {
    let (stage, feed) = stage("").await;
    scan(&stage, &feed, &[]).code(0);
    let words = ["bid", "withdraw", "test/one", "--reason", "the brief changed", "--event-id", "e1"];
    bidlock(&stage, &words).code(0);
    bidlock(&stage, &words).code(0);
    assert_eq!((state(&stage, "one").as_str(), stage.report().withdrawn), ("withdrawn", 1));
    scan(&stage, &feed, &[]).code(0);
    assert_eq!(stage.report().submissions, 3, "withdrawn, and still used");

    let mut allowed = stage.command(&["bid", "withdraw", "test/two", "--reason", "mistake"]);
    allowed.env("BIDLOCK_WITHDRAWAL__ALLOW_REBID", "true");
    stage.run(allowed).code(0);
    assert_eq!(scan(&stage, &feed, &[]).code(0).lines().count("submitted"), 1);
    let report = stage.report();
    assert_eq!((report.submissions, report.duplicates, report.accepted_after_withdrawal), (4, 0, 1));
    assert_eq!(report.keys_seen_again, 0, "another bid has another key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_line_of_a_history_ends_with_seven() {
    let (stage, feed) = stage("").await;
    scan(&stage, &feed, &[]).code(0);
    for posting in ["test/one", "test/two", "test/three"] {
        bidlock(&stage, &["bid", "history", posting]).code(0);
    }
    let tamper = |sql: &str| {
        let conn = rusqlite::Connection::open(stage.ledger()).unwrap();
        assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
    };
    let of = |posting: &str| format!("bid = (SELECT id FROM bids WHERE posting = '{posting}')");
    tamper(&format!("UPDATE events SET actor = 'nobody' WHERE seq = 2 AND {}", of("one")));
    tamper(&format!("DELETE FROM events WHERE seq = 3 AND {}", of("two")));
    for posting in ["test/one", "test/two"] {
        let ended = bidlock(&stage, &["bid", "history", posting]).code(7);
        assert!(ended.err.contains("error"), "{}", ended.err);
    }
    bidlock(&stage, &["bid", "history", "test/three"]).code(0);
}

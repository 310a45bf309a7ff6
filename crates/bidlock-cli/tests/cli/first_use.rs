//! What a person meets first: nothing is made by looking, time alone has decided something, a bid that the
//! marketplace can't be asked about, and files that are not what they should be.

use bidlock_ledger::BidState;
use serde_json::json;

use crate::kit::{Desk, VIA};

/// Every file and folder under the home but the working folder.
fn made(desk: &Desk) -> Vec<std::path::PathBuf> {
    let home = desk.work().parent().unwrap().to_owned();
    let mut found: Vec<_> = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| *path != desk.work());
    found.extend(std::fs::read_dir(desk.work()).unwrap().map(|entry| entry.unwrap().path()));
    found
}

#[test]
fn looking_makes_no_file() {
    let desk = Desk::new();
    for words in ["reconcile", "reconcile --dry-run", "reconcile --database mistyped.db"] {
        desk.run(words).refused(5, &["there is no ledger at"]);
    }
    for words in ["lock list", "lock show market 1", "lock list --locks mistyped.db"] {
        desk.run(words).code(0).says(&["there are no locks at"]);
    }
    assert_eq!(desk.run("lock list --json").code(0).json(), json!({ "locks": [] }));
    assert_eq!(desk.run("lock show market 1 --json").code(0).json()["held"], json!(null));
    assert!(made(&desk).is_empty(), "a mistyped path stays what it is: {:?}", made(&desk));
}

#[test]
fn a_new_ledger_is_told_once() {
    let desk = Desk::new();
    let told = "made a new ledger at";
    let path = desk.ledger().display().to_string();
    assert!(!desk.run("migrate up --dry-run").code(0).err.contains(told));
    desk.run("migrate up").code(0).says(&[told, &path]);
    assert!(!desk.run("migrate up").code(0).err.contains(told));
    desk.file("feed.json", r#"[{"id": "1", "title": "A parser", "url": "https://jobs.example/1"}]"#);
    let scan = "scan feed.json --marketplace example --submit http://127.0.0.1:9 --wait 0s --database new.db";
    let done = desk.run(scan).says(&[told, "new.db"]);
    assert_eq!(done.err.matches(told).count(), 1, "{done:?}");
    let again = desk.run(scan);
    assert!(!again.err.contains(told), "{again:?}");
}

/// Brings the end of every approval into the past.
fn expire_approvals(desk: &Desk) {
    let file = rusqlite::Connection::open(desk.ledger()).unwrap();
    let changed = file
        .execute("UPDATE bids SET approved_until_ms = 1 WHERE approved_until_ms IS NOT NULL", [])
        .unwrap();
    assert_eq!(changed, 1);
}

#[test]
fn an_approval_that_has_run_out_is_shown_as_such_and_given_again() {
    let desk = Desk::new();
    desk.seed("one", BidState::AwaitingApproval, VIA);
    desk.run("bid approve market/one").code(0);
    expire_approvals(&desk);
    assert_eq!(desk.run("bid show market/one --json").code(0).json()["state"], "awaiting_approval");
    desk.run("bid approve market/one").code(0).prints(&["is approved for 24h"]);
    expire_approvals(&desk);
    // Without a look in between.
    desk.run("bid approve market/one").code(0).prints(&["is approved for 24h"]);
    assert_eq!(desk.run("bid show market/one --json").code(0).json()["state"], "approved");
}

#[test]
fn a_bid_that_the_marketplace_cannot_be_asked_about_is_withdrawn_by_hand() {
    let desk = Desk::new();
    desk.seed("one", BidState::Unknown, VIA);
    desk.run("bid resolve market/one --as submitted --reason seen").code(0);
    let events = || desk.run("bid history market/one --json").code(0).json()["events"].clone();
    let before = events();
    desk.run("bid withdraw market/one --reason r").refused(2, &["its id there is not known", "--by-hand"]);
    assert_eq!(events(), before, "refused before anything is recorded");
    desk.call("bid withdraw market/one --by-hand --reason")
        .arg("done on the site")
        .run()
        .code(0)
        .prints(&["is withdrawn, by hand", "stays used"]);
    let after = events();
    let last_two = &after.as_array().unwrap()[before.as_array().unwrap().len()..];
    let told: Vec<_> =
        last_two.iter().map(|e| (&e["action"], &e["reason"], &e["detail"]["by_hand"])).collect();
    let (reason, yes) = (json!("done on the site"), json!(true));
    assert_eq!(
        told,
        [(&json!("withdraw"), &reason, &yes), (&json!("confirm_withdrawn"), &reason, &yes)],
        "{after}"
    );
    desk.run("bid withdraw market/one --by-hand --reason r").code(0).prints(&["is withdrawn already"]);
}

#[test]
fn a_withdrawal_that_nobody_answers_can_be_ended_by_hand() {
    let desk = Desk::new();
    desk.seed("one", BidState::Submitted, VIA);
    desk.seed("open", BidState::Unknown, VIA);
    desk.run("bid withdraw market/one --reason r").refused(6, &["not confirmed"]);
    desk.run("bid withdraw market/one --by-hand --reason r").code(0).prints(&["is withdrawn, by hand"]);
    desk.run("bid withdraw market/open --by-hand --reason r")
        .refused(2, &["is unknown", "submitted or withdrawing"]);
}

#[test]
fn a_file_that_is_no_record_proves_nothing() {
    let desk = Desk::new();
    desk.file("notes.txt", "not a record\nnor this\n");
    desk.run("sandbox report notes.txt").refused(2, &["notes.txt", "no record of a sandbox"]);
    desk.file("empty.jsonl", "");
    desk.run("sandbox report empty.jsonl --json").code(2);
}

#[test]
fn a_taken_port_is_advised_about_once() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let done = desk
        .run(&format!("sandbox run --listen {}", taken.local_addr().unwrap()))
        .refused(5, &["can't listen at", "127.0.0.1:0 takes a free port"]);
    assert_eq!(done.err.matches("free").count(), 1, "{done:?}");
}

/// A check that fails says which one it is.
#[test]
fn doctor_names_the_check_that_failed() {
    let desk = Desk::new();
    desk.seed("one", BidState::Submitted, VIA);
    let file = rusqlite::Connection::open(desk.ledger()).unwrap();
    file.execute_batch("ALTER TABLE events RENAME COLUMN reason TO motive").unwrap();
    drop(file);
    let report = desk.run("doctor --json").code(9).json();
    let names = |status: &str| -> Vec<String> {
        let rows = report["checks"].as_array().unwrap().iter();
        rows.filter(|row| row["status"] == status)
            .map(|row| row["check"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names("unhealthy").contains(&"history".to_owned()), "{report}");
}

//! Ledgers and locks that can't be used, `migrate`, `doctor`, `sandbox`, and the reading commands.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

use bidlock_ledger::BidState;
use rustix::process::Signal;
use serde_json::json;

use crate::kit::{Desk, VIA, signal};

fn set_schema(path: &Path, version: i64) {
    let file = rusqlite::Connection::open(path).unwrap();
    let last = "SELECT max(version) FROM refinery_schema_history";
    file.execute(&format!("DELETE FROM refinery_schema_history WHERE version < ({last})"), []).unwrap();
    file.execute("UPDATE refinery_schema_history SET version = ?1", [version]).unwrap();
}

#[test]
fn what_is_no_ledger_is_named_and_left_alone() {
    let desk = Desk::new();
    desk.file(
        "notes.txt",
        "these are my notes, not a ledger, and they are long enough to look like a file\n",
    );
    desk.run("bid list --database notes.txt").refused(5, &["--database", "notes.txt"]);
    let other = desk.work().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    desk.run("bid list --database other.db").refused(5, &["--database", "other.db"]);
    desk.run("migrate up --database other.db").refused(5, &["other.db"]);
    desk.run("bid list --database .").refused(5, &["--database"]);
    desk.run("lock list --locks .").refused(5, &["locks"]);
    desk.run("lock acquire m p --locks /proc/no/such/locks.db").refused(5, &["/proc/no"]);
    desk.run("migrate up --database /proc/no/such/ledger.db").refused(5, &["/proc/no"]);
    assert_eq!(std::fs::read_to_string(desk.work().join("notes.txt")).unwrap().lines().count(), 1);
}

/// A path through a file is the fault that also root meets: permissions do not stop it.
#[test]
fn a_folder_that_cannot_be_is_named() {
    let desk = Desk::new();
    desk.file("file", "");
    desk.run("bid list --database file/ledger.db").refused(5, &["--database", "file/ledger.db"]);
    desk.run("lock acquire m p --locks file/locks.db").refused(5, &["file/locks.db"]);
    desk.file("feed.json", FEED);
    desk.run("scan feed.json --marketplace example --submit http://127.0.0.1:9 --database file/ledger.db")
        .refused(5, &["file/ledger.db"]);
    desk.run("doctor --database file/ledger.db").code(9).prints(&["file/ledger.db"]);
}

#[test]
fn a_damaged_ledger_stops_everything_that_would_send() {
    let desk = Desk::new();
    // Made by another process, whose connections are closed for certain when it has ended.
    desk.run("migrate up").code(0);
    let mut bytes = std::fs::read(desk.ledger()).unwrap();
    bytes[100..4_000].fill(0xff);
    std::fs::write(desk.ledger(), bytes).unwrap();
    let _ = std::fs::remove_file(desk.ledger().with_file_name("ledger.db-wal"));
    let _ = std::fs::remove_file(desk.ledger().with_file_name("ledger.db-shm"));
    desk.file("feed.json", FEED);
    desk.run("bid list").refused(5, &["ledger.db", "malformed"]);
    desk.run("scan feed.json --marketplace example --submit http://127.0.0.1:9").refused(5, &["ledger.db"]);
    desk.run("migrate status").refused(5, &["ledger.db"]);
    desk.run("doctor").code(9).prints(&["UNHEALTHY", "ledger.db"]);
}

#[test]
fn a_newer_schema_is_refused_everywhere() {
    let desk = Desk::new();
    desk.seed("one", BidState::Submitted, VIA);
    set_schema(&desk.ledger(), 999);
    desk.run("bid list").refused(5, &["ledger.db", "newer"]);
    desk.run("migrate up").refused(5, &["newer"]);
    desk.run("migrate status").code(5).prints(&["999", "newer than this bidlock"]);
    desk.run("doctor").code(9).prints(&["newer", "upgrade bidlock"]);
}

#[test]
fn migrate_says_what_it_would_do_and_does_it() {
    let desk = Desk::new();
    desk.run("migrate status").code(0).prints(&["no ledger yet"]);
    desk.run("migrate up --dry-run").code(0).prints(&["would go from nothing to schema"]);
    assert!(!desk.ledger().exists(), "a dry run writes nothing");
    desk.run("migrate up").code(0).prints(&["went from nothing to schema"]);
    desk.run("migrate up").code(0).prints(&["is up to date"]);
    desk.run("migrate status").code(0).prints(&["up to date"]);
    let status = desk.run("migrate status --json").code(0).json();
    assert_eq!(status["schema"]["pending"], json!([]));
}

#[test]
fn doctor_on_an_empty_home_finds_nothing_wrong_and_makes_nothing() {
    let desk = Desk::new();
    let done = desk.run("doctor --json");
    let report = done.json();
    assert_eq!(report["healthy"], json!(true), "{done:?}");
    assert!(!desk.ledger().exists());
    desk.run("doctor").code(0).prints(&["data folder", "free space", "clock", "configuration"]);
}

#[test]
fn doctor_writes_durably_and_takes_a_lock() {
    let desk = Desk::new();
    desk.seed("one", BidState::Submitted, VIA);
    desk.run("lock run market 1 -- true").code(0);
    desk.run("doctor").code(0).prints(&[
        "journal mode wal",
        "synchronous full",
        "a lock was taken and given back",
        "the hash chains of the last 1 bids are intact",
    ]);
}

#[test]
fn doctor_names_what_is_unhealthy_and_the_way_out() {
    let desk = Desk::new();
    desk.run("doctor --submit http://127.0.0.1:9").code(9).prints(&[
        "UNHEALTHY",
        "127.0.0.1:9",
        "submit.target",
    ]);
    desk.call("doctor").env("REDIS_URL", "redis://c").run().code(9).prints(&["REDIS_URL"]);
    desk.call("doctor").env("BIDLOCK_LOCK__TTLL", "3s").run().code(9).prints(&["BIDLOCK_LOCK__TTL"]);
    desk.run("doctor --locks unsafe-grant-all:").code(9).prints(&["grant everything"]);
    let report = desk.run("doctor --database /proc/no/ledger.db --json").code(9).json();
    let rows = report["checks"].as_array().unwrap();
    assert!(rows.iter().any(|r| r["status"] == "unhealthy" && r["way_out"].is_string()), "{report}");
    // An outcome that has been unknown for an hour.
    desk.seed("one", BidState::Unknown, VIA);
    let file = rusqlite::Connection::open(desk.ledger()).unwrap();
    // A row that was touched since is not younger for it.
    let ago = |set: &str| file.execute(&format!("UPDATE bids SET {set}"), []).unwrap();
    ago("last_sent_at_ms = last_sent_at_ms - 3600000");
    desk.run("doctor").code(9).prints(&["market/one", "sent 1h ago"]);
    ago("unknown_cause = 'legacy'");
    // What came in so is no fault of this ledger, and may stay so while two systems run.
    desk.run("doctor").code(0).prints(&["WARNING", "sent, as the imported row says, 1h ago"]);
    ago("last_sent_at_ms = NULL, created_at_ms = created_at_ms - 7200000");
    desk.run("doctor").code(0).prints(&["imported 2h ago"]);
    ago("unknown_cause = 'timeout'");
    drop(file);
    desk.run("doctor").code(9).prints(&["unknown outcomes", "market/one", "bidlock reconcile"]);
}

#[test]
fn the_sandbox_runs_records_and_reports() {
    let desk = Desk::new();
    let mut child = desk.call("sandbox run --log market.jsonl --mode duplicates=refused --json").start();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let started: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = started["url"].as_str().unwrap().to_owned();
    desk.run(&format!("doctor --submit {url}")).code(0).prints(&["answers look-ups"]);
    desk.call("doctor").env("BIDLOCK_SUBMIT__TARGET", &url).run().code(0).prints(&["answers look-ups"]);
    desk.file("target.toml", &format!("[submit]\ntarget = \"{url}\"\n"));
    let done = desk.run("doctor -c target.toml").code(0).prints(&["answers look-ups"]);
    assert!(!done.out.contains("http:http"), "{done:?}");
    desk.run("sandbox run --log market.jsonl").refused(5, &["market.jsonl", "--log FILE"]);
    let address = url.strip_prefix("http://").unwrap();
    desk.run(&format!("sandbox run --log other.jsonl --listen {address}"))
        .refused(5, &[address, "127.0.0.1:0"]);
    signal(&child, Signal::TERM);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    let report = desk.run("sandbox report market.jsonl --json").code(0).json();
    assert_eq!((&report["submissions"], &report["duplicates"]), (&json!(0), &json!(0)));
    desk.run("sandbox report none.jsonl").refused(2, &["none.jsonl", "--log"]);
    desk.run("sandbox run --mode duplicates=perhaps").refused(2, &["--mode", "perhaps", "refused"]);
    desk.run("sandbox run --log /proc/no/x.jsonl").refused(5, &["/proc/no/x.jsonl"]);
}

#[test]
fn canonical_ids_are_equal_for_every_form() {
    let desk = Desk::new();
    for form in [
        "https://www.upwork.com/jobs/~021900000000000000001?source=rss",
        "https://www.upwork.com/jobs/A-title_%7E021900000000000000001/",
    ] {
        desk.call("posting canonical").arg(form).run().code(0).prints(&["upwork/1900000000000000001\n"]);
    }
    desk.run("posting canonical 1900000000000000001 --marketplace Upwork --json")
        .code(0)
        .prints(&["\"upwork\""]);
    desk.run("posting canonical 42").refused(2, &["does not tell its marketplace", "--marketplace"]);
    desk.run("posting canonical undefined --marketplace upwork").refused(2, &["undefined", "upwork"]);
}

const FEED: &str = r#"[{"id": "1", "title": "Write a parser", "url": "https://jobs.example/1", "budget": "$500"},
                       {"id": "2", "title": "Build a shed", "url": "https://jobs.example/2", "budget": "$20"}]"#;

#[test]
fn evaluate_says_what_the_rules_make_of_each_posting() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    desk.file("rules.toml", "[keywords]\nany = [\"parser\"]\n");
    desk.file("bad.toml", "[keywrds]\n");
    let words = "posting evaluate feed.json --marketplace example";
    let lines = desk.run(&format!("{words} --rules rules.toml --json")).code(0);
    lines.prints(&["\"suitable\"", "\"declined\"", "keywords.any", "\"suitable\":1,\"declined\":1"]);
    desk.run(words).code(0).prints(&["suitable", "500.00 USD", "Write a parser"]);
    desk.call("posting evaluate - --marketplace example").stdin(FEED).run().code(0).prints(&["example/2"]);
    desk.run(&format!("{words} --rules none.toml")).refused(2, &["--rules", "none.toml"]);
    desk.run(&format!("{words} --rules bad.toml")).refused(2, &["bad.toml", "keywrds"]);
    assert!(!desk.ledger().exists(), "evaluation writes nothing");
}

#[test]
fn a_feed_that_cannot_be_used_is_named() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    for (words, parts) in [
        ("scan none.xml", &["none.xml"][..]),
        ("posting evaluate none.xml", &["none.xml"]),
        ("scan https://jobs.example/rss", &["curl"]),
        ("scan feed.json --format excel --marketplace example", &["--format", "excel"]),
        ("posting evaluate feed.json --format excel --marketplace example", &["--format", "excel"]),
        ("scan feed.json --map none.toml --marketplace example", &["--map", "none.toml"]),
        ("scan feed.json --rules none.toml --marketplace example", &["--rules", "none.toml"]),
        ("scan feed.json --submit localhost:80 --marketplace example", &["--submit", "localhost:80"]),
        (
            "scan feed.json --submit http://u:hunter2@h --marketplace example",
            &["--submit", "user name or password"],
        ),
        ("scan feed.json --every 0s --marketplace example", &["--every"]),
        ("scan feed.json --concurrency 0 --marketplace example", &["--concurrency"]),
        ("scan feed.json --max-age never --marketplace example", &["--max-age"]),
        ("scan feed.json --wait 5 --marketplace example", &["--wait", "no unit"]),
        ("scan feed.json --holder  --marketplace example", &["--holder"]),
    ] {
        let done = desk.run(words).code(2).says(parts);
        assert!(!done.err.contains("hunter2"), "{done:?}");
    }
}

//! Whole ways through the command line, against a sandbox marketplace: what each ends with, and what the
//! marketplace's own record says.

use std::time::Duration;

use rustix::process::Signal;

use crate::kit::{
    Desk, Done,
    engines::{FEED, Market},
    signal,
};

fn scan(market: &Market, desk: &Desk, more: &str) -> Done {
    desk.run(&format!("scan feed.json --marketplace example --submit {} {more}", market.url))
}

/// What the marketplace saw: submissions, and those that it took.
fn sent_and_accepted(desk: &Desk) -> (u64, u64) {
    let report = desk.run("sandbox report market.jsonl --json").code(0).json();
    (report["submissions"].as_u64().unwrap(), report["accepted"].as_u64().unwrap())
}

#[test]
fn a_dry_run_sends_and_records_nothing() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    desk.run("scan feed.json --marketplace example").code(0).says(&["dry run"]);
    desk.run("bid list --database none.db").refused(5, &["there is no ledger at"]);
    if desk.ledger().exists() {
        desk.run("bid list").code(0).says(&["no bids match"]);
    }
}

#[test]
fn two_scans_send_each_bid_once() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    scan(&market, &desk, "").code(0);
    let again = scan(&market, &desk, "--json").code(0);
    assert_eq!(again.out.matches("\"outcome\":\"already_bid\"").count(), 2, "{again:?}");
    assert_eq!(sent_and_accepted(&desk), (2, 2));
    desk.run("bid withdraw example/1 --reason changed")
        .code(0)
        .prints(&["is withdrawn; the posting stays used"]);
    desk.run("bid withdraw example/1 --reason changed").code(0).prints(&["withdrawn already"]);
    scan(&market, &desk, "").code(0);
    assert_eq!(sent_and_accepted(&desk), (2, 2));
}

/// What the client has decided can't be taken back by hand either: no hint leads there.
#[test]
fn a_withdrawal_that_is_refused_says_what_is_left_to_do() {
    for (mode, refused, hint) in [
        ("withdraw-refused=always@won", "is won", "nothing left to withdraw"),
        ("withdraw-refused=always@submitted", "is submitted", "--by-hand"),
    ] {
        let desk = Desk::new();
        desk.file("feed.json", FEED);
        let market = Market::open_with(&desk, &format!("--mode {mode}"));
        scan(&market, &desk, "").code(0);
        desk.run("bid withdraw example/1 --reason changed").refused(2, &[refused, hint]);
    }
}

/// Warnings are for -q too: that an outcome is unknown is one.
#[test]
fn a_quiet_scan_says_its_warnings() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open_with(&desk, "--mode reset-after=always");
    let quiet =
        scan(&market, &desk, "-q").code(6).says(&["2 bids have an unknown outcome", "bidlock reconcile"]);
    assert!(!quiet.err.contains("made a new ledger"), "{quiet:?}");
}

#[test]
fn a_lost_answer_ends_with_6_until_reconcile_settles_it() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open_with(&desk, "--mode reset-after=always");
    scan(&market, &desk, "").code(6);
    desk.run("bid list --state unknown").code(0).prints(&["connection_lost", "example/1", "example/2"]);
    desk.run("reconcile --dry-run").code(6).prints(&["would be submitted", "records nothing"]);
    desk.run("reconcile").code(0);
    desk.run("reconcile").code(0);
    let submitted = desk.run("bid list --state submitted --json").code(0).json();
    assert_eq!(submitted["bids"].as_array().unwrap().len(), 2);
    assert_eq!(sent_and_accepted(&desk), (2, 2));
}

/// A person allowed a new bid where the first one had arrived: whoever runs `reconcile` from a timer hears of it.
#[test]
fn two_bids_on_one_posting_end_reconcile_with_7() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open_with(&desk, "--mode duplicates=accepted,reset-after=posting:1");
    scan(&market, &desk, "").code(6);
    desk.run("bid resolve example/1 --as not-submitted --allow-new-bid --reason guessed").code(0).says(&[
        "is gone",
        "may have arrived all the same",
        "bidlock reconcile",
    ]);
    scan(&market, &desk, "").code(6);
    desk.run("sandbox report market.jsonl").code(7).says(&["example/1"]);
    desk.run("reconcile").code(7).says(&["duplicate: bid"]);
}

/// What a scanner left that was killed past the door is said by the next scan, with the way to settle it.
#[test]
fn a_scan_says_what_vanished_scanners_left_unknown() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    desk.file("nothing.json", "[]");
    let market = Market::open_with(&desk, "--mode silent=posting:1");
    let words =
        |feed: &str| format!("scan {feed} --max-bids 1 --marketplace example --submit {}", market.url);
    let call = |feed: &str| {
        desk.call(&words(feed)).env("BIDLOCK_LOCK__TTL", "2s").env("BIDLOCK_SUBMIT__TIME_LIMIT", "1500ms")
    };
    let mut child = call("feed.json").start();
    let is_sent = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        sent_and_accepted(&desk).0 > 0
    });
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert!(is_sent);
    let told = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let done = call("nothing.json").run().code(0);
        done.err
            .contains("1 bid of vanished scanners has an unknown outcome; settle it with `bidlock reconcile`")
    });
    assert!(told);
    desk.run("bid list --state unknown").code(0).prints(&["claimant_silent"]);
}

#[test]
fn a_refused_account_ends_with_8_and_leaves_the_posting_open() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let address = {
        let market = Market::open_with(&desk, "--mode 401=always");
        scan(&market, &desk, "").refused(8, &["sending has stopped"]);
        market.url.strip_prefix("http://").unwrap().to_owned()
    };
    // The same marketplace again: a bid that was sent once stays with where it went.
    let market = Market::open_with(&desk, &format!("--listen {address}"));
    scan(&market, &desk, "").code(0);
    assert_eq!(sent_and_accepted(&desk).1, 2, "what was handed back is bid on once the account works");
}

#[test]
fn what_a_person_approves_is_sent_by_the_next_scan() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    scan(&market, &desk, "--approve").code(0);
    assert_eq!(sent_and_accepted(&desk), (0, 0));
    desk.run("bid approve example/1").code(0);
    desk.run("bid decline example/2 --reason no").code(0);
    scan(&market, &desk, "--approve").code(0);
    assert_eq!(sent_and_accepted(&desk), (1, 1));
    desk.run("bid approve example/1").refused(4, &["is submitted"]);
    desk.run("bid history example/1").code(0).prints(&["approve", "take_sending", "chain: intact"]);
}

#[test]
fn a_marketplace_that_is_not_there_is_named_and_nothing_is_unknown() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let done = desk.run("scan feed.json --marketplace example --submit http://127.0.0.1:9 --wait 0s --json");
    assert!(
        done.out.contains("\"outcome\":\"deferred\"") && !done.out.contains("\"outcome\":\"unknown\""),
        "{done:?}"
    );
    let done = desk.run("scan feed.json --marketplace example --submit http://127.0.0.1:9 --wait 0s").code(5);
    done.says(&[
        "error: submit.target (--submit)",
        "http://127.0.0.1:9 can't be reached",
        "hint:",
        "still open",
    ]);
}

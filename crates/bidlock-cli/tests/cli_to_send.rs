//! What must be decided before bids are sent: which postings, with what words, and where to. Nobody's silence is a yes.

#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod kit;

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use kit::{
    Call, Desk,
    engines::{FEED, Market, record},
};

/// A scan as a user has it, who has decided nothing yet.
fn undecided(desk: &Desk, words: &str) -> Call {
    desk.call(&format!("scan feed.json --marketplace example {words}"))
        .without("BIDLOCK_SCAN__BID_ON_EVERYTHING")
        .without("BIDLOCK_SUBMIT__EMPTY_PROPOSAL")
}

#[test]
fn without_rules_nothing_is_sent_unless_all_is_meant() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    desk.file("mute.toml", "[bid]\namount_percent = 100\n");
    desk.file("words.toml", "[bid]\nproposal = \"I can start on {title}.\"\n");
    let market = Market::open(&desk);
    let submit = format!("--submit {}", market.url);
    undecided(&desk, &submit)
        .run()
        .refused(2, &["which postings are worth a bid", "--rules", "--bid-on-everything"]);
    let mute = ["the proposal is empty", "bid.proposal", "submit.proposal", "--empty-proposal"];
    undecided(&desk, &format!("{submit} --rules mute.toml")).run().refused(2, &mute);
    undecided(&desk, &format!("{submit} --bid-on-everything")).run().refused(2, &mute);
    assert_eq!(record(&desk), (0, 0));
    assert!(!desk.ledger().exists(), "refused before a ledger is made");

    undecided(&desk, &format!("{submit} --rules words.toml --max-bids 1")).run().code(0);
    assert_eq!(record(&desk), (1, 0));
    undecided(&desk, &format!("{submit} --bid-on-everything --empty-proposal")).run().code(0);
    assert_eq!(record(&desk), (2, 0));
    undecided(&desk, &format!("{submit} --bid-on-everything --rules words.toml"))
        .run()
        .refused(2, &["--rules"]);
}

#[test]
fn a_dry_run_needs_no_rules_and_says_what_that_means() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    undecided(&desk, "").run().code(0).says(&["dry run", "without rules", "--rules FILE"]);
    desk.file("rules.toml", "");
    let done = undecided(&desk, "--rules rules.toml").run().code(0);
    assert!(!done.err.contains("without rules"), "{done:?}");
}

#[test]
fn a_mistyped_path_of_the_marketplace_costs_no_posting_its_bid() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = |url: &str| desk.run(&format!("scan feed.json --marketplace example --submit {url}"));
    let typo = format!("{}/typo", market.url);
    let done =
        scan(&typo).refused(8, &["sending has stopped", "POST", &format!("{typo}/bids"), "404", "--submit"]);
    assert!(!done.err.contains("http:http"), "{done:?}");
    assert_eq!(record(&desk), (0, 0));
    scan(&market.url).code(0);
    assert_eq!(record(&desk), (2, 0), "nothing was burned");
}

/// Answers every connection like this until the test ends.
fn canned(head: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    url
}

#[test]
fn what_is_no_marketplace_is_refused_before_a_bid_is_made_unknown_there() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let redirect = "301 Moved Permanently\r\nLocation: https://market.example/";
    for (head, body, told) in
        [(redirect, "", "it redirects (status 301)"), ("200 OK", "<html>Welcome</html>", "no list of bids")]
    {
        let url = canned(head, body);
        let words = [url.as_str(), "submit.target (--submit)", told, "nothing was sent"];
        desk.run(&format!("scan feed.json --marketplace example --submit {url}")).refused(2, &words);
        assert!(!desk.ledger().exists(), "{told}: refused before a ledger is made");
    }
}

//! What must be decided before bids are sent: which postings, with what words, and where to. Nobody's silence is a yes.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use crate::kit::{
    Call, Desk,
    engines::{FEED, Market, many_postings, record},
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

#[test]
fn a_marketplace_whose_look_up_fails_gets_no_bid_until_it_is_well() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let unwell = canned("503 Service Unavailable", "maintenance");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    // Reads the request and closes.
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|mut stream| drop(stream.read(&mut [0; 4096])));
    });
    for url in [unwell, silent] {
        let words = ["the marketplace is ill", &url, "submit.target (--submit)", "nothing was sent"];
        desk.call(&format!("scan feed.json --marketplace example --submit {url}"))
            .env("BIDLOCK_SCAN__PATIENCE", "0s")
            .run()
            .refused(5, &words);
        assert!(!desk.ledger().exists(), "refused before a ledger is made");
    }
}

#[test]
fn a_marketplace_that_gets_well_within_the_patience_is_sent_to() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (n, mut stream) in listener.incoming().flatten().enumerate() {
            let _ = stream.read(&mut [0; 4096]);
            let (head, body) = match n {
                0 => ("503 Service Unavailable", ""),
                1 => ("200 OK", "{\"bids\":[]}"),
                _ => ("402 Payment Required", ""), // what was sent has come here
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    let words = ["until it is well", "refused the account (http_402)"];
    desk.run(&format!("scan feed.json --marketplace example --submit {url}")).refused(8, &words);
}

#[test]
fn a_marketplace_that_loses_one_answer_after_the_other_is_sent_no_more() {
    let desk = Desk::new();
    desk.file("feed.json", &many_postings());
    let market = Market::open_with(&desk, "--mode 500-after=always");
    let scan = format!("scan feed.json --marketplace example --submit {} --concurrency 2", market.url);
    let told = ["in a row", "bidlock reconcile", "submit.max_unknown_in_a_row", &market.url];
    let done = desk.run(&scan).refused(8, &told);
    assert_eq!(
        done.err.matches("sending has stopped").count(),
        2,
        "one line of the log, and the error: {done:#?}"
    );
    let (sent, _) = record(&desk);
    assert!((5..=6).contains(&sent), "{sent}");
    desk.run("reconcile").code(0);
    // One that knows its marketplace may say otherwise.
    let more = desk.call(&format!("{scan} --max-bids 8")).env("BIDLOCK_SUBMIT__MAX_UNKNOWN_IN_A_ROW", "100");
    more.run().code(6);
    assert_eq!(record(&desk).0, sent + 8);
}

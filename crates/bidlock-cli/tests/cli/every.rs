//! `scan --every` as the person reads it who leaves it running: what is new, and nothing twice.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use rustix::process::Signal;

use crate::kit::{Desk, engines::Market, signal};

/// How often the scan has answered a sighting with this: it goes up with each pass.
fn answered(port: u16, outcome: &str) -> f64 {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return 0.0 };
    let mut answer = String::new();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_string(&mut answer).unwrap();
    let line = answer.lines().find(|l| l.starts_with("bidlock_bids_total") && l.contains(outcome));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

fn wait_for_passes(port: u16, more: f64) {
    wait_for(port, "already_bid", more);
}

fn wait_for(port: u16, outcome: &str, more: f64) {
    let from = answered(port, outcome);
    // Each look is a whole HTTP exchange: the loop is no busy one, and its bound is minutes.
    for _ in 0..100_000 {
        if answered(port, outcome) >= from + more {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the scan makes no passes");
}

#[test]
fn a_pass_without_news_is_silent_and_nothing_is_said_twice() {
    let desk = Desk::new();
    let market = Market::open(&desk);
    let rows = "job,headline,link\n1,Write a parser,https://jobs.example/1\n,,,too many\n";
    desk.file("feed.csv", rows);
    desk.file("map.toml", "id = \"job\"\ntitle = \"headline\"\nurl = \"link\"\n");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut scan = desk
        .call(&format!(
            "scan feed.csv --marketplace example --submit {} --every 20ms --metrics-listen {port}",
            market.url
        ))
        .start();
    let mut out = BufReader::new(scan.stdout.take().unwrap());
    let mut told = String::new();
    let mut until = |part: &str| {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the scan ended: {told}");
            told.push_str(&line);
        }
    };
    until("seconds");
    wait_for_passes(port, 5.0);
    desk.file("next.csv", &format!("{rows}2,Build a shed,https://jobs.example/2\n"));
    std::fs::rename(desk.work().join("next.csv"), desk.work().join("feed.csv")).unwrap();
    until("example/2");
    until("seconds");
    wait_for_passes(port, 6.0);
    signal(&scan, Signal::TERM);
    let (mut rest, mut err) = (String::new(), String::new());
    out.read_to_string(&mut rest).unwrap();
    scan.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(scan.wait().unwrap().code(), Some(0), "{err}");
    told.push_str(&rest);
    assert_eq!(told.matches("sightings ").count(), 2, "one summary for each pass with news: {told}");
    assert_eq!(err.matches("feed.csv row").count(), 1, "an unreadable row is said once: {err}");
    assert_eq!(err.matches("feed.csv: url: link").count(), 1, "what a column means is said once: {err}");
}

#[test]
fn a_scan_whose_ledger_is_left_to_newer_versions_ends_before_its_next_round() {
    let desk = Desk::new();
    let market = Market::open(&desk);
    desk.file("feed.json", crate::kit::engines::FEED);
    let words = format!("scan feed.json --marketplace example --submit {} --every 20ms", market.url);
    let mut scan = desk.call(&words).start();
    let mut out = BufReader::new(scan.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("seconds") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the scan ended");
    }
    // As a newer bidlock does with `migrate up`.
    let file = rusqlite::Connection::open(desk.ledger()).unwrap();
    file.execute("UPDATE ledger SET protocol_floor = protocol_floor + 1", []).unwrap();
    let (mut rest, mut err) = (String::new(), String::new());
    out.read_to_string(&mut rest).unwrap();
    scan.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(scan.wait().unwrap().code(), Some(5), "{err}");
    assert!(err.contains("newer scanners work with it"), "{err}");
}

#[test]
fn a_marketplace_out_of_reach_is_told_when_it_begins_and_when_it_ends() {
    let desk = Desk::new();
    desk.file("feed.json", crate::kit::engines::FEED);
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, port) = (free(), free().port());
    let words = format!(
        "scan feed.json --marketplace example --submit http://{address} --every 20ms --metrics-listen {port}"
    );
    let mut scan = desk.call(&words).start();
    let mut err = BufReader::new(scan.stderr.take().unwrap());
    let mut told = String::new();
    let mut until = |part: &str| {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(err.read_line(&mut line).unwrap(), 0, "the scan ended: {told}");
            told.push_str(&line);
        }
    };
    until("the marketplace can't be reached");
    wait_for(port, "deferred", 4.0);
    let _market = Market::open_with(&desk, &format!("--listen {address}"));
    until("the marketplace can be reached again");
    signal(&scan, Signal::TERM);
    err.read_to_string(&mut told).unwrap();
    assert_eq!(scan.wait().unwrap().code(), Some(0), "{told}");
    assert_eq!(told.matches("the marketplace can't be reached").count(), 1, "{told}");
}

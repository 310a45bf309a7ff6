//! `bidlock bench --peer-json`: what other programs read from it.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use bidlock_testkit::RedisServer;
use serde_json::Value;

use crate::kit::Desk;

/// The keys that the server's scripts write, until it ends.
fn written_keys(server: &RedisServer) -> std::thread::JoinHandle<Vec<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"MONITOR\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "+OK");
    std::thread::spawn(move || {
        let mut keys = Vec::new();
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            if let ["SET" | "DEL" | "ZADD" | "ZPOPMIN", key, ..] = words[..] {
                keys.push(key.to_owned());
            }
        }
        keys
    })
}

#[test]
fn each_bench_is_a_line_of_json_and_its_keys_begin_with_peer() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let keys = written_keys(&server);
    let desk = Desk::new();
    let done = desk.run(&format!("bench --peer-json {} 0.02", server.url())).code(0);
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let seen: Vec<(String, u64, String)> = lines
        .iter()
        .map(|line| (text(line, "bench"), line["tasks"].as_u64().unwrap(), text(line, "unit")))
        .collect();
    let expected = [
        ("pairs", 1, "pairs/s"),
        ("pairs", 64, "pairs/s"),
        ("contended", 100, "ms"),
        ("handover", 3, "ms"),
        ("handover", 33, "ms"),
    ];
    assert_eq!(seen, expected.map(|(bench, tasks, unit)| (bench.to_owned(), tasks, unit.to_owned())));
    for line in &lines {
        assert_eq!(text(line, "peer"), "bidlock");
        let figure = |name: &str| line[name].as_f64().unwrap_or(-1.0);
        assert!(figure("value") > 0.0 && figure("commands_per_acquisition") > 0.0, "{line}");
        assert_eq!(line.get("overhead_ms").is_some(), text(line, "bench") == "contended", "{line}");
    }
    drop(server);
    let keys = keys.join().unwrap();
    let others: Vec<&String> = keys.iter().filter(|key| !key.starts_with("peer:")).collect();
    assert!(keys.len() > 100 && others.is_empty(), "{} keys, {others:?}", keys.len());
}

#[test]
fn a_scale_or_a_url_that_is_none_is_named() {
    let desk = Desk::new();
    desk.run("bench --peer-json redis://127.0.0.1:1 never").refused(2, &["`never` is no scale"]);
    desk.run("bench --peer-json nothing 1").refused(2, &["not a Redis URL"]);
    desk.run("bench --peer-json redis://127.0.0.1:1 1").refused(5, &["nothing answers at"]);
}

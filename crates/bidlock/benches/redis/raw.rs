//! The raw limits: the same scripts over a bare blocking socket.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use bidlock::{Clock, SystemClock};
use bidlock_testkit::RedisServer;
use redis::{Cmd, Parser, Value};

const ACQUIRE: &str =
    concat!("local in_turn = false\n", include_str!("../../src/backends/redis/acquire.lua"));
const RELEASE: &str = concat!(
    include_str!("../../src/backends/redis/hand_over.lua"),
    include_str!("../../src/backends/redis/release.lua")
);
const HOLDER: &str = "host:12345:abcdef12";

struct Raw {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    parser: Parser,
}

impl Raw {
    fn connect(server: &RedisServer) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        let answers = BufReader::with_capacity(65_536, stream.try_clone().unwrap());
        Raw { stream, answers, parser: Parser::new() }
    }

    fn answer(&mut self) -> Value {
        let value = self.parser.parse_value(&mut self.answers).unwrap();
        assert!(!matches!(value, Value::ServerError(_)), "{value:?}");
        value
    }

    fn ask(&mut self, cmd: &Cmd) -> Value {
        self.stream.write_all(&cmd.get_packed_command()).unwrap();
        self.answer()
    }

    fn load(&mut self, script: &str) -> String {
        match self.ask(redis::cmd("SCRIPT").arg("LOAD").arg(script)) {
            Value::BulkString(digest) => String::from_utf8(digest).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn acquire(digest: &str, key: &str, prefix: &str) -> Vec<u8> {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(digest).arg(2).arg("bidlock:token").arg(key).arg(0).arg(2_000).arg(prefix).arg(300_000);
    cmd.get_packed_command()
}

fn release(digest: &str, key: &str, prefix: &str) -> Vec<u8> {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(digest).arg(2).arg("bidlock:token").arg(key).arg(0).arg(2_000).arg(prefix);
    cmd.get_packed_command()
}

fn prefix(n: usize) -> String {
    format!("{HOLDER}|0123456789abcdef{n:x}|")
}

/// Pairs a second with so many in the pipe.
pub(crate) fn pairs(server: &RedisServer, depth: usize, length: Duration) -> f64 {
    let mut raw = Raw::connect(server);
    let (take, free) = (raw.load(ACQUIRE), raw.load(RELEASE));
    let key = |n: usize| format!("named_lock:peer:raw/{n}");
    let takes: Vec<u8> = (0..depth).flat_map(|n| acquire(&take, &key(n), &prefix(n))).collect();
    let frees: Vec<u8> = (0..depth).flat_map(|n| release(&free, &key(n), &prefix(n))).collect();
    let start = SystemClock.now();
    let mut pairs = 0;
    // Both halves of the pipe are always full: as one half is answered, it is sent again.
    raw.stream.write_all(&takes).unwrap();
    while SystemClock.now().since(start) < length {
        raw.stream.write_all(&frees).unwrap();
        for _ in 0..depth {
            assert!(matches!(raw.answer(), Value::Int(_) | Value::Array(_)));
        }
        raw.stream.write_all(&takes).unwrap();
        for _ in 0..depth {
            raw.answer();
        }
        pairs += depth;
    }
    for _ in 0..depth {
        raw.answer();
    }
    raw.stream.write_all(&frees).unwrap();
    for _ in 0..depth {
        raw.answer();
    }
    pairs as f64 / SystemClock.now().since(start).as_secs_f64()
}

/// The median round trip of an acquire, in us.
pub(crate) fn acquire_us(server: &RedisServer, count: usize) -> f64 {
    let mut raw = Raw::connect(server);
    let (take, free) = (raw.load(ACQUIRE), raw.load(RELEASE));
    let key = "named_lock:peer:raw/latency";
    let (take, free) = (acquire(&take, key, &prefix(0)), release(&free, key, &prefix(0)));
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let start = SystemClock.now();
        raw.stream.write_all(&take).unwrap();
        raw.answer();
        took.push(SystemClock.now().since(start).as_secs_f64() * 1e6);
        raw.stream.write_all(&free).unwrap();
        raw.answer();
    }
    super::median(took)
}

/// The median time from a release until a waiter that is idle hears of it, in us.
pub(crate) fn hand_over_us(server: &RedisServer, idle: Duration, count: u64) -> f64 {
    let mut raw = Raw::connect(server);
    let free = raw.load(RELEASE);
    let key = "named_lock:peer:raw/handover";
    let channel = "bidlock_wake:raw";
    let (heard, hears) = std::sync::mpsc::channel();
    let mut waiter = Raw::connect(server);
    waiter.ask(redis::cmd("SUBSCRIBE").arg(channel));
    let waiting = std::thread::spawn(move || {
        for _ in 0..count {
            waiter.answer();
            heard.send(SystemClock.now()).unwrap();
        }
    });
    let mut took = Vec::new();
    for _ in 0..count {
        let value = format!("{}1700000000000000|w", prefix(0));
        raw.ask(redis::cmd("SET").arg(key).arg(&value).arg("PX").arg(300_000));
        let member = format!("{channel} 300000 {}", prefix(1));
        raw.ask(redis::cmd("ZADD").arg(format!("bidlock_wait:{{{key}}}")).arg(1).arg(&member));
        std::thread::sleep(idle);
        let free = release(&free, key, &prefix(0));
        let start = SystemClock.now();
        raw.stream.write_all(&free).unwrap();
        took.push(hears.recv().unwrap().since(start).as_secs_f64() * 1e6);
        raw.answer();
        raw.ask(redis::cmd("DEL").arg(key));
    }
    waiting.join().unwrap();
    super::median(took)
}

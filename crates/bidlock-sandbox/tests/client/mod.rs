//! A client of the sandbox down to the bytes, so that resets and silence are seen as they are.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "only ever part of a test")]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bidlock_sandbox::{Modes, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for any answer on this host, short enough to fail a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// A sandbox in a folder of its own.
pub(crate) async fn sandbox(modes: &str) -> (Sandbox, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let modes: Modes = modes.parse().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::new(dir.path().join("log")).modes(modes)).await.unwrap();
    (sandbox, dir)
}

/// Sends one request on a connection of its own and reads until the other side ends it.
pub(crate) async fn send(
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<Reply> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        read_reply(&mut stream)
    })
    .await
    .unwrap()
}

pub(crate) fn read_reply(stream: &mut TcpStream) -> io::Result<Reply> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

pub(crate) fn bid(posting: &str, key: &str) -> String {
    json!({ "marketplace": "m", "posting_id": posting, "bid_id": "b", "idempotency_key": key,
            "amount": { "minor": 1250, "currency": "USD" }, "proposal": "Hello", "posting_url": null })
    .to_string()
}

pub(crate) async fn submit(sandbox: &Sandbox, posting: &str, key: &str) -> io::Result<Reply> {
    let headers = format!("idempotency-key: {key}\r\n");
    send(sandbox.address(), "POST", "/bids", &headers, &bid(posting, key)).await
}

pub(crate) async fn look_up(sandbox: &Sandbox, posting: &str) -> Reply {
    let path = format!("/bids?marketplace=m&posting_id={posting}");
    send(sandbox.address(), "GET", &path, "", "").await.unwrap()
}

/// The ids that a look-up shows.
pub(crate) async fn ids(sandbox: &Sandbox, posting: &str) -> Vec<String> {
    let json = look_up(sandbox, posting).await.json();
    let bids = json["bids"].as_array().unwrap();
    bids.iter().map(|bid| bid["id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn withdraw(sandbox: &Sandbox, id: &str) -> Reply {
    send(sandbox.address(), "POST", &format!("/bids/{id}/withdraw"), "", "").await.unwrap()
}

//! The generic HTTP marketplace against the sandbox, and against servers that misbehave on the wire.
#![allow(clippy::unwrap_used, reason = "also the functions beside the tests are only part of them")]

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::Arc,
    time::Duration,
};

use bidlock_ledger::{Currency, Money, PostingId};
use bidlock_market::{
    Answer, ConnectError, HttpOptions, LookUpError, LostCause, Marketplace, Submission, Target, Token,
    WithdrawAnswer, connect, find_ours,
};
use bidlock_sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

/// Short, for the tests that run into it; anything on this host is far faster.
const SHORT: Duration = Duration::from_millis(500);

async fn sandbox(modes: &str) -> (Sandbox, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = SandboxOptions::new(dir.path().join("log")).modes(modes.parse().unwrap());
    (Sandbox::start(options).await.unwrap(), dir)
}

fn market(url: &str, options: HttpOptions) -> Arc<dyn Marketplace> {
    connect(&url.parse().unwrap(), options).unwrap()
}

fn plain(url: &str) -> Arc<dyn Marketplace> {
    market(url, HttpOptions::default())
}

fn hurried(url: &str) -> Arc<dyn Marketplace> {
    market(url, HttpOptions { time_limit: SHORT, ..HttpOptions::default() })
}

fn posting(id: &str) -> PostingId {
    PostingId::new("upwork", id).unwrap()
}

fn submission(id: &str) -> Submission {
    Submission {
        posting: posting(id),
        bid_id: Uuid::from_u128(1),
        idempotency_key: Uuid::from_u128(7),
        amount: Some(Money { minor: 1250, currency: Currency::USD }),
        proposal: "Hello, \"world\"\n".to_owned(),
        posting_url: None,
    }
}

/// In a few words: the variant, and the cause where it has one.
fn kind(answer: &Answer) -> String {
    match answer {
        Answer::Accepted { .. } => "accepted".to_owned(),
        Answer::Duplicate { .. } => "duplicate".to_owned(),
        Answer::Refused { .. } => "refused".to_owned(),
        Answer::TryLater { .. } => "try later".to_owned(),
        Answer::Stop { .. } => "stop".to_owned(),
        Answer::NotHere { .. } => "not here".to_owned(),
        Answer::NotSent { .. } => "not sent".to_owned(),
        Answer::Lost { cause, .. } => format!("lost: {cause:?}"),
    }
}

/// The request lines of a sandbox's record.
fn requests(sandbox: &Sandbox) -> Vec<Value> {
    let log = std::fs::read_to_string(sandbox.log()).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "request").collect()
}

/// A server that reads one request to its end, says `reply` and closes.
fn canned(reply: impl Into<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, reply) = (listener.local_addr().unwrap(), reply.into());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(&reply).unwrap();
    });
    address
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length =
        head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head
}

#[tokio::test]
async fn a_bid_arrives_as_the_contract_says() {
    let (sandbox, _dir) = sandbox("").await;
    let market = plain(&format!("{}/", sandbox.url()));
    assert_eq!(market.via(), format!("http:{}", sandbox.url()));
    assert!(market.capabilities().sends);
    let answer = market.submit(&submission("~021")).await;
    assert_eq!(answer, Answer::Accepted { external_ref: "sb-1".to_owned() });
    let request = &requests(&sandbox)[0];
    let key = Uuid::from_u128(7).to_string();
    assert_eq!(
        (&request["path"], &request["headers"]["idempotency-key"]),
        (&"/bids".into(), &key.clone().into())
    );
    assert_eq!(request["headers"]["content-type"], "application/json");
    let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    let expected = serde_json::json!({
        "marketplace": "upwork", "posting_id": "~021", "bid_id": Uuid::from_u128(1), "idempotency_key": key,
        "amount": { "minor": 1250, "currency": "USD" }, "proposal": "Hello, \"world\"\n", "posting_url": null,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn every_behaviour_of_a_marketplace_has_its_answer_and_is_asked_once() {
    let cases = [
        ("400", "refused"),
        ("401", "stop"),
        ("402", "stop"),
        ("403", "stop"),
        ("404", "refused"),
        ("410", "refused"),
        ("422", "refused"),
        ("429", "try later"),
        ("307", "lost: Redirect"),
        ("500-before", "lost: ServerError"),
        ("500-after", "lost: ServerError"),
        ("503-before", "lost: ServerError"),
        ("503-after", "lost: ServerError"),
        ("garbage-after", "lost: UnreadableAnswer"),
        ("reset-before", "lost: ConnectionLost"),
        ("reset-after", "lost: ConnectionLost"),
    ];
    let modes: Vec<String> = cases.iter().map(|(mode, _)| format!("{mode}=posting:{mode}")).collect();
    let (sandbox, _dir) = sandbox(&modes.join(",")).await;
    let market = plain(&sandbox.url());
    for (mode, expected) in cases {
        assert_eq!(kind(&market.submit(&submission(mode)).await), expected, "{mode}");
    }
    let report = sandbox.report().unwrap();
    assert_eq!(report.submissions, cases.len() as u64);
    assert_eq!((report.keys_seen_again, report.followed_redirects), (1, 0));
    for (at, record) in &report.postings {
        assert_eq!(record.received, 1, "{at:?}");
    }
}

#[tokio::test]
async fn a_duplicate_and_a_wait_are_told() {
    let (sandbox, _dir) = sandbox("duplicates=refused,429=posting:busy@3s").await;
    let market = plain(&sandbox.url());
    assert_eq!(kind(&market.submit(&submission("p")).await), "accepted");
    assert_eq!(kind(&market.submit(&submission("p")).await), "duplicate");
    let Answer::TryLater { after, .. } = market.submit(&submission("busy")).await else { panic!() };
    assert_eq!(after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn every_submission_has_a_connection_of_its_own() {
    let (sandbox, _dir) = sandbox("").await;
    let market = plain(&sandbox.url());
    for _ in 0..5 {
        market.submit(&submission("p")).await;
    }
    let peers: BTreeSet<String> = requests(&sandbox).iter().map(|r| r["peer"].to_string()).collect();
    assert_eq!(peers.len(), 5);
}

#[tokio::test]
async fn silence_and_slowness_end_at_the_time_limit_as_unknown() {
    let (sandbox, _dir) = sandbox("silent=posting:silent,delay-after=posting:slow@1m").await;
    let market = hurried(&sandbox.url());
    assert_eq!(market.time_limit(), SHORT);
    for id in ["silent", "slow"] {
        assert_eq!(kind(&market.submit(&submission(id)).await), "lost: Timeout", "{id}");
    }
    // A yes whose body never ends is no yes either.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let kept_open = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 20\r\n\r\n{\"id\":").unwrap();
        stream
    });
    assert_eq!(kind(&hurried(&format!("http://{address}")).submit(&submission("p")).await), "lost: Timeout");
    drop(kept_open.join().unwrap());
}

#[tokio::test]
async fn what_fails_before_the_request_can_leave_is_not_sent() {
    let (sandbox, _dir) = sandbox("").await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain_text = sandbox.url().replace("http://", "https://");
    for url in [format!("http://{nobody}"), "http://nowhere.invalid".to_owned(), plain_text] {
        let answer = hurried(&url).submit(&submission("p")).await;
        assert_eq!(kind(&answer), "not sent", "{url}: {answer:?}");
        let withdrawal = hurried(&url).withdraw("b").await;
        assert!(matches!(withdrawal, WithdrawAnswer::TryLater { .. }), "{url}: {withdrawal:?}");
        let error = hurried(&url).look_up(&posting("p")).await.unwrap_err();
        assert!(matches!(error, LookUpError::Unreachable { .. }), "{url}: {error}");
    }
    assert_eq!(sandbox.report().unwrap().requests, 0);
}

#[tokio::test]
async fn a_host_that_does_not_answer_the_connection_is_not_a_lost_answer() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    // A queue for one, and nobody takes from it: further connections hang.
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(waiting) = TcpStream::connect_timeout(&address, SHORT / 5) {
        queue.push(waiting);
    }
    let answer = hurried(&format!("http://{address}")).submit(&submission("p")).await;
    assert_eq!(kind(&answer), "not sent", "{answer:?}");
}

#[tokio::test]
async fn broken_answers_are_unknown_and_a_refusal_needs_no_body() {
    let long = format!("HTTP/1.1 201 Created\r\n\r\n{{\"id\":\"b\",\"x\":\"{}\"}}", "x".repeat(70_000));
    for (reply, expected) in [
        ("", "lost: ConnectionLost"),
        ("HTTP/1.1 20", "lost: ConnectionLost"),
        ("SSH-2.0-OpenSSH\r\n", "lost: ConnectionLost"),
        ("HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{\"id\":\"b\"}", "lost: ConnectionLost"),
        ("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n", "lost: UnreadableAnswer"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"id\":1.0e3}", "lost: UnreadableAnswer"),
        ("HTTP/1.1 202 Accepted\r\n\r\n{\"id\":\"b\"}", "lost: UnreadableAnswer"),
        ("HTTP/1.1 408 Request Timeout\r\n\r\n", "lost: ServerError"),
        ("HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\n\r\n", "lost: Redirect"),
        (&long, "lost: UnreadableAnswer"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n{\"id\":7}", "accepted"),
        ("HTTP/1.1 409 Conflict\r\ncontent-length: 99\r\n\r\nbroken", "duplicate"),
        ("HTTP/1.1 422 No\r\ncontent-length: 99\r\n\r\nbroken", "refused"),
    ] {
        let url = format!("http://{}", canned(reply));
        assert_eq!(kind(&plain(&url).submit(&submission("p")).await), expected, "{reply:.60}");
    }
}

#[tokio::test]
async fn variables_of_the_environment_name_no_proxy() {
    let (sandbox, _dir) = sandbox("").await;
    let url = sandbox.url();
    let child = tokio::task::spawn_blocking(move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_bid_from_a_child_process", "--ignored", "--nocapture"])
            .env("BIDLOCK_TEST_URL", url)
            // Nobody listens there: whoever obeys these sends nothing.
            .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|v| (v, "http://127.0.0.1:1")))
            .output()
            .unwrap()
    });
    let output = String::from_utf8(child.await.unwrap().stdout).unwrap();
    assert!(output.contains("answer: accepted"), "{output}");
    assert_eq!(sandbox.report().unwrap().accepted, 1);
}

/// Not a test: the child process of the one above.
#[tokio::test]
#[ignore = "run by variables_of_the_environment_name_no_proxy"]
async fn a_bid_from_a_child_process() {
    let Ok(url) = std::env::var("BIDLOCK_TEST_URL") else { return };
    println!("answer: {}", kind(&plain(&url).submit(&submission("p")).await));
}

#[tokio::test]
async fn a_configured_proxy_is_used() {
    let proxy = canned("HTTP/1.1 201 Created\r\n\r\n{\"id\":\"through the proxy\"}");
    let options =
        HttpOptions { proxy: Some(format!("http://{proxy}").parse().unwrap()), ..HttpOptions::default() };
    let answer = market("http://bids.example", options).submit(&submission("p")).await;
    assert_eq!(answer, Answer::Accepted { external_ref: "through the proxy".to_owned() });
}

#[tokio::test]
async fn a_token_is_sent_and_never_shown() {
    let token = Token::new("hunter2").unwrap();
    let options = HttpOptions {
        token: Some(token),
        proxy: Some("http://me:hunter2@127.0.0.1:1".parse().unwrap()),
        ..HttpOptions::default()
    };
    assert!(!format!("{options:?}").contains("hunter2"));
    let options = HttpOptions { proxy: None, ..options };

    let (sandbox, _dir) = sandbox("").await;
    let with_token = market(&sandbox.url(), options.clone());
    assert!(!format!("{with_token:?}").contains("hunter2"));
    with_token.submit(&submission("p")).await;
    assert_eq!(requests(&sandbox)[0]["headers"]["authorization"], "present");

    let echo =
        "HTTP/1.1 401 Unauthorized\r\n\r\n{\"code\":\"bad hunter2\",\"message\":\"Bearer hunter2 is bad\"}";
    let answer = market(&format!("http://{}", canned(echo)), options).submit(&submission("p")).await;
    let Answer::Stop { code, detail } = answer else { panic!() };
    assert_eq!((code.as_str(), detail.as_str()), ("bad [token]", "status 401: Bearer [token] is bad"));
}

#[test]
fn a_url_with_a_password_is_refused_also_without_the_command_line() {
    let target = Target::Http("http://me:hunter2@127.0.0.1".parse().unwrap());
    let error = connect(&target, HttpOptions::default()).unwrap_err();
    assert!(matches!(error, ConnectError::Target(_)) && !error.to_string().contains("hunter2"));
    let hasty = HttpOptions { time_limit: Duration::ZERO, ..HttpOptions::default() };
    assert!(connect(&"http://127.0.0.1".parse().unwrap(), hasty).is_err());
}

#[tokio::test]
async fn a_look_up_finds_ours_by_key_and_by_time() {
    for modes in ["reset-after=always", "reset-after=always,echo-keys=no"] {
        let (sandbox, _dir) = sandbox(modes).await;
        let market = plain(&sandbox.url());
        let id = "a/b?c=d&e#ü %2F";
        assert_eq!(kind(&market.submit(&submission(id)).await), "lost: ConnectionLost");
        let sent_at = requests(&sandbox)[0]["at"].as_str().unwrap().parse().unwrap();
        let remote = market.look_up(&posting(id)).await.unwrap();
        let found = find_ours(&remote, Uuid::from_u128(7), Some(sent_at), &[]).unwrap();
        assert_eq!((found.external_ref.as_str(), found.posting_id.as_str()), ("sb-1", id));
        assert_eq!(found.idempotency_key.is_some(), modes == "reset-after=always");
        assert!(market.look_up(&posting("another")).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_failed_look_up_is_never_an_empty_list() {
    for reply in [
        "",
        "HTTP/1.1 404 Not Found\r\n\r\n{\"bids\":[]}",
        "HTTP/1.1 500 Error\r\n\r\n{\"bids\":[]}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n{\"bids\":[]}",
        "HTTP/1.1 429 Slow down\r\nretry-after: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\n\r\n{\"bids\":[{\"id\":\"1\"}]}",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"bids\":[]}",
    ] {
        let result = plain(&format!("http://{}", canned(reply))).look_up(&posting("p")).await;
        assert!(result.is_err(), "{reply}: {result:?}");
    }
    let mut long = b"HTTP/1.1 200 OK\r\n\r\n{\"bids\":[]".to_vec();
    long.resize(long.len() + 5 * 1024 * 1024, b' ');
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        // The client hangs up in the middle, as it should.
        let _ = stream.write_all(&long);
    });
    let error = plain(&format!("http://{address}")).look_up(&posting("p")).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn withdrawals_have_their_answers() {
    let (sandbox, _dir) = sandbox("withdraw-refused=posting:late@won").await;
    let market = plain(&sandbox.url());
    market.submit(&submission("p")).await;
    market.submit(&submission("late")).await;
    assert_eq!(market.withdraw("sb-1").await, WithdrawAnswer::Withdrawn);
    assert_eq!(market.withdraw("sb-1").await, WithdrawAnswer::Withdrawn);
    let WithdrawAnswer::Refused { status, .. } = market.withdraw("sb-2").await else { panic!() };
    assert_eq!(status.as_deref(), Some("won"));
    assert!(matches!(market.withdraw("sb-9").await, WithdrawAnswer::NotFound { .. }));

    let lost = canned("HTTP/1.1 500 Error\r\n\r\n");
    let answer = plain(&format!("http://{lost}")).withdraw("b").await;
    assert!(matches!(answer, WithdrawAnswer::Lost { cause: LostCause::ServerError, .. }), "{answer:?}");
}

#[tokio::test]
async fn an_id_is_one_segment_of_the_path_whatever_it_holds() {
    let (sandbox, _dir) = sandbox("").await;
    let market = plain(&sandbox.url());
    for id in ["../x", "a/b", "a?b#c", "%2e%2e", "ü b"] {
        assert!(matches!(market.withdraw(id).await, WithdrawAnswer::NotFound { .. }), "{id}");
    }
    for id in ["", ".", ".."] {
        assert!(matches!(market.withdraw(id).await, WithdrawAnswer::NotFound { .. }), "{id}");
    }
    let paths: Vec<String> =
        requests(&sandbox).iter().map(|r| r["path"].as_str().unwrap().to_owned()).collect();
    let encoded = ["..%2Fx", "a%2Fb", "a%3Fb%23c", "%252e%252e", "%C3%BC%20b"];
    assert_eq!(paths, encoded.map(|id| format!("/bids/{id}/withdraw")));
}

#[tokio::test]
async fn a_dry_run_lets_nothing_leave() {
    let market = connect(&Target::DryRun, HttpOptions::default()).unwrap();
    assert_eq!((market.via(), market.capabilities().sends), ("dry-run", false));
    assert_eq!(kind(&market.submit(&submission("p")).await), "not sent");
    assert!(market.look_up(&posting("p")).await.is_err());
    assert_eq!(market.withdraw("b").await, WithdrawAnswer::Unsupported);
}

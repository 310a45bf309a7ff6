//! Each mode, seen by a TCP client, and what the record says of it.

mod client;

use std::{
    io::{ErrorKind, Write as _},
    net::TcpStream,
};

use client::{PATIENCE, bid, ids, look_up, sandbox, send, submit, withdraw};

#[tokio::test]
async fn by_default_every_bid_is_accepted_duplicates_too() {
    let (sandbox, _dir) = sandbox("").await;
    let first = submit(&sandbox, "p", "k1").await.unwrap();
    assert_eq!((first.status, first.json()["id"].as_str()), (201, Some("sb-1")));
    assert_eq!(submit(&sandbox, "p", "k1").await.unwrap().json()["id"], "sb-2");
    let shown = look_up(&sandbox, "p").await.json();
    assert_eq!(shown["bids"][0]["idempotency_key"], "k1");
    assert_eq!(shown["bids"][0]["status"], "active");
    assert!(shown["bids"][0]["created_at"].as_str().unwrap().ends_with('Z'));
    let report = sandbox.report().unwrap();
    assert_eq!((report.submissions, report.accepted, report.duplicates), (2, 2, 1));
    assert_eq!((report.keys_seen_again, report.requests), (1, 3));
}

#[tokio::test]
async fn duplicates_are_refused_until_the_bid_is_withdrawn() {
    let (sandbox, _dir) = sandbox("duplicates=refused").await;
    assert_eq!(submit(&sandbox, "p", "k1").await.unwrap().status, 201);
    let refused = submit(&sandbox, "p", "k2").await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["id"]),
        (409, &"sb-1".into()),
        "it names the one that there is"
    );
    assert_eq!(submit(&sandbox, "q", "k3").await.unwrap().status, 201);
    assert_eq!(withdraw(&sandbox, "sb-1").await.status, 200);
    assert_eq!(submit(&sandbox, "p", "k4").await.unwrap().status, 201);
    let report = sandbox.report().unwrap();
    assert_eq!((report.accepted, report.duplicates, report.accepted_after_withdrawal), (3, 0, 1));
    assert_eq!(report.duplicates_refused, 1);
}

#[tokio::test]
async fn an_honoured_key_gets_the_first_answer_again() {
    let (sandbox, _dir) = sandbox("keys=honoured,duplicates=refused").await;
    let first = submit(&sandbox, "p", "k1").await.unwrap();
    let again = submit(&sandbox, "p", "k1").await.unwrap();
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(submit(&sandbox, "p", "k2").await.unwrap().status, 409);
    let report = sandbox.report().unwrap();
    assert_eq!((report.submissions, report.accepted, report.keys_seen_again), (3, 1, 1));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_only_the_late_one_has_accepted() {
    let (sandbox, _dir) = sandbox("reset-before=posting:early,reset-after=posting:late").await;
    for (posting, accepted) in [("early", 0), ("late", 1)] {
        let error = submit(&sandbox, posting, posting).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{posting}");
        assert_eq!(ids(&sandbox, posting).await.len(), accepted, "{posting}");
    }
    let report = sandbox.report().unwrap();
    assert_eq!((report.submissions, report.accepted, report.answers["reset"]), (2, 1, 2));
}

#[tokio::test]
async fn server_errors_come_before_or_after_accepting() {
    let modes = "500-before=posting:a,500-after=posting:b,503-before=posting:c,garbage-after=posting:d";
    let (sandbox, _dir) = sandbox(modes).await;
    for (posting, status, accepted) in [("a", 500, 0), ("b", 500, 1), ("c", 503, 0), ("d", 200, 1)] {
        let reply = submit(&sandbox, posting, posting).await.unwrap();
        assert_eq!(reply.status, status, "{posting}");
        assert_eq!(ids(&sandbox, posting).await.len(), accepted, "{posting}");
        assert_eq!(posting == "d", serde_json::from_str::<serde_json::Value>(&reply.body).is_err());
    }
}

#[tokio::test]
async fn refusals_accept_nothing() {
    let all = [400, 401, 402, 403, 404, 410, 422];
    let modes: Vec<String> = all.iter().map(|status| format!("{status}=posting:{status}")).collect();
    let (sandbox, _dir) = sandbox(&modes.join(",")).await;
    for status in all {
        let reply = submit(&sandbox, &status.to_string(), "k").await.unwrap();
        assert_eq!(reply.status, status);
        assert!(reply.json()["code"].is_string());
    }
    assert_eq!(sandbox.report().unwrap().accepted, 0);
}

#[tokio::test]
async fn too_many_requests_says_how_long_and_ends() {
    let (sandbox, _dir) = sandbox("429=each:1@2s").await;
    let refused = submit(&sandbox, "p", "k").await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after").as_deref()), (429, Some("2")));
    assert_eq!(submit(&sandbox, "p", "k").await.unwrap().status, 201);
    assert_eq!(submit(&sandbox, "q", "k").await.unwrap().status, 429);
}

#[tokio::test]
async fn whoever_follows_a_redirect_is_recorded() {
    let (sandbox, _dir) = sandbox("307=always").await;
    let reply = submit(&sandbox, "p", "k").await.unwrap();
    assert_eq!(reply.status, 307);
    assert_eq!(sandbox.report().unwrap().followed_redirects, 0);
    let location = reply.header("location").unwrap();
    let followed = send(sandbox.address(), "POST", &location, "", &bid("p", "k")).await.unwrap();
    assert_eq!(followed.status, 201);
    let report = sandbox.report().unwrap();
    assert_eq!((report.followed_redirects, report.submissions, report.accepted), (1, 2, 1));
}

#[tokio::test]
async fn a_delay_before_accepting_outlasts_a_client_that_hangs_up() {
    let (sandbox, _dir) = sandbox("delay-before=200ms").await;
    let mut client = TcpStream::connect(sandbox.address()).unwrap();
    let body = bid("p", "k");
    let request = format!("POST /bids HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    client.write_all(request.as_bytes()).unwrap();
    sandbox.wait_for_submissions(1).await;
    // The request is on record before anything is decided.
    let at_first = sandbox.report().unwrap();
    assert_eq!((at_first.submissions, at_first.accepted, at_first.unanswered), (1, 0, 1));
    drop(client);
    let accepted = async { while ids(&sandbox, "p").await.is_empty() {} };
    tokio::time::timeout(PATIENCE, accepted).await.unwrap();
    let report = sandbox.report().unwrap();
    assert_eq!((report.accepted, report.unanswered), (1, 0));
}

#[tokio::test]
async fn a_delay_after_accepting_keeps_only_the_answer_back() {
    let (sandbox, _dir) = sandbox("delay-after=1m").await;
    let waiting = submit(&sandbox, "p", "k");
    tokio::select! {
        _ = waiting => panic!("answered"),
        () = sandbox.wait_for_submissions(1) => {}
    }
    assert_eq!(ids(&sandbox, "p").await, ["sb-1"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn silence_comes_before_or_after_accepting_and_ends_with_the_sandbox() {
    let (sandbox, _dir) = sandbox("silent-before=posting:a,silent-after=posting:b").await;
    let (address, mut waiting) = (sandbox.address(), Vec::new());
    for posting in ["a", "b"] {
        waiting.push(tokio::spawn(send(
            address,
            "POST",
            "/bids",
            "",
            Box::leak(bid(posting, posting).into_boxed_str()),
        )));
    }
    sandbox.wait_for_submissions(2).await;
    assert_eq!((ids(&sandbox, "a").await.len(), ids(&sandbox, "b").await.len()), (0, 1));
    assert_eq!(sandbox.report().unwrap().answers["silent"], 2);
    sandbox.stop().await;
    for silent in waiting {
        assert!(silent.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_stale_look_up_does_not_show_what_is_there() {
    let (sandbox, _dir) = sandbox("stale=5m").await;
    submit(&sandbox, "p", "k").await.unwrap();
    assert!(ids(&sandbox, "p").await.is_empty());
    sandbox.set_modes("stale=0ms".parse().unwrap());
    assert_eq!(ids(&sandbox, "p").await, ["sb-1"]);
}

#[tokio::test]
async fn look_ups_fail_and_hide_keys_on_demand() {
    let (sandbox, _dir) = sandbox("look-up-500=each:1,echo-keys=no").await;
    submit(&sandbox, "p", "k").await.unwrap();
    assert_eq!(look_up(&sandbox, "p").await.status, 500);
    let shown = look_up(&sandbox, "p").await.json();
    assert_eq!((&shown["bids"][0]["id"], &shown["bids"][0]["idempotency_key"]), (&"sb-1".into(), &().into()));
    let bare = send(sandbox.address(), "GET", "/bids", "", "").await.unwrap();
    assert_eq!(bare.status, 400);
}

#[tokio::test]
async fn a_withdrawal_may_be_refused_and_may_be_repeated() {
    let (sandbox, _dir) = sandbox("withdraw-refused=each:1@lost").await;
    submit(&sandbox, "p", "k").await.unwrap();
    let refused = withdraw(&sandbox, "sb-1").await;
    assert_eq!((refused.status, &refused.json()["status"]), (409, &"lost".into()));
    for _ in 0..2 {
        assert_eq!(withdraw(&sandbox, "sb%2D1").await.status, 200);
    }
    sandbox.set_modes("withdraw-refused=always@won".parse().unwrap());
    assert_eq!(withdraw(&sandbox, "sb-1").await.status, 200, "what is withdrawn stays so");
    assert_eq!(withdraw(&sandbox, "sb-9").await.status, 404);
    assert_eq!(look_up(&sandbox, "p").await.json()["bids"][0]["status"], "withdrawn");
    assert_eq!(sandbox.report().unwrap().withdrawn, 1);
}

#[tokio::test]
async fn what_is_no_bid_is_recorded_and_refused() {
    let (sandbox, _dir) = sandbox("").await;
    let at = sandbox.address();
    let long = "x".repeat(1024 * 1024 + 1);
    for (method, path, headers, body, status) in [
        ("POST", "/bids", "", "no JSON", 400),
        ("POST", "/bids", "", r#"{"marketplace":"m"}"#, 400),
        ("POST", "/bids", "idempotency-key: other\r\n", &bid("p", "k"), 400),
        ("POST", "/bids", "", &long, 413),
        ("DELETE", "/bids", "", "", 405),
        ("GET", "/nowhere", "", "", 404),
        ("GET", "/healthz", "authorization: Bearer hunter2\r\n", "", 200),
    ] {
        assert_eq!(send(at, method, path, headers, body).await.unwrap().status, status, "{method} {path}");
    }
    let report = sandbox.report().unwrap();
    assert_eq!((report.requests, report.submissions, report.accepted), (7, 0, 0));
    let log = std::fs::read_to_string(sandbox.log()).unwrap();
    assert!(log.contains(r#""authorization":"present""#) && !log.contains("hunter2"));
}

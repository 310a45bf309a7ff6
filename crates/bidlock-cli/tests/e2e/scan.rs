//! `bidlock scan` as a user meets it: started together, stopped, refused, with nobody reading.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::kit::{
    Running, Stage,
    feeds::{self, Dice},
};

async fn stage(modes: &str, postings: usize) -> (Stage, PathBuf) {
    let stage = Stage::new(modes).await;
    let feed = feeds::folder(stage.home.path(), postings, &mut Dice::new("feed", 5));
    (stage, feed)
}

fn scan(stage: &Stage, feed: &std::path::Path, more: &[&str]) -> Command {
    let mut command = stage.scan(feed, &["--marketplace", "test"]);
    command.args(more);
    command
}

/// Nothing is left half-way.
fn assert_nothing_held(stage: &Stage) {
    let states = stage.states();
    assert!(!states.contains_key("claimed") && !states.contains_key("submitting"), "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_at_once_on_an_empty_data_folder_all_work() {
    let (stage, feed) = stage("duplicates=accepted", 60).await;
    let scans: Vec<Running> = (0..8).map(|_| stage.start(scan(&stage, &feed, &["--wait", "60s"]))).collect();
    let mut submitted = 0;
    for ended in scans.into_iter().map(Running::end) {
        let lines = ended.code(0).lines();
        assert_eq!((lines.count("sightings"), lines.count("distinct")), (150, 60));
        assert_eq!(lines.count("submitted") + lines.count("already_bid"), 150);
        submitted += lines.count("submitted");
    }
    let report = stage.report();
    assert_eq!((submitted, report.submissions, report.duplicates), (60, 60, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_told_to_stop_finish_what_is_under_way_and_give_the_rest_back() {
    let (stage, feed) = stage("delay=150ms", 60).await;
    let mut running = stage.start(scan(&stage, &feed, &["--concurrency", "4"]));
    stage.sandbox.wait_for_submissions(6).await;
    running.signal(Signal::TERM);
    let lines = running.end().code(0).lines();
    let (submitted, deferred) = (lines.count("submitted"), lines.count("deferred"));
    assert!(submitted >= 4 && deferred > 0, "{}", lines.summary);
    assert_eq!(lines.count("unknown"), 0, "{}", lines.summary);
    assert_nothing_held(&stage);
    assert_eq!((stage.states()["submitted"], stage.report().submissions), (submitted, submitted));
    // The next run does the rest, each posting once.
    stage.run(scan(&stage, &feed, &["--concurrency", "16"])).code(0);
    let report = stage.report();
    assert_eq!((report.submissions, report.duplicates), (60, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_told_twice_leave_at_once_and_name_what_is_unknown() {
    let (stage, feed) = stage("silent-after=always", 10).await;
    let mut running = stage.start(scan(&stage, &feed, &["--concurrency", "3"]));
    stage.sandbox.wait_for_submissions(3).await;
    running.signal(Signal::TERM);
    // The second signal counts once the first one has been seen.
    while !std::fs::read_to_string(stage.home.path().join("err-0.txt")).unwrap().contains("stopping") {
        assert!(!running.has_ended());
        tokio::task::yield_now().await;
    }
    running.signal(Signal::TERM);
    let ended = running.end().code(6);
    assert_eq!(ended.lines().count("unknown"), 3);
    assert_nothing_held(&stage);
    let unknown: Vec<_> = stage.rows().into_iter().filter(|r| r.state == "unknown").collect();
    assert_eq!(unknown.len(), 3);
    assert!(unknown.iter().all(|r| r.cause.as_deref() == Some("shutdown")), "{unknown:?}");
    // All three had arrived: a look-up settles them, and ends with 0.
    stage.run(stage.command(&["reconcile", "--json"])).code(0);
    assert_eq!(stage.states()["submitted"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_say_what_a_script_must_know() {
    let (stage, feed) = stage("duplicates=accepted", 10).await;
    stage.run(scan(&stage, &feed, &[])).code(0);
    let again = stage.run(scan(&stage, &feed, &[])).code(0).lines();
    assert_eq!(again.count("already_bid"), 25, "already bid is no failure");

    let (stage, feed) = self::stage("reset-after=posting:job-00003", 10).await;
    let ended = stage.run(scan(&stage, &feed, &[])).code(6);
    assert_eq!((ended.lines().count("unknown"), ended.lines().count("submitted")), (1, 9));
    stage.run(scan(&stage, &feed, &[])).code(0);
    assert_eq!(stage.report().submissions, 10, "an unknown is not sent again");
    stage.run(stage.command(&["reconcile"])).code(0);

    let (stage, feed) = self::stage("402=always", 10).await;
    let ended = stage.run(scan(&stage, &feed, &["--concurrency", "1"])).code(8);
    assert!(ended.err.contains("sending has stopped") && ended.err.contains("402"), "{}", ended.err);
    assert_eq!(ended.lines().count("deferred"), 25);
    assert_eq!(stage.report().submissions, 1, "nothing is sent after the account was refused");
    assert_nothing_held(&stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_whose_reader_has_gone_stops_bidding_and_leaves_nothing_half_way() {
    let (stage, feed) = stage("delay=100ms", 60).await;
    let mut command = scan(&stage, &feed, &["--concurrency", "2"]);
    // Outcomes are told a batch at a time.
    command.env("BIDLOCK_SCAN__BATCH", "4");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap(); // and closes it
    assert!(first.contains("\"outcome\""), "{first}");
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    assert_nothing_held(&stage);
    let report = stage.report();
    assert!(report.submissions < 60, "nobody bids unseen: {}", report.submissions);
    assert_eq!(stage.states().get("submitted").copied(), Some(report.accepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_rows_are_told_and_cost_no_other() {
    let stage = Stage::new("").await;
    let feed = stage.home.path().join("feed.jsonl");
    std::fs::write(
        &feed,
        "{\"id\":\"1\",\"title\":\"One\"}\n{\"id\":\"2\",\"title\":\n[]\n{\"id\":\"3\",\"title\":\"Three\"}\n",
    )
    .unwrap();
    let lines = stage.run(scan(&stage, &feed, &[])).code(0).lines();
    assert_eq!((lines.count("submitted"), lines.count("invalid")), (2, 2));
    assert_eq!(stage.report().submissions, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_place_to_submit_to_it_is_a_dry_run() {
    let (stage, feed) = stage("", 10).await;
    let mut command = stage.command(&["scan", "--json", "--marketplace", "test"]);
    command.arg(&feed);
    let ended = stage.run(command).code(0);
    let lines = ended.lines();
    assert_eq!((lines.count("submitted"), lines.count("already_bid")), (10, 15));
    assert_eq!(lines.summary["dry_run"], true);
    assert!(ended.err.contains("dry run"), "{}", ended.err);
    assert_eq!(stage.report().requests, 0);
    assert!(stage.rows().is_empty(), "a dry run writes no row");
}

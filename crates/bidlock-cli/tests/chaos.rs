//! The fault rig, run as users run it: faults are really injected, everything is settled at the end, and what it can't do
//! it says.

#![allow(clippy::unwrap_used, reason = "also in the functions that only tests call")]
#![allow(clippy::print_stdout, reason = "the figures of a long test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use bidlock_chaos::{
    fault::FaultKind,
    history::{Entry, FeedLine, LedgerLine, RunFolder, What, read_begun, read_lines},
};
use bidlock_ledger::{BidState, PostingId};
use serde_json::Value;

fn chaos(words: &str, home: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bidlock"));
    command
        .arg("chaos")
        .args(words.split_whitespace())
        .env("HOME", home)
        .env("TMPDIR", home)
        .current_dir(home);
    // Nothing of the user's settings is the rig's business.
    command.env("DATABASE_URL", "postgres://nowhere/at-all").env("BIDLOCK_LOCK__TTL", "nonsense");
    command.output().unwrap()
}

/// What a run's files say, counted by this test alone.
#[derive(Debug, Default)]
struct Counted {
    begun: BTreeMap<FaultKind, u64>,
    ended: u64,
    skipped: u64,
    unended: BTreeSet<u32>,
    incarnations: u64,
    holders: BTreeSet<String>,
    leases: u64,
    is_complete: bool,
    feed: BTreeSet<PostingId>,
    bids: BTreeMap<PostingId, BidState>,
}

impl Counted {
    fn read(folder: &RunFolder) -> Counted {
        let mut counted = Counted::default();
        read_lines(&folder.history(), |entry: Entry| {
            counted.add(entry.what);
            Ok(())
        })
        .unwrap();
        read_lines(&folder.feed(), |line: FeedLine| {
            counted.feed.insert(line.posting);
            Ok(())
        })
        .unwrap();
        read_lines(&folder.ledger(), |line: LedgerLine| {
            if let LedgerLine::Bid(bid) = line {
                counted.bids.insert(bid.posting, bid.state);
            }
            Ok(())
        })
        .unwrap();
        counted
    }

    fn add(&mut self, what: What) {
        match what {
            What::FaultBegins(fault) => {
                *self.begun.entry(fault.fault).or_default() += 1;
                self.unended.insert(fault.id);
            }
            What::FaultEnds { id } => {
                self.ended += 1;
                self.unended.remove(&id);
            }
            What::FaultSkipped { id, .. } => {
                self.skipped += 1;
                self.unended.remove(&id);
            }
            What::ProcessStarted(started) => {
                self.incarnations += 1;
                self.holders.insert(started.holder);
            }
            What::Lease(_) => self.leases += 1,
            What::Ended { .. } => self.is_complete = true,
            _ => {}
        }
    }
}

/// Runs a seed on these engines and looks at everything that it leaves.
fn run(engines: &str, minutes: &str, kinds: usize, faults: u64) {
    let home = tempfile::tempdir().unwrap();
    let words = format!(
        "run --seed 7 --minutes {minutes} --engines {engines} --postings 400 --faults-per-minute 240 --json --keep kept"
    );
    let output = chaos(&words, home.path());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let folder = RunFolder::at(&home.path().join("kept"));
    let counted = Counted::read(&folder);

    // Faults were really injected, and all of them ended.
    assert!(counted.begun.len() >= kinds, "{:?}", counted.begun);
    assert!(counted.ended >= faults, "{} ended, {} skipped", counted.ended, counted.skipped);
    assert!(counted.unended.is_empty(), "{:?}", counted.unended);
    assert!(counted.is_complete);
    // Whoever was killed came back, under a name of its own.
    assert!(counted.holders.contains("scanner-1.1") && counted.holders.contains("worker-1.1"));
    assert!(counted.incarnations > counted.begun.get(&FaultKind::Kill).copied().unwrap_or(0) + 6);
    assert!(counted.leases > 50, "{}", counted.leases);

    // Every posting of the feed has its one row, at rest.
    assert_eq!(counted.feed.len(), 400);
    assert_eq!(counted.bids.keys().collect::<Vec<_>>(), counted.feed.iter().collect::<Vec<_>>());
    for (posting, state) in &counted.bids {
        use BidState::*;
        assert!(!matches!(state, Claimed | Submitting | Abandoned | Withdrawing), "{posting} is {state}");
    }
    let record = bidlock_sandbox::Report::read(folder.sandbox()).unwrap();
    assert_eq!((record.duplicates, record.followed_redirects), (0, 0), "{record:?}");
    assert!(record.accepted > 300, "{record:?}");

    // The files alone say the same again.
    let again = chaos("replay kept/history.jsonl --check-only --json", home.path());
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    let report = |output: &Output| {
        let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
        // The command names the folder as it was named on the command line.
        report.as_object_mut().unwrap().remove("replay").unwrap();
        report
    };
    assert_eq!(report(&output), report(&again));
}

#[test]
fn a_run_on_sqlite_injects_its_faults_and_settles_every_posting() {
    run("sqlite", "0.12", 7, 12);
}

#[test]
fn a_run_on_redis_and_postgres_injects_its_faults_and_settles_every_posting() {
    if !has_servers("a_run_on_redis_and_postgres_injects_its_faults_and_settles_every_posting") {
        return;
    }
    run("redis+postgres", "0.2", 10, 25);
}

/// The size of the rig that every change has to pass: about three minutes.
#[test]
#[ignore = "three minutes of two cores: cargo nextest run -p bidlock-cli --all-features --run-ignored only -E 'binary(chaos)'"]
fn twenty_thousand_postings_and_two_thousand_faults_are_proven_clean() {
    if !has_servers("twenty_thousand_postings_and_two_thousand_faults_are_proven_clean") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let words =
        "run --seed 5 --minutes 2 --engines redis+postgres --postings 20000 --faults-per-minute 220 --json";
    let output = chaos(words, home.path());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let count = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"));
    assert_eq!((count("postings"), count("duplicates"), count("lost")), (20_000, 0, 0), "{report}");
    assert!(count("faults_total") >= 2_000 && count("fault_types") >= 12, "{report}");
    assert_eq!(count("unknowns_named"), count("unknowns_total"), "{report}");
    println!(
        "{} faults of {} types, {} unknown",
        count("faults_total"),
        count("fault_types"),
        count("unknowns_total")
    );
}

fn has_servers(test: &str) -> bool {
    use bidlock_testkit::{PostgresServer, RedisServer, missing};
    for (engine, is_there) in
        [("redis", RedisServer::is_installed()), ("postgres", PostgresServer::is_installed())]
    {
        if !is_there {
            missing(engine, &format!("no server for {test}"));
            return false;
        }
    }
    true
}

#[test]
fn a_replay_runs_the_very_plan_of_the_run() {
    let home = tempfile::tempdir().unwrap();
    let order = "--seed 9 --minutes 0.05 --postings 40 --scanners 2 --faults-per-minute 100";
    for words in [format!("run {order} --keep first"), "replay first --keep second".to_owned()] {
        let output = chaos(&words, home.path());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let begun = |name: &str| read_begun(&RunFolder::at(&home.path().join(name))).unwrap();
    assert_eq!(begun("first").plan, begun("second").plan);
    assert!(!begun("first").plan.faults.is_empty());
}

/// What a short run of sqlite is ordered by.
const SHORT: &str = "--seed 9 --minutes 0.05 --postings 40 --scanners 2 --faults-per-minute 100";

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The folders of runs that were left in this one.
fn left_in(home: &Path) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("bidlock-chaos-")).collect()
}

#[test]
fn a_page_that_can_not_be_written_is_told_before_the_run_or_after_its_verdict() {
    let home = tempfile::tempdir().unwrap();
    // Before: nothing is run.
    for words in ["run --minutes 2 --html nowhere/page.html", "run --minutes 2 --html ."] {
        let (code, stdout, stderr) = said(&chaos(words, home.path()));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("--html: can't write") && !stderr.contains("seed 1"), "{stderr}");
    }
    assert!(left_in(home.path()).is_empty());

    // After, as on a disk that is full by then: the verdict is told, and the run's files stay.
    let (code, stdout, stderr) = said(&chaos(&format!("run {SHORT} --html /dev/full"), home.path()));
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stdout.contains("Proven: "), "{stdout}");
    // What was announced: the marketplace's faults come on top of the planned ones, and the folder does not stay.
    assert!(stderr.contains("seed 9, sqlite: 1 fault and the marketplace's own in 0.05 minutes"), "{stderr}");
    assert!(stderr.contains("which is deleted at the end unless something is found; --keep DIR"), "{stderr}");
    let left = left_in(home.path());
    assert_eq!(left.len(), 1, "{left:?}");
    let folder = left[0].to_str().unwrap();
    assert!(stderr.contains("can't write /dev/full: No space left"), "{stderr}");
    assert!(stderr.contains(&format!("chaos replay {folder} --check-only")), "{stderr}");

    // A violation is told by its exit code, whatever can't be written.
    let history = left[0].join("history.jsonl");
    let mut text = std::fs::read_to_string(&history).unwrap();
    text.push_str("{\"at_ms\":1,\"kind\":\"note\",\"holder\":\"scanner-1.1\",\"text\":\"panicked at x\"}\n");
    std::fs::write(&history, text).unwrap();
    let check = format!("replay {folder} --check-only");
    let (code, stdout, stderr) = said(&chaos(&format!("{check} --html /dev/full"), home.path()));
    assert_eq!(code, Some(7), "{stderr}");
    assert!(stdout.contains("VIOLATED: processes") && stderr.contains("can't write /dev/full"), "{stdout}");
    let (code, stdout, stderr) = said(&chaos(&format!("{check} --html nowhere/page.html"), home.path()));
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");

    // And one that can be written is, over what was there.
    let page = home.path().join("page.html");
    std::fs::write(&page, "x".repeat(1 << 20)).unwrap();
    assert_eq!(said(&chaos(&format!("{check} --html page.html"), home.path())).0, Some(7));
    assert!(std::fs::read_to_string(&page).unwrap().trim_end().ends_with("</html>"));
}

/// Interrupts a run once its processes live, and waits for its end.
fn interrupted(words: &str, home: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bidlock"));
    command.arg("chaos").args(words.split_whitespace()).env("TMPDIR", home).current_dir(home);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let history = home.join("kept/history.jsonl");
    let has_begun = || std::fs::read_to_string(&history).is_ok_and(|text| text.contains("process_started"));
    // Two minutes at the most.
    let begun = (0..6_000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        has_begun()
    });
    assert!(begun, "no process was started");
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    run.wait_with_output().unwrap()
}

#[test]
fn an_interrupted_run_says_so_and_is_not_judged() {
    let home = tempfile::tempdir().unwrap();
    let run = "run --seed 9 --minutes 3 --postings 40 --scanners 2 --keep kept";
    let (code, stdout, stderr) = said(&interrupted(run, home.path()));
    assert_eq!((code, stdout.as_str()), (Some(130), ""), "{stderr}");
    assert!(stderr.contains("interrupted: nothing was checked"), "{stderr}");
    assert!(stderr.contains("bidlock chaos replay ") && !stderr.contains('\u{1b}'), "{stderr}");
    let (code, stdout, stderr) = said(&chaos("replay kept --check-only", home.path()));
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("kept can't be checked: this run was interrupted before"), "{stderr}");
}

#[test]
fn only_a_folder_or_its_history_is_replayed_and_the_message_names_what_was_given() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("run")).unwrap();
    for file in ["README.md", "run/history.jsonl", "run/sandbox.jsonl"] {
        std::fs::write(home.path().join(file), "{\"at_ms\":0,\"kind\":\"quiet_begins\"}\n").unwrap();
    }
    for (named, says) in [
        ("nowhere", "nowhere is no recorded run: there is no such"),
        (".", ". is no recorded run: there is no history.jsonl in it"),
        ("README.md", "README.md is no recorded run: this file is not called history.jsonl"),
        ("run/sandbox.jsonl", "run/sandbox.jsonl is no recorded run: this file is not called history.jsonl"),
        ("run", "run/history.jsonl does not begin with a plan"),
        ("run/history.jsonl", "run/history.jsonl does not begin with a plan"),
    ] {
        for check_only in ["", " --check-only"] {
            let (code, stdout, stderr) = said(&chaos(&format!("replay {named}{check_only}"), home.path()));
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{named}: {stderr}");
            assert!(stderr.contains(says), "{named}: {stderr}");
        }
    }
}

#[test]
fn what_the_rig_needs_and_does_not_find_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bidlock"));
    command.args(["chaos", "run", "--engines", "redis+postgres"]).current_dir(home.path());
    command.env("TMPDIR", home.path()).env("BIDLOCK_REDIS_SERVER", "/nowhere/redis-server");
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains("install the package redis-server"), "{stderr}");

    for (words, code, says) in [
        ("run --engines mysql", 2, "sqlite, redis+postgres or postgres"),
        ("run --minutes 0", 2, "0.05 to 1440"),
        ("replay nowhere", 2, "nowhere"),
        ("replay nowhere --check-only --keep kept", 2, "--keep"),
    ] {
        let output = chaos(words, home.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {stderr}");
        assert!(stderr.contains(says), "{words}: {stderr}");
    }
    std::fs::write(home.path().join("history.jsonl"), "{\"at_ms\":0,\"kind\":\"quiet_begins\"}\n").unwrap();
    let output = chaos("replay history.jsonl --check-only", home.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not begin with a plan"));
}

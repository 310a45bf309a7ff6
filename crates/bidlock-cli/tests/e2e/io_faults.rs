//! I/O errors and power failures under SQLite: for every n, the n-th call of a real process on the files of ledger and
//! locks fails, once or from then on, or is where the computer loses its power. Afterwards other processes work the
//! same day once more, and every invariant holds.
//!
//! What runs with every change takes each 7th to 31st n of a scan, `reconcile` and `bid withdraw`, beginning where
//! `BIDLOCK_SWEEP_SEED` says (a number, 1 where it is not set). The sweeps that leave none out are ignored tests:
//! `cargo nextest run -p bidlock-cli --all-features --run-ignored only -E 'test(/^io_faults::/)' --no-capture`

#![allow(clippy::print_stdout, reason = "the figures, and what whoever reads a failure needs")]

mod day;
mod ledger;
mod shim;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bidlock::{Clock, SystemClock};
use day::Day;
use shim::{Fault, Shim};
use tokio::{runtime::Handle, task::JoinSet};

/// Strikes under way at once: they wait for processes and the disk.
const AT_ONCE: usize = 3;
/// No command makes more calls; one that does never ends.
const MOST_CALLS: usize = 5_000;
/// So many strikes are told of, where they are the slowest.
const SLOWEST: usize = 3;

/// What became of one strike.
struct Struck {
    n: usize,
    /// The call, and the file; `None`: the command ended before its n-th call.
    call: Option<String>,
    code: Option<i32>,
    took: Duration,
}

/// What the struck process has in its environment besides.
type Env = &'static [(&'static str, &'static str)];

/// The command with its n-th call struck, then the same day once more without faults, then the checks.
async fn strike(shim: Arc<Shim>, day: Day, fault: Fault, n: usize, env: Env) -> Struck {
    let began = SystemClock.now();
    let stage = day.stage().await;
    let strike = move || {
        let mut command = day.command(&stage);
        command.envs(env.iter().copied());
        let run = shim.run(&stage, command, fault, n);
        let struck = run.call(n);
        let at =
            format!("{}, {fault} at call {n}, {}", day.name(), struck.as_deref().unwrap_or("not reached"));
        println!("{at}: {:?}", run.code);
        day.check_what_it_says(&stage, &run, struck.is_some(), fault, &at);
        ledger::check_doors_are_durable(&stage, &run, &at);
        if fault == Fault::Power && struck.is_some() {
            run.lose_what_was_not_synced(&stage);
            ledger::check_note_is_durable(&stage, &at);
        }
        ledger::check_whole(&stage, &at);
        ledger::reboot(&stage);
        day.finish(&stage);
        day.check(&stage, struck.is_some(), &at);
        ledger::check_whole(&stage, &at);
        (struck, run.code)
    };
    let (call, code) = tokio::task::spawn_blocking(strike).await.unwrap();
    Struck { n, call, code, took: SystemClock.now().since(began) }
}

/// Strikes every `stride`-th call until a run meets no fault any more.
async fn sweep(day: Day, fault: Fault, stride: usize) {
    let shim = Arc::new(Shim::build());
    let mut all = Vec::new();
    let seed = std::env::var("BIDLOCK_SWEEP_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut next = (1 + seed % stride..MOST_CALLS).step_by(stride);
    let mut running = JoinSet::new();
    let mut is_over = false;
    loop {
        while !is_over && running.len() < AT_ONCE {
            let n = next.next().expect("a command that makes calls for ever");
            running.spawn_on(strike(Arc::clone(&shim), day, fault, n, &[]), &Handle::current());
        }
        let Some(struck) = running.join_next().await else { break };
        let struck = struck.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
        is_over |= struck.call.is_none();
        all.push(struck);
    }
    tell(day, fault, all);
}

fn tell(day: Day, fault: Fault, mut all: Vec<Struck>) {
    let (mut codes, mut calls) = (BTreeMap::new(), BTreeMap::new());
    for struck in &all {
        let Some(call) = &struck.call else { continue };
        *codes.entry(struck.code.map_or_else(|| "died".to_owned(), |c| c.to_string())).or_insert(0) += 1;
        *calls.entry(call.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    let struck = calls.values().sum::<usize>();
    println!("{}, {fault}: {struck} calls struck: {calls:?}; exit codes {codes:?}", day.name());
    all.sort_by_key(|struck| std::cmp::Reverse(struck.took));
    for slow in all.iter().take(SLOWEST) {
        println!("  call {} ({}) took {:?}", slow.n, slow.call.as_deref().unwrap_or("none"), slow.took);
    }
    assert!(struck > 0, "nothing was struck");
}

/// The checks notice a disk that only says that it has synced: nothing of what was sent is durable then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_is_noticed() {
    if Shim::can_be_built("a_disk_that_lies_is_noticed") {
        let noticed = complaint(&Arc::new(Shim::build()), Fault::Lies, 1, &[]).await;
        assert!(noticed.is_some_and(|text| text.contains("leaves no ledger")));
    }
}

/// The checks notice a scanner that sends although its door was not written: the sync of one such write fails.
#[cfg(feature = "canary")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_without_a_durable_door_is_noticed() {
    if !Shim::can_be_built("sending_without_a_durable_door_is_noticed") {
        return;
    }
    // Counted alone: how many other calls come between them depends on the machine.
    const SYNCS: (&str, &str) = ("IO_ONLY", "sync ledger.db-wal");
    let shim = Arc::new(Shim::build());
    let stage = Day::Scan.stage().await;
    let mut scan = Day::Scan.command(&stage);
    scan.envs([SYNCS]);
    let syncs = shim.run(&stage, scan, Fault::Lies, 1).count();
    let mut noticed = Vec::new();
    for n in 1..=syncs {
        noticed.extend(complaint(&shim, Fault::Eio, n, &[SYNCS, ("BIDLOCK_CANARY", "send-blindly")]).await);
    }
    // A door whose sync has failed is not there for whoever comes next; or not after a power failure.
    let is_twice = |text: &String| text.contains("accepted twice") || text.contains(" times");
    assert!(noticed.iter().any(is_twice), "{noticed:?}");
}

/// What the checks have against a scan, if anything.
async fn complaint(shim: &Arc<Shim>, fault: Fault, n: usize, env: Env) -> Option<String> {
    let ended = tokio::spawn(strike(Arc::clone(shim), Day::Scan, fault, n, env)).await;
    ended.err().map(|panic| panic.to_string())
}

macro_rules! sweeps {
    ($($(#[$ignored:meta])? $name:ident: $($day:ident)+, $($fault:ident)+, $stride:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$ignored])?
        async fn $name() {
            if !Shim::can_be_built(stringify!($name)) {
                return;
            }
            for day in [$(Day::$day),+] {
                for fault in [$(Fault::$fault),+] {
                    sweep(day, fault, $stride).await;
                }
            }
        }
    )*};
}

sweeps! {
    a_scan_that_meets_an_io_error: Scan, Eio, 19;
    a_scan_that_meets_io_errors_from_then_on: Scan, EioFromThenOn, 31;
    a_scan_that_meets_a_full_disk: Scan, Enospc, 13;
    a_scan_that_meets_a_full_disk_from_then_on: Scan, EnospcFromThenOn, 19;
    a_scan_whose_power_fails: Scan, Power, 7;
    a_look_up_or_a_withdrawal_that_meets_an_io_error: Reconcile Withdraw, Eio, 29;
    a_look_up_or_a_withdrawal_that_meets_a_full_disk: Reconcile Withdraw, Enospc EnospcFromThenOn, 17;
    a_look_up_or_a_withdrawal_whose_power_fails: Reconcile Withdraw, Power, 11;
    #[ignore = "every call: some minutes"]
    every_call_of_a_scan: Scan, Eio EioFromThenOn Enospc EnospcFromThenOn Power, 1;
    #[ignore = "every call: some minutes"]
    every_call_of_a_scan_that_sends_what_was_approved: Approved, Eio EioFromThenOn Enospc EnospcFromThenOn Power, 1;
    #[ignore = "every call: some minutes"]
    every_call_of_the_other_commands: Approve Reconcile Resolve Withdraw, Eio EioFromThenOn Enospc EnospcFromThenOn Power, 1;
}

//! The days: what is done before, which command is struck, what others do afterwards, and what must hold.

use std::{fs, path::PathBuf, process::Command};

use bidlock_ledger::{
    Bid, BidEvent, BidFilter, BidState, LedgerStore, Page, SqliteLedger,
    lawful::{Times, breaches},
};

use crate::{
    io_faults::shim::{Fault, Run},
    kit::{Ended, Stage},
};

/// What the marketplace does with each posting, by its name; a second bid is always accepted.
const POSTINGS: [&str; 4] = ["accepted", "lost-after", "lost-before", "refused"];
const MODES: &str =
    "duplicates=accepted,reset-after=posting:lost-after,reset-before=posting:lost-before,422=posting:refused";

/// The command that is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Day {
    /// A scan that makes the ledger, and sends.
    Scan,
    /// A scan that sends what a person has approved.
    Approved,
    /// A person approves a bid.
    Approve,
    /// A person settles what is unknown.
    Resolve,
    /// What is unknown is looked up.
    Reconcile,
    /// A bid is withdrawn.
    Withdraw,
}

impl Day {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Day::Scan => "scan",
            Day::Approved => "scan of what was approved",
            Day::Approve => "bid approve",
            Day::Resolve => "bid resolve",
            Day::Reconcile => "reconcile",
            Day::Withdraw => "bid withdraw",
        }
    }

    /// Everything up to the command that is struck.
    pub(crate) async fn stage(self) -> Stage {
        let stage = Stage::new(MODES).await;
        let rows: Vec<String> = POSTINGS
            .iter()
            .map(|id| format!(r#"{{"id":"{id}","title":"A posting that is {id}","budget":250}}"#))
            .collect();
        fs::write(feed(&stage), format!("[{}]", rows.join(","))).unwrap();
        tokio::task::spawn_blocking(move || {
            if self != Day::Scan {
                self.run(&stage, self.scan(&stage), &[0, 6]);
            }
            if self == Day::Approved {
                self.approve_all(&stage);
            }
            stage
        })
        .await
        .unwrap()
    }

    /// The command that is struck.
    pub(crate) fn command(self, stage: &Stage) -> Command {
        match self {
            Day::Scan | Day::Approved => self.scan(stage),
            Day::Approve => stage.command(&["bid", "approve", "m/accepted"]),
            Day::Resolve => stage.command(&[
                "bid",
                "resolve",
                "m/lost-before",
                "--as",
                "not-submitted",
                "--reason",
                "support says so",
            ]),
            Day::Reconcile => stage.command(&["reconcile"]),
            Day::Withdraw => stage.command(&["bid", "withdraw", "m/accepted", "--reason", "too much work"]),
        }
    }

    /// Other processes finish the day.
    pub(crate) fn finish(self, stage: &Stage) {
        self.run(stage, self.scan(stage), &[0, 6]);
        match self {
            Day::Approve | Day::Approved => {
                self.approve_all(stage);
                self.run(stage, self.scan(stage), &[0, 6]);
            }
            // Once more: it may have been done, and then says so.
            Day::Resolve => drop(self.run(stage, self.command(stage), &[0, 2, 5])),
            Day::Withdraw => drop(self.run(stage, self.command(stage), &[0])),
            Day::Scan | Day::Reconcile => {}
        }
        self.run(stage, stage.command(&["reconcile"]), &[0, 6]);
    }

    /// The process that met the fault ends with a code of the table; an error names a file and the way out.
    pub(crate) fn check_what_it_says(self, stage: &Stage, run: &Run, struck: bool, fault: Fault, at: &str) {
        let Ended { out, err, .. } = &run.ended;
        let said = format!("{at}: {:?}\n{err}\n{out}", run.code);
        if struck && fault == Fault::Power {
            assert_eq!(run.code, None, "{said}");
            return;
        }
        let done: &[i32] = match self {
            Day::Scan | Day::Approved | Day::Reconcile => &[6],
            Day::Approve | Day::Resolve | Day::Withdraw => &[0],
        };
        match run.code {
            Some(code) if done.contains(&code) => self.check_that_it_is_done(stage, &said),
            Some(5) if struck => {
                let folder = stage.home.path().join("data").display().to_string();
                let error = err.lines().find(|line| line.starts_with("error:"));
                let error = error.unwrap_or_else(|| panic!("no error: {said}"));
                assert!(error.contains(&folder), "it names no file: {said}");
                let hint = err.lines().find_map(|line| line.trim_start().strip_prefix("hint:"));
                let hint = hint.unwrap_or_else(|| panic!("no way out: {said}"));
                // Whoever reads of damage may restore a backup, and lose what has been sent since. SQLite does not say
                // why it can't open a file, and sometimes takes what it can't read for damaged.
                assert!(
                    !hint.contains("backup") || hint.contains("disk is sound"),
                    "a wrong way out: {said}"
                );
                let is_full = matches!(fault, Fault::Enospc | Fault::EnospcFromThenOn);
                let is_told = hint.contains("room") || err.contains("unable to open");
                assert!(!is_full || is_told, "a full disk is not called that: {said}");
            }
            _ => panic!("an exit code that nothing explains: {said}"),
        }
    }

    /// An exit code that says so is no lie: nothing is left to do for whoever comes next.
    fn check_that_it_is_done(self, stage: &Stage, said: &str) {
        let rows = stage.rows();
        let state = |posting: &str| {
            let row = rows.iter().find(|row| row.posting == posting);
            row.unwrap_or_else(|| panic!("{posting} has no row: {said}")).state.as_str()
        };
        match self {
            // What could not be recorded is told as unknown, and swept.
            Day::Scan | Day::Approved => POSTINGS.iter().for_each(|posting| {
                let state = state(posting);
                let is_sent = ["submitted", "rejected", "unknown", "submitting"].contains(&state);
                assert!(is_sent, "{posting} is {state}: {said}");
            }),
            Day::Approve => assert_eq!(state("accepted"), "approved", "{said}"),
            Day::Resolve => assert_eq!(state("lost-before"), "not_submitted", "{said}"),
            Day::Reconcile => assert_eq!(state("lost-after"), "submitted", "{said}"),
            Day::Withdraw => assert_eq!(state("accepted"), "withdrawn", "{said}"),
        }
    }

    /// Every invariant, at the end of the day.
    pub(crate) fn check(self, stage: &Stage, struck: bool, at: &str) {
        let report = stage.report();
        let bids = bids(stage);
        for posting in POSTINGS {
            let rows: Vec<_> = bids.iter().filter(|(bid, _)| bid.posting.posting() == posting).collect();
            let [(bid, events)] = rows[..] else { panic!("{at}: not one row for {posting}: {rows:?}") };
            let record = report.postings.get(&("m".to_owned(), posting.to_owned())).cloned();
            let record = record.unwrap_or_default();
            // S1.
            assert!(record.accepted.len() <= 1, "{at}: {posting} was accepted twice: {record:?}");
            assert!(record.received <= 1, "{at}: {posting} was sent {} times", record.received);
            // S8, S9 and L1.
            let has = !record.accepted.is_empty();
            let settled = match bid.state {
                BidState::Submitted => has,
                BidState::Withdrawn => self == Day::Withdraw && record.withdrawn == record.accepted,
                BidState::Rejected => !has && posting == "refused",
                BidState::NotSubmitted => !has && self == Day::Resolve && posting == "lost-before",
                BidState::Unknown => {
                    !has && bid.unknown_cause.is_some() && (posting == "lost-before" || struck)
                }
                _ => false,
            };
            assert!(settled, "{at}: {posting} is {:?} ({:?}): {record:?}", bid.state, bid.unknown_cause);
            if self == Day::Withdraw && posting == "accepted" {
                assert_eq!(bid.state, BidState::Withdrawn, "{at}");
            }
            // S2, S4, S5, S7 and a whole history.
            let times = Times { ttl_ms: 20_000, slack_ms: 0, is_known: &|_| false };
            let breaches = breaches(events, bid.events, &times);
            assert!(breaches.is_empty(), "{at}: {posting}: {breaches:?}");
        }
    }

    fn scan(self, stage: &Stage) -> Command {
        let url = stage.sandbox.url();
        let mut scan = stage.command(&["scan", "--submit", &url, "--marketplace", "m", "--wait", "0s"]);
        // One after the other, so that the n-th call is mostly the same one.
        scan.args(["--concurrency", "1"]).arg(feed(stage));
        scan.env("BIDLOCK_SCAN__PATIENCE", "300ms").env("REDIS_LOCK_TTL", "20");
        let approval = if matches!(self, Day::Approve | Day::Approved) { "always" } else { "never" };
        scan.env("BIDLOCK_SUBMIT__APPROVAL", approval);
        scan
    }

    /// Those that were sent already are refused.
    fn approve_all(self, stage: &Stage) {
        for posting in POSTINGS {
            let words = ["bid", "approve", &format!("m/{posting}")];
            self.run(stage, stage.command(&words), &[0, 2, 4, 5]);
        }
    }

    fn run(self, stage: &Stage, command: Command, codes: &[i32]) -> Ended {
        let said = format!("{command:?}");
        let ended = stage.run(command);
        let code = ended.any_code();
        assert!(
            code.is_some_and(|code| codes.contains(&code)),
            "{said}: {code:?}\n{}{}",
            ended.err,
            ended.out
        );
        ended
    }
}

fn feed(stage: &Stage) -> PathBuf {
    stage.home.path().join("feed.json")
}

/// Every bid with its history, oldest first.
fn bids(stage: &Stage) -> Vec<(Bid, Vec<BidEvent>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ledger = SqliteLedger::open(stage.ledger()).unwrap();
        let mut bids = Vec::new();
        for bid in ledger.list(&BidFilter::default(), &Page::default()).await.unwrap() {
            let events = ledger.history(bid.id).await.unwrap();
            bids.push((bid, events));
        }
        bids
    })
}

//! Scanner processes that are killed, paused beyond their TTL and restarted at random: never two submissions.

use std::{path::PathBuf, process::Command, time::Duration};

use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use crate::kit::{
    Running, Stage,
    feeds::{self, Dice},
};

const SCANNERS: usize = 4;
const POSTINGS: usize = 200;
/// Short, so that pauses can outlast it.
const TTL_S: u64 = 1;
/// Beyond the TTL of claims and locks.
const PAUSE: Duration = Duration::from_millis(1_600);

/// Faults on scanners over a made-up feed, then a quiet scan that finishes what is left.
struct Chaos {
    stage: Stage,
    feed: PathBuf,
    dice: Dice,
    locks: Option<&'static str>,
}

impl Chaos {
    async fn new(test: &str, seed: u64, modes: &str) -> Chaos {
        let mut dice = Dice::new(test, seed);
        let stage = Stage::new(modes).await;
        let feed = feeds::folder(stage.home.path(), POSTINGS, &mut dice);
        Chaos { stage, feed, dice, locks: None }
    }

    fn scan(&self, wait: &str) -> Command {
        let mut command = self.stage.scan(&self.feed, &["--marketplace", "test", "--wait", wait]);
        command.env("REDIS_LOCK_TTL", TTL_S.to_string()).args(["--concurrency", "4"]);
        // Who was paused with four requests on their way has lost them all: here the marketplace is ill on purpose.
        command.env("BIDLOCK_SUBMIT__MAX_UNKNOWN_IN_A_ROW", "1000");
        if let Some(locks) = self.locks {
            command.args(["--locks", locks]);
        }
        command
    }

    /// Starts the scanners; at each further so many submissions one of them is killed and restarted, or
    /// paused and later continued. Returns the number of kills and pauses.
    async fn run(&mut self, faults: usize) -> (usize, usize) {
        let mut scanners: Vec<Running> = (0..SCANNERS).map(|_| self.stage.start(self.scan("20s"))).collect();
        let (mut kills, mut pauses) = (0, 0);
        for fault in 1..=faults {
            // Paced by what the marketplace sees; where all are paused or done, by the clock.
            let progress = self.stage.sandbox.wait_for_submissions((fault * POSTINGS / (faults + 2)) as u64);
            let _ = timeout(PAUSE, progress).await;
            let victim = self.dice.below(SCANNERS);
            let ended = scanners[victim].has_ended();
            if ended || scanners[victim].stopped || self.dice.below(3) == 0 {
                // A new one in the place of a dead one, which may have been asleep with a request half sent.
                let fresh = self.stage.start(self.scan("20s"));
                std::mem::replace(&mut scanners[victim], fresh).kill();
                kills += usize::from(!ended);
            } else {
                scanners[victim].signal(Signal::STOP);
                pauses += 1;
            }
            if self.dice.below(3) == 0 {
                scanners.iter_mut().filter(|s| s.stopped).for_each(|s| s.signal(Signal::CONT));
            }
        }
        // Whoever sleeps now sleeps beyond every claim; then all wake up and find what became of theirs.
        sleep(PAUSE).await;
        for scanner in &mut scanners {
            scanner.signal(Signal::CONT);
        }
        for scanner in scanners {
            let ended = scanner.end();
            let code = ended.any_code();
            assert!(matches!(code, Some(0 | 6)), "a scan ended with {code:?}: {}", ended.err);
        }
        (kills, pauses)
    }

    /// The quiet end: what the dead left behind has expired, one more scan settles every posting. A 429 asks for
    /// a pause longer than half of these short claims, so that a scan puts the rest off to the next one.
    async fn finish(&self) {
        const PASSES: usize = 20;
        for _ in 0..PASSES {
            let ended = self.stage.run(self.scan("20s"));
            assert!(matches!(ended.any_code(), Some(0 | 6)), "{}", ended.err);
            let lines = ended.lines();
            assert_eq!(lines.count("distinct"), POSTINGS as u64);
            for unsettled in ["held_elsewhere", "declined", "ambiguous_identity"] {
                assert_eq!(lines.count(unsettled), 0, "{}", lines.summary);
            }
            if lines.count("deferred") == 0 {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("still put off after {PASSES} scans");
    }

    /// Everything that must hold afterwards, whatever happened.
    fn check(&self) {
        let report = self.stage.report();
        assert_eq!(report.duplicates, 0, "{:?}", report.duplicated().collect::<Vec<_>>());
        assert!(report.postings.values().all(|p| p.accepted.len() <= 1));
        let rows = self.stage.rows();
        assert_eq!(rows.len(), POSTINGS);
        for row in &rows {
            match row.state.as_str() {
                "submitted" => {}
                "unknown" => assert!(row.cause.is_some(), "an unknown that names no cause: {row:?}"),
                _ => panic!("unsettled after the faults ended: {row:?}"),
            }
        }
    }

    /// Looks everything up: what the marketplace has is submitted, and nothing else is.
    fn reconcile(&self) {
        let before = self.stage.report().submissions;
        let ended = self.stage.run(self.stage.command(&["reconcile", "--json"]));
        let open = self.stage.states().get("unknown").copied().unwrap_or(0);
        assert_eq!(ended.any_code(), Some(if open == 0 { 0 } else { 6 }), "{}\n{}", ended.out, ended.err);
        let report = self.stage.report();
        assert_eq!(report.submissions, before, "a look-up sends nothing");
        for row in self.stage.rows() {
            let has = report.postings.get(&("test".to_owned(), row.posting.clone()));
            let has = has.is_some_and(|p| !p.accepted.is_empty());
            assert_eq!(row.state == "submitted", has, "{row:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_and_paused_never_submit_twice() {
    let mut chaos = Chaos::new("killed_and_paused", 1, "duplicates=accepted,delay=5ms..60ms").await;
    let (kills, pauses) = chaos.run(20).await;
    chaos.finish().await;
    chaos.check();
    // Without a 429 nothing may reach the marketplace twice, whatever it would do with it.
    let report = chaos.stage.report();
    assert!(report.postings.values().all(|p| p.received == 1), "{:?}", report.postings);
    assert_eq!(report.keys_seen_again, 0);
    println!("{kills} kills, {pauses} pauses, states {:?}", chaos.stage.states());
    chaos.reconcile();
}

/// Locks that grant everything are in builds for tests alone.
#[cfg(feature = "canary")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_and_paused_over_locks_that_grant_everything_never_submit_twice() {
    let mut chaos = Chaos::new("without_locks", 2, "duplicates=accepted,delay=5ms..60ms").await;
    chaos.locks = Some("unsafe-grant-all:");
    chaos.run(12).await;
    chaos.finish().await;
    chaos.check();
    assert!(chaos.stage.report().postings.values().all(|p| p.received == 1));
    chaos.reconcile();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_and_paused_with_lost_answers_are_settled_by_look_up() {
    let modes = "duplicates=accepted,reset-after=0.1,500-after=0.1,garbage-after=0.05,429=0.05@1s,\
                 delay=5ms..40ms,stale=0.2@500ms,seed=3";
    let mut chaos = Chaos::new("lost_answers", 3, modes).await;
    chaos.run(12).await;
    chaos.finish().await;
    chaos.check();
    sleep(Duration::from_millis(600)).await; // the look-up that shows old news, until it does not
    chaos.reconcile();
    let answers = chaos.stage.report().answers;
    assert!(answers.contains_key("reset") && answers.contains_key("500"), "{answers:?}");
}

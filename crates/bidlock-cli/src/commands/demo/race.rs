//! One contender's race: its scanner processes, and the faults that strike them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bidlock::{Clock, Moment, SystemClock};
use bidlock_sandbox::Sandbox;
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdout},
    task::JoinHandle,
};

use super::{
    child::{Launcher, signal},
    plan::{Fault, Planned, RESTART_AFTER},
    screen::Screen,
};
use crate::failure::CliError;

/// How often the race looks after its scanners.
const TICK: Duration = Duration::from_millis(20);
/// A default run takes a twentieth of it; whatever is longer hangs, or is too much for this computer.
const LONGEST_RACE: Duration = Duration::from_secs(180);
/// How much of a scanner's stderr is shown when it fails.
const STDERR_TAIL: usize = 600;

/// Who races.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// `bidlock scan`.
    Bidlock,
    /// The lock alone.
    Naive,
}

impl Contender {
    /// In JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Bidlock => "bidlock",
            Contender::Naive => "naive",
        }
    }
}

/// What one scanner has told so far, all of its processes together.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) submitted: u64,
    pub(super) already_bid: u64,
    pub(super) unknown: u64,
    pub(super) other: u64,
}

/// What all scanners have told.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) scanners: Vec<Told>,
    /// Postings of which some scanner knows that nothing is left to do.
    settled: HashSet<(String, String)>,
}

impl Board {
    /// Postings of which some scanner knows that nothing is left to do.
    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }

    fn take(&mut self, scanner: usize, line: &Value) {
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("event") != "outcome" {
            return;
        }
        let (outcome, state) = (text("outcome"), text("state"));
        let told = &mut self.scanners[scanner];
        match outcome {
            "submitted" => told.submitted += 1,
            "already_bid" => told.already_bid += 1,
            "unknown" => told.unknown += 1,
            _ => told.other += 1,
        }
        let settled = match outcome {
            "submitted" | "refused" => true,
            "already_bid" => state != "unknown" && state != "submitting",
            _ => false,
        };
        if settled {
            self.settled.insert((text("marketplace").to_owned(), text("posting").to_owned()));
        }
    }
}

/// What a scanner is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Running,
    /// Stopped by SIGSTOP until then.
    Paused(Moment),
    /// Killed; starts again then.
    Killed(Moment),
    Done,
}

/// One scanner, through all of its processes.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) doing: Doing,
    pub(super) pid: u32,
    pub(super) starts: u32,
    args: Vec<String>,
    log: PathBuf,
    output: PathBuf,
    child: Option<Child>,
    reader: Option<JoinHandle<()>>,
}

/// A race under way.
#[derive(Debug)]
pub(super) struct Race<'a> {
    pub(super) contender: Contender,
    pub(super) scanners: Vec<Scanner>,
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) kills: u32,
    pub(super) pauses: u32,
    pub(super) started: Moment,
    /// Not the short run at the end, which would look like a race at its beginning.
    is_shown: bool,
    launcher: &'a Launcher,
    sandbox: &'a Sandbox,
    plan: Vec<Planned>,
}

/// What a race came to, beside what the marketplace's record says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raced {
    pub(super) kills: u32,
    pub(super) pauses: u32,
    pub(super) seconds: f64,
}

impl<'a> Race<'a> {
    /// Starts one scanner per list of arguments. Their output is kept in `folder`.
    ///
    /// # Errors
    /// A process can't be started.
    pub(super) fn start(
        contender: Contender,
        (launcher, sandbox): (&'a Launcher, &'a Sandbox),
        folder: &Path,
        args: Vec<Vec<String>>,
        plan: &[Planned],
    ) -> Result<Race<'a>, CliError> {
        let board = Board { scanners: vec![Told::default(); args.len()], ..Board::default() };
        let mut plan = plan.to_vec();
        plan.reverse();
        let mut race = Race {
            contender,
            scanners: Vec::new(),
            board: Arc::new(Mutex::new(board)),
            kills: 0,
            pauses: 0,
            started: SystemClock.now(),
            is_shown: true,
            launcher,
            sandbox,
            plan,
        };
        for (n, args) in args.into_iter().enumerate() {
            let named = |kind: &str| folder.join(format!("scanner-{}.{kind}", n + 1));
            race.scanners.push(Scanner {
                doing: Doing::Running,
                pid: 0,
                starts: 0,
                args,
                log: named("log"),
                output: named("jsonl"),
                child: None,
                reader: None,
            });
            race.launch(n)?;
        }
        Ok(race)
    }

    /// Runs unseen.
    pub(super) fn unseen(mut self) -> Race<'a> {
        self.is_shown = false;
        self
    }

    /// What the scanners have told up to now.
    pub(super) fn told(&self) -> MutexGuard<'_, Board> {
        // Counts and a set: whole between any two statements.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that the marketplace has received.
    pub(super) fn requests(&self) -> u64 {
        self.sandbox.submissions()
    }

    /// Looks after the scanners until each has come to its end.
    ///
    /// # Errors
    /// A scanner failed, can't be started again, or the race takes too long.
    pub(super) async fn run(mut self, screen: &mut Screen<'_>) -> Result<Raced, CliError> {
        let mut ticks = tokio::time::interval(TICK);
        while self.scanners.iter().any(|s| s.doing != Doing::Done) {
            ticks.tick().await;
            let now = SystemClock.now();
            if now.since(self.started) > LONGEST_RACE {
                return Err(CliError::unavailable(format!(
                    "the scanners did not come to an end within {LONGEST_RACE:?}"
                ))
                .hint("try fewer postings, or look at what they wrote: --keep DIR"));
            }
            for n in 0..self.scanners.len() {
                self.look_after(n, now, screen).await?;
            }
            self.strike(now, screen)?;
            if self.is_shown {
                screen.show(&self)?;
            }
        }
        let seconds = SystemClock.now().since(self.started).as_secs_f64();
        Ok(Raced { kills: self.kills, pauses: self.pauses, seconds })
    }

    async fn look_after(&mut self, n: usize, now: Moment, screen: &mut Screen<'_>) -> Result<(), CliError> {
        match self.scanners[n].doing {
            Doing::Done => {}
            Doing::Killed(until) if now >= until => {
                self.launch(n)?;
                screen.event(&self.event("restart", n))?;
            }
            Doing::Killed(_) => {}
            Doing::Paused(until) if now >= until => {
                if let Some(child) = &self.scanners[n].child {
                    signal(child, Signal::CONT);
                }
                self.scanners[n].doing = Doing::Running;
                screen.event(&self.event("continue", n))?;
            }
            Doing::Paused(_) | Doing::Running => self.reap(n).await?,
        }
        Ok(())
    }

    async fn reap(&mut self, n: usize) -> Result<(), CliError> {
        let scanner = &mut self.scanners[n];
        let Some(child) = &mut scanner.child else { return Ok(()) };
        let ended =
            child.try_wait().map_err(|e| CliError::unavailable(format!("can't wait for a scanner: {e}")))?;
        let Some(status) = ended else { return Ok(()) };
        scanner.child = None;
        scanner.doing = Doing::Done;
        if let Some(reader) = scanner.reader.take() {
            // An error would be a panic of the reader, which costs nothing but counts on the screen.
            let _ = reader.await;
        }
        // 6: some outcome is unknown, which is what `reconcile` is for.
        if matches!(status.code(), Some(0 | 6)) {
            return Ok(());
        }
        let stderr = std::fs::read_to_string(&scanner.log).unwrap_or_default();
        let tail: String =
            stderr.chars().rev().take(STDERR_TAIL).collect::<Vec<_>>().into_iter().rev().collect();
        Err(CliError::unavailable(format!(
            "scanner {} of {} ended with {status}: {}",
            n + 1,
            self.contender.name(),
            tail.trim()
        )))
    }

    fn strike(&mut self, now: Moment, screen: &mut Screen<'_>) -> Result<(), CliError> {
        while let Some(next) = self.plan.last().copied()
            && self.requests() >= next.after_requests
        {
            let count = self.scanners.len();
            let victim = (0..count)
                .map(|step| (next.scanner + step) % count)
                .find(|n| self.scanners[*n].doing == Doing::Running);
            // Nobody runs just now: the fault waits until somebody does.
            let Some(victim) = victim else { return Ok(()) };
            self.plan.pop();
            let scanner = &mut self.scanners[victim];
            let Some(child) = &scanner.child else { continue };
            let kind = match next.fault {
                Fault::Kill if signal(child, Signal::KILL) => {
                    self.kills += 1;
                    // Dropped, and so reaped in the background: it is dead already.
                    scanner.child = None;
                    scanner.doing = Doing::Killed(now.later(RESTART_AFTER));
                    "kill"
                }
                Fault::Pause(time) if signal(child, Signal::STOP) => {
                    self.pauses += 1;
                    scanner.doing = Doing::Paused(now.later(time));
                    "pause"
                }
                _ => continue,
            };
            screen.event(&self.event(kind, victim))?;
        }
        Ok(())
    }

    fn launch(&mut self, n: usize) -> Result<(), CliError> {
        let failed = |e: std::io::Error| {
            CliError::unavailable(format!("a scanner can't be started: {e}"))
                .hint("check the limit on processes (ulimit -u)")
        };
        let scanner = &mut self.scanners[n];
        let mut child = self.launcher.start(&scanner.args, &scanner.log).map_err(failed)?;
        scanner.pid = child.id().unwrap_or_default();
        scanner.starts += 1;
        scanner.doing = Doing::Running;
        if let Some(stdout) = child.stdout.take() {
            scanner.reader =
                Some(tokio::spawn(read(n, stdout, scanner.output.clone(), Arc::clone(&self.board))));
        }
        scanner.child = Some(child);
        Ok(())
    }

    fn event(&self, what: &str, n: usize) -> Value {
        serde_json::json!({
            "event": what,
            "contender": self.contender.name(),
            "scanner": n + 1,
            "pid": self.scanners[n].pid,
            "after_requests": self.requests(),
            "seconds": super::rounded(SystemClock.now().since(self.started).as_secs_f64()),
        })
    }
}

/// Takes in what a scanner says, line by line, and keeps it. A line cut off by a kill is no JSON and counts for
/// nothing.
async fn read(n: usize, stdout: ChildStdout, keep: PathBuf, board: Arc<Mutex<Board>>) {
    let mut lines = BufReader::new(stdout).lines();
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(keep).await.ok();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(value) = serde_json::from_str::<Value>(&line) {
            board.lock().unwrap_or_else(PoisonError::into_inner).take(n, &value);
        }
        if let Some(file) = &mut file {
            // The copy is for curious people; nothing is counted from it.
            let _ = file.write_all(format!("{line}\n").as_bytes()).await;
        }
    }
}

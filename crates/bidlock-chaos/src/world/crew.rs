//! The processes under test: started, started again when they end, stopped, killed, asked to end.

use std::{os::unix::process::ExitStatusExt, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use bidlock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Child, task::JoinHandle};

use crate::{
    error::RigError,
    history::{Exited, Role, Started, What},
    world::{
        clock_file::{self, ClockFile},
        launcher::Launcher,
        listener::{Heard, Listener},
        recorder::Recorder,
    },
};

/// How long after its end a process is started again, as a supervisor would.
const RESTART_AFTER_MS: u64 = 300;
/// How often to look whether a process that was asked to end has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often to look for the end of a process that was killed: ten seconds.
const MAX_LOOKS: u32 = 500;
/// How long what a dead process wrote may take to be read: it is in a pipe already.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It runs.
    Running,
    /// It is stopped by a fault.
    Paused,
    /// It has ended, or is about to, and a fault keeps it from being started again.
    Down,
    /// It has ended, and is started again then.
    Restarts(u64),
    /// Nobody starts it again.
    Over,
}

/// One process through all of its incarnations.
#[derive(Debug)]
struct Process {
    name: String,
    role: Role,
    words: Vec<String>,
    clock: Option<ClockFile>,
    goes_by: Option<String>,
    starts: u32,
    holder: String,
    doing: Doing,
    child: Option<Child>,
    ear: Option<Arc<Listener>>,
    listeners: Vec<JoinHandle<()>>,
}

/// All processes under test.
#[derive(Debug)]
pub(crate) struct Crew {
    launcher: Launcher,
    recorder: Arc<Recorder>,
    processes: Vec<Process>,
}

impl Crew {
    pub(crate) fn new(launcher: Launcher, recorder: Arc<Recorder>) -> Crew {
        Crew { launcher, recorder, processes: Vec::new() }
    }

    /// Takes up a process that runs `bidlock WORDS --holder NAME`, and starts it. With `clock`, its wall clock can be moved. It
    /// goes by the name of its incarnation, or by `goes_by` in all of them.
    ///
    /// # Errors
    /// It can't be started.
    pub(crate) fn add(
        &mut self,
        name: &str,
        role: Role,
        words: Vec<String>,
        clock: Option<&Path>,
        goes_by: Option<String>,
    ) -> Result<(), RigError> {
        let clock = match (clock, clock_file::library()) {
            (Some(file), Some(library)) => {
                Some(ClockFile::right(library, file.to_owned()).map_err(RigError::file(file))?)
            }
            _ => None,
        };
        self.processes.push(Process {
            name: name.to_owned(),
            role,
            words,
            clock,
            goes_by,
            starts: 0,
            holder: String::new(),
            doing: Doing::Over,
            child: None,
            ear: None,
            listeners: Vec::new(),
        });
        self.start(name)
    }

    /// The incarnation of this name that runs now, if one does and nothing is being done to it.
    pub(crate) fn running(&self, name: &str) -> Option<String> {
        let process = self.processes.iter().find(|p| p.name == name)?;
        (process.doing == Doing::Running && process.child.is_some()).then(|| process.holder.clone())
    }

    /// Whether it has been at work, in whatever incarnation: a fault before that hits nothing but its beginning.
    pub(crate) fn has_begun(&self, name: &str) -> bool {
        let process = self.processes.iter().find(|p| p.name == name);
        process.is_none_or(|p| p.starts > 1 || p.ear.as_ref().is_some_and(|ear| ear.heard().is_at_work))
    }

    /// Starts the next incarnation.
    ///
    /// # Errors
    /// It can't be started.
    pub(crate) fn start(&mut self, name: &str) -> Result<(), RigError> {
        let Some(process) = self.processes.iter_mut().find(|p| p.name == name) else { return Ok(()) };
        process.starts += 1;
        process.holder = format!("{name}.{}", process.starts);
        let mut words = process.words.clone();
        let name_shown = process.goes_by.as_ref().unwrap_or(&process.holder);
        words.extend(["--holder".to_owned(), name_shown.clone()]);
        if process.role == Role::Worker {
            words.extend(["--incarnation".to_owned(), process.holder.clone()]);
        }
        let mut child = self.launcher.start(&words, process.clock.as_ref())?;
        self.recorder.add(What::ProcessStarted(Started {
            process: name.to_owned(),
            holder: process.holder.clone(),
            goes_by: process.goes_by.clone(),
            role: process.role,
            pid: child.id().unwrap_or_default(),
            binary: self.launcher.program(),
        }));
        let ear = Listener::new(&process.holder, &self.recorder);
        process.listeners = ear.listen(&mut child);
        process.ear = Some(ear);
        process.child = Some(child);
        process.doing = Doing::Running;
        Ok(())
    }

    /// Stops a process where it stands, or lets it go on.
    pub(crate) fn pause(&mut self, name: &str, stop: bool) {
        let Some(process) = self.processes.iter_mut().find(|p| p.name == name) else { return };
        process.signal(if stop { Signal::STOP } else { Signal::CONT });
        process.doing = if stop { Doing::Paused } else { Doing::Running };
    }

    /// Sends a signal that ends a process, which nobody starts again until [`start`](Crew::start).
    pub(crate) fn end(&mut self, name: &str, signal: Signal) {
        let Some(process) = self.processes.iter_mut().find(|p| p.name == name) else { return };
        process.signal(signal);
        process.doing = Doing::Down;
    }

    /// Sends a signal that ends a process, which is started again as soon as any that ends by itself.
    pub(crate) fn end_and_restart(&self, name: &str, signal: Signal) {
        self.processes.iter().filter(|p| p.name == name).for_each(|p| p.signal(signal));
    }

    /// Starts another incarnation in the place of one that was ended. One that still runs is killed.
    ///
    /// # Errors
    /// It can't be waited for or started.
    pub(crate) async fn start_again(&mut self, name: &str) -> Result<(), RigError> {
        let Some(at) = self.processes.iter().position(|p| p.name == name) else { return Ok(()) };
        self.processes[at].signal(Signal::KILL);
        // The kernel ends it at once, unless it hangs in a system call.
        for _ in 0..MAX_LOOKS {
            self.reap(at, 0).await?;
            if self.processes[at].child.is_none() {
                return self.start(name);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(RigError::Process { doing: "killed", source: std::io::ErrorKind::TimedOut.into() })
    }

    /// Moves the wall clock of a process. Says no where it has none of its own.
    pub(crate) fn set_clock(&self, name: &str, seconds: i64) -> Result<(), String> {
        let process = self.processes.iter().find(|p| p.name == name);
        let clock = process.and_then(|p| p.clock.as_ref()).ok_or("it has no clock of its own")?;
        clock.set(seconds).map_err(|why| why.to_string())
    }

    /// Sees who has ended, and starts those again whose time has come.
    ///
    /// # Errors
    /// A process can't be waited for or started.
    pub(crate) async fn tend(&mut self, now_ms: u64) -> Result<(), RigError> {
        for at in 0..self.processes.len() {
            self.reap(at, now_ms).await?;
            let process = &self.processes[at];
            if matches!(process.doing, Doing::Restarts(then) if then <= now_ms) {
                let name = process.name.clone();
                self.start(&name)?;
            }
        }
        Ok(())
    }

    async fn reap(&mut self, at: usize, now_ms: u64) -> Result<(), RigError> {
        let process = &mut self.processes[at];
        let Some(child) = &mut process.child else { return Ok(()) };
        let pid = child.id();
        let ended = child.try_wait().map_err(|source| RigError::Process { doing: "waited for", source })?;
        let Some(status) = ended else { return Ok(()) };
        process.child = None;
        for listener in process.listeners.drain(..) {
            // Its pipe is closed, so that it ends by itself; a panic of it would cost some lines.
            let _ = tokio::time::timeout(READ_LIMIT, listener).await;
        }
        if process.doing != Doing::Down && process.doing != Doing::Over {
            process.doing = Doing::Restarts(now_ms + RESTART_AFTER_MS);
        }
        let pid = pid.unwrap_or_default();
        if process.clock.is_some() {
            ClockFile::clean_up_after(pid);
        }
        self.recorder.add(What::ProcessExited(exited(&process.holder, pid, status)));
        Ok(())
    }

    /// Asks all to end, and kills those that have not ended in time.
    ///
    /// # Errors
    /// A process can't be waited for.
    pub(crate) async fn end_all(&mut self, within: Duration) -> Result<(), RigError> {
        for process in &mut self.processes {
            process.doing = Doing::Over;
            process.signal(Signal::CONT);
            process.signal(Signal::TERM);
        }
        let asked = SystemClock.now();
        let mut killed = false;
        while self.processes.iter().any(|p| p.child.is_some()) {
            tokio::time::sleep(LOOK_EVERY).await;
            for at in 0..self.processes.len() {
                self.reap(at, 0).await?;
            }
            if !killed && SystemClock.now().since(asked) >= within {
                killed = true;
                self.processes.iter_mut().for_each(|p| p.signal(Signal::KILL));
            }
        }
        Ok(())
    }

    /// Starts one command, as an operator does. What it wrote to stdout and its exit code come later.
    ///
    /// # Errors
    /// It can't be started.
    pub(crate) fn command(
        &self,
        name: &str,
        words: &[String],
        within: Duration,
    ) -> Result<Command, RigError> {
        let child = self.launcher.start(words, None)?;
        let pid = child.id().unwrap_or_default();
        self.recorder.add(What::ProcessStarted(Started {
            process: name.to_owned(),
            holder: name.to_owned(),
            goes_by: None,
            role: Role::Operator,
            pid,
            binary: self.launcher.program(),
        }));
        let (name, words, recorder) = (name.to_owned(), words.to_vec(), Arc::clone(&self.recorder));
        Ok(tokio::spawn(async move {
            let failed = |source| RigError::Process { doing: "waited for", source };
            // Dropped by its time limit, it is killed.
            let ended = tokio::time::timeout(within, child.wait_with_output()).await;
            let Ok(output) = ended else {
                recorder.add(What::Operator { command: words, code: None });
                return Ok(Said { out: String::new() });
            };
            let output = output.map_err(failed)?;
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            Listener::new(&name, &recorder).note(&err);
            recorder.add(What::ProcessExited(exited(&name, pid, output.status)));
            recorder.add(What::Operator { command: words, code: output.status.code() });
            let out = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(Said { out })
        }))
    }

    /// Runs one command to its end.
    ///
    /// # Errors
    /// It can't be started or waited for.
    pub(crate) async fn run(&self, name: &str, words: &[String], within: Duration) -> Result<Said, RigError> {
        let gone = |why: tokio::task::JoinError| RigError::Process {
            doing: "waited for",
            source: std::io::Error::other(why),
        };
        self.command(name, words, within)?.await.map_err(gone)?
    }
}

impl Crew {
    /// Runs one scan to its end. What it says goes into the history as it comes. Answers with its exit code (`None` after
    /// a signal, or where it took too long) and what was heard.
    ///
    /// # Errors
    /// It can't be started or waited for.
    pub(crate) async fn scan_once(
        &self,
        name: &str,
        words: &[String],
        within: Duration,
    ) -> Result<(Option<i32>, Heard), RigError> {
        let mut child = self.launcher.start(words, None)?;
        let pid = child.id().unwrap_or_default();
        self.recorder.add(What::ProcessStarted(Started {
            process: name.to_owned(),
            holder: name.to_owned(),
            goes_by: None,
            role: Role::Scanner,
            pid,
            binary: self.launcher.program(),
        }));
        let listener = Listener::new(name, &self.recorder);
        let listening = listener.listen(&mut child);
        let failed = |source| RigError::Process { doing: "waited for", source };
        // Dropped by its time limit, it is killed.
        let ended = tokio::time::timeout(within, child.wait()).await;
        let Ok(status) = ended else { return Ok((None, listener.heard())) };
        let status = status.map_err(failed)?;
        for task in listening {
            // Its pipe is closed; a panic of it would cost some lines.
            let _ = task.await;
        }
        self.recorder.add(What::ProcessExited(exited(name, pid, status)));
        Ok((status.code(), listener.heard()))
    }
}

/// A command that is under way.
pub(crate) type Command = JoinHandle<Result<Said, RigError>>;

/// What a command came to.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Its stdout.
    pub(crate) out: String,
}

impl Drop for Crew {
    /// Whoever runs still is killed with its handle; here goes what it would leave behind.
    fn drop(&mut self) {
        for process in self.processes.iter().filter(|process| process.clock.is_some()) {
            process.signal(Signal::KILL);
            process.child.as_ref().and_then(Child::id).into_iter().for_each(ClockFile::clean_up_after);
        }
    }
}

impl Process {
    fn signal(&self, signal: Signal) {
        // Not waited for yet, so that its id is still its own.
        let pid = self.child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
}

fn exited(holder: &str, pid: u32, status: ExitStatus) -> Exited {
    Exited { holder: holder.to_owned(), pid, code: status.code(), signal: status.signal() }
}

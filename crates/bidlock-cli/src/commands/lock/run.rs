//! `lock run M P -- CMD`: holds a lock while a command runs, like flock(1).

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use bidlock::{Attempt, Wait};
use bidlock_config::show_duration;
use rustix::{
    process::{Pid, Signal, getpgrp, kill_process},
    termios::tcgetpgrp,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::{held, key_of, key_text};
use crate::{app::App, args::RunArgs, exit::Exit, failure::CliError};

/// How long a command may take to end itself after its lock was lost.
const GRACE: Duration = Duration::from_secs(5);
/// What shells say of a command that cannot be executed, and of one that does not exist.
const CANNOT_EXECUTE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Shells add the signal's number to this.
const SIGNAL_BASE: i32 = 128;

/// Runs the command under the lock.
pub(super) async fn run(app: &App, args: RunArgs) -> Result<Exit, CliError> {
    let key = key_of(&args.key)?;
    let wait = app.config()?.lock.timeout;
    let locks = app.locks().await?;
    // Before the lock is taken, so that no signal finds us holding it unprepared.
    let mut signals = Forwarded::listen()?;
    let attempt = tokio::select! {
        attempt = locks.lock(&key, Wait::up_to(wait)) => attempt?,
        signal = signals.next() => {
            locks.shutdown().await?;
            return Ok(Exit::Child(signal_code(signal.as_raw())));
        }
    };
    let lease = match attempt {
        Attempt::Acquired(lease) => lease,
        Attempt::Held(other) => return Err(held(&key, &other)),
    };
    let ended = match start(&args, &lease) {
        Ok(mut child) => tend(app, &mut child, &lease, &mut signals).await,
        Err(error) => Err(error),
    };
    if let Err(error) = lease.release().await {
        app.out.warn(format!("{} could not be released and ends with its TTL: {error}", key_text(&key)));
    }
    ended
}

/// Starts the command. It learns of its lock by two variables.
fn start(args: &RunArgs, lease: &bidlock::Lease) -> Result<Child, CliError> {
    let mut words = args.command.iter();
    let program =
        words.next().ok_or_else(|| CliError::usage("no command is given").hint("put it after --"))?;
    Command::new(program)
        .args(words)
        .env("BIDLOCK_LEASE_KEY", lease.key().as_str())
        .env("BIDLOCK_FENCING_TOKEN", lease.fencing_token().to_string())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            let code = if e.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_EXECUTE };
            CliError::new(Exit::Child(code), format!("cannot run {}: {e}", program.to_string_lossy()))
                .hint("check the command behind --, and that it may be executed")
        })
}

/// Waits for the command's end; passes signals on; ends it when the lock is lost.
async fn tend(
    app: &App,
    child: &mut Child,
    lease: &bidlock::Lease,
    signals: &mut Forwarded,
) -> Result<Exit, CliError> {
    loop {
        tokio::select! {
            status = child.wait() => return exit_of(status),
            signal = signals.next() => {
                if !came_from_our_terminal(signal) {
                    send(child, signal);
                }
            }
            () = lease.lost() => break,
        }
    }
    app.out.warn(format!("the lock of {} is lost; ending the command", key_text(lease.key())));
    send(child, Signal::TERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        app.out.warn(format!("the command still runs {} after TERM; killing it", show_duration(GRACE)));
        child.kill().await.map_err(|e| CliError::unavailable(format!("cannot kill the command: {e}")))?;
    }
    Err(CliError::unavailable(format!(
        "the lock of {} was lost while the command ran",
        key_text(lease.key())
    ))
    .hint("others may hold it now; `bidlock lock show` says who. A longer --ttl outlasts longer pauses"))
}

/// Whether the terminal has sent the signal to the command too: Ctrl-C reaches the whole foreground group, and a
/// second one would be read as "stop at once".
fn came_from_our_terminal(signal: Signal) -> bool {
    let from_keyboard = signal == Signal::INT || signal == Signal::HUP;
    from_keyboard && tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// A child that has just ended is no error.
fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

fn exit_of(status: std::io::Result<ExitStatus>) -> Result<Exit, CliError> {
    let status = status.map_err(|e| CliError::unavailable(format!("cannot wait for the command: {e}")))?;
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, Some(signal)) => signal_code(signal),
        (None, None) => u8::MAX,
    };
    Ok(Exit::Child(code))
}

fn signal_code(signal: i32) -> u8 {
    u8::try_from(SIGNAL_BASE + signal).unwrap_or(u8::MAX)
}

/// The signals that are passed on to the command.
struct Forwarded {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Forwarded {
    fn listen() -> Result<Forwarded, CliError> {
        let of =
            |kind| signal(kind).map_err(|e| CliError::unavailable(format!("cannot listen for signals: {e}")));
        Ok(Forwarded {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

//! Real processes of this very binary, in surroundings of their own, that can't outlive the demo.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::{exit::Exit, failure::CliError};

/// What every child's own configuration file says. A file that is named is the only one that is read.
const CONFIG_NAME: &str = "demo.toml";

/// Starts children in one folder.
#[derive(Debug)]
pub(super) struct Launcher {
    exe: PathBuf,
    folder: PathBuf,
}

impl Launcher {
    /// Children of this binary, with `folder` as their working and home folder.
    ///
    /// # Errors
    /// The binary can't be found again, or the folder can't be written.
    pub(super) fn new(folder: &Path) -> std::io::Result<Launcher> {
        // Should an upgrade replace the file meanwhile, this path still leads to what runs now.
        let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        let exe = if own.exists() { own } else { std::env::current_exe()? };
        let ttl_ms = super::plan::TTL.as_millis();
        // A quarter of the lock's TTL: a lost answer shows soon enough for a demo.
        let limit_ms = ttl_ms / 4;
        let settings = format!(
            "[lock]\nttl = \"{ttl_ms}ms\"\n\n[scan]\nbatch = 8\nconcurrency = {}\nwait = \"30s\"\n\n\
             [submit]\ntime_limit = \"{limit_ms}ms\"\nconnect_limit = \"{}ms\"\n\
             max_unknown_in_a_row = 1000\n", // it loses answers on purpose
            super::plan::CONCURRENCY,
            limit_ms / 2
        );
        std::fs::write(folder.join(CONFIG_NAME), settings)?;
        Ok(Launcher { exe, folder: folder.to_owned() })
    }

    /// Starts `bidlock ARGS`; its stderr goes to the end of `log`.
    ///
    /// Call it on a thread that lives as long as the demo (the one that `block_on` runs on): the kernel ends
    /// children when the *thread* that started them ends.
    ///
    /// # Errors
    /// No process can be started.
    pub(super) fn start(&self, args: &[String], log: &Path) -> std::io::Result<Child> {
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.exe);
        command
            .args(["demo", "--exec-for", &std::process::id().to_string(), "--"])
            .args(["-c".as_ref(), self.folder.join(CONFIG_NAME).as_os_str()])
            .args(args)
            // Nothing of the user's environment: no settings, no proxies, no log levels.
            .env_clear()
            .env("HOME", &self.folder)
            .env("TMPDIR", &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // A Ctrl-C at the terminal is for the demo alone, which then ends its children.
            .process_group(0)
            .kill_on_drop(true);
        command.spawn()
    }
}

/// The child's side of [`Launcher::start`]: asks the kernel to be killed when the demo dies, and becomes the
/// command. Answers only if that fails.
///
/// # Errors
/// The demo has gone already, or the command can't be run.
pub(super) fn exec(parent: u32, command: &[OsString]) -> Result<Exit, CliError> {
    let failed = |why: String| CliError::unavailable(format!("a child of the demo can't start: {why}"));
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| failed(e.to_string()))?;
    // It may have died before the call above, and would then never be heard of.
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) != Some(parent) {
        return Err(failed("the demo has ended".to_owned()));
    }
    // Not by its path, where another build may stand by now.
    Err(failed(std::process::Command::new("/proc/self/exe").args(command).exec().to_string()))
}

/// Sends a signal to a child that has not been waited for, whose id is thus still its own.
pub(super) fn signal(child: &Child, signal: Signal) -> bool {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

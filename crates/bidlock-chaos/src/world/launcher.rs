//! Starts processes of the binary under test, in surroundings of their own.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::{Child, Command};

use crate::{error::RigError, plan::Plan, world::clock_file::ClockFile};

/// How the binary under test is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// What stands before the words of every command, so that no child outlives the rig.
    pub before: Vec<OsString>,
    /// Its version.
    pub version: String,
    /// Further variables of its environment.
    pub variables: Vec<(String, String)>,
}

/// Starts processes that read one configuration file and nothing of the user's.
#[derive(Debug)]
pub(crate) struct Launcher {
    launch: Launch,
    home: PathBuf,
    settings: PathBuf,
}

/// What is worth a bid: everything, with a word to each.
const RULES: &str = "[bid]\nproposal = \"Hello, I can start on {title} this week.\"\n";
/// A scanner waits so long for an engine that is away: longer than any fault lasts.
const PATIENCE: &str = "60s";
/// Faults lose answers in long runs, and what comes of each is what the rig is about.
const MAX_UNKNOWN_IN_A_ROW: u32 = u32::MAX;

impl Launcher {
    /// Processes whose home is this folder.
    ///
    /// # Errors
    /// The folder can't be written.
    pub(crate) fn new(launch: Launch, home: &Path, plan: &Plan) -> Result<Launcher, RigError> {
        let settings = home.join("chaos.toml");
        let Plan { ttl_ms, time_limit_ms, allow_rebid, .. } = plan;
        let text = format!(
            "[lock]\nttl = \"{ttl_ms}ms\"\n\n\
             [scan]\nrules = \"rules.toml\"\nbatch = 256\nconcurrency = 24\nwait = \"2s\"\npatience = \"{PATIENCE}\"\n\n\
             [submit]\ntime_limit = \"{time_limit_ms}ms\"\nconnect_limit = \"{}ms\"\n\
             max_unknown_in_a_row = {MAX_UNKNOWN_IN_A_ROW}\n\n\
             [withdrawal]\nallow_rebid = {allow_rebid}\n",
            time_limit_ms / 2
        );
        std::fs::write(&settings, text).map_err(RigError::file(&settings))?;
        let rules = home.join("rules.toml");
        std::fs::write(&rules, RULES).map_err(RigError::file(&rules))?;
        Ok(Launcher { launch, home: home.to_owned(), settings })
    }

    /// The program, for the record.
    pub(crate) fn program(&self) -> String {
        format!("bidlock {}", self.launch.version)
    }

    /// Starts `bidlock WORDS`, both outputs in pipes.
    ///
    /// Call it on a thread that lives as long as the run: the kernel ends children when the *thread* that has started
    /// them ends.
    ///
    /// # Errors
    /// No process can be started.
    pub(crate) fn start(&self, words: &[String], clock: Option<&ClockFile>) -> Result<Child, RigError> {
        let mut command = Command::new(&self.launch.program);
        command
            .args(&self.launch.before)
            .args(["-c".as_ref(), self.settings.as_os_str()])
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("TMPDIR", &self.home)
            .env("USER", "chaos")
            .envs(self.launch.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the rig alone, which then ends its children.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(clock) = clock {
            command.envs(clock.variables());
        }
        command.spawn().map_err(|source| RigError::Process { doing: "started", source })
    }
}

//! The preloaded library: built from `shim.c`, told what to strike, its journal read.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::kit::{Ended, Stage};

/// What the n-th call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// EIO, once.
    Eio,
    /// EIO, and so does every call after it.
    EioFromThenOn,
    /// ENOSPC, once.
    Enospc,
    /// ENOSPC, and so does every call after it.
    EnospcFromThenOn,
    /// The process is dead before it, and what was not synced is lost.
    Power,
    /// Nothing fails, and nothing is ever synced.
    Lies,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Eio => "EIO",
            Fault::EioFromThenOn => "EIO from then on",
            Fault::Enospc => "ENOSPC",
            Fault::EnospcFromThenOn => "ENOSPC from then on",
            Fault::Power => "a power failure",
            Fault::Lies => "a disk that lies",
        })
    }
}

/// The built library. Deleted when dropped.
#[derive(Debug)]
pub(crate) struct Shim(tempfile::TempDir);

impl Shim {
    /// Says so where there is no compiler of C, or no C library that can be preloaded into.
    pub(crate) fn can_be_built(test: &str) -> bool {
        let works = cfg!(target_env = "gnu") && Command::new("cc").arg("--version").output().is_ok();
        if !works {
            println!("SKIPPED (no `cc`, or no glibc to preload into): {test}");
        }
        works
    }

    pub(crate) fn build() -> Shim {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/io_faults/shim.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
        let built = compiler.arg(folder.path().join("shim.so")).arg(source).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Shim(folder)
    }

    /// Runs a command to its end, with this fault at its n-th call on the files of ledger and locks.
    pub(crate) fn run(&self, stage: &Stage, mut command: Command, fault: Fault, n: usize) -> Run {
        let (journal, durable) = (stage.home.path().join("journal"), stage.home.path().join("durable"));
        fs::create_dir(&durable).unwrap();
        // What is there already was synced.
        let data = stage.home.path().join("data");
        copy_files(&data, &durable).unwrap();
        let (name, lasts) = match fault {
            Fault::Eio => ("eio", false),
            Fault::EioFromThenOn => ("eio", true),
            Fault::Enospc => ("enospc", false),
            Fault::EnospcFromThenOn => ("enospc", true),
            Fault::Power => ("power", false),
            Fault::Lies => ("none", false),
        };
        command
            .env("LD_PRELOAD", self.0.path().join("shim.so"))
            .env("IO_FOLDER", data)
            .env("IO_JOURNAL", &journal)
            .env("IO_AT", n.to_string())
            .env("IO_FAULT", name);
        if fault != Fault::Lies {
            command.env("IO_DURABLE", &durable);
        }
        if lasts {
            command.env("IO_LASTS", "yes");
        }
        let ended = stage.run(command);
        let code = ended.any_code();
        let journal = fs::read_to_string(&journal).unwrap_or_default();
        Run { code, ended, calls: journal.lines().map(str::to_owned).collect(), durable }
    }
}

/// How the struck process ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) ended: Ended,
    calls: Vec<String>,
    /// The data folder with its files as they were when they were last synced.
    durable: PathBuf,
}

impl Run {
    /// The n-th call and its file, if there was one.
    pub(crate) fn call(&self, n: usize) -> Option<String> {
        self.calls.get(n - 1).cloned()
    }

    /// How many calls counted.
    #[cfg(feature = "canary")]
    pub(crate) fn count(&self) -> usize {
        self.calls.len()
    }

    /// The files as a computer finds them that has lost its power: nothing of what was not synced.
    pub(crate) fn lose_what_was_not_synced(&self, stage: &Stage) {
        let folder = folder(stage);
        // It may have died before it made one.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        self.copy_what_was_synced(stage, &folder);
    }

    /// Ledger, locks and what lies beside them, as a power failure at the end of the run would leave them.
    pub(crate) fn copy_what_was_synced(&self, stage: &Stage, to: &Path) {
        let name = folder(stage).file_name().unwrap().to_owned();
        copy_files(&self.durable.join(name), to).unwrap();
    }
}

/// Where ledger and locks are.
pub(crate) fn folder(stage: &Stage) -> PathBuf {
    stage.ledger().parent().unwrap().to_owned()
}

/// The files of a folder and of those in it; of a folder that is not there, none.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()? {
            kind if kind.is_dir() => copy_files(&from, &to)?,
            _ => drop(fs::copy(from, to)?),
        }
    }
    Ok(())
}

//! What keeps the rig itself from working. What bidlock does wrong is no error: the checker finds it.

use std::{io, path::PathBuf};

use crate::history::HistoryError;

/// The rig can't run, or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A server's program is missing.
    #[error(
        "there is no {program} on this host; install the package {package}, or run with --engines sqlite"
    )]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// Where it comes from, on Debian and Ubuntu.
        package: &'static str,
    },
    /// An engine does not do what it is asked.
    #[error("an engine failed to {doing}: {why}")]
    Engine {
        /// What it was asked.
        doing: &'static str,
        /// Why not.
        why: String,
    },
    /// The marketplace can't be started.
    #[error("the marketplace can't be started")]
    Sandbox(#[from] bidlock_sandbox::SandboxError),
    /// The modes of a plan are none.
    #[error("the plan's marketplace can't be understood; the file is damaged, or another version's")]
    Modes(#[from] bidlock_sandbox::ModesError),
    /// A process can't be started or waited for.
    #[error("a process can't be {doing}: {source}; check the limit on processes (ulimit -u)")]
    Process {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A way can't be opened.
    #[error("a fault proxy can't be opened: {0}; check the limit on open files (ulimit -n)")]
    Proxy(io::Error),
    /// A file can't be written.
    #[error("can't write {}: {source}; name another folder with --keep, or set TMPDIR", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The history can't be read or written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The ledger can't be read at the end.
    #[error("the ledger can't be read at the end of the run")]
    Ledger(#[from] bidlock_ledger::LedgerError),
    /// What was broken can't be mended.
    #[error("{fault} can't be ended: {why}")]
    Mend {
        /// The fault.
        fault: crate::fault::FaultKind,
        /// Why.
        why: String,
    },
    /// The last scan does not come to an end.
    #[error("the last scan over the whole feed did not succeed: {why}; its output is kept with --keep")]
    LastScan {
        /// How it ended.
        why: String,
    },
}

impl RigError {
    pub(crate) fn proxy(source: io::Error) -> RigError {
        RigError::Proxy(source)
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> RigError {
        let path = path.into();
        move |source| RigError::File { path, source }
    }
}

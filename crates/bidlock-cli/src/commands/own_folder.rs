//! What commands share that start processes of their own: a folder for these, and word that the user wants an end.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::CliError;

/// Kept where the user said so, else gone at the end.
pub(super) enum OwnFolder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl OwnFolder {
    /// A new folder: the one that `--keep` names, which must be empty, and else a temporary one. `why_new` says what an
    /// earlier run's files would do.
    pub(super) fn new(keep: Option<&Path>, command: &str, why_new: &str) -> Result<OwnFolder, CliError> {
        let Some(path) = keep else {
            let made = tempfile::Builder::new().prefix(&format!("bidlock-{command}-")).tempdir();
            return made.map(OwnFolder::Temporary).map_err(|e| unwritable(&std::env::temp_dir(), &e));
        };
        std::fs::create_dir_all(path).map_err(|e| unwritable(path, &e))?;
        // Children run elsewhere, so the path must not be relative.
        let path = path.canonicalize().map_err(|e| unwritable(path, &e))?;
        let is_empty = std::fs::read_dir(&path).map_err(|e| unwritable(&path, &e))?.next().is_none();
        if !is_empty {
            return Err(CliError::usage(format!("--keep: {} is not empty", path.display()))
                .hint(format!("name a new folder: {why_new}")));
        }
        Ok(OwnFolder::Kept(path))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            OwnFolder::Kept(path) => path,
            OwnFolder::Temporary(folder) => folder.path(),
        }
    }

    /// Is not taken away at the end.
    pub(super) fn stay(self) {
        if let OwnFolder::Temporary(folder) = self {
            let _ = folder.keep();
        }
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::unavailable(format!("can't write in {}: {error}", path.display()))
        .hint("name another folder: --keep DIR, or TMPDIR")
}

/// Ends with the first signal that asks for an end.
pub(super) async fn interrupted() {
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        // Then the signal does what it does by default: it ends us, and the kernel our children.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

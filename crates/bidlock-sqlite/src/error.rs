//! What can break between bidlock and a SQLite file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::ffi::ErrorCode;

/// Whether an operation that failed may nevertheless have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    NotApplied,
    /// The change may or may not be in the file.
    Unknown,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no file, and the caller did not ask to make one.
    Missing,
    /// The file can't be opened now; trying again can help.
    Unavailable,
    /// Another process kept the write lock longer than the patience.
    Busy,
    /// The disk is full or failing, or the file was moved, deleted or replaced while it was open: nothing is
    /// written until a person has looked.
    Poisoned,
    /// The place is unfit: a network file system, a directory, no permission.
    Unfit,
    /// The file is no SQLite database, or damaged.
    Corrupt,
    /// The store was closed while the job waited.
    Closed,
    /// The caller's preparation of the file refused it; see the error's source.
    Prepare,
    /// A statement of the job failed; the job was rolled back, its neighbours were not.
    Statement,
    /// The job panicked; it was rolled back, its neighbours were not.
    Panicked,
}

impl ErrorKind {
    /// Which kind a SQLite error is of: for those who use a connection of their own, as a preparation does.
    pub fn of(error: &rusqlite::Error) -> ErrorKind {
        kind_of(error)
    }

    /// The way out that errors of this kind name where they know no better one.
    pub fn hint(self) -> Option<&'static str> {
        default_hint(self)
    }
}

/// A fault of a SQLite file: which file, what broke, whether it may have been applied, the way out.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    effect: Effect,
    path: PathBuf,
    message: String,
    hint: Option<&'static str>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, path: &Path, message: impl Into<String>) -> Error {
        Error {
            kind,
            effect: Effect::NotApplied,
            path: path.to_owned(),
            message: message.into(),
            hint: default_hint(kind),
            source: None,
        }
    }

    pub(crate) fn io(kind: ErrorKind, path: &Path, doing: &str, source: std::io::Error) -> Error {
        Error::new(kind, path, format!("{doing}: {source}")).with_source(source)
    }

    pub(crate) fn sqlite(path: &Path, doing: &str, source: rusqlite::Error) -> Error {
        Error::new(kind_of(&source), path, format!("{doing}: {source}")).with_source(source)
    }

    pub(crate) fn with_hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn with_effect(mut self, effect: Effect) -> Error {
        self.effect = effect;
        self
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_shared_source(mut self, source: Arc<dyn std::error::Error + Send + Sync>) -> Error {
        self.source = Some(source);
        self
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether it may have been applied all the same.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What broke, without the path and the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The way out, where there is one to name.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// Whether asking again can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Busy)
    }

    /// The SQLite error underneath, if there is one.
    pub fn as_sqlite(&self) -> Option<&rusqlite::Error> {
        self.source.as_deref().and_then(|s| s.downcast_ref())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)?;
        match self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

fn default_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Busy => Some("another process holds the write lock; look for one that is paused or hangs"),
        ErrorKind::Poisoned => Some("make room or mend the disk, then start again"),
        ErrorKind::Corrupt => Some(
            "see that the disk is sound and try again; a file that stays damaged is restored from a backup",
        ),
        _ => None,
    }
}

/// Which kind a SQLite error is of.
pub(crate) fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return ErrorKind::Statement };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Busy,
        ErrorCode::DiskFull | ErrorCode::SystemIoFailure => ErrorKind::Poisoned,
        ErrorCode::CannotOpen | ErrorCode::OutOfMemory | ErrorCode::FileLockingProtocolFailed => {
            ErrorKind::Unavailable
        }
        ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::NoLargeFileSupport => ErrorKind::Unfit,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => ErrorKind::Corrupt,
        _ => ErrorKind::Statement,
    }
}

/// Whether the disk itself failed, as opposed to being full: nothing the file system says can be relied
/// on until somebody has looked.
pub(crate) fn is_io_failure(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(f, _) if f.code == ErrorCode::SystemIoFailure)
}

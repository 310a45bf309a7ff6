//! Which file, how durable, how patient.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{HostClock, SystemHostClock};

/// How durable a commit is once `write` has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Survives the death of the process; the last commits may be lost at a power failure.
    Normal,
    /// Survives a power failure.
    Full,
}

impl Synchronous {
    pub(crate) fn as_pragma(self) -> &'static str {
        match self {
            Synchronous::Normal => "NORMAL",
            Synchronous::Full => "FULL",
        }
    }
}

/// How to open a [`Store`](crate::Store).
#[derive(Clone, Debug)]
pub struct Options {
    /// The file. Its folder is made (mode 0700) if `create` is set.
    pub path: PathBuf,
    /// How durable a commit is. [`Synchronous::Full`] by default.
    pub synchronous: Synchronous,
    /// How long to wait for other processes before [`ErrorKind::Busy`](crate::ErrorKind::Busy).
    /// 30 s by default: a process that is paused inside its transaction mostly wakes up within that.
    pub busy_patience: Duration,
    /// Whether a missing file is made (mode 0600). True by default.
    pub create: bool,
    /// Where the time comes from.
    pub clock: Arc<dyn HostClock>,
    /// How many reader threads, each with a connection of its own: 1 to 16, 2 by default.
    pub readers: usize,
}

impl Options {
    /// The defaults: made if missing, fully synchronous, 30 s of patience, the host's clock, two readers.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            synchronous: Synchronous::Full,
            busy_patience: Duration::from_secs(30),
            create: true,
            clock: Arc::new(SystemHostClock),
            readers: 2,
        }
    }

    /// Sets how durable a commit is.
    pub fn with_synchronous(mut self, synchronous: Synchronous) -> Options {
        self.synchronous = synchronous;
        self
    }

    /// Sets how long to wait for other processes.
    pub fn with_busy_patience(mut self, patience: Duration) -> Options {
        self.busy_patience = patience;
        self
    }

    /// Sets whether a missing file is made.
    pub fn with_create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// Sets where the time comes from.
    pub fn with_clock(mut self, clock: Arc<dyn HostClock>) -> Options {
        self.clock = clock;
        self
    }

    /// Sets how many reader threads there are.
    pub fn with_readers(mut self, readers: usize) -> Options {
        self.readers = readers;
        self
    }
}

//! Side files that processes queue at: one for turns at the write lock, one while a file is made.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    Error, ErrorKind,
    clock::monotonic,
    place::{beside, kind_of_io},
};

/// How long a wait between two looks at SQLite's write lock is. Fixed, as a backoff starves whoever waits longest.
pub(crate) const POLL: Duration = Duration::from_micros(50);
/// The longest wait between two looks at the turnstile. With two processes a wait is over before the pauses have
/// grown; with dozens, looking every 50 us would take the processors from the one that is at work.
const MAX_TURN_POLL: Duration = Duration::from_millis(2);
/// A pause is this part of the time waited so far.
const POLLS_PER_WAIT: u32 = 8;
/// How long a process waits for its turn before it goes on without one. Turns only make waiting fair; a
/// process that is paused at the turnstile must not stop the others for longer than this.
const TURN_PATIENCE: Duration = Duration::from_millis(500);
/// While a file is made nobody is in a hurry.
const OPENING_POLL: Duration = Duration::from_millis(1);

/// Lets one process at a time wait for SQLite's write lock.
///
/// SQLite's own lock goes to whoever asks first after it is free, which is nearly always the process that
/// has just freed it. Here the process that has committed must first get through the turnstile, where the
/// next one stands already; so with two processes the turns alternate.
#[derive(Debug)]
pub(crate) struct Turnstile(File);

/// Holds the turnstile until dropped.
pub(crate) struct Turn<'a>(Option<&'a File>);

impl Turnstile {
    pub(crate) fn open(path: &Path) -> Result<Turnstile, Error> {
        open_side_file(&beside(path, "turn")).map(Turnstile)
    }

    /// Waits for the turn, or for `TURN_PATIENCE`.
    pub(crate) fn enter(&self) -> Turn<'_> {
        Turn(wait_for(&self.0, TURN_PATIENCE, POLL, MAX_TURN_POLL).then_some(&self.0))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            // Unlocking a lock that we hold can't fail on an open descriptor; if it did, closing frees it.
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

/// Held by the one process that opens or makes the file; the kernel frees it when the process dies.
#[derive(Debug)]
pub(crate) struct OpeningLock(#[allow(dead_code, reason = "held for its lock")] File);

impl OpeningLock {
    pub(crate) fn take(path: &Path, patience: Duration) -> Result<OpeningLock, Error> {
        let file = open_side_file(&beside(path, "open"))?;
        match wait_for(&file, patience, OPENING_POLL, OPENING_POLL) {
            true => Ok(OpeningLock(file)),
            false => Err(Error::new(
                ErrorKind::Busy,
                path,
                format!("another process has been opening it for {} s", patience.as_secs()),
            )),
        }
    }
}

fn open_side_file(path: &PathBuf) -> Result<File, Error> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::io(kind_of_io(&e), path, "can't open the side file", e))
}

fn wait_for(file: &File, patience: Duration, first_poll: Duration, max_poll: Duration) -> bool {
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return true;
    }
    let start = monotonic();
    loop {
        let waited = monotonic().saturating_sub(start);
        if waited >= patience {
            return false;
        }
        sleep((waited / POLLS_PER_WAIT).clamp(first_poll, max_poll));
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
    }
}

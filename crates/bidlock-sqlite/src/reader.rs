//! The reader threads: each job sees one snapshot of the file.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{Error, ErrorKind, HostClock, HostInstant, queue::Queue, watch::Watch};

/// What a task asks of a reader.
pub(crate) trait Job: Send {
    fn run(self: Box<Self>, reader: &Reader);
}

pub(crate) struct ReadJob<F, T> {
    pub(crate) work: F,
    pub(crate) reply: oneshot::Sender<Result<T, Error>>,
    pub(crate) _room: OwnedSemaphorePermit,
}

impl<F, T> Job for ReadJob<F, T>
where
    F: FnOnce(&Connection, HostInstant) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(self: Box<Self>, reader: &Reader) {
        let work = self.work;
        // The receiver may be gone: its task was cancelled.
        drop(self.reply.send(reader.snapshot(work)));
    }
}

pub(crate) struct Reader {
    pub(crate) path: PathBuf,
    pub(crate) conn: Connection,
    pub(crate) clock: Arc<dyn HostClock>,
    pub(crate) queue: Arc<Queue<Box<dyn Job>>>,
    pub(crate) watch: Watch,
}

impl Reader {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(self) {
        let mut jobs = Vec::with_capacity(1);
        while self.queue.gather(&mut jobs, 1, 1, std::time::Duration::ZERO) {
            jobs.drain(..).for_each(|job: Box<dyn Job>| job.run(&self));
        }
        self.watch.close(&self.conn);
    }

    fn snapshot<T>(
        &self,
        work: impl FnOnce(&Connection, HostInstant) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let failed = |e| Error::sqlite(&self.path, "can't read", e);
        self.watch.check()?;
        let tx = self.conn.unchecked_transaction().map_err(failed)?;
        match catch_unwind(AssertUnwindSafe(|| work(&self.conn, self.clock.now()))) {
            Ok(result) => {
                // Nothing was written: rolling back only ends the snapshot, and can't fail.
                drop(tx);
                result.map_err(failed)
            }
            Err(_) => Err(Error::new(ErrorKind::Panicked, &self.path, "a read job panicked; this is a bug")),
        }
    }
}

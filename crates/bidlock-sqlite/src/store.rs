//! [`Store`]: open a file, write to it in groups, read from it.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use crate::{
    Effect, Error, ErrorKind, HostClock, HostInstant, Options, SystemHostClock, connection, place,
    queue::Queue,
    reader::{self, ReadJob, Reader},
    turnstile::{OpeningLock, Turnstile},
    watch::{Identity, Watch},
    writer::{self, WriteJob, Writer},
};

/// The most reader threads: beyond a handful they only compete for cores.
const MAX_READERS: usize = 16;

/// How long dropping the last clone waits for the readers, and then for the writer: a checkpoint takes milliseconds, and more than this
/// only where the disk or another process is slow. Nothing is lost then, the log is only kept for longer.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// An open SQLite file. Clones are cheap and share the threads, which end once the last clone is gone and
/// the queued jobs are done.
///
/// Dropping the last clone blocks until the file is closed and its log carried over, for two seconds at
/// most. Otherwise a process that ends right after would leave that work to the next one.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: Arc<dyn HostClock>,
    writes: Arc<Queue<Box<dyn writer::Job>>>,
    reads: Arc<Queue<Box<dyn reader::Job>>>,
    readers: Ended,
    writer: Ended,
    threads: Vec<thread::ThreadId>,
}

/// Disconnected once the threads that hold the sender's clones have closed their connections; nothing is
/// ever sent.
type Ended = Mutex<mpsc::Receiver<Never>>;
type Alive = mpsc::Sender<Never>;

#[derive(Debug)]
enum Never {}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reads.close();
        // A job may have owned the last clone: its thread can't wait for itself.
        let may_wait = !self.threads.contains(&thread::current().id());
        // The writer last: of connections that close in one moment, each may take the other for a reason to
        // leave the log as it is.
        let ended = may_wait && has_ended(&mut self.readers);
        self.writes.close();
        if !(ended && has_ended(&mut self.writer)) {
            tracing::debug!(path = %self.path.display(), "the file is still being closed");
        }
    }
}

fn has_ended(threads: &mut Ended) -> bool {
    let threads = threads.get_mut().unwrap_or_else(PoisonError::into_inner);
    !matches!(threads.recv_timeout(CLOSE_PATIENCE), Err(mpsc::RecvTimeoutError::Timeout))
}

impl Store {
    /// Opens the file and lets `prepare` make or check its schema, under an exclusive lock: of many
    /// processes that open an empty folder at once, each waits for its turn.
    ///
    /// Blocks the calling thread while other processes open the file.
    ///
    /// # Errors
    /// The file is missing and not to be made, the place is unfit, another process holds it longer than the
    /// patience. An error of `prepare` comes back as [`ErrorKind::Prepare`] with that error as its source,
    /// but a SQLite error as the kind that it is.
    pub fn open<E>(
        options: Options,
        prepare: impl FnOnce(&mut Connection) -> Result<(), E>,
    ) -> Result<Store, Error>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let path = place::prepare(&options)?;
        // Without its links followed, but for the working folder, which can change.
        let asked = std::path::absolute(&options.path).unwrap_or_else(|_| path.clone());
        if !SystemHostClock::is_reliable() {
            return Err(Error::new(ErrorKind::Unfit, &path, "the kernel does not tell its boot id")
                .with_hint("let this process read /proc/sys/kernel/random/boot_id"));
        }
        let opening = OpeningLock::take(&path, options.busy_patience)?;
        let identity = Identity::of(&path)?;
        let mut conn = connection::open(&path, &options)?;
        prepare(&mut conn).map_err(|e| refused(&path, e.into()))?;
        let readers = (0..options.readers.clamp(1, MAX_READERS))
            .map(|_| reading_connection(&path, &options))
            .collect::<Result<Vec<_>, Error>>()?;
        let watch = Watch::start(&path, &asked, identity)?;
        let turnstile = Turnstile::open(&path)?;
        drop(opening);

        let (reading, readers_ended) = mpsc::channel();
        let (writing, writer_ended) = mpsc::channel();
        let mut shared = Shared {
            path: path.clone(),
            clock: Arc::clone(&options.clock),
            writes: Arc::new(Queue::new()),
            reads: Arc::new(Queue::new()),
            readers: Mutex::new(readers_ended),
            writer: Mutex::new(writer_ended),
            threads: Vec::with_capacity(readers.len() + 1),
        };
        let clock = Arc::clone(&options.clock);
        let queue = Arc::clone(&shared.writes);
        let writer = Writer { path: path.clone(), conn, clock, turnstile, queue, watch: watch.clone() };
        shared.threads.push(spawn("bidlock-write", &path, writing, move || writer.run())?);
        for conn in readers {
            let clock = Arc::clone(&options.clock);
            let queue = Arc::clone(&shared.reads);
            let reader = Reader { path: path.clone(), conn, clock, queue, watch: watch.clone() };
            shared.threads.push(spawn("bidlock-read", &path, reading.clone(), move || reader.run())?);
        }
        Ok(Store(Arc::new(shared)))
    }

    /// Runs a job in a write transaction and returns its value once the commit has returned.
    ///
    /// The job is merged with others into one transaction, and **may run twice**: if a neighbour fails,
    /// everything is rolled back and the rest runs again. The last run's value counts, so a job must not
    /// leave traces outside of the transaction. If it returns an error, what it wrote is undone, and nothing
    /// of its neighbours.
    ///
    /// Time is read after the write lock is held, so nobody else can have moved a row since. A job that is
    /// queued runs even if this future is dropped.
    ///
    /// # Errors
    /// See [`ErrorKind`]; [`Error::effect`] says whether the job may have been applied all the same.
    pub async fn write<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>, HostInstant) -> rusqlite::Result<T> + Send + 'static,
    {
        let room = self.0.writes.room().await.ok_or_else(|| self.closed(Effect::NotApplied))?;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(WriteJob { work: job, value: None, reply, _room: room });
        self.0.writes.push(job).map_err(|_| self.closed(Effect::NotApplied))?;
        answer.await.unwrap_or_else(|_| Err(self.closed(Effect::Unknown)))
    }

    /// Runs a job on a reader's connection, in one snapshot that includes every write that has returned.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, HostInstant) -> rusqlite::Result<T> + Send + 'static,
    {
        let room = self.0.reads.room().await.ok_or_else(|| self.closed(Effect::NotApplied))?;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(ReadJob { work: job, reply, _room: room });
        self.0.reads.push(job).map_err(|_| self.closed(Effect::NotApplied))?;
        answer.await.unwrap_or_else(|_| Err(self.closed(Effect::NotApplied)))
    }

    /// The file's absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The clock that jobs are told the time of.
    pub fn clock(&self) -> &Arc<dyn HostClock> {
        &self.0.clock
    }

    fn closed(&self, effect: Effect) -> Error {
        Error::new(ErrorKind::Closed, &self.0.path, "the store's thread has ended").with_effect(effect)
    }
}

fn reading_connection(path: &Path, options: &Options) -> Result<Connection, Error> {
    let conn = connection::open(path, options)?;
    conn.pragma_update(None, "query_only", true)
        .map_err(|e| Error::sqlite(path, "can't set up a reader", e))?;
    Ok(conn)
}

fn spawn(
    name: &str,
    path: &Path,
    alive: Alive,
    run: impl FnOnce() + Send + 'static,
) -> Result<thread::ThreadId, Error> {
    let run = move || {
        run();
        drop(alive);
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(|handle| handle.thread().id())
        .map_err(|e| Error::io(ErrorKind::Unavailable, path, "can't start a thread", e))
}

fn refused(path: &Path, source: Box<dyn StdError + Send + Sync>) -> Error {
    let source = match source.downcast::<rusqlite::Error>() {
        Ok(sqlite) => return Error::sqlite(path, "can't prepare it", *sqlite),
        Err(other) => other,
    };
    match source.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => {
            let message = other.to_string();
            Error::new(ErrorKind::Prepare, path, message).with_shared_source(other.into())
        }
    }
}

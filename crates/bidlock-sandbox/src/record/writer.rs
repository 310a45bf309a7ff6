//! The one writer of the record: a thread that writes (and syncs) what has gathered, then says so.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::Line;
use crate::{SandboxError, clock};

/// The most jobs that wait. More than there can be requests at one time, so that it is never full while
/// the disk keeps up with anything at all.
const MAX_WAITING: usize = 16 * 1024;
/// The most jobs of one write and sync: more gain nothing over the cost of the sync itself.
const MAX_BATCH: usize = 1024;
/// How often closing looks for room in a full queue.
const ROOM_POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
enum Job {
    /// Lines to write, and whom to tell when they are on disk.
    Write { lines: Vec<u8>, done: oneshot::Sender<Result<(), String>> },
    /// Close the file, say so, and end.
    Close { closed: oneshot::Sender<()> },
}

/// Is told how long a write took, its sync included.
pub(crate) type WriteWatch = Arc<dyn Fn(Duration) + Send + Sync>;

/// Appends lines to the record, in the order of the calls.
#[derive(Debug)]
pub(crate) struct Recorder {
    jobs: SyncSender<Job>,
}

impl Recorder {
    /// Opens or makes the file, for this process alone, and ends a torn last line. Also gives a reader of
    /// what is in it. The writer ends with the last `Recorder`, or by [`close`](Self::close).
    pub(crate) fn open(
        path: &Path,
        is_synced: bool,
        wrote: WriteWatch,
    ) -> Result<(Recorder, File), SandboxError> {
        let failed =
            |doing: &'static str| move |source| SandboxError::Record { doing, path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).open(path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SandboxError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        end_torn_line(&mut file).map_err(failed("read"))?;
        sync_folder(path).map_err(failed("sync the folder of"))?;
        let reader = File::open(path).map_err(failed("read"))?;
        let (jobs, waiting) = sync_channel(MAX_WAITING);
        let name = path.to_owned();
        std::thread::Builder::new()
            .name("sandbox-record".to_owned())
            .spawn(move || write_all(file, &name, &waiting, is_synced, &*wrote))
            .map_err(failed("start a writer for"))?;
        Ok((Recorder { jobs }, reader))
    }

    /// Queues lines. They stand in the file in the order of these calls; the receiver is told when they,
    /// and with them all before, are durable; where nothing is synced, with the system.
    pub(crate) fn append(&self, lines: &[Line]) -> Recorded {
        let (done, recorded) = oneshot::channel();
        let mut bytes = Vec::new();
        for line in lines {
            if let Err(why) = serde_json::to_writer(&mut bytes, line) {
                let _ = done.send(Err(why.to_string()));
                return Recorded(recorded);
            }
            bytes.push(b'\n');
        }
        // Full, or the writer is gone: dropping `done` tells the caller that nothing was recorded.
        let _ = self.jobs.try_send(Job::Write { lines: bytes, done });
        Recorded(recorded)
    }

    /// Waits until all that was queued has been written and the file is free for others. Nothing can be
    /// recorded afterwards.
    pub(crate) async fn close(&self) {
        let (closed, done) = oneshot::channel();
        let mut job = Job::Close { closed };
        while let Err(TrySendError::Full(again)) = self.jobs.try_send(job) {
            // Only a disk that hangs keeps the queue full; the writer makes room as soon as it goes on.
            tokio::time::sleep(ROOM_POLL).await;
            job = again;
        }
        // An error: the writer has ended already.
        let _ = done.await;
    }
}

/// Tells when lines are durable.
pub(crate) struct Recorded(oneshot::Receiver<Result<(), String>>);

impl Recorded {
    pub(crate) async fn durable(self) -> Result<(), String> {
        self.0.await.unwrap_or_else(|_| Err("the writer of the record does not take any more".to_owned()))
    }
}

fn write_all(
    mut file: File,
    path: &Path,
    waiting: &Receiver<Job>,
    is_synced: bool,
    wrote: &dyn Fn(Duration),
) {
    // After a failed write or sync the file may lack lines in its middle: nothing is written any more, and
    // every later request fails, so that nothing is accepted off the record.
    let mut broken: Option<String> = None;
    while let Ok(first) = waiting.recv() {
        let (mut bytes, mut told, mut close) = (Vec::new(), Vec::new(), None);
        for job in std::iter::once(first).chain(waiting.try_iter().take(MAX_BATCH - 1)) {
            match job {
                Job::Write { lines, done } => {
                    bytes.extend_from_slice(&lines);
                    told.push(done);
                }
                Job::Close { closed } => close = Some(closed),
            }
        }
        if broken.is_none() && !bytes.is_empty() {
            let began = clock::began();
            let sync = |file: &File| if is_synced { file.sync_data() } else { Ok(()) };
            if let Err(why) = file.write_all(&bytes).and_then(|()| sync(&file)) {
                tracing::error!(path = %path.display(), %why, "the record can't be written; nothing is accepted from here on");
                broken = Some(format!("the record can't be written: {why}"));
            }
            wrote(began.elapsed());
        }
        for done in told {
            // Whoever does not wait any more need not be told.
            let _ = done.send(broken.clone().map_or(Ok(()), Err));
        }
        if let Some(closed) = close {
            drop(file);
            let _ = closed.send(());
            return;
        }
    }
}

/// A write that was cut off by a crash leaves half a line; the next line must not be glued to it.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// The name of a new file is durable only with its folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<(Recorder, File), SandboxError> {
        Recorder::open(path, true, Arc::new(|_| ()))
    }

    #[tokio::test]
    async fn each_write_tells_how_long_it_took_synced_or_not() {
        let dir = tempfile::tempdir().unwrap();
        for is_synced in [true, false] {
            let path = dir.path().join(is_synced.to_string());
            let (told, writes) = std::sync::mpsc::channel();
            let (recorder, _) =
                Recorder::open(&path, is_synced, Arc::new(move |took| told.send(took).unwrap())).unwrap();
            let line = Line::Start { at: clock::now(), modes: String::new(), pid: 1 };
            recorder.append(&[line]).durable().await.unwrap();
            assert!(std::fs::read_to_string(&path).unwrap().contains("\"start\""));
            recorder.close().await;
            assert_eq!(writes.iter().count(), 1);
        }
    }

    #[tokio::test]
    async fn a_torn_line_is_ended_and_a_whole_one_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (before, after) in [("", ""), ("{}\n", "{}\n"), ("{}\n{\"ki", "{}\n{\"ki\n")] {
            let path = dir.path().join("log");
            std::fs::write(&path, before).unwrap();
            open(&path).unwrap().0.close().await;
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[tokio::test]
    async fn a_record_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (first, _) = open(&path).unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains("another sandbox writes to"), "{error}");
        first.close().await;
        open(&path).unwrap().0.close().await;
    }
}

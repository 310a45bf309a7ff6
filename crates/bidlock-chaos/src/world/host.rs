//! Watches the host: a computer that stands still for a moment makes requests time out that no fault has hit.
//!
//! It can stand still in three ways: no processor is free, the rig's own tasks (the fault proxies, the marketplace) do not
//! get their turn, or the disk takes no more. Each is measured where it happens: a thread that only sleeps, a task that
//! only sleeps, and how long each write of the history and of the marketplace's record takes.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{clock::RunClock, recorder::Recorder};
use crate::error::RigError;

/// How long a watch sleeps at a time.
const EVERY_MS: u64 = 50;
const EVERY: Duration = Duration::from_millis(EVERY_MS);
/// What takes so much longer than it should tells of a stall. Less is what a busy host does all the time, and what no time
/// limit of the rig is broken by.
const LATE_MS: u64 = 200;

/// A thread and a task that sleep, and write down when they wake up too late. They end when this is dropped; a line that the
/// task is just writing may still come.
#[derive(Debug)]
pub(crate) struct HostWatch {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl HostWatch {
    /// Watches from now on. Within a runtime: the one whose tasks are watched.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn start(clock: RunClock, recorder: &Arc<Recorder>) -> Result<HostWatch, RigError> {
        let (alive, ended) = channel::<()>();
        let told = Arc::clone(recorder);
        let thread = std::thread::Builder::new().name("chaos-host".to_owned()).spawn(move || {
            loop {
                // Sleep alone is measured: what the history's disk takes is its own measurement.
                let slept_from_ms = clock.ms();
                if ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                told.took(clock.ms() - slept_from_ms, EVERY_MS);
            }
        });
        let thread = thread.map_err(|source| RigError::Process { doing: "started", source })?;
        let told = Arc::clone(recorder);
        let task = tokio::spawn(async move {
            loop {
                let slept_from_ms = clock.ms();
                tokio::time::sleep(EVERY).await;
                told.took(clock.ms() - slept_from_ms, EVERY_MS);
            }
        });
        Ok(HostWatch { alive: Some(alive), thread: Some(thread), task })
    }
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.task.abort();
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// How long the host has stood still in all, whoever noticed it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stalls {
    pub(super) sum_ms: u64,
    /// Until when that is counted.
    until_ms: u64,
}

impl Stalls {
    /// Adds a stall that has just ended.
    pub(super) fn add(&mut self, from_ms: u64, to_ms: u64) {
        self.sum_ms += to_ms.saturating_sub(from_ms.max(self.until_ms));
        self.until_ms = self.until_ms.max(to_ms);
    }
}

/// By how much something took too long, if that is a stall.
pub(super) fn stall_ms(took_ms: u64, should_ms: u64) -> Option<u64> {
    Some(took_ms.saturating_sub(should_ms)).filter(|late_ms| *late_ms > LATE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Entry, What, read_lines};

    #[test]
    fn only_what_takes_much_too_long_is_a_stall() {
        let slept = [50, 60, 250, 251, 1_050].map(|ms| stall_ms(ms, 50));
        assert_eq!(slept, [None, None, None, Some(201), Some(1_000)]);
    }

    /// The stalls in this history, in milliseconds.
    fn stalls(path: &std::path::Path) -> Vec<u64> {
        let mut stalls = Vec::new();
        read_lines(path, |entry: Entry| {
            if let What::HostStalled { ms } = entry.what {
                stalls.push(ms);
            }
            Ok(())
        })
        .unwrap();
        stalls
    }

    #[tokio::test]
    async fn a_runtime_that_is_held_up_is_a_stall_though_the_processor_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let clock = RunClock::start();
        let recorder = Arc::new(Recorder::create(&path, clock).unwrap());
        let watch = HostWatch::start(clock, &recorder).unwrap();
        // The watching task sleeps now; then its one thread is held up, as by a write to a disk that takes no more.
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(400));
        tokio::time::sleep(EVERY).await;
        drop(watch);
        recorder.check().unwrap();
        let found = stalls(&path);
        assert!(found.iter().any(|ms| *ms > LATE_MS), "{found:?}");
        assert!((LATE_MS..=found.iter().sum()).contains(&recorder.stalled_ms()), "{found:?}");
    }

    #[test]
    fn what_several_watches_see_of_one_moment_is_counted_once() {
        let mut stalls = Stalls::default();
        for (from_ms, to_ms, sum_ms) in
            [(100, 500, 400), (50, 510, 410), (400, 450, 410), (900, 1_200, 710), (1_200, 1_300, 810)]
        {
            stalls.add(from_ms, to_ms);
            assert_eq!(stalls.sum_ms, sum_ms, "{from_ms} to {to_ms}");
        }
    }
}

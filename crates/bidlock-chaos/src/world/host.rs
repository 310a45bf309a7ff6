//! Watches the host: a computer that stands still for a moment makes requests time out that no fault has hit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{clock::RunClock, recorder::Recorder};
use crate::{error::RigError, history::What};

/// How long the watch sleeps at a time.
const EVERY: Duration = Duration::from_millis(50);
/// So much later than asked it wakes up on a host that has stalled. Less is what a busy one does all the time, and what no
/// time limit of the rig is broken by.
const LATE_MS: u64 = 200;
/// So many stalls are written down at the most. A run with more of them proves little; those beyond excuse nothing.
const MAX_STALLS: u32 = 10_000;

/// A thread that sleeps, and writes down when it wakes up too late. Ends when dropped, and writes nothing after that.
#[derive(Debug)]
pub(crate) struct HostWatch {
    /// How long the host has stalled in all, in milliseconds.
    stalled_ms: Arc<AtomicU64>,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HostWatch {
    /// Watches from now on.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn start(clock: RunClock, recorder: Arc<Recorder>) -> Result<HostWatch, RigError> {
        let stalled_ms = Arc::new(AtomicU64::new(0));
        let (alive, ended) = channel::<()>();
        let total = Arc::clone(&stalled_ms);
        let thread = std::thread::Builder::new().name("chaos-host".to_owned()).spawn(move || {
            let mut stalls = 0;
            loop {
                // Sleep alone is measured: a slow disk under the history is no stall.
                let slept_from_ms = clock.ms();
                if ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let Some(ms) = stall_ms(clock.ms() - slept_from_ms) else { continue };
                total.fetch_add(ms, Ordering::Relaxed);
                stalls += 1;
                if stalls <= MAX_STALLS {
                    recorder.add(What::HostStalled { ms });
                }
            }
        });
        let thread = thread.map_err(|source| RigError::Process { doing: "started", source })?;
        Ok(HostWatch { stalled_ms, alive: Some(alive), thread: Some(thread) })
    }

    /// How long the host has stalled so far, in milliseconds.
    pub(crate) fn stalled_ms(&self) -> u64 {
        self.stalled_ms.load(Ordering::Relaxed)
    }
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// By how much a sleep of this length was too long, if that is a stall.
fn stall_ms(slept_ms: u64) -> Option<u64> {
    let late_ms = slept_ms.saturating_sub(EVERY.as_millis() as u64);
    (late_ms > LATE_MS).then_some(late_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sleep_that_is_much_too_long_is_a_stall() {
        assert_eq!([50, 60, 250, 251, 1_050].map(stall_ms), [None, None, None, Some(201), Some(1_000)]);
    }
}

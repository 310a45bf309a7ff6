//! The one writer of `history.jsonl`, for all tasks of the rig.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    clock::RunClock,
    host::{Stalls, stall_ms},
};
use crate::history::{Entry, HistoryError, Lines, What};

/// So many notes of all processes together are kept; a run in which every scanner complains for an hour is no better
/// explained by more of the same.
const MAX_NOTES: u64 = 50_000;
/// So many stalls are written down at the most. A run with more of them proves little; those beyond excuse nothing.
const MAX_STALLS: u64 = 10_000;

/// Writes what happens, with the time at which the rig learns of it.
#[derive(Debug)]
pub(crate) struct Recorder {
    clock: RunClock,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    lines: Lines,
    notes: u64,
    stalls: (u64, Stalls),
    failure: Option<HistoryError>,
}

impl Recorder {
    /// A new file.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn create(path: &Path, clock: RunClock) -> Result<Recorder, HistoryError> {
        let lines = Lines::create(path)?;
        let inside = Inside { lines, notes: 0, stalls: Default::default(), failure: None };
        Ok(Recorder { clock, inside: Mutex::new(inside) })
    }

    /// Adds a line. That it could not be written is said by [`check`](Recorder::check).
    pub(crate) fn add(&self, what: What) {
        let mut inside = self.inside();
        if let What::Note { text, .. } = &what {
            inside.notes += 1;
            // That a process panicked is never one too many.
            if inside.notes > MAX_NOTES && !text.contains("panicked at") {
                return;
            }
        }
        inside.add(self.clock, what);
    }

    /// Something that should have taken so long did take so long, until now: a stall of the host, if it is far too much.
    pub(crate) fn took(&self, took_ms: u64, should_ms: u64) {
        // Before the lock, which whoever writes holds: most often, there is nothing to tell.
        if let Some(ms) = stall_ms(took_ms, should_ms) {
            let from_ms = self.clock.ms().saturating_sub(ms);
            // Whoever has waited for the lock until now has stood still as well.
            let mut inside = self.inside();
            let to_ms = self.clock.ms();
            inside.stalled(self.clock, to_ms - from_ms, to_ms);
        }
    }

    /// How long the host has stood still so far, in milliseconds.
    pub(crate) fn stalled_ms(&self) -> u64 {
        self.inside().stalls.1.sum_ms
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Something could not be written since the last call.
    pub(crate) fn check(&self) -> Result<(), HistoryError> {
        let mut inside = self.inside();
        let began_ms = self.clock.ms();
        inside.lines.flush()?;
        inside.wrote(self.clock, began_ms);
        inside.failure.take().map_or(Ok(()), Err)
    }

    /// How many notes were left out.
    pub(crate) fn notes_left_out(&self) -> u64 {
        self.inside().notes.saturating_sub(MAX_NOTES)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A line that a panic has torn is found by its reader.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn add(&mut self, clock: RunClock, what: What) {
        let began_ms = clock.ms();
        if let Err(failure) = self.lines.add(&Entry { at_ms: began_ms, what }) {
            self.failure.get_or_insert(failure);
        }
        self.wrote(clock, began_ms);
    }

    /// The rig's tasks wait for what is written here: so long since then.
    fn wrote(&mut self, clock: RunClock, began_ms: u64) {
        let now_ms = clock.ms();
        if let Some(ms) = stall_ms(now_ms - began_ms, 0) {
            self.stalled(clock, ms, now_ms);
        }
    }

    fn stalled(&mut self, clock: RunClock, ms: u64, to_ms: u64) {
        let (count, stalls) = &mut self.stalls;
        stalls.add(to_ms.saturating_sub(ms), to_ms);
        *count += 1;
        if *count <= MAX_STALLS {
            self.add(clock, What::HostStalled { ms });
        }
    }
}

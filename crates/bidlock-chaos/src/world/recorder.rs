//! The one writer of `history.jsonl`, for all tasks of the rig.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    history::{Entry, HistoryError, Lines, What},
    world::clock::RunClock,
};

/// So many notes of all processes together are kept; a run in which every scanner complains for an hour is no better
/// explained by more of the same.
const MAX_NOTES: u64 = 50_000;

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
    failure: Option<HistoryError>,
}

impl Recorder {
    /// A new file.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn create(path: &Path, clock: RunClock) -> Result<Recorder, HistoryError> {
        let inside = Inside { lines: Lines::create(path)?, notes: 0, failure: None };
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
        let entry = Entry { at_ms: self.clock.ms(), what };
        if let Err(failure) = inside.lines.add(&entry) {
            inside.failure.get_or_insert(failure);
        }
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Something could not be written since the last call.
    pub(crate) fn check(&self) -> Result<(), HistoryError> {
        let mut inside = self.inside();
        inside.lines.flush()?;
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

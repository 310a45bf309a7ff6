//! [`Note`]: what a ledger knows of what is around it, by name.
//!
//! Notes are for a person's rare word about the whole ledger, which every scanner must find: that it is kept beside a
//! replaced system, say. They are no place for what a bid knows; that is its events.

use serde::{Deserialize, Serialize};

use crate::{bid::WallTime, store::Actor};

/// The longest value, in bytes: a note is read at each start.
pub const MAX_NOTE_BYTES: usize = 64 * 1_024;

/// What counts under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How often a note was written under this name; the first one is 1.
    pub version: i64,
    /// What it says.
    pub value: String,
    /// Who wrote it.
    pub actor: String,
    /// When.
    pub at: WallTime,
}

/// A note to be written.
#[derive(Clone, Debug)]
pub struct NewNote {
    /// Under this name.
    pub name: String,
    /// The version that the writer saw; 0 where there was none.
    pub after: i64,
    /// What it says; at most [`MAX_NOTE_BYTES`].
    pub value: String,
    /// Who writes it.
    pub actor: Actor,
}

/// Refuses a note that is too long.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_note(operation: &'static str, note: &NewNote) -> crate::Result<()> {
    if note.value.len() <= MAX_NOTE_BYTES {
        return Ok(());
    }
    let message =
        format!("the note {} has {} bytes; at most {MAX_NOTE_BYTES} fit", note.name, note.value.len());
    Err(crate::LedgerError::new(crate::ErrorKind::Invalid, operation, message))
}

//! The file of `--html`: tried before a run begins, so that an hour's run is not followed by "can't write"; written after
//! the verdict is told.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::failure::CliError;

/// A file that can be written, as far as one can know beforehand. What is in it stays until the page is there; one that
/// was made here goes again if no page comes.
pub(super) struct PageFile {
    path: PathBuf,
    /// It was not there before.
    is_new: bool,
}

impl PageFile {
    /// Tries the file.
    ///
    /// # Errors
    /// It can't be written: wrong usage, as nothing was run yet.
    pub(super) fn try_out(path: &Path) -> Result<PageFile, CliError> {
        let is_new = match File::create_new(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                File::options().write(true).open(path).map(|_| false)
            }
            made => made.map(|_| true),
        };
        let is_new = is_new.map_err(|e| {
            CliError::usage(format!("--html: can't write {}: {e}", path.display()))
                .hint("name a file in a folder that is there, and that you may write")
        })?;
        Ok(PageFile { path: path.to_owned(), is_new })
    }

    /// Writes the page.
    ///
    /// # Errors
    /// It can't be written by now: the disk is full, the folder has gone.
    pub(super) fn write(mut self, page: &str) -> Result<(), CliError> {
        fs::write(&self.path, page)
            .map_err(|e| CliError::unavailable(format!("can't write {}: {e}", self.path.display())))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for PageFile {
    fn drop(&mut self) {
        if self.is_new {
            // An empty file that stays is a blemish, and nobody is there to be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

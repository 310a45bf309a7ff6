//! The files of a run: where they are, writing and reading them line by line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Begun, Entry, FORMAT, What};

/// The longest line that is read: a bid with a long proposal and its events' details fit many times over.
const MAX_LINE_BYTES: u64 = 8 << 20;

/// What a run is known by.
const HISTORY: &str = "history.jsonl";

/// The files of one run.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The run whose files are, or will be, in this folder.
    pub fn at(path: &Path) -> RunFolder {
        RunFolder(path.to_owned())
    }

    /// A recorded run, as a user names it: its folder, or the `history.jsonl` in it.
    ///
    /// # Errors
    /// It is neither, and no neighbour is taken for it.
    pub fn named(path: &Path) -> Result<RunFolder, HistoryError> {
        let not = |why| Err(HistoryError::NoRun { path: path.to_owned(), why });
        if path.is_dir() {
            let folder = RunFolder::at(path);
            return if folder.history().is_file() {
                Ok(folder)
            } else {
                not("there is no history.jsonl in it")
            };
        }
        if !path.exists() {
            return not("there is no such folder or file");
        }
        let is_history = path.file_name().is_some_and(|name| name == HISTORY);
        match path.parent().filter(|_| is_history) {
            Some(parent) if parent.as_os_str().is_empty() => Ok(RunFolder::at(Path::new("."))),
            Some(parent) => Ok(RunFolder::at(parent)),
            None => not("this file is not called history.jsonl"),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the rig did and heard.
    pub fn history(&self) -> PathBuf {
        self.0.join(HISTORY)
    }

    /// The postings that the feed held.
    pub fn feed(&self) -> PathBuf {
        self.0.join("feed.jsonl")
    }

    /// The marketplace's record.
    pub fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox.jsonl")
    }

    /// Bids and events.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.jsonl")
    }
}

/// Appends lines to a file.
#[derive(Debug)]
pub struct Lines {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Lines {
    /// Makes a new file.
    ///
    /// # Errors
    /// It is there already, or can't be written.
    pub fn create(path: &Path) -> Result<Lines, HistoryError> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|source| HistoryError::Write { path: path.to_owned(), source })?;
        Ok(Lines { file: BufWriter::new(file), path: path.to_owned() })
    }

    /// Appends a line. It may stay in memory until [`flush`](Lines::flush).
    ///
    /// # Errors
    /// The file can't be written.
    pub fn add(&mut self, line: &impl Serialize) -> Result<(), HistoryError> {
        let written = serde_json::to_writer(&mut self.file, line).map_err(io::Error::from);
        written.and_then(|()| self.file.write_all(b"\n")).map_err(|source| self.failed(source))
    }

    /// Hands all lines to the system.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn flush(&mut self) -> Result<(), HistoryError> {
        self.file.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> HistoryError {
        HistoryError::Write { path: self.path.clone(), source }
    }
}

/// Calls `each` with every line of a file, in order.
///
/// # Errors
/// The file can't be read, or a line is not of this kind; `each` fails.
pub fn read_lines<T: DeserializeOwned>(
    path: &Path,
    mut each: impl FnMut(T) -> Result<(), HistoryError>,
) -> Result<(), HistoryError> {
    let failed = |source| HistoryError::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        if file.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = serde_json::from_slice(&line);
        each(read.map_err(|source| HistoryError::Line { path: path.to_owned(), number, source })?)?;
    }
}

/// A run's plan and surroundings: the first line of its history.
///
/// # Errors
/// The file can't be read, or is no history that this bidlock can read.
pub fn read_begun(folder: &RunFolder) -> Result<Begun, HistoryError> {
    let path = folder.history();
    let failed = |source| HistoryError::Read { path: path.clone(), source };
    let mut line = Vec::new();
    BufReader::new(File::open(&path).map_err(failed)?)
        .take(MAX_LINE_BYTES)
        .read_until(b'\n', &mut line)
        .map_err(failed)?;
    let read = serde_json::from_slice(&line);
    let entry: Entry = read.map_err(|source| HistoryError::Line { path: path.clone(), number: 1, source })?;
    match entry.what {
        What::Begun(begun) if begun.format == FORMAT => Ok(*begun),
        What::Begun(begun) => Err(HistoryError::Format { path, format: begun.format }),
        _ => Err(HistoryError::NoBeginning { path }),
    }
}

/// A run's files can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file can't be read.
    #[error("can't read {}: {source}; name the folder of a run, or its history.jsonl", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}: {source}; name another folder with --keep", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither a run's folder nor its history.
    #[error("{} is no recorded run: {why}; name the folder that --keep made, or the history.jsonl in it", path.display())]
    NoRun {
        /// What was named.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The run did not come to its end: what would prove anything was not written.
    #[error(
        "{0} can't be checked: this run was interrupted before it was written down; `bidlock chaos replay {0}` runs its \
         plan again",
        path.display()
    )]
    Unfinished {
        /// Its folder.
        path: PathBuf,
    },
    /// A line is not what it should be.
    #[error("{} line {number}: {source}; the file is damaged, or not a run's", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        number: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// Another form of files.
    #[error("{} has the form {format}, this bidlock reads {FORMAT}; use the bidlock that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its form.
        format: u32,
    },
    /// The file does not begin as a history does.
    #[error("{} does not begin with a plan: it is no run's history", path.display())]
    NoBeginning {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{FaultKind, Place, Target},
        history::{FaultLine, LeaseLine, LeaseStep},
    };

    #[test]
    fn lines_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let entries = [
            Entry {
                at_ms: 3,
                what: What::FaultBegins(FaultLine {
                    id: 1,
                    fault: FaultKind::Cut,
                    target: Target::between("scanner-2", Place::Redis),
                    lasts_ms: 500,
                    amount: 0,
                    holder: None,
                }),
            },
            Entry {
                at_ms: 4,
                what: What::Lease(LeaseLine {
                    holder: "worker-1.1".to_owned(),
                    at_us: 3_999,
                    key: "bid_lock:{a}:{b}".to_owned(),
                    step: LeaseStep::Lost { token: u64::MAX },
                }),
            },
            Entry { at_ms: 5, what: What::QuietBegins },
        ];
        let mut lines = Lines::create(&path).unwrap();
        entries.iter().for_each(|entry| lines.add(entry).unwrap());
        lines.flush().unwrap();
        let mut back = Vec::new();
        read_lines(&path, |entry: Entry| {
            back.push(entry);
            Ok(())
        })
        .unwrap();
        assert_eq!(back, entries);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"at_ms":3,"kind":"fault_begins","id":1,"fault":"cut""#), "{text}");
        assert!(matches!(
            read_begun(&RunFolder::named(&path).unwrap()),
            Err(HistoryError::NoBeginning { .. })
        ));
        assert!(Lines::create(&path).is_err(), "an earlier run is not written over");
    }
}

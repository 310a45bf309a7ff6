//! A wall clock of a process's own: libfaketime, told by a file how far off it is.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Where distributions put it.
const PLACES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The library, where it is installed.
pub(crate) fn library() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|path| path.is_file())
}

/// The clock of one process.
#[derive(Debug)]
pub(crate) struct ClockFile {
    library: &'static Path,
    file: PathBuf,
}

impl ClockFile {
    /// A clock that is right.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn right(library: &'static Path, file: PathBuf) -> io::Result<ClockFile> {
        let clock = ClockFile { library, file };
        clock.set(0)?;
        Ok(clock)
    }

    /// From the next look on, at most a second later, the clock is off by so many seconds.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn set(&self, seconds: i64) -> io::Result<()> {
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, format!("{seconds:+}"))?;
        std::fs::rename(draft, &self.file)
    }

    /// What the process must have in its environment.
    pub(crate) fn variables(&self) -> [(&'static str, &std::ffi::OsStr); 4] {
        [
            ("LD_PRELOAD", self.library.as_os_str()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.as_os_str()),
            ("FAKETIME_CACHE_DURATION", "1".as_ref()),
            // What is measured goes on as it is: no clock of a host jumps that way.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
        ]
    }

    /// Takes away what the library leaves behind of a process that was killed.
    pub(crate) fn clean_up_after(pid: u32) {
        for name in [format!("sem.faketime_sem_{pid}"), format!("faketime_shm_{pid}")] {
            // Most processes leave nothing.
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}

//! A wall clock of a process's own: libfaketime, told by a file how far off it is.

use std::{
    ffi::OsString,
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

/// Where distributions put the C library's own allocator as a library that can stand before another.
const ALLOCATORS: [&str; 4] = [
    "/lib/x86_64-linux-gnu/libc_malloc_debug.so.0",
    "/lib/aarch64-linux-gnu/libc_malloc_debug.so.0",
    "/lib64/libc_malloc_debug.so.0",
    "/usr/lib/libc_malloc_debug.so.0",
];

/// The library, where it is installed.
pub(crate) fn library() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|path| path.is_file())
}

/// The allocator that a server needs whose own asks for the time, as jemalloc does: libfaketime allocates, and the two
/// would ask each other without end.
pub(crate) fn allocator() -> Option<&'static Path> {
    ALLOCATORS.iter().map(Path::new).find(|path| path.is_file())
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

    /// From the next look on the clock is off by so many seconds. A server looks each time, a scanner once a second.
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

    /// What a server must have in its environment; none where this host lacks what it takes.
    pub(crate) fn variables_of_server(&self) -> Option<Vec<(OsString, OsString)>> {
        let mut preload = allocator()?.as_os_str().to_owned();
        preload.push(":");
        preload.push(self.library);
        let variables: [(&str, OsString); 4] = [
            ("LD_PRELOAD", preload),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        Some(variables.map(|(name, value)| (name.into(), value)).into())
    }

    /// Takes away what the library leaves behind of a process that was killed.
    pub(crate) fn clean_up_after(pid: u32) {
        for name in [format!("sem.faketime_sem_{pid}"), format!("faketime_shm_{pid}")] {
            // Most processes leave nothing.
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}

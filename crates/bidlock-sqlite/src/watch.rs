//! Whether the open file is still the one that its path names, and has no second name.
//!
//! SQLite works on the file that it has opened, wherever that is moved; whoever comes later works on what
//! the path names then. Both would believe to have the one ledger.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, config::DbConfig};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::{
    Error, ErrorKind,
    place::{beside, kind_of_io, unfit_unless_ill},
};

const MOVED_HINT: &str = "stop every process that uses it, put back the one file that all of them used, with its -wal file, \
     and start them again; what was done since it was moved may be missing from it";

/// Which file it is. A file that is open keeps its inode number, so nobody else can have it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(path: &Path) -> Result<Identity, Error> {
        ask(path).map_err(|e| Error::io(kind_of_io(&e), path, "can't look at it", e))
    }
}

/// Remembers which files were opened, and compares them with what their paths name now. Each look costs a
/// `stat` of each, about a microsecond: nothing is opened, as closing any descriptor of a database
/// drops the POSIX locks that SQLite holds on it.
///
/// Guards the log and its index too: a process that comes after one of them was deleted makes a new one,
/// and then no longer sees what the others write.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    files: Vec<(PathBuf, Identity)>,
    /// Set for good: a file that was away and is back may lack what others did meanwhile.
    moved: AtomicBool,
}

impl Watch {
    /// Remembers the files of an open database. To be asked for while a connection is open and has read, so
    /// that SQLite can't delete the log. `before` is what [`Identity::of`] said before the first connection
    /// was opened; `asked` is the path as it was asked for: where a link in it comes to lead elsewhere, those
    /// who come later go elsewhere too.
    pub(crate) fn start(path: &Path, asked: &Path, before: Identity) -> Result<Watch, Error> {
        let mut files = vec![(path.to_owned(), before)];
        for side in ["wal", "shm"] {
            let file = beside(path, side);
            let found = Identity::of(&file)?;
            files.push((file, found));
        }
        if asked != path {
            files.push((asked.to_owned(), before));
        }
        let watch = Watch(Arc::new(Watched { path: path.to_owned(), files, moved: AtomicBool::new(false) }));
        watch.check()?;
        Ok(watch)
    }

    /// An error if one of the paths names another file than the one that is open, or none, or did so at an
    /// earlier look.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.moved.load(Ordering::Relaxed) {
            return Err(moved(&self.0.path, "was moved, deleted or replaced while it was open"));
        }
        for (file, opened) in &self.0.files {
            match ask(file) {
                Ok(found) if found == *opened => {}
                Ok(_) => return Err(self.found_moved(file, "was replaced by another file while it was open")),
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Err(self.found_moved(file, "was moved or deleted while it was open"));
                }
                Err(e) => return Err(Error::io(kind_of_io(&e), file, "can't look at it", e)),
            }
        }
        Ok(())
    }

    fn found_moved(&self, file: &Path, what: &str) -> Error {
        let error = moved(file, what);
        if !self.0.moved.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %file.display(), %error, "nothing more is written");
        }
        error
    }

    /// Closes a connection. The last one to close carries the log over into the file and deletes it by its
    /// name, under which another file may lie by now: then it is left alone.
    pub(crate) fn close(&self, conn: &Connection) {
        if self.check().is_err()
            && let Err(error) = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::error!(path = %self.0.path.display(), %error, "can't leave the log alone");
        }
    }
}

fn moved(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Poisoned, path, what).with_hint(MOVED_HINT)
}

fn ask(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|meta| Identity { device: meta.dev(), inode: meta.ino() })
}

/// Refuses a file that has a second name or is mounted alone: its log lies beside each of the names, so
/// processes that come by different names would not see each other's writes.
pub(crate) fn refuse_second_names(path: &Path) -> Result<(), Error> {
    let failed = |e: io::Error| Error::io(unfit_unless_ill(&e), path, "can't look at it", e);
    let names = fs::metadata(path).map_err(failed)?.nlink();
    if names > 1 {
        let message =
            format!("the file has {names} names (hard links), and SQLite would keep a log for each of them");
        return Err(Error::new(ErrorKind::Unfit, path, message)
            .with_hint("keep one name and delete the others; share the folder, not the file"));
    }
    if is_mount_point(path) {
        let message = "the file itself is a mount point, and the log beside it would not be shared";
        return Err(Error::new(ErrorKind::Unfit, path, message)
            .with_hint("mount the folder that holds it, not the file"));
    }
    Ok(())
}

/// Whether something is mounted on this very file, as `docker run -v ledger.db:/data/ledger.db` does.
fn is_mount_point(path: &Path) -> bool {
    if let (Some(file), Some(folder)) = (mount_of(path), path.parent().and_then(mount_of)) {
        return file != folder;
    }
    // Before Linux 5.8, and in sandboxes that keep the mount's number to themselves.
    match fs::read_to_string("/proc/self/mountinfo") {
        Ok(mounts) => names_mount_point(&mounts, path),
        Err(error) => {
            tracing::debug!(%error, "can't tell whether the file is a mount point");
            false
        }
    }
}

fn mount_of(path: &Path) -> Option<u64> {
    let facts = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    (facts.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(facts.stx_mnt_id)
}

/// The fifth field of `/proc/self/mountinfo` is the mount point; blanks and backslashes are in octal.
fn names_mount_point(mounts: &str, path: &Path) -> bool {
    let Some(path) = path.to_str() else { return false };
    let escaped =
        path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(escaped.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_table_names_files_too() {
        let mounts = "23 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      31 23 254:0 /srv/a /data/my\\040ledger.db rw - ext4 /dev/vda rw\n";
        assert!(names_mount_point(mounts, Path::new("/data/my ledger.db")));
        assert!(!names_mount_point(mounts, Path::new("/data/ledger.db")));
        assert!(!names_mount_point(mounts, Path::new("/data")));
    }

    #[test]
    fn a_mount_has_a_number_of_its_own() {
        // `/proc` is a mount wherever this runs; `/proc/version` lies in it.
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/proc/version")));
    }
}

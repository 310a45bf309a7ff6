//! The proof that a process is gone: a file lock that the kernel releases when it dies.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use crate::{Error, ErrorKind, place::kind_of_io};

const SUFFIX: &str = ".instance";
/// How many instance files are kept: the youngest, as an old one still proves that its process is gone.
/// Feeds that start a scanner each minute take three days to fill it.
const KEPT_FILES: usize = 4_096;
/// How many files one open deletes at most, so that opening stays fast.
const DELETED_PER_OPEN: usize = 256;

/// A file that this process holds locked for as long as it lives. A process id proves nothing across
/// containers and is used again; this lock is released by the kernel and by nobody else.
///
/// A child made by `fork` without `exec` shares the lock: then the instance is gone when both are.
#[derive(Debug)]
pub struct InstanceFile {
    id: Uuid,
    path: PathBuf,
    #[allow(dead_code, reason = "held for its lock")]
    file: File,
}

/// What the file lock tells about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceLiveness {
    /// The kernel has released its lock.
    Gone,
    /// Its lock is held: it runs, sleeps or is paused.
    Alive,
    /// There is no such file here (another host's instance, or a file deleted long after its death).
    Unprovable,
}

impl InstanceFile {
    /// Makes and locks a file in `dir`, and deletes the oldest ones of processes that are gone.
    ///
    /// # Errors
    /// The folder can't be written to.
    pub fn create(dir: &Path) -> Result<InstanceFile, Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| Error::io(kind_of_io(&e), dir, "can't make the folder", e))?;
        // Time-ordered, so that the oldest are found by name.
        let id = Uuid::now_v7();
        let path = file_of(dir, id);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io(kind_of_io(&e), &path, "can't make the instance file", e))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
            Error::io(ErrorKind::Unavailable, &path, "can't lock the instance file", e.into())
        })?;
        if let Err(e) = delete_old(dir, KEPT_FILES) {
            tracing::debug!(dir = %dir.display(), error = %e, "old instance files were not deleted");
        }
        Ok(InstanceFile { id, path, file })
    }

    /// Its name.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Deletes the file: nothing was done in this instance's name, so nobody will ask for its death.
    pub fn remove(&self) {
        if let Err(e) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), error = %e, "the instance file was not deleted");
        }
    }
}

/// Whether the process behind an instance is proven gone.
///
/// # Errors
/// The file is there but can't be asked.
pub fn instance_liveness(dir: &Path, id: Uuid) -> Result<InstanceLiveness, Error> {
    let path = file_of(dir, id);
    liveness_of(&path).map_err(|e| Error::io(kind_of_io(&e), &path, "can't ask for its lock", e))
}

fn liveness_of(path: &Path) -> io::Result<InstanceLiveness> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(InstanceLiveness::Unprovable),
        Err(e) => return Err(e),
    };
    // Shared, so that two who ask at once do not mistake each other for the instance.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(InstanceLiveness::Gone),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(InstanceLiveness::Alive),
        Err(e) => Err(e.into()),
    }
}

fn file_of(dir: &Path, id: Uuid) -> PathBuf {
    dir.join(format!("{id}{SUFFIX}"))
}

fn delete_old(dir: &Path, kept: usize) -> io::Result<()> {
    let mut ids: Vec<Uuid> = fs::read_dir(dir)?
        .filter_map(|entry| Uuid::parse_str(entry.ok()?.file_name().to_str()?.strip_suffix(SUFFIX)?).ok())
        .collect();
    ids.sort_unstable();
    let old = ids.len().saturating_sub(kept).min(DELETED_PER_OPEN);
    for id in &ids[..old] {
        let path = file_of(dir, *id);
        if liveness_of(&path)? == InstanceLiveness::Gone {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_instance_is_gone_a_held_one_alive_and_another_hosts_unprovable() {
        let dir = tempfile::tempdir().unwrap();
        let instance = InstanceFile::create(dir.path()).unwrap();
        let id = instance.id();
        assert_eq!(instance_liveness(dir.path(), id).unwrap(), InstanceLiveness::Alive);
        drop(instance);
        assert_eq!(instance_liveness(dir.path(), id).unwrap(), InstanceLiveness::Gone);
        assert_eq!(instance_liveness(dir.path(), Uuid::new_v4()).unwrap(), InstanceLiveness::Unprovable);
    }

    #[test]
    fn only_the_oldest_files_of_the_dead_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let oldest_alive = InstanceFile::create(dir.path()).unwrap();
        let dead: Vec<Uuid> = (0..5).map(|_| InstanceFile::create(dir.path()).unwrap().id()).collect();
        delete_old(dir.path(), 3).unwrap();
        assert_eq!(instance_liveness(dir.path(), oldest_alive.id()).unwrap(), InstanceLiveness::Alive);
        let left: Vec<bool> = dead
            .iter()
            .map(|id| instance_liveness(dir.path(), *id).unwrap() == InstanceLiveness::Gone)
            .collect();
        assert_eq!(left, [false, false, true, true, true]);
    }
}

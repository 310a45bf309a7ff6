//! The proof that a process is gone: a file lock that the kernel releases when it dies.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use crate::{Error, ErrorKind, HostClock, SystemHostClock, place::kind_of_io};

const SUFFIX: &str = ".instance";
/// How many instance files are kept: the youngest, as an old one still proves that its process is gone.
/// Feeds that start a scanner each minute take three days to fill it.
const KEPT_FILES: usize = 4_096;
/// How many files one open deletes at most, so that opening stays fast.
const DELETED_PER_OPEN: usize = 256;

/// The longest origin that is read; ours have about 120 bytes.
const MAX_ORIGIN_BYTES: u64 = 512;

/// A file that this process holds locked for as long as it lives. A process id proves nothing across
/// containers and is used again; this lock is released by the kernel and by nobody else.
///
/// The file says where it was made, so that its copy in another folder, which nobody holds
/// locked, is not taken for a proof.
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
    /// The kernel has released its lock, or has been started anew since.
    Gone,
    /// Its lock is held: it runs, sleeps or is paused.
    Alive,
    /// There is no such file here (another host's instance, or a file deleted long after its death), or it
    /// is not the file that the instance made: a copy or a backup of the folder.
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
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io(kind_of_io(&e), &path, "can't make the instance file", e))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
            Error::io(ErrorKind::Unavailable, &path, "can't lock the instance file", e.into())
        })?;
        // Not synced: after a power failure it may be missing, and then proves nothing.
        // Only under the lock: whoever reads it finds the lock held, or its holder dead.
        Origin::of(&file)
            .and_then(|origin| file.write_all(origin.to_line().as_bytes()))
            .map_err(|e| Error::io(kind_of_io(&e), &path, "can't write the instance file", e))?;
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
    if is_locked(&file)? {
        return Ok(InstanceLiveness::Alive);
    }
    let mut text = String::new();
    match (&file).take(MAX_ORIGIN_BYTES).read_to_string(&mut text) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(InstanceLiveness::Unprovable),
        Err(e) => return Err(e),
    }
    let here = Origin::of(&file)?;
    // Without a whole line the process died before it could do anything in this name, or somebody else wrote.
    let is_proof = Origin::from_line(&text).is_some_and(|made| made.is_proven_by(&here));
    Ok(if is_proof { InstanceLiveness::Gone } else { InstanceLiveness::Unprovable })
}

/// Shared, so that two who ask at once do not mistake each other for the instance.
fn is_locked(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

/// Which file an instance made, and under which boot of the host: what a copy can't have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    boot_id: Uuid,
    device: u64,
    inode: u64,
    /// When the file system made the file, in nanoseconds since 1970; it keeps that from all who would set it.
    born_ns: Option<u128>,
}

impl Origin {
    fn of(file: &File) -> io::Result<Origin> {
        let meta = file.metadata()?;
        let born = meta.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Ok(Origin {
            boot_id: SystemHostClock.now().boot_id,
            device: meta.dev(),
            inode: meta.ino(),
            born_ns: born.map(|t| t.as_nanos()),
        })
    }

    fn to_line(&self) -> String {
        let born = self.born_ns.map_or_else(|| "-".to_owned(), |ns| ns.to_string());
        format!("boot={} device={} inode={} born={born}\n", self.boot_id, self.device, self.inode)
    }

    fn from_line(text: &str) -> Option<Origin> {
        let mut fields = text.strip_suffix('\n')?.split(' ');
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Origin {
            boot_id: field("boot")?.parse().ok()?,
            device: field("device")?.parse().ok()?,
            inode: field("inode")?.parse().ok()?,
            born_ns: match field("born")? {
                "-" => None,
                ns => Some(ns.parse().ok()?),
            },
        })
    }

    /// Whether the file that lies here now, unlocked, is the one that was made then.
    ///
    /// Under the same boot, a file on one device with one inode number is that file: the number is not given
    /// to another while the file is there. Under another boot no process of that time is left, if it is the
    /// same file and not one of another host. Devices may be numbered anew at a boot, and two hosts made from
    /// one image number alike, so then the time of birth, to the nanosecond, has to be the same. What stays
    /// is a host whose disk was cloned while it ran on.
    fn is_proven_by(&self, here: &Origin) -> bool {
        let is_same_number = self.inode == here.inode && self.born_ns == here.born_ns;
        if self.boot_id == here.boot_id {
            is_same_number && self.device == here.device
        } else {
            is_same_number && self.born_ns.is_some()
        }
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
        // A copy goes too: without it the answer is the same. Another process may be deleting as well.
        match File::open(&path) {
            Ok(file) if is_locked(&file)? => {}
            Ok(_) => fs::remove_file(&path)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
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
    fn a_copy_of_the_folder_proves_nothing() {
        let [dir, copy] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let instance = InstanceFile::create(dir.path()).unwrap();
        let id = instance.id();
        fs::copy(file_of(dir.path(), id), file_of(copy.path(), id)).unwrap();
        assert_eq!(instance_liveness(copy.path(), id).unwrap(), InstanceLiveness::Unprovable);
        drop(instance);
        assert_eq!(instance_liveness(copy.path(), id).unwrap(), InstanceLiveness::Unprovable);
        assert_eq!(instance_liveness(dir.path(), id).unwrap(), InstanceLiveness::Gone);
        // Moved, it is the same file.
        fs::rename(file_of(dir.path(), id), file_of(copy.path(), id)).unwrap();
        assert_eq!(instance_liveness(copy.path(), id).unwrap(), InstanceLiveness::Gone);
    }

    #[test]
    fn an_unfinished_or_foreign_file_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let id = InstanceFile::create(dir.path()).unwrap().id();
        let whole = fs::read_to_string(file_of(dir.path(), id)).unwrap();
        for text in ["", &whole[..whole.len() - 1], "whatever\n"] {
            fs::write(file_of(dir.path(), id), text).unwrap();
            assert_eq!(instance_liveness(dir.path(), id).unwrap(), InstanceLiveness::Unprovable, "{text:?}");
        }
        fs::write(file_of(dir.path(), id), whole).unwrap();
        assert_eq!(instance_liveness(dir.path(), id).unwrap(), InstanceLiveness::Gone);
    }

    #[test]
    fn after_a_reboot_the_same_file_proves_and_another_does_not() {
        let then = Origin {
            boot_id: Uuid::from_u128(1),
            device: 64,
            inode: 12,
            born_ns: Some(1_767_225_600_000_000_007),
        };
        let now = Origin { boot_id: Uuid::from_u128(2), device: 65, ..then.clone() };
        assert!(then.is_proven_by(&now), "devices may be numbered anew");
        assert!(!then.is_proven_by(&Origin { inode: 13, ..now.clone() }));
        assert!(!then.is_proven_by(&Origin { born_ns: Some(8), ..now.clone() }), "another host's");
        let unborn = Origin { born_ns: None, ..then.clone() };
        assert!(!unborn.is_proven_by(&Origin { born_ns: None, ..now }));
        assert!(unborn.is_proven_by(&unborn));
        assert!(!then.is_proven_by(&Origin { device: 65, ..then.clone() }), "one boot, another device");
        assert_eq!(Origin::from_line(&unborn.to_line()), Some(unborn));
        assert_eq!(Origin::from_line(&then.to_line()), Some(then));
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

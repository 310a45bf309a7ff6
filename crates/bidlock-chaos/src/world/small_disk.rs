//! A small file system of its own for the ledger's files, so that a disk can be full without anybody else's being.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::plan::Plan;

/// Room beside the rows: journals, shared memory, both schemas.
const SPARE_BYTES: u64 = 48 << 20;
/// A bid with its events, its indexes and its share of the journal.
const BYTES_PER_POSTING: u64 = 6 << 10;
/// More postings would need more memory than a small host can spare, as such a disk is one of memory.
const MAX_POSTINGS: u32 = 100_000;

/// A mounted file system, until it is dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Whether one can be had here.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn is_possible(plan: &Plan) -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a small disk can be mounted by root alone".to_owned());
        }
        if plan.postings > MAX_POSTINGS {
            return Err(format!("a small disk is one of memory: at most {MAX_POSTINGS} postings fit"));
        }
        Ok(())
    }

    /// Mounts one at this folder.
    ///
    /// # Errors
    /// This host does not let us.
    pub(crate) fn mount(place: &Path, plan: &Plan) -> Result<SmallDisk, String> {
        SmallDisk::is_possible(plan)?;
        let size = SPARE_BYTES + u64::from(plan.postings) * BYTES_PER_POSTING;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "bidlock-chaos"]).arg(place);
        let output = mount.output().map_err(|why| format!("mount: {why}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(SmallDisk { place: place.to_owned() })
    }

    fn balloon(&self) -> PathBuf {
        self.place.join("balloon")
    }

    /// Takes up all the room that is left.
    ///
    /// # Errors
    /// There was nothing to take.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let file = File::create(self.balloon())?;
        let disk = statvfs(&self.place)?;
        let mut left = disk.f_bavail.saturating_mul(disk.f_bsize);
        let mut taken = 0;
        // Halves, as others write meanwhile: at most as often as a number has bits.
        while left >= 4096 {
            match fallocate(&file, FallocateFlags::empty(), taken, left) {
                Ok(()) => taken += left,
                Err(_) => left /= 2,
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// The file can't be taken away.
    pub(crate) fn empty(&self) -> io::Result<()> {
        match std::fs::remove_file(self.balloon()) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may have a file open still.
        if let Err(why) = Command::new("umount").arg("-l").arg(&self.place).status() {
            tracing::warn!(%why, place = %self.place.display(), "the small disk stays mounted");
        }
    }
}

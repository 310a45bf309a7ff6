//! Which places are fit to hold a file, and making the file with narrow permissions.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access, statfs};

use crate::{Error, ErrorKind, Options, watch::refuse_second_names};

/// File systems whose locks do not reach the other hosts that mount them, by `statfs` magic.
const NETWORK_FILE_SYSTEMS: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0000_564c, "NCP"),
    (0x00c3_6400, "CephFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0xbacb_acbc, "VMware shared folder"),
    (0x4750_4653, "GPFS"),
];
/// FUSE says nothing about what is behind it; the mount table does.
const FUSE_MAGIC: u32 = 0x6573_5546;
/// FUSE types that stay on this host.
const LOCAL_FUSE: &[&str] =
    &["fuseblk", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ext4", "fuse.gocryptfs"];

/// The file's absolute path, with the links in its folder followed, so that every process that means this
/// file uses the same side files.
pub(crate) fn prepare(options: &Options) -> Result<PathBuf, Error> {
    let path = &options.path;
    let unfit = |message: String| Error::new(ErrorKind::Unfit, path, message);
    let Some(name) = path.file_name() else {
        return Err(unfit("is not a file name".to_owned()).with_hint("name a file, such as data/bidlock.db"));
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !options.create && !path.exists() {
        return Err(Error::new(ErrorKind::Missing, path, "there is no such file")
            .with_hint("check the path; a first `scan` or `migrate up` makes it"));
    }
    if options.create {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| {
            Error::io(unfit_unless_ill(&e), path, &format!("can't make the folder {}", folder.display()), e)
        })?;
    }
    let folder = folder.canonicalize().map_err(|e| {
        Error::io(unfit_unless_ill(&e), path, &format!("can't open the folder {}", folder.display()), e)
    })?;
    let path = folder.join(name);
    // A link leads to the folder that counts: the log lies beside the file itself.
    let path = if path.is_symlink() { path.canonicalize().unwrap_or(path) } else { path };
    let folder = path.parent().unwrap_or(&folder);
    refuse_network(folder)?;
    access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(|e| {
        Error::io(
            ErrorKind::Unfit,
            &path,
            &format!("no permission to write in {}", folder.display()),
            e.into(),
        )
        .with_hint("SQLite keeps its log beside the file: the folder must be writable")
    })?;
    make_or_check(&path, options.create)?;
    refuse_second_names(&path)?;
    Ok(path)
}

fn make_or_check(path: &Path, create: bool) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(Error::new(ErrorKind::Unfit, path, "is a directory")
            .with_hint("name a file in it, such as bidlock.db")),
        Ok(meta) if !meta.is_file() => Err(Error::new(ErrorKind::Unfit, path, "is not a regular file")),
        // Asked without opening the file: closing any descriptor of it would drop the locks that SQLite
        // connections of this process hold on it (POSIX).
        Ok(_) => access(path, Access::READ_OK | Access::WRITE_OK)
            .map_err(|e| Error::io(ErrorKind::Unfit, path, "no permission to read and write it", e.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound && create => {
            match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Ok(_) => Ok(()),
                // Another process made it in this moment.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(e) => Err(Error::io(kind_of_io(&e), path, "can't make the file", e)),
            }
        }
        Err(e) => Err(Error::io(unfit_unless_ill(&e), path, "can't look at it", e)),
    }
}

/// The place is unfit, unless its disk is full or fails: that passes.
pub(crate) fn unfit_unless_ill(e: &io::Error) -> ErrorKind {
    match kind_of_io(e) {
        ErrorKind::Poisoned => ErrorKind::Poisoned,
        _ => ErrorKind::Unfit,
    }
}

pub(crate) fn kind_of_io(e: &io::Error) -> ErrorKind {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Poisoned,
        _ if e.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => ErrorKind::Poisoned,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Unfit,
        _ => ErrorKind::Unavailable,
    }
}

fn refuse_network(folder: &Path) -> Result<(), Error> {
    let facts = statfs(folder)
        .map_err(|e| Error::io(ErrorKind::Unavailable, folder, "can't ask for its file system", e.into()))?;
    // The type's width differs between architectures; the magic numbers are 32 bits wide.
    let magic = facts.f_type as u32;
    let mounts = if magic == FUSE_MAGIC {
        fs::read_to_string("/proc/self/mounts").unwrap_or_default()
    } else {
        String::new()
    };
    match network_name(magic, folder, &mounts) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Unfit,
            folder,
            format!("lies on a network or shared file system ({name}), whose locks can't be relied on"),
        )
        .with_hint("use a folder on a local disk, or a server database for several hosts")),
    }
}

/// What network file system this is, if it is one.
fn network_name(magic: u32, folder: &Path, mounts: &str) -> Option<String> {
    if magic != FUSE_MAGIC {
        return NETWORK_FILE_SYSTEMS.iter().find(|(m, _)| *m == magic).map(|(_, n)| (*n).to_owned());
    }
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
            folder.starts_with(point.replace("\\040", " ")).then(|| (point.len(), kind.to_owned()))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
        .unwrap_or_else(|| "fuse".to_owned());
    (!LOCAL_FUSE.contains(&kind.as_str())).then_some(kind)
}

/// What is beside a database, as SQLite's files and ours are called: its log, its index, its journal, and those that
/// processes queue at. Behind the database's name and a `-`.
pub const SIDE_FILES: [&str; 5] = ["wal", "shm", "journal", "open", "turn"];

/// A file beside the database: `ledger.db` and `turn` give `ledger.db-turn`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push("-");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_named() {
        let at = Path::new("/mnt/share/data");
        let mounts =
            "/dev/vda / ext4 rw 0 0\nme@host: /mnt/share fuse.sshfs rw 0 0\n/dev/b /mnt/usb fuseblk rw 0 0\n";
        assert_eq!(network_name(0x6969, at, ""), Some("NFS".into()));
        assert_eq!(network_name(0xff53_4d42, at, ""), Some("CIFS".into()));
        assert_eq!(network_name(FUSE_MAGIC, at, mounts), Some("fuse.sshfs".into()));
        assert_eq!(network_name(FUSE_MAGIC, at, ""), Some("fuse".into()), "unknown FUSE is refused");
        assert_eq!(network_name(FUSE_MAGIC, Path::new("/mnt/usb"), mounts), None);
        assert_eq!(network_name(0xef53, at, mounts), None, "ext4");
    }

    fn refused(path: PathBuf) -> (ErrorKind, String) {
        let error = prepare(&Options::new(path)).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn what_is_no_place_for_a_file_is_refused_by_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        for (path, reason) in [
            (PathBuf::from("/"), "is not a file name"),
            (dir.path().join(".."), "is not a file name"),
            (file.join("ledger.db"), "can't make the folder"),
            (dir.path().to_owned(), "is a directory"),
            (dir.path().join("loop"), "can't look at it"),
            (PathBuf::from("/dev/null"), "is not a regular file"),
        ] {
            let (kind, message) = refused(path.clone());
            assert!(kind == ErrorKind::Unfit && message.contains(reason), "{}: {message}", path.display());
        }
    }

    #[test]
    fn a_disk_that_is_full_or_fails_is_ill_and_a_place_without_rights_unfit() {
        let kind = |errno: rustix::io::Errno| kind_of_io(&errno.into());
        use rustix::io::Errno;
        assert_eq!([Errno::NOSPC, Errno::DQUOT, Errno::IO].map(kind), [ErrorKind::Poisoned; 3]);
        assert_eq!([Errno::ACCESS, Errno::ROFS].map(kind), [ErrorKind::Unfit; 2]);
        assert_eq!(kind(Errno::MFILE), ErrorKind::Unavailable, "it passes");
        assert_eq!(unfit_unless_ill(&Errno::NOSPC.into()), ErrorKind::Poisoned);
        assert_eq!(unfit_unless_ill(&Errno::NOTDIR.into()), ErrorKind::Unfit);
    }
}

//! The folder that ledger and locks are in.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bidlock_config::LedgerPlace;
use rustix::fs::{Access, access, statfs, statvfs};

use super::Check;
use crate::app::App;

/// Below this a ledger can't be trusted to go on: a full disk stops sending.
const LEAST_FREE_BYTES: u64 = 100 << 20;
/// Below this a person should know.
const LOW_FREE_BYTES: u64 = 1 << 30;
/// File systems by `statfs` magic, for people.
const FILE_SYSTEMS: &[(u64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0x794c_7630, "overlay"),
    (TMPFS, "tmpfs"),
];
const TMPFS: u64 = 0x0102_1994;

/// Permissions, free space, the kind of file system; nothing where the ledger is on a server.
pub(super) fn data_folder(app: &App) -> Vec<Check> {
    const NAME: &str = "data folder";
    let path = match app.config().and_then(|c| Ok(c.ledger_place()?)) {
        Ok(LedgerPlace::Sqlite(path)) => path,
        // Where the configuration names none, its own row says so.
        Ok(LedgerPlace::Postgres(_)) | Err(_) => return Vec::new(),
    };
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let existing = nearest_existing(&folder);
    vec![permissions(NAME, &folder, &existing), space(&existing), file_system(&existing)]
}

/// The folder, or the nearest one above that exists: where it would be made.
fn nearest_existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn permissions(name: &'static str, folder: &Path, existing: &Path) -> Check {
    let shown = folder.display();
    if !existing.is_dir() {
        let way_out = "put the ledger elsewhere: --database FILE";
        return Check::unhealthy(name, format!("{} is no folder", existing.display()), way_out);
    }
    if access(existing, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Check::unhealthy(
            name,
            format!("{} cannot be written by this user", existing.display()),
            format!(
                "chown or chmod u+rwx {}, or put the ledger elsewhere: --database FILE",
                existing.display()
            ),
        );
    }
    if folder != existing {
        return Check::ok(name, format!("{shown} does not exist yet; it is made at first use"));
    }
    let mode = std::fs::metadata(folder).map(|m| m.permissions().mode()).unwrap_or(0);
    if mode & 0o022 != 0 {
        return Check::warning(
            name,
            format!("{shown} can be written by others (mode {:o})", mode & 0o7777),
            format!("chmod go-w {shown}, unless it is meant to be shared"),
        );
    }
    Check::ok(name, format!("{shown} (mode {:o})", mode & 0o7777))
}

fn space(folder: &Path) -> Check {
    const NAME: &str = "free space";
    match statvfs(folder) {
        Err(error) => Check::warning(NAME, format!("cannot be told: {error}"), "look with df"),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} MiB free", free >> 20);
            let way_out = "make room: a full disk stops all sending";
            match free {
                free if free < LEAST_FREE_BYTES => Check::unhealthy(NAME, found, way_out),
                free if free < LOW_FREE_BYTES => Check::warning(NAME, found, way_out),
                _ => Check::ok(NAME, found),
            }
        }
    }
}

/// Network file systems are refused when a store opens; what forgets at a restart is allowed but told.
fn file_system(folder: &Path) -> Check {
    const NAME: &str = "file system";
    match statfs(folder) {
        Err(error) => Check::warning(NAME, format!("cannot be told: {error}"), "look with df -T"),
        Ok(stat) => {
            // The kernel's number, of a width that differs between systems.
            #[allow(clippy::unnecessary_cast, reason = "f_type's width differs between systems")]
            let magic = (stat.f_type as u64) & 0xffff_ffff;
            let known = FILE_SYSTEMS.iter().find(|(m, _)| *m == magic).map(|(_, name)| *name);
            match known {
                _ if magic == TMPFS => Check::warning(
                    NAME,
                    "tmpfs: it forgets every bid when the host restarts",
                    "put the ledger on a disk: --database FILE",
                ),
                Some(name) => Check::ok(NAME, name),
                None => Check::ok(NAME, format!("kind 0x{magic:x}")),
            }
        }
    }
}

//! The ledger's own files: on POSIX, whoever opens and closes one of them drops all locks that its process has on it.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use bidlock_config::LedgerPlace;
use bidlock_sqlite::SIDE_FILES;

use crate::{app::App, failure::CliError};

/// Refuses feeds that are the ledger's own files, as `*` in its folder names them.
///
/// # Errors
/// One is, or the settings name no ledger.
pub(super) fn refuse_as_feeds(app: &App, feeds: &[String]) -> Result<(), CliError> {
    let LedgerPlace::Sqlite(ledger) = app.config()?.ledger_place()? else { return Ok(()) };
    let is_own = |feed: &Path| {
        is_same(feed, &ledger)
            || named_as_side_file_of(feed).is_some_and(|database| is_same(&database, &ledger))
    };
    match feeds.iter().find(|feed| is_own(Path::new(feed))) {
        None => Ok(()),
        Some(feed) => Err(CliError::usage(format!("{feed} is no feed: it is a file of the ledger"))
            .hint("name the feeds, such as `bidlock scan *.json`, or keep them in a folder of their own")),
    }
}

/// Whether a file is one that a database has beside it: by its name, and that database is there.
pub(super) fn is_beside_a_database(path: &Path) -> bool {
    named_as_side_file_of(path).is_some_and(|database| database.exists())
}

/// The database that a file of this name would lie beside.
fn named_as_side_file_of(path: &Path) -> Option<PathBuf> {
    let text = path.to_string_lossy();
    let without = |end: &&str| text.strip_suffix(*end)?.strip_suffix('-').map(PathBuf::from);
    SIDE_FILES.iter().find_map(without)
}

/// Whether both name one file, also where a folder is mounted twice. One of them may not be there.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| path.metadata().map(|about| (about.dev(), about.ino()));
    matches!((inode(one), inode(other)), (Ok(one), Ok(other)) if one == other)
        || matches!((whole(one), whole(other)), (Ok(one), Ok(other)) if one == other)
}

/// With the links on the way to it followed, as far as it is there; behind that `..` leads back.
fn whole(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            part => whole.push(part),
        }
        whole = whole.canonicalize().unwrap_or(whole);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_path_is_the_same_by_whatever_way_also_where_nothing_is_there_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("home/desk")).unwrap();
        fs::create_dir_all(at("mounted")).unwrap();
        symlink(at("mounted"), at("home/disk")).unwrap();
        let ways = ["home/disk/sub/bids.db", "mounted/sub/bids.db", "home/desk/../disk/sub/../sub/bids.db"];
        for _ in ["nothing is there", "all of it is"] {
            for way in ways {
                assert!(is_same(&at(way), &at(ways[0])), "{way}");
                assert!(!is_same(&at(way), &at("home/sub/bids.db")), "{way}");
            }
            fs::create_dir_all(at("mounted/sub")).unwrap();
            fs::write(at(ways[0]), "").unwrap();
        }
        // Under another name altogether, as where its folder is mounted twice.
        fs::hard_link(at(ways[0]), at("twin.db")).unwrap();
        assert!(is_same(&at("twin.db"), &at(ways[0])));
    }
}

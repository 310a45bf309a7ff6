//! Finding the ledgers of this user that may be meant instead of the one that is named.

use std::{
    io,
    path::{Path, PathBuf},
};

use bidlock_config::{LedgerPlace, LockPlace};
use bidlock_ledger::SqliteLedger;

use super::sent_from::{self, SentFrom};
use crate::{
    app::App,
    commands::own_files::{is_beside_a_database, is_same},
    failure::CliError,
};

/// Ledgers of this user that may be meant instead of the one that is named.
#[derive(Debug, Default)]
pub(in crate::commands) struct Others {
    pub(super) files: Vec<Other>,
    /// Each with the file that says so.
    pub(super) sent_from: Vec<(PathBuf, SentFrom)>,
    /// Files that should say so, and can't be read.
    pub(super) unread: Vec<Other>,
}

/// One of them, or what could be one.
#[derive(Debug)]
pub(super) struct Other {
    /// What it is to the named one.
    pub(super) origin: &'static str,
    pub(super) path: PathBuf,
    /// Why it can't be said whether it is a ledger.
    pub(super) unseen: Option<io::Error>,
}

impl Others {
    /// The default one, those in the folder of the named one, and those that this user has sent from. Look before
    /// anything is opened: a file is looked into, and closing it drops the locks that this process has on it.
    ///
    /// # Errors
    /// The settings name no ledger, or looking failed.
    pub(in crate::commands) async fn look(app: &App) -> Result<Others, CliError> {
        let config = app.config()?;
        let (place, default) = (config.ledger_place()?, config.default_ledger().ok());
        let notes = config.ledgers_sent_from();
        // What is wrong with the choice of locks is told where they are opened.
        let locks = [config.lock_choice(), config.locks_beside_the_ledger()];
        let locks = locks.into_iter().flatten().map(|choice| choice.place).collect::<Vec<_>>();
        in_background(move || Others { files: files(&place, &locks, default), ..noted(notes) }).await
    }

    /// Only those that this user has sent from. Nothing is opened but the notes.
    ///
    /// # Errors
    /// Looking failed.
    pub(super) async fn look_at_notes(app: &App) -> Result<Others, CliError> {
        let notes = app.config()?.ledgers_sent_from();
        in_background(move || noted(notes)).await
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.sent_from.is_empty() && self.unread.is_empty()
    }

    /// Whether any of them may be another ledger than this one.
    pub(super) fn hold_another(&self, ledger: &str) -> bool {
        let is_another = |(_, sent): &(PathBuf, SentFrom)| sent.ledger != ledger;
        !self.files.is_empty() || !self.unread.is_empty() || self.sent_from.iter().any(is_another)
    }
}

async fn in_background(look: impl FnOnce() -> Others + Send + 'static) -> Result<Others, CliError> {
    // Nothing found because nothing was looked at would let a scan send.
    tokio::task::spawn_blocking(look).await.map_err(|panic| {
        CliError::unavailable(format!("looking for other ledgers failed: {panic}"))
            .hint("this is a fault of bidlock; please report it")
    })
}

/// What this folder says, if there is one.
fn noted(folder: Option<PathBuf>) -> Others {
    let (mut sent_from, mut unread) = (Vec::new(), Vec::new());
    let mut is_unread = |origin, path, error| unread.push(Other { origin, path, unseen: Some(error) });
    match folder.as_deref().map_or(Ok(Vec::new()), sent_from::all) {
        Ok(kept) => kept.into_iter().for_each(|(path, read)| match read {
            Ok(kept) => sent_from.push((path, kept)),
            Err(error) => is_unread("the note of a ledger that you have sent from", path, error),
        }),
        Err(error) => {
            let folder = folder.unwrap_or_default();
            is_unread("the notes of the ledgers that you have sent from", folder, error);
        }
    }
    Others { files: Vec::new(), sent_from, unread }
}

/// The files among [`Others`]. `locks`: where the locks are, which other scanners may write at this moment.
fn files(place: &LedgerPlace, locks: &[LockPlace], default: Option<PathBuf>) -> Vec<Other> {
    let mut files = Vec::new();
    // Without a home there is no default.
    if let Some(path) = default.filter(|path| path.try_exists().unwrap_or(true) && !is_at(place, path)) {
        files.push(Other { origin: "your default ledger", path, unseen: None });
    }
    let LedgerPlace::Sqlite(named) = place else { return files };
    let folder = named.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let paths: io::Result<Vec<PathBuf>> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut paths = match paths {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return files,
        Err(error) => {
            let path = folder.to_owned();
            files.push(Other { origin: "the folder that it is in", path, unseen: Some(error) });
            return files;
        }
    };
    paths.sort();
    for path in paths {
        let is_known = is_at(place, &path) || files.iter().any(|other| is_same(&other.path, &path));
        let keeps_locks = |locks: &LockPlace| matches!(locks, LockPlace::Sqlite(at) if is_same(at, &path));
        if is_known || is_beside_a_database(&path) || locks.iter().any(keeps_locks) {
            continue;
        }
        let unseen = match SqliteLedger::is_one(&path) {
            Ok(true) => None,
            Err(error) if may_be_a_ledger(&path, named) => Some(error),
            Ok(false) | Err(_) => continue,
        };
        files.push(Other { origin: "a ledger beside it", path, unseen });
    }
    files
}

/// By its name: a file that can't be read for whatever reason is in nobody's way if it is called otherwise.
fn may_be_a_ledger(path: &Path, named: &Path) -> bool {
    let ends = ["db", "sqlite", "sqlite3"];
    path.extension() == named.extension() || ends.iter().any(|end| path.extension() == Some(end.as_ref()))
}

/// Whether the ledger is in this file, by whatever name.
pub(super) fn is_at(place: &LedgerPlace, path: &Path) -> bool {
    matches!(place, LedgerPlace::Sqlite(at) if is_same(at, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(path: &Path) {
        SqliteLedger::migrate(path, false).unwrap();
    }

    #[test]
    fn ledgers_in_the_folder_are_found_and_what_a_database_has_beside_it_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        ledger(&at("bids"));
        ledger(&at("other.sqlite"));
        std::fs::write(at(".gitkeep"), "").unwrap();
        std::fs::write(at("notes.db"), "made up").unwrap();
        let foreign = rusqlite::Connection::open(at("foreign.db")).unwrap();
        foreign.execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
        // Whoever opened and closed one of these would drop the locks that this process has on it.
        for end in ["-wal", "-shm", "-journal", "-open", "-turn"] {
            std::fs::copy(at("other.sqlite"), at(&format!("bids{end}"))).unwrap();
        }
        let listed = || {
            let mut files: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| (path.clone(), std::fs::read(path).unwrap_or_default()))
                .collect();
            files.sort();
            files
        };
        let before = listed();
        let found = |named: &str| {
            let others = files(&LedgerPlace::Sqlite(at(named)), &[], Some(at("nowhere/ledger.db")));
            assert!(others.iter().all(|other| other.unseen.is_none()), "{others:?}");
            others.into_iter().map(|other| other.path).collect::<Vec<_>>()
        };
        assert_eq!(found("bids"), [at("other.sqlite")]);
        assert_eq!(found("new"), [at("bids"), at("other.sqlite")]);
        assert_eq!(listed(), before, "nothing is made or changed by looking");
        // A ledger may be called as what others have beside them.
        ledger(&at("only-journal"));
        assert_eq!(found("bids"), [at("only-journal"), at("other.sqlite")]);

        // What can't be looked at may be one, if it is called like one and does not keep the locks.
        for name in ["loop.db", "loop.txt", "locks.db"] {
            std::os::unix::fs::symlink(at(name), at(name)).unwrap();
        }
        let unseen = |named: &str| {
            let locks = [LockPlace::Sqlite(at("locks.db"))];
            let others = files(&LedgerPlace::Sqlite(at(named)), &locks, None).into_iter();
            others.filter(|other| other.unseen.is_some()).map(|other| other.path).collect::<Vec<_>>()
        };
        assert_eq!(unseen("new"), [at("loop.db")]);
        assert_eq!(unseen("new.txt"), [at("loop.db"), at("loop.txt")]);
        for name in ["loop.db", "locks.db"] {
            std::fs::remove_file(at(name)).unwrap();
        }

        // While a process has a new one open, its log alone may say that it is one.
        let ours = SqliteLedger::open(at("fresh.db")).unwrap();
        for end in ["", "-wal"] {
            std::fs::copy(at(&format!("fresh.db{end}")), at(&format!("live.db{end}"))).unwrap();
        }
        drop(ours);
        assert_ne!(std::fs::read(at("live.db")).unwrap().get(68..72), Some(&b"bidl"[..]));
        assert!(found("new").contains(&at("live.db")));
    }
}

//! What is looked at before a ledger is begun, or sent from: bids that it would know nothing of.

use std::{
    io,
    path::{Path, PathBuf},
};

use bidlock_config::LedgerPlace;
use bidlock_ledger::{Actor, BidFilter, LedgerStore, NewNote, Page, SqliteLedger};
use bidlock_legacy::{Coexistence, presence};

use super::{
    beside, migrate,
    own_files::{is_beside_a_database, is_same},
};
use crate::{
    app::{Access, App},
    failure::CliError,
    stores,
};

/// The name of the ledger's note: a person has said that it is a new one.
const MEANT: &str = "new_ledger";

/// Ledgers of this host that may be meant instead of the one that is named.
#[derive(Debug, Default)]
pub(super) struct Others(Vec<Other>);

/// One of them, or what could be one.
#[derive(Debug)]
struct Other {
    /// What it is to the named one.
    origin: &'static str,
    path: PathBuf,
    /// Why it can't be said whether it is a ledger.
    unseen: Option<io::Error>,
}

impl Others {
    /// The default one, and those in the folder of the named one. Look before anything is opened: a file is looked into, and
    /// closing it drops the locks that this process has on it.
    ///
    /// # Errors
    /// The settings name no ledger, or looking failed.
    pub(super) async fn look(app: &App) -> Result<Others, CliError> {
        let (place, default) = (app.config()?.ledger_place()?, app.config()?.default_ledger().ok());
        // Nothing found because nothing was looked at would let a scan send.
        match tokio::task::spawn_blocking(move || others(&place, default)).await {
            Ok(others) => Ok(Others(others)),
            Err(panic) => Err(CliError::unavailable(format!("looking for other ledgers failed: {panic}"))
                .hint("this is a fault of bidlock; please report it")),
        }
    }
}

/// Looks whether a scan that sends may make its ledger where there is none. `meant`: the user has said that a new one is
/// meant.
///
/// # Errors
/// The database holds the bids of a replaced system; or another ledger of this host has bids, and a new one is not said to
/// be meant; or one of them can't be looked at.
pub(super) async fn may_be_made(app: &App, meant: bool, others: &Others) -> Result<(), CliError> {
    let place = app.config()?.ledger_place()?;
    let is_there = match &place {
        // One that is no ledger is refused where it is opened.
        LedgerPlace::Sqlite(path) => path.try_exists().unwrap_or(true),
        LedgerPlace::Postgres(_) => migrate::schema(app, &place).await?.found.is_some(),
    };
    if is_there {
        return Ok(());
    }
    refuse_a_database_of_old_bids(app, &Coexistence::default()).await?;
    if meant {
        return Ok(());
    }
    refuse_where_one_was(app, &place)?;
    refuse_beside_another(app, others).await
}

/// Looks whether a scan may send from this ledger, which somebody has made: a dry run, say, or `migrate up`. As long as it
/// has no bid it is as good as new, unless a person has said that it is meant: the ledger keeps that.
///
/// # Errors
/// As [`may_be_made`].
pub(super) async fn may_be_sent_from(
    app: &App,
    ledger: &dyn LedgerStore,
    meant: bool,
    others: &Others,
) -> Result<(), CliError> {
    refuse_a_database_of_old_bids(app, &Coexistence::of(ledger).await?).await?;
    if !others.0.is_empty() && meant && ledger.note(MEANT).await?.is_none() {
        let (name, value) = (MEANT.to_owned(), "begun beside another on purpose".to_owned());
        // False: somebody else has said so at the same moment.
        ledger
            .write_note(&NewNote { name, after: 0, value, actor: Actor::operator(&app.operator()) })
            .await?;
    }
    refuse_if_not_meant(app, ledger, others).await
}

/// Refuses a ledger without bids that is not said to be meant, where another one of this host has bids.
///
/// # Errors
/// As [`may_be_made`].
pub(super) async fn refuse_if_not_meant(
    app: &App,
    ledger: &dyn LedgerStore,
    others: &Others,
) -> Result<(), CliError> {
    if others.0.is_empty() || has_bids(ledger).await? || ledger.note(MEANT).await?.is_some() {
        return Ok(());
    }
    refuse_beside_another(app, others).await
}

async fn has_bids(ledger: &dyn LedgerStore) -> Result<bool, CliError> {
    let bids = ledger.list(&BidFilter::default(), &Page { after: None, limit: 1 }).await?;
    Ok(!bids.is_empty())
}

/// Refuses a ledger in the database of a replaced system of which neither ledger nor settings know anything.
///
/// # Errors
/// It is kept there, or would be; or the database can't be asked.
pub(super) async fn refuse_a_database_of_old_bids(app: &App, known: &Coexistence) -> Result<(), CliError> {
    let config = app.config()?;
    let LedgerPlace::Postgres(url) = config.ledger_place()? else { return Ok(()) };
    if config.legacy_place()?.is_some() || !known.systems().is_empty() {
        return Ok(());
    }
    let origin = config.named("ledger.url");
    match presence::is_at(url.with_password()).await {
        Ok(false) => Ok(()),
        Err(error) => Err(beside::refused(&origin, error)),
        Ok(true) => Err(CliError::usage(format!(
            "{origin}: {url} holds the bids of a replaced system (a table `bids`), and the ledger there would know none of \
             them: what it has bid on would be bid on again"
        ))
        .hint(
            "bring them in first, into a ledger here or elsewhere (DATABASE_URL, --database): `bidlock import legacy \
             OLD_DATABASE`, with --old-instances-stopped where none of its instances runs any more; docs/migrating.md",
        )),
    }
}

/// Who has opened a ledger leaves a folder beside it: without the file, it was moved or deleted.
///
/// # Errors
/// There is such a folder.
fn refuse_where_one_was(app: &App, place: &LedgerPlace) -> Result<(), CliError> {
    let LedgerPlace::Sqlite(path) = place else { return Ok(()) };
    let left = SqliteLedger::folder_of_instances(path);
    if !left.try_exists().unwrap_or(true) {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{}: {place} is not there, and {} says that it was: a new one would know none of its bids, and their postings could \
         get a second bid",
        app.config()?.named("ledger.url"),
        left.display()
    ))
    .hint(
        "bring it back from where it was moved to, or from a backup; or, where its bids do not matter or are known to the \
         marketplace, begin the new one with --new-ledger, once",
    ))
}

/// A user who moves from a file to a server, or has mistyped where the ledger is, would bid twice.
///
/// # Errors
/// Another ledger of this host has bids, or can't be looked at.
pub(super) async fn refuse_beside_another(app: &App, others: &Others) -> Result<(), CliError> {
    let place = app.config()?.ledger_place()?;
    for Other { origin, path, unseen } in &others.0 {
        let shown = path.display().to_string();
        let way_out = "name that one if it is the one that you mean (the default one needs no name); or, where its bids do \
                       not matter or are known to the marketplace, begin the new one with --new-ledger, once";
        let looked = async {
            if let Some(error) = unseen {
                return Err(CliError::unavailable(format!("{shown}: {error}")));
            }
            let there = LedgerPlace::Sqlite(path.clone());
            let (ledger, _) = stores::open_ledger(&there, Access::Existing, origin).await?;
            has_bids(&*ledger).await
        };
        match looked.await {
            Ok(false) => {}
            Ok(true) => {
                return Err(CliError::usage(format!(
                    "{}: {place} has no bids yet, and {origin}, {shown}, has some: the new one would know none of \
                     them, and their postings could get a second bid",
                    app.config()?.named("ledger.url")
                ))
                .hint(way_out));
            }
            Err(error) => {
                return Err(CliError::new(
                    error.code,
                    format!("{place} has no bids yet, and {origin} can't be looked at: {}", error.message),
                )
                .hint(way_out));
            }
        }
    }
    Ok(())
}

/// See [`Others::look`].
fn others(place: &LedgerPlace, default: Option<PathBuf>) -> Vec<Other> {
    let mut others = Vec::new();
    // Without a home there is no default.
    if let Some(path) = default.filter(|path| path.try_exists().unwrap_or(true) && !is_at(place, path)) {
        others.push(Other { origin: "the default ledger of this host", path, unseen: None });
    }
    let LedgerPlace::Sqlite(named) = place else { return others };
    let folder = named.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files: io::Result<Vec<PathBuf>> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut files = match files {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return others,
        Err(error) => {
            let path = folder.to_owned();
            others.push(Other { origin: "the folder that it is in", path, unseen: Some(error) });
            return others;
        }
    };
    files.sort();
    for path in files {
        let is_known = others.iter().any(|other| is_same(&other.path, &path));
        if is_known || is_beside_a_database(&path) || is_at(place, &path) {
            continue;
        }
        let unseen = match SqliteLedger::is_one(&path) {
            Ok(true) => None,
            Err(error) if may_be_a_ledger(&path, named) => Some(error),
            Ok(false) | Err(_) => continue,
        };
        others.push(Other { origin: "a ledger beside it", path, unseen });
    }
    others
}

/// By its name: a file that can't be read for whatever reason is in nobody's way if it is called otherwise.
fn may_be_a_ledger(path: &Path, named: &Path) -> bool {
    let ends = ["db", "sqlite", "sqlite3"];
    path.extension() == named.extension() || ends.iter().any(|end| path.extension() == Some(end.as_ref()))
}

fn is_at(place: &LedgerPlace, path: &Path) -> bool {
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
            let others = others(&LedgerPlace::Sqlite(at(named)), Some(at("nowhere/ledger.db")));
            assert!(others.iter().all(|other| other.unseen.is_none()), "{others:?}");
            others.into_iter().map(|other| other.path).collect::<Vec<_>>()
        };
        assert_eq!(found("bids"), [at("other.sqlite")]);
        assert_eq!(found("new"), [at("bids"), at("other.sqlite")]);
        assert_eq!(listed(), before, "nothing is made or changed by looking");
        // A ledger may be called as what others have beside them.
        ledger(&at("only-journal"));
        assert_eq!(found("bids"), [at("only-journal"), at("other.sqlite")]);

        // What can't be looked at may be one, if it is called like one.
        for name in ["loop.db", "loop.txt"] {
            std::os::unix::fs::symlink(at(name), at(name)).unwrap();
        }
        let unseen = |named: &str| {
            let others = others(&LedgerPlace::Sqlite(at(named)), None).into_iter();
            others.filter(|other| other.unseen.is_some()).map(|other| other.path).collect::<Vec<_>>()
        };
        assert_eq!(unseen("new"), [at("loop.db")]);
        assert_eq!(unseen("new.txt"), [at("loop.db"), at("loop.txt")]);
        std::fs::remove_file(at("loop.db")).unwrap();

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

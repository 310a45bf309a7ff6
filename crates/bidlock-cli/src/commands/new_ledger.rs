//! What is looked at before a ledger is begun, or sent from: bids that it would know nothing of.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bidlock_config::{LedgerPlace, LockPlace};
use bidlock_ledger::{Actor, BidFilter, LedgerStore, NewNote, Page, SqliteLedger};
use bidlock_legacy::{Coexistence, presence};

use super::{
    beside, migrate,
    own_files::{is_beside_a_database, is_same},
    sent_from::{self, At, SentFrom},
};
use crate::{
    app::{Access, App},
    failure::CliError,
    stores,
};

/// The name of the ledger's note: a person has said that it is a new one.
const MEANT: &str = "new_ledger";

/// Ledgers of this user that may be meant instead of the one that is named.
#[derive(Debug, Default)]
pub(super) struct Others {
    files: Vec<Other>,
    /// Each with the file that says so.
    sent_from: Vec<(PathBuf, SentFrom)>,
}

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
    /// The default one, those in the folder of the named one, and those that this user has sent from. Look before
    /// anything is opened: a file is looked into, and closing it drops the locks that this process has on it.
    ///
    /// # Errors
    /// The settings name no ledger, or looking failed.
    pub(super) async fn look(app: &App) -> Result<Others, CliError> {
        let config = app.config()?;
        let (place, default) = (config.ledger_place()?, config.default_ledger().ok());
        let notes = config.ledgers_sent_from();
        // What is wrong with the choice of locks is told where they are opened.
        let locks = [config.lock_choice(), config.locks_beside_the_ledger()];
        let locks = locks.into_iter().flatten().map(|choice| choice.place).collect::<Vec<_>>();
        let look = move || {
            let mut files = files(&place, &locks, default);
            let mut sent_from = Vec::new();
            let mut unseen = |origin, path, error| files.push(Other { origin, path, unseen: Some(error) });
            match notes.as_deref().map_or(Ok(Vec::new()), sent_from::all) {
                Ok(kept) => kept.into_iter().for_each(|(path, read)| match read {
                    Ok(kept) => sent_from.push((path, kept)),
                    Err(error) => unseen("the note of a ledger that you have sent from", path, error),
                }),
                Err(error) => {
                    unseen(
                        "the notes of the ledgers that you have sent from",
                        notes.unwrap_or_default(),
                        error,
                    );
                }
            }
            Others { files, sent_from }
        };
        // Nothing found because nothing was looked at would let a scan send.
        tokio::task::spawn_blocking(look).await.map_err(|panic| {
            CliError::unavailable(format!("looking for other ledgers failed: {panic}"))
                .hint("this is a fault of bidlock; please report it")
        })
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.sent_from.is_empty()
    }
}

/// Looks whether a scan that sends may make its ledger where there is none. `meant`: the user has said that a new one is
/// meant.
///
/// # Errors
/// The database holds the bids of a replaced system; or another ledger of this host has bids, and a new one is not said to
/// be meant; or one of them can't be looked at.
pub(super) async fn may_be_made(app: &App, meant: bool, others: &Others) -> Result<(), CliError> {
    if is_there(app).await? {
        return Ok(());
    }
    refuse_a_database_of_old_bids(app, &Coexistence::default()).await?;
    if meant { Ok(()) } else { refuse_to_begin(app, others).await }
}

async fn is_there(app: &App) -> Result<bool, CliError> {
    let place = app.config()?.ledger_place()?;
    Ok(match &place {
        // One that is no ledger is refused where it is opened.
        LedgerPlace::Sqlite(path) => path.try_exists().unwrap_or(true),
        LedgerPlace::Postgres(_) => migrate::schema(app, &place).await?.found.is_some(),
    })
}

/// Opens the ledger that bids of a replaced system are brought into, and makes it where there is none: from then on it has
/// bids, so that no scan asks any more whether it is the one that is meant.
///
/// # Errors
/// Another ledger has bids, and a new one is not said to be meant; or one of them can't be used.
pub(super) async fn open_to_import(
    app: &App,
    meant: bool,
    others: &Others,
) -> Result<Arc<dyn LedgerStore>, CliError> {
    if !meant && !is_there(app).await? {
        refuse_to_begin(app, others).await?;
    }
    let ledger = app.ledger(Access::ReadWrite).await?;
    if meant {
        keep_that_it_is_meant(app, &*ledger, others).await?;
    }
    refuse_if_not_meant(app, &*ledger, others).await?;
    Ok(ledger)
}

/// Keeps that this user sends from this ledger, or imports into it: whoever names another one by mistake is told of it.
///
/// # Errors
/// The settings name no ledger. That it can't be kept is told, and keeps nobody from work.
pub(super) async fn keep_that_it_is_sent_from(app: &App, ledger: &dyn LedgerStore) -> Result<(), CliError> {
    let (config, id) = (app.config()?, ledger.ledger_id().to_string());
    let (Some(notes), place) = (config.ledgers_sent_from(), config.ledger_place()?) else { return Ok(()) };
    let shown = notes.display().to_string();
    let kept = tokio::task::spawn_blocking(move || sent_from::keep(&notes, &id, &place)).await;
    if let Err(error) = kept.map_err(io::Error::other).flatten() {
        app.out.warn(format!(
            "cannot note in {shown} that this ledger is sent from: {error}; a scan that names another one by mistake may \
             not be told of it"
        ));
    }
    Ok(())
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
    if meant {
        keep_that_it_is_meant(app, ledger, others).await?;
    }
    refuse_if_not_meant(app, ledger, others).await
}

async fn keep_that_it_is_meant(app: &App, ledger: &dyn LedgerStore, others: &Others) -> Result<(), CliError> {
    if !others.is_empty() && ledger.note(MEANT).await?.is_none() {
        let (name, value) = (MEANT.to_owned(), "begun beside another on purpose".to_owned());
        // False: somebody else has said so at the same moment.
        ledger
            .write_note(&NewNote { name, after: 0, value, actor: Actor::operator(&app.operator()) })
            .await?;
    }
    Ok(())
}

/// Refuses a ledger without bids that is not said to be meant, where another one of this user has bids.
///
/// # Errors
/// As [`may_be_made`].
pub(super) async fn refuse_if_not_meant(
    app: &App,
    ledger: &dyn LedgerStore,
    others: &Others,
) -> Result<(), CliError> {
    if others.is_empty() || has_bids(ledger).await? || ledger.note(MEANT).await?.is_some() {
        return Ok(());
    }
    refuse_beside_another(app, others, Some(ledger)).await
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

/// Refuses to make a ledger that is not said to be meant.
///
/// # Errors
/// As [`may_be_made`].
pub(super) async fn refuse_to_begin(app: &App, others: &Others) -> Result<(), CliError> {
    refuse_where_one_was(app)?;
    refuse_beside_another(app, others, None).await
}

/// Who has opened a ledger leaves a folder beside it: without the file, it was moved or deleted.
///
/// # Errors
/// There is such a folder.
fn refuse_where_one_was(app: &App) -> Result<(), CliError> {
    let LedgerPlace::Sqlite(path) = app.config()?.ledger_place()? else { return Ok(()) };
    let left = SqliteLedger::folder_of_instances(&path);
    // Another scanner may have made it by now.
    if path.try_exists().unwrap_or(true) || !left.try_exists().unwrap_or(true) {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{}: {} is not there, and {} says that it was: a new one would know none of its bids, and their postings could get \
         a second bid",
        app.config()?.named("ledger.url"),
        path.display(),
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
/// Another ledger of this user has bids, or can't be looked at.
async fn refuse_beside_another(
    app: &App,
    others: &Others,
    ledger: Option<&dyn LedgerStore>,
) -> Result<(), CliError> {
    let mut with_bids = Vec::new();
    for Other { origin, path, unseen } in &others.files {
        match unseen {
            None => with_bids.extend(told_if_it_has_bids(app, origin, path).await?),
            Some(error) => {
                let unseen = CliError::unavailable(format!("{origin}: {}: {error}", path.display()));
                return Err(cannot_be_looked_at(app, unseen)?);
            }
        }
    }
    let (place, own) = (app.config()?.ledger_place()?, ledger.map(|ledger| ledger.ledger_id().to_string()));
    // What was at this place says most.
    let mut notes: Vec<_> = others.sent_from.iter().collect();
    notes.sort_by_key(|(_, sent)| !sent.at.is(&place));
    for (note, SentFrom { ledger, at }) in notes {
        let is_elsewhere = |(_, sent): &(PathBuf, SentFrom)| {
            sent.ledger == *ledger && matches!(&sent.at, At::File(path) if path.exists())
        };
        let why = match at {
            _ if own.as_ref() == Some(ledger) => continue,
            at if at.is(&place) => {
                format!("and another ledger, {ledger}, was at this place when you sent from it")
            }
            At::Server(url) => format!(
                "and you have sent from {url}, which may have some; its password is not kept, so that it can't be asked"
            ),
            At::File(path) if path.try_exists().unwrap_or(true) => {
                if !others.files.iter().any(|other| is_same(&other.path, path)) {
                    with_bids
                        .extend(told_if_it_has_bids(app, "a ledger that you have sent from", path).await?);
                }
                continue;
            }
            // It was moved, and has been sent from since.
            At::File(_) if others.sent_from.iter().any(is_elsewhere) => continue,
            At::File(path) => format!("and you have sent from {}, which is not there now", path.display()),
        };
        let note = format!("; or, once that one is out of use, delete the note of it, {}", note.display());
        return Err(with_more_hint(refused(app, &why, CliError::usage)?, &note));
    }
    let why = match &with_bids[..] {
        [] => return Ok(()),
        [one] => format!("and {one}, has some"),
        several => {
            format!("and several others have some, which know nothing of each other: {}", several.join("; "))
        }
    };
    Err(refused(app, &why, CliError::usage)?)
}

impl At {
    fn is(&self, place: &LedgerPlace) -> bool {
        match self {
            At::File(path) => is_at(place, path),
            At::Server(url) => *url == place.to_string(),
        }
    }
}

fn with_more_hint(error: CliError, more: &str) -> CliError {
    let hint = error.hint.clone().unwrap_or_default();
    error.hint(hint + more)
}

/// What it is, and where; `None` for one without bids.
async fn told_if_it_has_bids(app: &App, origin: &str, path: &Path) -> Result<Option<String>, CliError> {
    let looked = async {
        let there = LedgerPlace::Sqlite(path.to_owned());
        let (ledger, _) = stores::open_ledger(&there, Access::Existing, origin).await?;
        has_bids(&*ledger).await
    };
    match looked.await {
        Ok(has_some) => Ok(has_some.then(|| format!("{origin}, {}", path.display()))),
        Err(error) => Err(cannot_be_looked_at(app, error)?),
    }
}

fn cannot_be_looked_at(app: &App, error: CliError) -> Result<CliError, CliError> {
    let why = format!("and another one can't be looked at: {}", error.message);
    let refused = refused(app, &why, |message| CliError::new(error.code, message))?;
    // What helps there may help here.
    let there = error.hint.map(|hint| format!("for that one: {hint}; or here: ")).unwrap_or_default();
    let here = refused.hint.clone().unwrap_or_default();
    Ok(refused.hint(there + &here))
}

/// The refusal of a ledger without bids, and the ways out of it.
fn refused(app: &App, why: &str, make: impl FnOnce(String) -> CliError) -> Result<CliError, CliError> {
    let config = app.config()?;
    let error = make(format!(
        "{}: {} has no bids yet, {why}: this one would know nothing of the bids there, and their postings could get a second",
        config.named("ledger.url"),
        config.ledger_place()?
    ));
    Ok(error.hint(
        "name that one if it is the one that you mean (the default one needs no name), or bring it back; or, where its \
         bids do not matter or are known to the marketplace, begin the new one with --new-ledger, once",
    ))
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

//! What is looked at before a ledger is begun, or sent from: bids that it would know nothing of.

mod others;
mod second;
mod sent_from;

use std::{io, path::Path, sync::Arc};

use bidlock_config::LedgerPlace;
use bidlock_ledger::{Actor, BidFilter, LedgerStore, NewNote, Page, SqliteLedger};
use bidlock_legacy::{Coexistence, presence};

pub(super) use self::{others::Others, second::refuse_if_another_has_come};
use self::{
    others::{Other, is_at},
    second::{refuse_a_second, tell_of_unread_notes},
    sent_from::{At, SentFrom},
};
use super::{beside, migrate, own_files::is_same};
use crate::{
    app::{Access, App},
    failure::CliError,
    stores,
};

/// The name of the ledger's note: a person has said that it is meant to stand beside others.
const MEANT: &str = "new_ledger";

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
    // To know of more bids harms nobody.
    if !has_bids(&*ledger).await? {
        refuse_if_not_meant(app, &*ledger, others).await?;
    }
    Ok(ledger)
}

/// Keeps that this user sends from this ledger, or imports into it: whoever names another one by mistake is told of it.
///
/// # Errors
/// The settings name no ledger, or it can't be read. That nothing can be kept is told, and keeps nobody from work.
pub(super) async fn keep_that_it_is_sent_from(app: &App, ledger: &dyn LedgerStore) -> Result<(), CliError> {
    let (config, id) = (app.config()?, ledger.ledger_id().to_string());
    let (Some(notes), place) = (config.ledgers_sent_from(), config.ledger_place()?) else { return Ok(()) };
    let (shown, meant) = (notes.display().to_string(), is_meant(ledger).await?);
    let kept = tokio::task::spawn_blocking(move || sent_from::keep(&notes, &id, &place, meant)).await;
    if let Err(error) = kept.map_err(io::Error::other).flatten() {
        app.out.warn(format!(
            "cannot note in {shown} that this ledger is sent from: {error}; a scan that names another one by mistake may \
             not be told of it"
        ));
    }
    Ok(())
}

/// Looks whether a scan may send from this ledger, which somebody has made: a dry run, say, or `migrate up`. A person may
/// have said that it is meant: the ledger keeps that.
///
/// # Errors
/// As [`may_be_made`] and [`refuse_if_not_meant`].
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
    if others.hold_another(&ledger.ledger_id().to_string()) && !is_meant(ledger).await? {
        let (name, value) = (MEANT.to_owned(), "begun beside another on purpose".to_owned());
        // False: somebody else has said so at the same moment.
        ledger
            .write_note(&NewNote { name, after: 0, value, actor: Actor::operator(&app.operator()) })
            .await?;
    }
    Ok(())
}

async fn is_meant(ledger: &dyn LedgerStore) -> Result<bool, CliError> {
    Ok(ledger.note(MEANT).await?.is_some())
}

/// Refuses a ledger that is not said to be meant. As long as it has no bids it is as good as new.
///
/// # Errors
/// It has none, and another one of this user has; or this user has sent from both.
pub(super) async fn refuse_if_not_meant(
    app: &App,
    ledger: &dyn LedgerStore,
    others: &Others,
) -> Result<(), CliError> {
    if others.is_empty() {
        return Ok(());
    }
    let is_meant = is_meant(ledger).await?;
    match has_bids(ledger).await? {
        true => {
            tell_of_unread_notes(app, others);
            refuse_a_second(app, others, ledger, is_meant).await
        }
        false if is_meant => Ok(()),
        false => refuse_beside_another(app, others, Some(ledger)).await,
    }
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
    match (path.try_exists(), left.try_exists()) {
        (Ok(false), Ok(true)) => {}
        (Ok(false), Err(error)) => {
            return Err(CliError::unavailable(format!(
                "{}: can't see whether a ledger was at this place before: {error}",
                left.display()
            ))
            .hint("check the disk and the folder's permissions; nothing is sent until it can be seen"));
        }
        // Another scanner may have made it by now; what can't be seen is told where it is opened.
        _ => return Ok(()),
    }
    Err(CliError::usage(format!(
        "{}: {} is not there, and {} says that it was: a new one would know none of its bids, and their postings could get \
         a second bid",
        app.config()?.named("ledger.url"),
        path.display(),
        left.display()
    ))
    .hint(
        "bring it back from where it was moved to, or from a backup; or, where its bids do not matter or the marketplace \
         refuses a second one on a posting, begin the new one with --new-ledger, once",
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
    for Other { origin, path, unseen } in others.files.iter().chain(&others.unread) {
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
    for (note, sent) in notes {
        match said_by(sent, others, own.as_deref(), &place) {
            Said::Nothing => {}
            Said::LookInto(path) => {
                with_bids.extend(told_if_it_has_bids(app, "a ledger that you have sent from", path).await?);
            }
            Said::MayHaveBids(why) => {
                let way_out =
                    format!("; or, once that one is out of use, delete the note of it, {}", note.display());
                return Err(with_more_hint(refused(app, &why, CliError::usage)?, &way_out));
            }
        }
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

/// What the note of a ledger that was sent from says to whoever would begin one.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    /// It is the one that is named, or it is elsewhere by now.
    Nothing,
    /// It is there, and can be asked for its bids.
    LookInto(&'a Path),
    /// It can't be asked, and why that matters here.
    MayHaveBids(String),
}

/// `own`: the ledger at `place`, if there is one.
fn said_by<'a>(sent: &'a SentFrom, others: &Others, own: Option<&str>, place: &LedgerPlace) -> Said<'a> {
    let SentFrom { ledger, at, .. } = sent;
    if own == Some(ledger.as_str()) {
        return Said::Nothing;
    }
    if at.is(place) {
        let why = format!("and another ledger, {ledger}, was at this place when you sent from it");
        return Said::MayHaveBids(why);
    }
    match at {
        At::Server(url) => Said::MayHaveBids(format!(
            "and you have sent from {url}, which may have some; its password is not kept, so that it can't be asked"
        )),
        At::File(path) if path.try_exists().unwrap_or(true) => {
            let is_looked_into = others.files.iter().any(|other| is_same(&other.path, path));
            if is_looked_into { Said::Nothing } else { Said::LookInto(path) }
        }
        At::File(path) => {
            let is_elsewhere = |(_, later): &(_, SentFrom)| {
                later.ledger == *ledger && matches!(&later.at, At::File(path) if path.exists())
            };
            // It was moved, and has been sent from since.
            if others.sent_from.iter().any(is_elsewhere) {
                return Said::Nothing;
            }
            Said::MayHaveBids(format!("and you have sent from {}, which is not there now", path.display()))
        }
    }
}

async fn open_to_look(path: &Path, origin: &str) -> Result<Arc<dyn LedgerStore>, CliError> {
    let there = LedgerPlace::Sqlite(path.to_owned());
    Ok(stores::open_ledger(&there, Access::Existing, origin).await?.0)
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
    let looked = async { has_bids(&*open_to_look(path, origin).await?).await };
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
         bids do not matter or the marketplace refuses a second one on a posting, begin the new one with --new-ledger, once",
    ))
}

#[cfg(test)]
mod tests {
    use bidlock_config::ServerUrl;

    use super::*;

    #[test]
    fn a_note_says_what_matters_to_the_ledger_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["there.db", "beside.db", "moved.db"] {
            std::fs::write(at(name), "").unwrap();
        }
        let sent = |ledger: &str, at| SentFrom { ledger: ledger.to_owned(), at, meant: false };
        let file = |ledger, name| sent(ledger, At::File(at(name)));
        let beside = Other { origin: "a ledger beside it", path: at("beside.db"), unseen: None };
        let others = Others {
            files: vec![beside],
            unread: Vec::new(),
            sent_from: vec![(at("note.json"), file("it was moved", "moved.db"))],
        };
        let (in_file, url) = (LedgerPlace::Sqlite(at("named.db")), "postgres://db/bids");
        let on_server = LedgerPlace::Postgres(ServerUrl::new(url));
        let may = |why: &str| format!("MayHaveBids(\"and {why}");
        for (sent, place, expected) in [
            (file("own", "there.db"), &in_file, "Nothing".to_owned()),
            (sent("own", At::Server(url.to_owned())), &in_file, "Nothing".to_owned()),
            (file("1", "named.db"), &in_file, may("another ledger, 1, was at this place")),
            (sent("1", At::Server(url.to_owned())), &on_server, may("another ledger, 1, was at this place")),
            (sent("1", At::Server(url.to_owned())), &in_file, may("you have sent from postgres://db/bids")),
            (file("1", "there.db"), &on_server, "LookInto".to_owned()),
            (file("1", "beside.db"), &in_file, "Nothing".to_owned()),
            (file("1", "gone.db"), &in_file, may("you have sent from")),
            (file("it was moved", "gone.db"), &in_file, "Nothing".to_owned()),
        ] {
            let said = format!("{:?}", said_by(&sent, &others, Some("own"), place));
            assert!(said.starts_with(&expected), "{sent:?}, {place}: {said}");
        }
    }
}

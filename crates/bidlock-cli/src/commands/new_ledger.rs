//! What is looked at before a ledger is begun, or sent from: bids that it would know nothing of.

use std::path::{Path, PathBuf};

use bidlock_config::LedgerPlace;
use bidlock_ledger::{BidFilter, LedgerStore, Page, SqliteLedger};
use bidlock_legacy::{Coexistence, presence};

use super::{beside, migrate};
use crate::{
    app::{Access, App},
    failure::CliError,
    stores,
};

/// Looks whether a scan that sends may make its ledger where there is none. `meant`: the user has said that a new one is
/// meant.
///
/// # Errors
/// The database holds the bids of a replaced system; or another ledger of this host has bids, and a new one is not said to
/// be meant; or one of them can't be looked at.
pub(super) async fn may_be_made(app: &App, meant: bool) -> Result<(), CliError> {
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
    if meant { Ok(()) } else { refuse_beside_another(app, &place).await }
}

/// Looks whether a scan may send from this ledger, which somebody has made: a dry run, say, or `migrate up`. As long as it
/// has no bid it is as good as new.
///
/// # Errors
/// As [`may_be_made`].
pub(super) async fn may_be_sent_from(
    app: &App,
    ledger: &dyn LedgerStore,
    meant: bool,
) -> Result<(), CliError> {
    let place = app.config()?.ledger_place()?;
    refuse_a_database_of_old_bids(app, &Coexistence::of(ledger).await?).await?;
    if meant || has_bids(ledger).await? {
        return Ok(());
    }
    refuse_beside_another(app, &place).await
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

/// A user who moves from a file to a server, or has mistyped where the ledger is, would bid twice.
async fn refuse_beside_another(app: &App, place: &LedgerPlace) -> Result<(), CliError> {
    for (origin, path) in others(app, place)? {
        let shown = path.display().to_string();
        let way_out = "name that one if it is the one that you mean (the default one needs no name); or, where its bids do \
                       not matter or are known to the marketplace, begin the new one with --new-ledger, once";
        let looked = async {
            let (ledger, _) =
                stores::open_ledger(&LedgerPlace::Sqlite(path), Access::Existing, origin).await?;
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

/// The ledgers of this host that may be meant instead: the default one, and those beside it in its folder.
fn others(app: &App, place: &LedgerPlace) -> Result<Vec<(&'static str, PathBuf)>, CliError> {
    let mut others = Vec::new();
    // Without a home there is no default.
    if let Ok(path) = app.config()?.default_ledger()
        && path.try_exists().unwrap_or(true)
        && !is_at(place, &path)
    {
        others.push(("the default ledger of this host", path));
    }
    if let LedgerPlace::Sqlite(named) = place {
        let folder = named.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A folder that can't be read has no ledger that could be mistaken for this one either.
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut beside: Vec<PathBuf> = files
            .filter(|path| path.extension() == named.extension() && !is_at(place, path))
            .filter(|path| others.iter().all(|(_, other)| !is_same(other, path)))
            .filter(|path| SqliteLedger::schema_status(path).is_ok_and(|schema| schema.found.is_some()))
            .collect();
        beside.sort();
        others.extend(beside.into_iter().map(|path| ("a ledger beside it", path)));
    }
    Ok(others)
}

fn is_at(place: &LedgerPlace, path: &Path) -> bool {
    matches!(place, LedgerPlace::Sqlite(at) if is_same(at, path))
}

/// One of them may not be there.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    matches!((whole(one), whole(other)), (Ok(one), Ok(other)) if one == other)
}

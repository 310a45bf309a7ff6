//! What is looked at before a ledger is begun, or sent from: bids that it would know nothing of.

use bidlock_config::LedgerPlace;
use bidlock_ledger::{BidFilter, LedgerStore, Page};
use bidlock_legacy::{Coexistence, presence};

use super::{beside, migrate};
use crate::{
    app::{Access, App},
    failure::CliError,
    stores,
};

/// Looks whether a scan that sends may make its ledger in a database that has none. In a file of this host it always may:
/// one that holds anything else is refused where it is opened. `meant`: the user has said that a new one is meant.
///
/// # Errors
/// The database holds the bids of a replaced system; or the default ledger of this host has bids, and a new one is not
/// said to be meant; or one of them can't be looked at.
pub(super) async fn may_be_made(app: &App, meant: bool) -> Result<(), CliError> {
    let place = app.config()?.ledger_place()?;
    if matches!(place, LedgerPlace::Sqlite(_)) || migrate::schema(app, &place).await?.found.is_some() {
        return Ok(());
    }
    refuse_a_database_of_old_bids(app, &Coexistence::default()).await?;
    if meant { Ok(()) } else { refuse_beside_the_default_ledger(app, &place).await }
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
    if matches!(place, LedgerPlace::Sqlite(_)) {
        return Ok(());
    }
    refuse_a_database_of_old_bids(app, &Coexistence::of(ledger).await?).await?;
    if meant || has_bids(ledger).await? {
        return Ok(());
    }
    refuse_beside_the_default_ledger(app, &place).await
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
async fn refuse_beside_the_default_ledger(app: &App, place: &LedgerPlace) -> Result<(), CliError> {
    // Without a home there is no default.
    let Ok(path) = app.config()?.default_ledger() else { return Ok(()) };
    if !path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    let shown = path.display().to_string();
    let way_out = "take it on as it is, without the setting that names another; or, where its bids do not matter or are \
                   known to the marketplace, begin the new one with --new-ledger, once";
    let origin = "the default ledger of this host";
    let looked = async {
        let (ledger, _) = stores::open_ledger(&LedgerPlace::Sqlite(path), Access::Existing, origin).await?;
        has_bids(&*ledger).await
    };
    match looked.await {
        Ok(false) => Ok(()),
        Ok(true) => Err(CliError::usage(format!(
            "{}: {place} has no bids yet, and {origin}, {shown}, has some: the new one would know none of them, and \
             their postings could get a second bid",
            app.config()?.named("ledger.url")
        ))
        .hint(way_out)),
        Err(error) => Err(CliError::new(
            error.code,
            format!("{place} has no bids yet, and {origin} can't be looked at: {}", error.message),
        )
        .hint(way_out)),
    }
}

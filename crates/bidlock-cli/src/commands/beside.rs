//! Working beside instances of the replaced system: what `--legacy-database` opens, what the ledger remembers of it, and
//! what is refused.

use std::{sync::Arc, time::Duration};

use bidlock::{Clock, Moment, SystemClock, backends::redis::RedisOptions};
use bidlock_config::{LedgerPlace, LockPlace, ServerUrl};
use bidlock_ledger::{Actor, LedgerStore, WallTime};
use bidlock_legacy::{Coexistence, Earlier, Instances, LegacyDatabase, Place, System, coexistence};
use bidlock_pipeline::{LegacyBids, LegacyError, Outage, PipelineError, Stop};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{app::App, failure::CliError};

/// How often a scan that runs looks whether it may go on, and shows to old instances what others have bid since. It reads
/// one row of the ledger, and beside an old table the bids of the last minutes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often all bids are looked through, and not only those made lately: one that was made long ago and given up may
/// have been taken over by a scanner that did not know of the old system.
const LOOK_THROUGH_ALL_EVERY: Duration = Duration::from_secs(600);
/// Made lately is what was made since the last look less so much, for clocks that differ and commits that come late.
const SLACK_MS: i64 = 600_000;
/// The pause before a ledger that did not answer a look is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a scan stands beside, if it does.
#[derive(Debug)]
pub(crate) struct Beside {
    database: Option<LegacyDatabase>,
    ledger: Arc<dyn LedgerStore>,
    sends: bool,
    shown: Mutex<Shown>,
}

/// What was shown to old instances until now.
#[derive(Debug, Default)]
struct Shown {
    /// When all bids were looked through last.
    all: Option<Moment>,
    /// When the last look began.
    last: Option<WallTime>,
    /// Old instances were said to run at that time.
    to_running: bool,
    /// How many postings with a bid of both a person was told of.
    told_of_both: u64,
}

/// What a look came to, where nothing is refused.
enum Look {
    /// The scan may go on.
    May,
    /// One of the databases is away, and nobody knows.
    Away(PipelineError),
}

impl Beside {
    /// Opens the replaced system's database, if one is named, and looks whether this scan may send beside what the ledger
    /// knows of. Writes nothing into the ledger: see [`begin`](Self::begin).
    ///
    /// # Errors
    /// It can't be used; or old instances could bid where this scan does: nothing is sent then.
    pub(crate) async fn open(
        app: &App,
        ledger: Arc<dyn LedgerStore>,
        sends: bool,
    ) -> Result<Beside, CliError> {
        let database = match place(app)? {
            Some(place) => Some(open(app, &place, sends).await?),
            None => None,
        };
        let beside = Beside { database, ledger, sends, shown: Mutex::default() };
        let known = Coexistence::of(&*beside.ledger).await?;
        beside.check(app, &known)?;
        if beside.database.as_ref().is_some_and(|database| sends && !known.has_stopped(database)) {
            meets_old_instances(app)?;
        }
        Ok(beside)
    }

    /// Begins beside the replaced system, if one is named and the scan sends: writes down that the ledger is kept beside
    /// it, and shows it the bids that were made without it.
    ///
    /// # Errors
    /// One of the databases can't be used.
    pub(crate) async fn begin(&self, app: &App) -> Result<(), CliError> {
        let (Some(database), true) = (&self.database, self.sends) else { return Ok(()) };
        if !Coexistence::of(&*self.ledger).await?.has_stopped(database) {
            app.out.say(format!(
                "note: old instances are kept away if they lock at {} as well, same server and same database number; \
                 nothing here can prove that they do",
                app.config()?.lock_choice()?.place
            ));
        }
        let actor = Actor::scanner(app.holder()?.as_str());
        coexistence::remember(&*self.ledger, database, &actor, now()).await?;
        let known = Coexistence::of(&*self.ledger).await?;
        tell_if_elsewhere(app, &known, database);
        Ok(self.show(app, &known).await?)
    }

    /// Looks whether this scan names every replaced system whose instances may run, and meets them where they lock.
    ///
    /// # Errors
    /// It does not, and sends. A dry run is told.
    fn check(&self, app: &App, known: &Coexistence) -> Result<(), CliError> {
        if let Some(system) = known.running_besides(self.database.as_ref()) {
            let refused = not_named(app, system, self.database.as_ref());
            if self.sends {
                return Err(refused);
            }
            app.out.warn(format!("with --submit this would be refused: {}", refused.message));
        }
        match self.database.as_ref().and_then(|database| known.find(database.identity())) {
            Some(system) if self.sends && system.instances == Instances::Running => meets_old_instances(app),
            _ => Ok(()),
        }
    }

    /// Looks again: somebody may have begun to move over, or have said that old instances run again.
    ///
    /// # Errors
    /// Sending is refused; also where what the ledger remembers can't be understood, or a bid can't be shown.
    async fn look(&self, app: &App) -> Result<Look, CliError> {
        let looked = async {
            let known = Coexistence::of(&*self.ledger).await?;
            if let Err(refused) = self.check(app, &known) {
                return Ok(Err(refused));
            }
            self.show(app, &known).await.map(Ok)
        };
        match looked.await {
            Ok(checked) => checked.map(|()| Look::May),
            Err(error) if error.is_retryable() => Ok(Look::Away(error)),
            Err(error) => Err(CliError::from(error)),
        }
    }

    /// Shows to old instances what was bid since the last time, if this scan stands beside them.
    async fn show(&self, app: &App, known: &Coexistence) -> Result<(), PipelineError> {
        let Some(database) = self.database.as_ref().filter(|_| self.sends) else { return Ok(()) };
        let mut shown = self.shown.lock().await;
        let (began, at) = (SystemClock.now(), now());
        let to_running = !known.has_stopped(database);
        let lately = shown.last.map(|last| WallTime(last.0 - SLACK_MS));
        let all_are_known = shown.all.is_some_and(|all| began.since(all) < LOOK_THROUGH_ALL_EVERY);
        // While they had stopped, scanners without the old table may have bid on anything.
        let since = lately.filter(|_| all_are_known && (shown.to_running || !to_running));
        let earlier = database.show_earlier(&*self.ledger, since).await?;
        tell_earlier(app, database, &earlier, &mut shown.told_of_both);
        shown.all = if since.is_none() { Some(began) } else { shown.all };
        (shown.last, shown.to_running) = (Some(at), to_running);
        Ok(())
    }

    /// Looks before a further round. A database that is away is waited for, as long as the round itself would.
    ///
    /// # Errors
    /// Sending is refused; or nobody knows whether it is, and the patience is at its end.
    pub(crate) async fn may_begin_a_round(&self, app: &App, stop: &Stop) -> Result<(), CliError> {
        if !self.sends {
            return Ok(()); // it was told at its start
        }
        let (since, patience) = (SystemClock.now(), app.config()?.scan.patience);
        let mut outage = Outage::default();
        loop {
            let Look::Away(error) = self.look(app).await? else { return Ok(()) };
            if stop.is_stopping() {
                return Ok(()); // nothing is sent any more
            }
            if SystemClock.now().since(since) >= patience {
                return Err(CliError::from(error));
            }
            if let (_, true) = outage.goes_on(SystemClock.now()) {
                tracing::warn!(%error, patience_s = patience.as_secs(), "a database is away; nothing is sent until it is back");
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN_AFTER) => {}
                () = stop.stopping() => {}
            }
        }
    }

    /// Looks while the scan runs; comes to an end only where sending is refused.
    pub(crate) async fn refused_meanwhile(&self, app: &App) -> CliError {
        if !self.sends {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.look(app).await {
                Ok(Look::May) => {}
                // The round that is under way meets the same, and has patience.
                Ok(Look::Away(error)) => tracing::debug!(%error, "the next look goes on"),
                Err(refused) => return refused,
            }
        }
    }

    /// For the pipeline.
    pub(crate) fn bids(&self) -> Option<Arc<dyn LegacyBids>> {
        self.database.clone().map(|database| Arc::new(database) as _)
    }
}

/// Where the replaced system's database is, if one is named.
///
/// # Errors
/// The setting names nothing that can be one.
pub(crate) fn place(app: &App) -> Result<Option<Place>, CliError> {
    Ok(app.config()?.legacy_place()?.map(|place| match place {
        LedgerPlace::Sqlite(path) => Place::Sqlite(path),
        LedgerPlace::Postgres(url) => Place::Postgres(url.with_password().to_owned()),
    }))
}

async fn open(app: &App, place: &Place, sends: bool) -> Result<LegacyDatabase, CliError> {
    let config = app.config()?;
    let actor = Actor::scanner(app.holder()?.as_str());
    let opened = match sends {
        true => LegacyDatabase::open_beside(place, actor, App::now).await,
        // A dry run writes nothing, there neither.
        false => LegacyDatabase::open(place, actor).await,
    };
    let via = app.marketplace(&config.target())?.via().to_owned();
    opened.map(|database| database.sent_through(&via)).map_err(|e| refused(&config.named("legacy.url"), e))
}

/// The replaced system's database can't be used.
pub(crate) fn refused(origin: &str, error: LegacyError) -> CliError {
    CliError::unavailable(format!("{origin}: {}", error.message))
        .hint(error.hint.unwrap_or_else(|| "check the URL; nothing was sent".to_owned()))
}

/// The time, as it is written down.
pub(crate) fn now() -> WallTime {
    WallTime(App::now().as_millisecond())
}

/// As `postgres://db.example/bidding (since 2026-01-02T03:04:05Z, by operator:mara)`.
pub(crate) fn told(system: &System) -> String {
    let at = Timestamp::from_millisecond(system.at.0).map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    format!("{} (since {}, by {})", system.place, at.unwrap_or_default(), system.by)
}

/// A copy of a cluster can't be told from the cluster itself.
pub(crate) fn tell_if_elsewhere(app: &App, known: &Coexistence, database: &LegacyDatabase) {
    if let Some(system) = known.first_met_elsewhere(database) {
        app.out.warn(format!(
            "{} calls itself by the same name as the replaced system at {}: that is so for another address of one server, \
             and for a copy of its files or a restored backup. If it is a copy, stop here: old instances on the other one \
             would not see these bids",
            database.place(),
            told(system)
        ));
    }
}

/// The command that says that its instances have stopped.
pub(crate) fn way_to_stop(system: &System) -> String {
    format!("`bidlock import legacy {} --old-instances-stopped`", system.place)
}

fn not_named(app: &App, system: &System, named: Option<&LegacyDatabase>) -> CliError {
    let this = match named {
        None => "this scan does not name it".to_owned(),
        Some(other) => {
            let setting = app.config().map(|config| config.named("legacy.url")).unwrap_or_default();
            format!("this scan names another one, {} by {setting}", other.place())
        }
    };
    CliError::usage(format!(
        "this ledger is kept beside the replaced system at {}, and {this}: old instances would not see these bids, and \
         these locks would not keep them away",
        told(system)
    ))
    .hint(format!(
        "name it with --legacy-database; or once none of its instances runs any more, say so: {} (docs/migrating.md)",
        way_to_stop(system)
    ))
}

/// Looks whether old instances, which lock in Redis, meet our locks there, as far as anybody can tell.
///
/// # Errors
/// They do not: nobody would keep anybody away.
pub(crate) fn meets_old_instances(app: &App) -> Result<(), CliError> {
    let config = app.config()?;
    let choice = config.lock_choice()?;
    let LockPlace::Redis(url) = &choice.place else {
        return Err(CliError::usage(format!(
            "locks are not in Redis but in {} ({}): old instances lock there, and beside {} neither would keep the other \
             away",
            choice.place,
            choice.place_by,
            config.named("legacy.url"),
        ))
        .hint(
            "lock on their server and in their database number: --locks redis://HOST:PORT/DB; or once no old instance \
             runs any more, say so: `bidlock import legacy OLD_DATABASE --old-instances-stopped`",
        ));
    };
    refuse_a_prefix(app, url, &choice.place_by)?;
    if let Some(theirs) = config.redis_of_old_instances(url) {
        return Err(CliError::usage(format!(
            "{}: locks are at {url}, and the variables of old instances say {theirs}: on another server or in another \
             database number neither keeps the other away",
            choice.place_by
        ))
        .hint(
            "lock where the old instances do; if these variables are not theirs, or name the same server in another \
             way, unset them for this scan",
        ));
    }
    Ok(())
}

/// Keys of old instances have no prefix.
fn refuse_a_prefix(app: &App, url: &ServerUrl, place_by: &str) -> Result<(), CliError> {
    let options = RedisOptions::from_url(url.with_password())?;
    if options.key_prefix().is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{place_by}: our keys begin with `{}`, and those of old instances have no prefix: beside {} neither keeps the \
         other away",
        options.key_prefix(),
        app.config()?.named("legacy.url"),
    ))
    .hint(
        "take key_prefix out of the URL, for all scanners at once; or stop the old instances, and say so: `bidlock \
         import legacy OLD_DATABASE --old-instances-stopped`",
    ))
}

/// What a person should know of bids that were made without the old table. `told_of_both`: of how many postings with a bid
/// of both was told already.
fn tell_earlier(app: &App, database: &LegacyDatabase, earlier: &Earlier, told_of_both: &mut u64) {
    if earlier.shown > 0 {
        app.out.say(format!(
            "bids made without the old table: {} missing there, now shown to old instances in {}",
            earlier.shown,
            database.place()
        ));
    }
    if earlier.bid_on_by_both > *told_of_both {
        *told_of_both = earlier.bid_on_by_both;
        let named: Vec<String> = earlier.named.iter().map(ToString::to_string).collect();
        app.out.warn(format!(
            "postings with a bid of ours and one of an old instance: {}, perhaps bid on twice: {}{}",
            earlier.bid_on_by_both,
            named.join(", "),
            if earlier.bid_on_by_both > named.len() as u64 { ", …" } else { "" }
        ));
    }
}

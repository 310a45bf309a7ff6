//! `bidlock import legacy`: what the replaced system has bid on, so that nobody bids on it again.

use bidlock::backends::redis::RedisOptions;
use bidlock_ledger::Actor;
use bidlock_legacy::{Importer, LegacyDatabase, Place, Report};
use bidlock_pipeline::LegacyError;
use serde_json::json;

use crate::{
    app::{Access, App},
    args::{ImportArgs, ImportCommand, ImportLegacyArgs},
    config::{LedgerPlace, LockPlace},
    exit::Exit,
    failure::CliError,
};

/// How many lines of each list a person is shown; `--json` has them all.
const SHOWN: usize = 50;

/// Runs it.
///
/// # Errors
/// A database can't be used, or the configuration can't be understood.
pub(crate) async fn run(app: &App, args: ImportArgs) -> Result<Exit, CliError> {
    let ImportCommand::Legacy(args) = args.command;
    let place = place(app)?.ok_or_else(|| {
        CliError::usage("the argument DATABASE_URL is empty").hint("name the replaced system's database")
    })?;
    let ledger = match args.dry_run {
        false => Some(app.ledger(Access::ReadWrite).await?),
        true => ledger_to_look_at(app).await?,
    };
    let origin = app.config()?.named("legacy.url");
    let actor = Actor::operator(&app.operator());
    let mut from = LegacyDatabase::open(&place, actor).await.map_err(|e| refused(&origin, e))?;
    if let Some(via) = via(app, &args)? {
        from = from.sent_through(&via);
    }
    let importer = Importer::new(from, ledger, args.dry_run, App::now().as_millisecond());
    let report = importer.run().await.map_err(CliError::from)?;
    if app.out.json {
        app.out.json_document(&json!({ "dry_run": args.dry_run, "report": report }))?;
    } else {
        show(app, &report, args.dry_run)?;
    }
    Ok(Exit::Ok)
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

/// Opens the replaced system's database for a scan beside its instances.
///
/// # Errors
/// It can't be used: then nothing is sent.
pub(crate) async fn beside(app: &App, sends: bool) -> Result<Option<LegacyDatabase>, CliError> {
    let Some(place) = place(app)? else { return Ok(None) };
    let config = app.config()?;
    if sends {
        keeps_old_instances_away(app)?;
    }
    let actor = Actor::scanner(app.holder()?.as_str());
    let opened = match sends {
        true => LegacyDatabase::open_beside(&place, actor, App::now).await,
        // A dry run writes nothing, there neither.
        false => LegacyDatabase::open(&place, actor).await,
    };
    let via = app.marketplace(&config.target())?.via().to_owned();
    opened
        .map(|database| Some(database.sent_through(&via)))
        .map_err(|e| refused(&config.named("legacy.url"), e))
}

/// Looks whether old instances, which lock in Redis, meet our locks there.
///
/// # Errors
/// Our keys have a prefix, and theirs have none: nobody keeps anybody away.
fn keeps_old_instances_away(app: &App) -> Result<(), CliError> {
    let choice = app.config()?.lock_choice()?;
    let LockPlace::Redis(url) = &choice.place else {
        app.out.warn(
            "locks are not in Redis: old instances that lock there are not kept away while they prepare a bid; \
             use their Redis with --locks redis://…, or stop them first",
        );
        return Ok(());
    };
    let options = RedisOptions::from_url(url.with_password())?;
    if options.key_prefix().is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{}: our keys begin with `{}`, and those of old instances have no prefix: beside {} neither keeps the other \
         away",
        choice.place_by,
        options.key_prefix(),
        app.config()?.named("legacy.url"),
    ))
    .hint(
        "take key_prefix out of the URL, for all scanners at once; or stop the old instances, and leave \
         --legacy-database out",
    ))
}

/// The replaced system's database can't be used.
pub(crate) fn refused(origin: &str, error: LegacyError) -> CliError {
    let message = if origin.is_empty() { error.message } else { format!("{origin}: {}", error.message) };
    CliError::unavailable(message)
        .hint(error.hint.unwrap_or_else(|| "check the URL; nothing was sent".to_owned()))
}

/// A dry run may come before there is a ledger.
async fn ledger_to_look_at(
    app: &App,
) -> Result<Option<std::sync::Arc<dyn bidlock_ledger::LedgerStore>>, CliError> {
    let place = app.config()?.ledger_place()?;
    let schema = super::migrate::schema(app, &place).await?;
    if schema.found.is_none() {
        app.out.say(format!("there is no ledger at {place} yet: everything would be new"));
        return Ok(None);
    }
    app.ledger(Access::ReadOnly).await.map(Some)
}

/// As what the marketplace that the old instances sent to stands in the ledger.
fn via(app: &App, args: &ImportLegacyArgs) -> Result<Option<String>, CliError> {
    if args.submit.is_none() {
        return Ok(None);
    }
    let target = app.config()?.target();
    Ok(Some(app.marketplace(&target)?.via().to_owned()))
}

fn show(app: &App, report: &Report, dry_run: bool) -> Result<(), CliError> {
    let would = if dry_run { "would be imported" } else { "imported" };
    let mut fields = vec![
        ("from", report.from.clone()),
        ("rows read", report.read.to_string()),
        ("postings", report.postings.to_string()),
    ];
    fields.extend(report.imported.iter().map(|(state, count)| (would, format!("{count} {state}"))));
    fields.extend([
        ("already there", report.already_there.to_string()),
        ("brought up to date", report.brought_up.to_string()),
        ("shut before they were sent", report.shut.to_string()),
        ("our own, mirrored", report.mirrored.to_string()),
    ]);
    if let Some(locks) = report.old_locks {
        fields.push(("old locks", format!("{} rows, {} not ended", locks.rows, locks.running)));
    }
    app.out.fields(&fields)?;
    duplicates(app, report)?;
    unusable(app, report)
}

fn duplicates(app: &App, report: &Report) -> Result<(), CliError> {
    if report.duplicates.is_empty() {
        return Ok(());
    }
    app.out.warn(format!(
        "{} postings have several live rows in the old table: they may have been bid on twice; each has one bid here",
        report.duplicates.len()
    ));
    let rows: Vec<Vec<String>> = report
        .duplicates
        .iter()
        .take(SHOWN)
        .map(|duplicate| {
            let rows = duplicate.rows.iter().map(|(id, status)| format!("{id} {status}"));
            vec![
                format!("{}:{}", duplicate.marketplace, duplicate.posting),
                duplicate.state.to_string(),
                rows.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    app.out.table(&["posting", "here", "rows of the old table"], &rows)?;
    cut(app, report.duplicates.len());
    Ok(())
}

fn unusable(app: &App, report: &Report) -> Result<(), CliError> {
    if report.unusable.is_empty() {
        return Ok(());
    }
    app.out.warn(format!(
        "{} rows have ids that can't be one: not imported; a posting with such an id is ambiguous and is not bid on",
        report.unusable.len()
    ));
    let rows: Vec<Vec<String>> = report
        .unusable
        .iter()
        .take(SHOWN)
        .map(|row| vec![row.marketplace.clone(), row.job_id.clone(), row.status.clone(), row.cause.clone()])
        .collect();
    app.out.table(&["marketplace", "job id", "status", "what is wrong"], &rows)?;
    cut(app, report.unusable.len());
    Ok(())
}

fn cut(app: &App, count: usize) {
    if count > SHOWN {
        app.out.say(format!("… and {} more: --json lists them all", count - SHOWN));
    }
}

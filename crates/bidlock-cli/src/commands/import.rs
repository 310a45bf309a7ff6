//! `bidlock import legacy`: what the replaced system has bid on, so that nobody bids on it again.

use bidlock_ledger::{Actor, LedgerStore};
use bidlock_legacy::{Coexistence, Importer, Instances, LegacyDatabase, Place, Report, System, coexistence};
use serde_json::json;

use super::{
    beside,
    new_ledger::{self, Others},
};
use crate::{
    app::{Access, App},
    args::{ImportArgs, ImportCommand, ImportLegacyArgs},
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
    let place = beside::place(app)?.ok_or_else(|| {
        CliError::usage("the argument OLD_DATABASE is empty").hint("name the replaced system's database")
    })?;
    let actor = Actor::operator(&app.operator());
    if args.without_reading {
        return write_down_alone(app, &place, &actor).await;
    }
    let others = if args.dry_run { Others::default() } else { Others::look(app).await? };
    let origin = app.config()?.named("legacy.url");
    let mut from =
        LegacyDatabase::open(&place, actor.clone()).await.map_err(|e| beside::refused(&origin, e))?;
    if let Some(via) = via(app, &args)? {
        from = from.sent_through(&via);
    }
    let ledger = match args.dry_run {
        false => Some(new_ledger::open_to_import(app, args.new_ledger, &others).await?),
        true => ledger_to_look_at(app).await?,
    };
    // First of all: from here on no scan may forget it, whatever becomes of this import.
    if let (Some(ledger), false) = (&ledger, args.dry_run) {
        coexistence::remember(&**ledger, &from, &actor, beside::now()).await?;
        beside::tell_if_elsewhere(app, &Coexistence::of(&**ledger).await?, &from);
        new_ledger::keep_that_it_is_sent_from(app, &**ledger).await?;
    }
    let importer = Importer::new(from.clone(), ledger.clone(), args.dry_run, App::now().as_millisecond());
    let report = importer.run().await.map_err(CliError::from)?;
    let system = match (&ledger, args.dry_run) {
        (Some(ledger), false) => write_down(app, &**ledger, &from, &args, &report).await?,
        _ => None,
    };
    if app.out.json {
        let beside = system.as_ref().map(|system| json!({ "instances": system.instances, "by": system.by }));
        app.out.json_document(&json!({ "dry_run": args.dry_run, "report": report, "beside": beside }))?;
        return Ok(Exit::Ok);
    }
    show(app, &report, args.dry_run)?;
    if let Some(system) = system.filter(|system| system.instances == Instances::Running) {
        app.out.say(format!(
            "next: this ledger is kept beside {}: `bidlock scan … --legacy-database URL`; once none of its instances \
             runs any more: {}",
            system.place,
            beside::way_to_stop(&system)
        ));
    }
    Ok(Exit::Ok)
}

/// What the person said of the old instances, and what the ledger remembers then.
async fn write_down(
    app: &App,
    ledger: &dyn LedgerStore,
    from: &LegacyDatabase,
    args: &ImportLegacyArgs,
    report: &Report,
) -> Result<Option<System>, CliError> {
    let said = match (args.old_instances_stopped, args.old_instances_run_again) {
        (true, _) => Some(Instances::Stopped),
        (_, true) => Some(Instances::Running),
        _ => None,
    };
    let actor = Actor::operator(&app.operator());
    if let Some(instances) = said {
        coexistence::say(ledger, from.identity(), instances, &actor, beside::now()).await?;
        app.out.say(match instances {
            Instances::Stopped => format!("written down: no instance of {} runs any more", from.place()),
            Instances::Running => format!(
                "written down: instances of {} may run; scans without --legacy-database are refused from their next \
                 start or round on",
                from.place()
            ),
        });
    }
    let system = Coexistence::of(ledger).await?.find(from.identity()).cloned();
    let news = report.imported.values().sum::<u64>() + report.brought_up;
    if let Some(system) =
        system.iter().find(|s| said.is_none() && s.instances == Instances::Stopped && news > 0)
    {
        app.out.warn(format!(
            "{news} bids have come or moved in {}, though its instances are said to have stopped: does one still run? \
             Then say so with --old-instances-run-again, and scan with --legacy-database",
            beside::told(system)
        ));
    }
    Ok(system)
}

/// The replaced system's database is gone, and the ledger remembers it: perhaps as several systems, where tables were
/// renewed.
async fn write_down_alone(app: &App, place: &Place, actor: &Actor) -> Result<Exit, CliError> {
    let origin = app.config()?.named("legacy.url");
    let place = place.shown().map_err(|e| beside::refused(&origin, e))?;
    let ledger = app.ledger(Access::Existing).await?;
    let known = Coexistence::of(&*ledger).await?;
    let there: Vec<&System> = known.at_place(&place).collect();
    if there.is_empty() {
        let all: Vec<String> = known.systems().iter().map(beside::told).collect();
        return Err(CliError::usage(format!("this ledger remembers no replaced system at {place}")).hint(
            if all.is_empty() {
                "it remembers none at all: scans need no --legacy-database".to_owned()
            } else {
                format!("it remembers {}", all.join(", "))
            },
        ));
    }
    for system in there {
        if system.instances == Instances::Stopped {
            app.out.say(format!("nothing changed: {} had stopped already", beside::told(system)));
            continue;
        }
        coexistence::say(&*ledger, &system.id, Instances::Stopped, actor, beside::now()).await?;
        app.out.say(format!("written down: no instance of {} runs any more", beside::told(system)));
    }
    Ok(Exit::Ok)
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
        ("freed by a person, left so", report.overruled.to_string()),
    ]);
    if let Some(locks) = report.old_locks {
        fields.push(("old locks", format!("{} rows, {} not ended", locks.rows, locks.running)));
    }
    app.out.fields(&fields)?;
    duplicates(app, report)?;
    if report.bid_on_by_both > 0 {
        let named: Vec<&str> = report.named.iter().take(SHOWN).map(String::as_str).collect();
        app.out.warn(format!(
            "{} postings have a live row of theirs and a bid that bidlock sent, or may have: perhaps bid on twice: {}",
            report.bid_on_by_both,
            named.join(", ")
        ));
        cut(app, report.named.len());
    }
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
    if report.unusable_rows == 0 {
        return Ok(());
    }
    app.out.warn(format!(
        "{} rows have ids that can't be one: not imported; a posting with such an id is ambiguous and is not bid on",
        report.unusable_rows
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
        app.out.say(format!("… and {} more: see --json", count - SHOWN));
    }
}

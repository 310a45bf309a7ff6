//! `bidlock migrate status|up`.

use std::fmt::Display;

use bidlock_config::LedgerPlace;
use bidlock_ledger::{LedgerError, PostgresLedger, SqliteLedger};
use serde_json::{Value, json};

use crate::{
    app::App,
    args::{MigrateArgs, MigrateCommand},
    exit::Exit,
    failure::CliError,
};

/// What schema a ledger has, on any engine.
pub(crate) struct Schema {
    /// The version found; `None` where there is no ledger.
    pub(crate) found: Option<i64>,
    /// The version that this bidlock works with.
    pub(crate) latest: i64,
    /// What `migrate up` would run.
    pending: Vec<String>,
    as_json: Value,
}

/// Looks at a ledger's schema, and changes nothing.
///
/// # Errors
/// The ledger can't be looked at; the error names the setting that chose it.
pub(crate) async fn schema(app: &App, place: &LedgerPlace) -> Result<Schema, CliError> {
    let origin = app.config()?.named("ledger.url");
    let looked = match place {
        LedgerPlace::Sqlite(path) => {
            let path = path.clone();
            blocking(move || SqliteLedger::schema_status(path)).await?.map(|s| Schema {
                as_json: json!(s),
                found: s.found,
                latest: s.latest,
                pending: s.pending,
            })
        }
        LedgerPlace::Postgres(url) => PostgresLedger::schema_status(url.with_password())
            .await
            .map(|s| Schema { as_json: json!(s), found: s.found, latest: s.latest, pending: s.pending }),
    };
    looked.map_err(|error| CliError::from(error).because_of(&origin))
}

/// Runs it.
pub(crate) async fn run(app: &App, args: MigrateArgs) -> Result<Exit, CliError> {
    let place = app.config()?.ledger_place()?;
    match args.command {
        MigrateCommand::Status(_) => status(app, &place).await,
        MigrateCommand::Up(args) => up(app, &place, args.dry_run).await,
    }
}

/// Ends with 5 where the schema must be upgraded or is too new: nothing can be sent then.
async fn status(app: &App, place: &LedgerPlace) -> Result<Exit, CliError> {
    let schema = schema(app, place).await?;
    let words = match schema.found {
        None => "no ledger yet: its first opener makes it",
        Some(found) if found > schema.latest => "newer than this bidlock: upgrade bidlock",
        Some(_) if !schema.pending.is_empty() => "behind: run `bidlock migrate up`",
        Some(_) => "up to date",
    };
    if app.out.json {
        app.out.json_document(&json!({ "schema": schema.as_json, "status": words }))?;
    } else {
        let found = schema.found.map_or("none".to_owned(), |v| v.to_string());
        let pending = if schema.pending.is_empty() { "none".to_owned() } else { schema.pending.join(", ") };
        app.out.fields(&[
            ("ledger", place.to_string()),
            ("schema", found),
            ("this bidlock knows", schema.latest.to_string()),
            ("pending", pending),
            ("status", words.to_owned()),
        ])?;
    }
    let fits = schema.found.is_none_or(|found| found == schema.latest);
    Ok(if fits { Exit::Ok } else { Exit::Unavailable })
}

async fn up(app: &App, place: &LedgerPlace, dry_run: bool) -> Result<Exit, CliError> {
    let origin = app.config()?.named("ledger.url");
    let migrated = match place {
        LedgerPlace::Sqlite(path) => {
            let path = path.clone();
            let report = blocking(move || SqliteLedger::migrate(path, dry_run)).await?;
            report.map(|r| (r.from, r.to, r.applied.clone(), json!(r)))
        }
        LedgerPlace::Postgres(url) => PostgresLedger::migrate(url.with_password(), dry_run)
            .await
            .map(|r| (r.from, r.to, r.applied.clone(), json!(r))),
    };
    let (from, to, applied, report) = migrated.map_err(|e| CliError::from(e).because_of(&origin))?;
    if from.is_none() && !dry_run {
        app.out.say(format!("made a new ledger at {place}"));
    }
    if app.out.json {
        app.out.json_document(&json!({ "ledger": place.to_string(), "migration": report }))?;
        return Ok(Exit::Ok);
    }
    let from = from.map_or("nothing".to_owned(), |v| v.to_string());
    app.out.line(told(place, &from, to, &applied, dry_run))?;
    Ok(Exit::Ok)
}

fn told(place: &impl Display, from: &str, to: i64, applied: &[String], dry_run: bool) -> String {
    if applied.is_empty() {
        return format!("{place} is up to date (schema {to})");
    }
    let would = if dry_run { "would go" } else { "went" };
    format!("{place} {would} from {from} to schema {to}: {}", applied.join(", "))
}

/// Opening a file waits for other processes, on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<Result<T, LedgerError>, CliError> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| {
        CliError::unavailable(format!("looking at the ledger broke off: {panic}"))
            .hint("this is a fault of bidlock; please report it")
    })
}

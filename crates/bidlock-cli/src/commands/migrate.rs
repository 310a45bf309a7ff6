//! `bidlock migrate status|up`.

use std::path::PathBuf;

use bidlock_ledger::{LedgerError, SqliteLedger};
use serde_json::json;

use crate::{
    app::App,
    args::{MigrateArgs, MigrateCommand},
    exit::Exit,
    failure::CliError,
};

/// Runs it.
pub(crate) async fn run(app: &App, args: MigrateArgs) -> Result<Exit, CliError> {
    let path = app.config()?.ledger_path()?;
    match args.command {
        MigrateCommand::Status(_) => status(app, path).await,
        MigrateCommand::Up(args) => up(app, path, args.dry_run).await,
    }
}

/// Ends with 5 where the schema must be upgraded or is too new: nothing can be sent then.
async fn status(app: &App, path: PathBuf) -> Result<Exit, CliError> {
    let status = blocking(move || SqliteLedger::schema_status(path)).await?;
    let words = match status.found {
        None => "no ledger yet: its first opener makes it",
        Some(found) if found > status.latest => "newer than this bidlock: upgrade bidlock",
        Some(_) if !status.pending.is_empty() => "behind: run `bidlock migrate up`",
        Some(_) => "up to date",
    };
    if app.out.json {
        app.out.json_document(&json!({ "schema": status, "status": words }))?;
    } else {
        let found = status.found.map_or("none".to_owned(), |v| v.to_string());
        app.out.fields(&[
            ("ledger", status.path.display().to_string()),
            ("schema", found),
            ("this bidlock knows", status.latest.to_string()),
            (
                "pending",
                if status.pending.is_empty() { "none".to_owned() } else { status.pending.join(", ") },
            ),
            ("status", words.to_owned()),
        ])?;
    }
    let fits = status.found.is_none_or(|found| found == status.latest);
    Ok(if fits { Exit::Ok } else { Exit::Unavailable })
}

async fn up(app: &App, path: PathBuf, dry_run: bool) -> Result<Exit, CliError> {
    let shown = path.display().to_string();
    let was_there = path.try_exists().unwrap_or(true);
    let report = blocking(move || SqliteLedger::migrate(path, dry_run)).await?;
    if !was_there && !dry_run {
        app.out.say(format!("made a new ledger at {shown}"));
    }
    if app.out.json {
        app.out.json_document(&json!({ "ledger": shown, "migration": report }))?;
        return Ok(Exit::Ok);
    }
    let from = report.from.map_or("nothing".to_owned(), |v| v.to_string());
    let would = if dry_run { "would go" } else { "went" };
    if report.applied.is_empty() {
        app.out.line(format!("{shown} is up to date (schema {})", report.to))?;
    } else {
        let names = report.applied.join(", ");
        app.out.line(format!("{shown} {would} from {from} to schema {}: {names}", report.to))?;
    }
    Ok(Exit::Ok)
}

/// Opening waits for other processes, on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, CliError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(panic) => Err(CliError::unavailable(format!("the migration broke off: {panic}"))
            .hint("this is a fault of bidlock; please report it")),
    }
}

//! `bidlock config show|check|init`.

use std::{fs::OpenOptions, io::Write, path::Path};

use serde::{Serialize, Serializer};
use serde_json::json;

use super::{evaluation::Evaluation, posting};
use bidlock_config::{Config, commented_reference};

use crate::{
    app::App,
    args::{ConfigArgs, ConfigCommand, InitArgs, ShowConfigArgs},
    exit::Exit,
    failure::CliError,
};

/// Runs it.
pub(crate) async fn run(app: &App, args: ConfigArgs) -> Result<Exit, CliError> {
    match args.command {
        ConfigCommand::Show(args) => show(app, &args),
        ConfigCommand::Check(_) => check(app),
        ConfigCommand::Init(args) => init(app, &args),
    }
}

fn show(app: &App, args: &ShowConfigArgs) -> Result<Exit, CliError> {
    let config = app.config()?;
    let shown = config.shown();
    let effective = effective(config);
    if app.out.json {
        let file = config.file().map(|f| f.display().to_string());
        app.out.json_document(&json!({ "file": file, "settings": shown, "effective": effective }))?;
        return Ok(Exit::Ok);
    }
    let unset = || "(not set)".to_owned();
    let mut rows: Vec<Vec<String>> = shown
        .into_iter()
        .map(|s| {
            let mut row = vec![s.key, s.value.unwrap_or_else(unset)];
            if args.origin {
                row.extend([s.origin, s.variable]);
            }
            row
        })
        .collect();
    for choice in &effective {
        let place = choice.place.as_ref().unwrap_or_else(|error| error).clone();
        let mut row = vec![format!("=> {}", choice.what), place];
        if args.origin {
            row.extend([choice.by.clone(), String::new()]);
        }
        rows.push(row);
    }
    let header: &[&str] =
        if args.origin { &["setting", "value", "origin", "variable"] } else { &["setting", "value"] };
    app.out.table(header, &rows)?;
    effective.iter().flat_map(|choice| &choice.notes).for_each(|note| app.out.say(format!("note: {note}")));
    match config.file() {
        Some(file) => app.out.say(format!("configuration file: {}", file.display())),
        None => app.out.say("no configuration file; `bidlock config init` writes one"),
    }
    Ok(Exit::Ok)
}

/// What comes out of several settings.
#[derive(Debug, Serialize)]
struct Effective {
    what: &'static str,
    /// Without a password; or why there is none.
    #[serde(serialize_with = "place_or_null")]
    place: Result<String, String>,
    /// What chose it.
    by: String,
    notes: Vec<String>,
}

fn place_or_null<S: Serializer>(place: &Result<String, String>, to: S) -> Result<S::Ok, S::Error> {
    place.as_ref().ok().serialize(to)
}

fn effective(config: &Config) -> Vec<Effective> {
    let ledger = config.ledger_place().map(|place| place.to_string()).map_err(|error| error.message);
    let ledger =
        Effective { what: "ledger", place: ledger, by: config.named("ledger.url"), notes: Vec::new() };
    let locks = match config.lock_choice() {
        Err(error) => {
            Effective { what: "locks", place: Err(error.message), by: String::new(), notes: Vec::new() }
        }
        Ok(choice) => {
            let by = if choice.chosen_by == choice.place_by {
                choice.chosen_by
            } else {
                format!("{}; at {}", choice.chosen_by, choice.place_by)
            };
            Effective { what: "locks", place: Ok(choice.place.to_string()), by, notes: choice.notes }
        }
    };
    vec![ledger, locks]
}

fn check(app: &App) -> Result<Exit, CliError> {
    let config = app.config()?;
    verify(app)?;
    let (ledger, locks) = (config.ledger_place()?, config.lock_choice()?);
    locks.notes.iter().for_each(|note| app.out.say(format!("note: {note}")));
    if app.out.json {
        let file = config.file().map(|f| f.display().to_string());
        app.out.json_document(&json!({
            "ok": true, "file": file, "ledger": ledger.to_string(), "locks": locks.place.to_string(), "submit": config.target().to_string(),
        }))?;
        return Ok(Exit::Ok);
    }
    let file = config.file().map_or("none".to_owned(), |f| f.display().to_string());
    app.out.fields(&[
        ("file", file),
        ("ledger", ledger.to_string()),
        ("locks", locks.place.to_string()),
        ("submit", config.target().to_string()),
    ])?;
    app.out.say("the configuration is fine; `bidlock doctor` also opens what it names");
    Ok(Exit::Ok)
}

/// Checks every setting and reads the files that settings name; opens neither ledger nor locks.
///
/// # Errors
/// The first that can't be used.
pub(crate) fn verify(app: &App) -> Result<(), CliError> {
    let config = app.config()?;
    config.ledger_place()?;
    config.lock_choice()?;
    config.token()?;
    Evaluation::of(config)?;
    posting::read_options(config)?;
    Ok(())
}

fn init(app: &App, args: &InitArgs) -> Result<Exit, CliError> {
    let path = &args.path;
    let cannot = |e: &std::io::Error, path: &Path| {
        CliError::usage(format!("cannot write {}: {e}", path.display()))
            .hint("name another file: `bidlock config init FILE`")
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                CliError::usage(format!("{} exists already and is left as it is", path.display()))
                    .hint("name another file: `bidlock config init FILE`")
            }
            _ => cannot(&e, path),
        })?;
    file.write_all(commented_reference().as_bytes()).map_err(|e| cannot(&e, path))?;
    if app.out.json {
        app.out.json_document(&json!({ "written": path }))?;
    } else {
        app.out.say(format!("wrote {}; every setting stands in it as a comment", path.display()));
    }
    Ok(Exit::Ok)
}

//! Which ledger the settings choose. What bidlock does not know is refused by name; nothing else is ever taken in
//! its place silently.

use std::path::{Path, PathBuf};

use super::{
    layers::{Layers, Origin, Raw, Surroundings},
    named,
    server_url::ServerUrl,
};
use crate::failure::CliError;

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LedgerPlace {
    /// In this SQLite file: for the scanners of one host.
    Sqlite(PathBuf),
    /// In this PostgreSQL database: for the scanners of many hosts.
    Postgres(ServerUrl),
}

impl std::fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LedgerPlace::Sqlite(path) => path.display().fmt(f),
            LedgerPlace::Postgres(url) => url.fmt(f),
        }
    }
}

/// A relative path counts from the folder of the configuration file it stands in, so that every scanner with
/// that file means the same place; from a flag or a variable it counts from the working folder.
pub(super) fn resolve(text: &str, origin: &Origin, around: &Surroundings) -> PathBuf {
    let base = match origin {
        Origin::File(file, _) => file.parent().unwrap_or(Path::new("")).to_owned(),
        _ => around.working_folder.clone(),
    };
    let whole = around.working_folder.join(base).join(text);
    // Without `.` and doubled separators, for messages; links are left alone.
    whole.components().collect()
}

/// See [`super::Config::ledger_place`].
pub(super) fn ledger(layers: &Layers, around: &Surroundings) -> Result<LedgerPlace, CliError> {
    match layers.get("ledger.url") {
        Some(raw) => database("ledger.url", raw, around),
        None => default_ledger().map(LedgerPlace::Sqlite),
    }
}

/// The ledger where nothing names another: a file of this user on this host.
///
/// # Errors
/// The user has no home.
pub(crate) fn default_ledger() -> Result<PathBuf, CliError> {
    Ok(data_folder()?.join("ledger.db"))
}

/// See [`super::Config::legacy_place`].
pub(super) fn legacy(layers: &Layers, around: &Surroundings) -> Result<Option<LedgerPlace>, CliError> {
    layers.get("legacy.url").map(|raw| database("legacy.url", raw, around)).transpose()
}

fn data_folder() -> Result<PathBuf, CliError> {
    match directories::ProjectDirs::from("", "", "bidlock") {
        Some(dirs) => Ok(dirs.data_dir().to_owned()),
        None => Err(CliError::usage(
            "cannot tell your data folder: HOME is not set, so there is no default ledger",
        )
        .hint("set HOME, or say where the ledger is with --database FILE or DATABASE_URL")),
    }
}

/// The database that a URL in the form of SQLAlchemy, or a plain path, names.
///
/// # Errors
/// It names none that bidlock knows.
pub(super) fn database(key: &str, raw: &Raw, around: &Surroundings) -> Result<LedgerPlace, CliError> {
    let name = named(key, Some(raw));
    let text = raw.text.trim();
    let (scheme, rest) = split_scheme(text);
    let file = |path: &str| plain_file(&name, path, raw, around).map(LedgerPlace::Sqlite);
    if scheme.is_none() {
        return file(text);
    }
    match engine_of(text).unwrap_or_default().as_str() {
        "sqlite" => {
            // Three slashes: relative. Four: absolute. None (`sqlite:x.db`): as written.
            let path = match rest.strip_prefix("//") {
                Some(after) => after.strip_prefix('/').ok_or_else(|| bad_slashes(&name))?,
                None => rest,
            };
            file(path.split('?').next().unwrap_or_default())
        }
        "postgres" | "postgresql" => match bidlock_postgres::Target::parse(text) {
            Ok(_) => Ok(LedgerPlace::Postgres(ServerUrl::new(text))),
            Err(error) => Err(CliError::usage(format!("{name}: {}", error.message()))
                .hint(error.hint().unwrap_or("write postgres://user:password@host:5432/database"))),
        },
        other => {
            let known =
                "use postgres://user@host/database, sqlite:///relative.db, sqlite:////absolute.db or a path";
            let error = CliError::usage(format!("{name}: `{other}` is no engine that bidlock knows"));
            Err(error.hint(if key == "lock.url" {
                "use redis://host:6379/0, postgres://user@host/database, memory: or a path"
            } else {
                known
            }))
        }
    }
}

/// The engine that a URL names. SQLAlchemy writes its driver behind a plus: `sqlite+aiosqlite`,
/// `postgresql+asyncpg`. `None` for a path.
pub(super) fn engine_of(text: &str) -> Option<String> {
    let scheme = split_scheme(text).0?;
    Some(scheme.split('+').next().unwrap_or_default().to_ascii_lowercase())
}

fn split_scheme(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((scheme, rest))
            if !scheme.is_empty()
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '_')
                && (rest.starts_with("//") || scheme.to_ascii_lowercase().starts_with("sqlite")) =>
        {
            (Some(scheme), rest)
        }
        _ => (None, text),
    }
}

fn bad_slashes(name: &str) -> CliError {
    CliError::usage(format!(
        "{name}: a SQLite URL has three slashes before a relative path and four before an absolute one"
    ))
    .hint("write sqlite:///relative.db or sqlite:////absolute.db, or a plain path")
}

fn plain_file(name: &str, text: &str, raw: &Raw, around: &Surroundings) -> Result<PathBuf, CliError> {
    if text.is_empty() || text == ":memory:" || text.starts_with("memory:") {
        return Err(CliError::usage(format!(
            "{name} names no file: what is in memory would forget every bid"
        ))
        .hint("write a path, sqlite:///relative.db or sqlite:////absolute.db"));
    }
    Ok(resolve(text, &raw.origin, around))
}

//! Which ledger the settings choose. What bidlock does not know is refused by name; nothing else is ever taken in
//! its place silently.

use std::path::{Path, PathBuf};

use crate::{
    ConfigError, ServerUrl, Surroundings,
    hiding::{is_server_without_scheme, quoted},
    origin::{Origin, Raw, named},
    reader::Sources,
};

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerPlace {
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
pub(crate) fn resolve(text: &str, origin: &Origin, around: &Surroundings) -> PathBuf {
    let base = match origin {
        Origin::File(file, _) => file.parent().unwrap_or(Path::new("")).to_owned(),
        _ => around.working_folder.clone(),
    };
    let whole = around.working_folder.join(base).join(text);
    // Without `.` and doubled separators, for messages; links are left alone.
    whole.components().collect()
}

/// See [`crate::Config::ledger_place`].
pub(crate) fn ledger(from: &Sources) -> Result<LedgerPlace, ConfigError> {
    match from.layers.get("ledger.url") {
        Some(raw) => database("ledger.url", raw, from),
        None => default_ledger(from).map(LedgerPlace::Sqlite),
    }
}

/// See [`crate::Config::legacy_place`].
pub(crate) fn legacy(from: &Sources) -> Result<Option<LedgerPlace>, ConfigError> {
    from.layers.get("legacy.url").map(|raw| database("legacy.url", raw, from)).transpose()
}

/// See [`crate::Config::default_ledger`].
pub(crate) fn default_ledger(from: &Sources) -> Result<PathBuf, ConfigError> {
    match &from.around.data_folder {
        Some(folder) => Ok(folder.join("ledger.db")),
        None => Err(ConfigError::new(
            "cannot tell your data folder: HOME is not set, so there is no default ledger",
        )
        .hint("set HOME, or say where the ledger is with --database FILE or DATABASE_URL")),
    }
}

/// The database that a URL in the form of SQLAlchemy, or a plain path, names.
///
/// # Errors
/// It names none that bidlock knows.
pub(crate) fn database(key: &str, raw: &Raw, from: &Sources) -> Result<LedgerPlace, ConfigError> {
    let name = named(key, Some(raw));
    let text = raw.text.trim();
    let (scheme, rest) = split_scheme(text);
    let file = |path: &str| plain_file(&name, path, raw, &from.around).map(LedgerPlace::Sqlite);
    let Some(scheme) = scheme else {
        if is_server_without_scheme(text) && !is_memory(text) {
            let error = ConfigError::new(format!("{name}: {} is no URL and no path", quoted(text)));
            return Err(error.hint(if key == "lock.url" {
                "write redis://host:6379/0 or postgres://user:password@host:5432/database; a path like this one begins \
                 with ./"
            } else {
                "write postgres://user:password@host:5432/database; a path like this one begins with ./"
            }));
        }
        return file(text);
    };
    match engine_of(text).unwrap_or_default().as_str() {
        "sqlite" => {
            // Three slashes: relative. Four: absolute. None (`sqlite:x.db`): as written.
            let path = match rest.strip_prefix("//") {
                Some(after) => after.strip_prefix('/').ok_or_else(|| bad_slashes(&name))?,
                None => rest,
            };
            file(path.split('?').next().unwrap_or_default())
        }
        "postgres" | "postgresql" => match (from.engines.postgres)(text) {
            Ok(_) => Ok(LedgerPlace::Postgres(ServerUrl::new(text))),
            Err(error) => Err(error.because_of(&name)),
        },
        _ => {
            let known =
                "use postgres://user@host/database, sqlite:///relative.db, sqlite:////absolute.db or a path";
            let error =
                ConfigError::new(format!("{name}: {} is no engine that bidlock knows", quoted(scheme)));
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
pub(crate) fn engine_of(text: &str) -> Option<String> {
    let scheme = split_scheme(text).0?;
    Some(scheme.split('+').next().unwrap_or_default().to_ascii_lowercase())
}

fn split_scheme(text: &str) -> (Option<&str>, &str) {
    if text.starts_with(['/', '.', '~']) {
        return (None, text);
    }
    // Whatever stands before `://` is meant for a scheme, also where it can be none (a quotation mark, say): as a path it
    // would make a ledger that nobody meant.
    match text.split_once(':') {
        Some((_, rest)) if rest.starts_with("//") => {}
        Some((scheme, rest)) if scheme.to_ascii_lowercase().starts_with("sqlite") => {
            return (Some(scheme), rest);
        }
        _ if text.contains("://") => {}
        _ => return (None, text),
    }
    match text.split_once("://") {
        Some((scheme, _)) => (Some(scheme), &text[scheme.len() + 1..]),
        None => (None, text),
    }
}

fn bad_slashes(name: &str) -> ConfigError {
    ConfigError::new(format!(
        "{name}: a SQLite URL has three slashes before a relative path and four before an absolute one"
    ))
    .hint("write sqlite:///relative.db or sqlite:////absolute.db, or a plain path")
}

fn is_memory(text: &str) -> bool {
    text == ":memory:" || text.starts_with("memory:")
}

fn plain_file(name: &str, text: &str, raw: &Raw, around: &Surroundings) -> Result<PathBuf, ConfigError> {
    if text.is_empty() || is_memory(text) {
        return Err(ConfigError::new(format!(
            "{name} names no file: what is in memory would forget every bid"
        ))
        .hint("write a path, sqlite:///relative.db or sqlite:////absolute.db"));
    }
    Ok(resolve(text, &raw.origin, around))
}

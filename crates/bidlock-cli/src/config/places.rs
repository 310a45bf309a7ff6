//! Which ledger and which locks the settings choose. What this release does not have is refused by name;
//! nothing else is ever taken in its place silently.

use std::path::{Path, PathBuf};

use super::{
    layers::{Layers, Origin, Raw, Surroundings},
    named, values,
};
use crate::failure::CliError;

/// Where locks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LockPlace {
    /// In this process alone.
    Memory,
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// Nowhere: everybody is granted everything. Shows in tests that the ledger alone makes bidding safe; only
    /// `unsafe-grant-all:` chooses it.
    GrantAll,
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

/// See [`super::Config::ledger_path`].
pub(super) fn ledger_path(layers: &Layers, around: &Surroundings) -> Result<PathBuf, CliError> {
    match layers.get("ledger.url") {
        Some(raw) => sqlite_path("ledger.url", raw, around),
        None => Ok(data_folder()?.join("ledger.db")),
    }
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

/// The file that a SQLite URL in the form of SQLAlchemy, or a plain path, names.
fn sqlite_path(key: &str, raw: &Raw, around: &Surroundings) -> Result<PathBuf, CliError> {
    let name = named(key, Some(raw));
    let text = raw.text.trim();
    let (scheme, rest) = split_scheme(text);
    let Some(scheme) = scheme else { return plain_file(&name, text, raw, around) };
    // SQLAlchemy writes its driver behind a plus: sqlite+aiosqlite, postgresql+asyncpg.
    let engine = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
    match engine.as_str() {
        "sqlite" => {
            // Three slashes: relative. Four: absolute. None (`sqlite:x.db`): as written.
            let path = match rest.strip_prefix("//") {
                Some(after) => after.strip_prefix('/').ok_or_else(|| bad_slashes(&name))?,
                None => rest,
            };
            plain_file(&name, path.split('?').next().unwrap_or_default(), raw, around)
        }
        "postgres" | "postgresql" => Err(CliError::usage(format!(
            "{name} chooses PostgreSQL ({}), which comes with the next release",
            values::without_password(text)
        ))
        .hint(format!(
            "until then use SQLite: set {} to sqlite:////absolute/path.db, or unset it",
            set_at(raw)
        ))),
        other => Err(CliError::usage(format!("{name}: `{other}` is no engine that bidlock knows"))
            .hint("use a plain path, sqlite:///relative.db or sqlite:////absolute.db")),
    }
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

fn set_at(raw: &Raw) -> String {
    match &raw.origin {
        Origin::Default => "it".to_owned(),
        origin => origin.to_string(),
    }
}

/// See [`super::Config::lock_place`]. A place that was named beats a kind that was named; a kind that was
/// named beats variables of Redis that are merely present.
pub(super) fn lock_place(layers: &Layers, around: &Surroundings) -> Result<LockPlace, CliError> {
    let kind = layers.get("lock.manager_type");
    let kind_word = kind.map(kind_of).transpose()?;
    if let Some(raw) = layers.get("lock.url") {
        let place = place_of(raw, around)?;
        let contradicts = matches!(
            (kind_word, &place),
            (Some("memory"), LockPlace::Sqlite(_))
                | (Some("database"), LockPlace::Memory)
                | (Some("redis"), _)
        );
        if contradicts && !matches!(raw.origin, Origin::Flag(_)) {
            return Err(CliError::usage(format!(
                "{} and {} contradict each other",
                named("lock.url", Some(raw)),
                named("lock.manager_type", kind)
            ))
            .hint("keep one of them"));
        }
        return Ok(place);
    }
    match (kind_word, kind) {
        (Some("memory"), _) => return Ok(LockPlace::Memory),
        (Some("redis"), Some(raw)) => {
            return Err(no_redis(&named("lock.manager_type", Some(raw)), &set_at(raw)));
        }
        (Some(_), _) => return beside_the_ledger(layers, around),
        (None, _) => {}
    }
    match around.variable("USE_REDIS_LOCKS") {
        Some(text) => {
            let yes = values::boolean(text).map_err(|why| {
                CliError::usage(format!("USE_REDIS_LOCKS: {why}"))
                    .hint("unset it to keep locks beside the ledger")
            })?;
            if yes {
                return Err(no_redis("USE_REDIS_LOCKS", "USE_REDIS_LOCKS"));
            }
        }
        None => {
            if let Some(name) = redis_place_variable(around) {
                return Err(no_redis(name, name));
            }
        }
    }
    beside_the_ledger(layers, around)
}

fn redis_place_variable(around: &Surroundings) -> Option<&'static str> {
    ["REDIS_URL", "REDIS_HOST", "REDIS_PORT"].into_iter().find(|name| around.variable(name).is_some())
}

fn no_redis(name: &str, set_at: &str) -> CliError {
    CliError::usage(format!("{name} chooses Redis for locks, which comes with the next release")).hint(
        format!("set BID_LOCK_MANAGER_TYPE=database to keep locks beside the ledger, or change {set_at}"),
    )
}

fn kind_of(raw: &Raw) -> Result<&'static str, CliError> {
    values::one_of(&raw.text, &["database", "memory", "redis"]).map_err(|why| {
        CliError::usage(format!("{}: {why}", named("lock.manager_type", Some(raw))))
            .hint("`database` keeps locks beside the ledger and is the default")
    })
}

fn place_of(raw: &Raw, around: &Surroundings) -> Result<LockPlace, CliError> {
    let text = raw.text.trim();
    if matches!(text, "memory" | "memory:" | "memory://") {
        return Ok(LockPlace::Memory);
    }
    if text == "unsafe-grant-all:" {
        return Ok(LockPlace::GrantAll);
    }
    let scheme = split_scheme(text).0.unwrap_or_default().to_ascii_lowercase();
    if scheme.starts_with("redis") || scheme == "rediss" {
        return Err(no_redis(&named("lock.url", Some(raw)), &set_at(raw)));
    }
    Ok(LockPlace::Sqlite(sqlite_path("lock.url", raw, around)?))
}

/// `ledger-locks.db` beside `ledger.db`.
fn beside_the_ledger(layers: &Layers, around: &Surroundings) -> Result<LockPlace, CliError> {
    let ledger = ledger_path(layers, around)?;
    let stem = ledger.file_stem().unwrap_or_default().to_string_lossy();
    Ok(LockPlace::Sqlite(ledger.with_file_name(format!("{stem}-locks.db"))))
}

/// What is odd but not wrong.
pub(super) fn warnings(layers: &Layers, around: &Surroundings) -> Vec<String> {
    let mut all = Vec::new();
    if let (Some(kind), Some(text)) = (layers.get("lock.manager_type"), around.variable("USE_REDIS_LOCKS")) {
        let wants_redis = values::boolean(text).unwrap_or(false);
        if wants_redis != kind.text.trim().eq_ignore_ascii_case("redis") {
            all.push(format!("{}={} overrides USE_REDIS_LOCKS={text}", set_at(kind), kind.text.trim()));
        }
    }
    all
}

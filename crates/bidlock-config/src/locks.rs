//! Which engine keeps the locks.
//!
//! Several settings have a say. The layer counts first (flag, `BIDLOCK_*`, known name, file), and within one layer
//! the more definite word: a place (`lock.url`), a kind (`lock.manager_type`), a yes or no (`lock.use_redis`), the
//! mere presence of a Redis server. What is overruled is said, never silently dropped.

use std::path::PathBuf;

use crate::{
    ConfigError, LedgerPlace, ServerUrl,
    layers::Layers,
    origin::{Raw, named},
    places,
    reader::Sources,
    redis, values,
};

/// Where locks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockPlace {
    /// In this process alone.
    Memory,
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// On this Redis server.
    Redis(ServerUrl),
    /// In this PostgreSQL database.
    Postgres(ServerUrl),
    /// Nowhere: everybody is granted everything. Shows in tests that the ledger alone makes bidding safe; only
    /// `unsafe-grant-all:` chooses it.
    GrantAll,
}

impl std::fmt::Display for LockPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LockPlace::Memory => f.write_str("memory"),
            LockPlace::Sqlite(path) => path.display().fmt(f),
            LockPlace::Redis(url) | LockPlace::Postgres(url) => url.fmt(f),
            LockPlace::GrantAll => f.write_str("unsafe-grant-all"),
        }
    }
}

/// The engine of the locks, and why this one.
#[derive(Clone, Debug)]
pub struct LockChoice {
    /// Where locks are.
    pub place: LockPlace,
    /// What chose this engine: `lock.manager_type (BID_LOCK_MANAGER_TYPE)`.
    pub chosen_by: String,
    /// What says where it is: `redis.host (REDIS_HOST)`. This is what to mend where it does not answer.
    pub place_by: String,
    /// What contradicts the choice.
    pub warnings: Vec<String>,
    /// What is set and has no effect.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    GrantAll,
    Database,
    Redis,
    /// Any but Redis.
    NotRedis,
}

/// What one setting says.
struct Vote<'a> {
    kind: Kind,
    key: &'static str,
    raw: &'a Raw,
}

impl Vote<'_> {
    fn named(&self) -> String {
        named(self.key, Some(self.raw))
    }

    /// A server that is merely there is no decision of anybody's.
    fn is_mere_presence(&self) -> bool {
        self.key.starts_with("redis.")
    }

    fn agrees_with(&self, kind: Kind) -> bool {
        self.kind == kind || (self.kind == Kind::NotRedis && kind != Kind::Redis)
    }
}

/// See [`crate::Config::lock_choice`].
pub(crate) fn choose(from: &Sources) -> Result<LockChoice, ConfigError> {
    let layers = &from.layers;
    let votes = votes(layers)?;
    let winner = best(&votes, |_| true);
    let kind_vote = match winner {
        Some(no) if no.kind == Kind::NotRedis => {
            best(&votes, |v| !matches!(v.kind, Kind::Redis | Kind::NotRedis))
        }
        other => other,
    };
    let kind = kind_vote.map_or(Kind::Database, |vote| vote.kind);
    let chosen_by = winner.map_or_else(|| "lock.manager_type (default)".to_owned(), Vote::named);
    let mut choice = LockChoice {
        place: LockPlace::Memory,
        place_by: chosen_by.clone(),
        chosen_by,
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    let mut unused: Vec<&str> = redis::SETTINGS.into_iter().filter(|key| layers.get(key).is_some()).collect();
    match kind {
        Kind::Memory => {}
        Kind::GrantAll => choice.place = LockPlace::GrantAll,
        Kind::Redis => {
            let server = redis_server(&votes, from)?;
            choice.place = LockPlace::Redis(server.url);
            choice.place_by = server.by;
            unused = server.unused;
        }
        Kind::Database | Kind::NotRedis => {
            (choice.place, choice.place_by) = database(&votes, from)?;
        }
    }
    for vote in votes.iter().filter(|vote| !vote.agrees_with(kind) && !vote.is_mere_presence()) {
        choice.warnings.push(format!("{} overrides {}", choice.chosen_by, vote.named()));
    }
    if !unused.is_empty() {
        let names: Vec<String> = unused.iter().map(|key| named(key, layers.get(key))).collect();
        let is = if names.len() == 1 { "is" } else { "are" };
        choice.notes.push(format!(
            "{} {is} set but not used: locks are at {} by {}",
            names.join(", "),
            choice.place,
            choice.place_by
        ));
    }
    Ok(choice)
}

/// The highest layer counts, then the more definite word; votes are in that order.
fn best<'a, 'b>(votes: &'b [Vote<'a>], wanted: impl Fn(&Vote<'_>) -> bool) -> Option<&'b Vote<'a>> {
    votes.iter().rev().filter(|vote| wanted(vote)).max_by_key(|vote| vote.raw.origin.rank())
}

/// What the settings say, the more definite first.
fn votes(layers: &Layers) -> Result<Vec<Vote<'_>>, ConfigError> {
    let mut votes = Vec::new();
    if let Some(raw) = layers.get("lock.url") {
        votes.push(Vote { kind: kind_of_url(raw), key: "lock.url", raw });
    }
    if let Some(raw) = layers.get("lock.manager_type") {
        let kind = match kind_of_word(raw)? {
            "memory" => Kind::Memory,
            "redis" => Kind::Redis,
            _ => Kind::Database,
        };
        votes.push(Vote { kind, key: "lock.manager_type", raw });
    }
    if let Some(raw) = layers.get("lock.use_redis") {
        let yes = values::boolean(&raw.text).map_err(|why| {
            ConfigError::new(format!("{}: {why}", named("lock.use_redis", Some(raw))))
                .hint("unset it to let the other settings decide")
        })?;
        votes.push(Vote { kind: if yes { Kind::Redis } else { Kind::NotRedis }, key: "lock.use_redis", raw });
    }
    for key in ["redis.url", "redis.host", "redis.port"] {
        if let Some(raw) = layers.get(key) {
            votes.push(Vote { kind: Kind::Redis, key, raw });
        }
    }
    Ok(votes)
}

fn kind_of_word(raw: &Raw) -> Result<&'static str, ConfigError> {
    values::one_of(&raw.text, &["database", "memory", "redis"]).map_err(|why| {
        ConfigError::new(format!("{}: {why}", named("lock.manager_type", Some(raw))))
            .hint("`database` keeps locks beside the ledger and is the default")
    })
}

fn kind_of_url(raw: &Raw) -> Kind {
    let text = raw.text.trim();
    match text {
        "memory" | "memory:" | "memory://" => Kind::Memory,
        "unsafe-grant-all:" => Kind::GrantAll,
        _ => match places::engine_of(text).as_deref() {
            Some("redis" | "rediss" | "valkey" | "valkeys") => Kind::Redis,
            _ => Kind::Database,
        },
    }
}

/// Of several servers, the one that the highest layer names: by a URL, else by parts.
fn redis_server(votes: &[Vote<'_>], from: &Sources) -> Result<redis::RedisServer, ConfigError> {
    let named_one =
        best(votes, |vote| vote.kind == Kind::Redis && matches!(vote.key, "lock.url" | "redis.url"));
    match named_one {
        Some(vote) => {
            let mut server = redis::of_url(vote.key, vote.raw, from)?;
            if vote.key == "lock.url" && from.layers.get("redis.url").is_some() {
                server.unused.insert(0, "redis.url");
            }
            Ok(server)
        }
        None => redis::of_parts(from),
    }
}

fn database(votes: &[Vote<'_>], from: &Sources) -> Result<(LockPlace, String), ConfigError> {
    if let Some(vote) = votes.iter().find(|vote| vote.key == "lock.url" && vote.kind == Kind::Database) {
        let place = match places::database("lock.url", vote.raw, from)? {
            LedgerPlace::Sqlite(path) => LockPlace::Sqlite(path),
            LedgerPlace::Postgres(url) => LockPlace::Postgres(url),
        };
        return Ok((place, vote.named()));
    }
    let by = from.named("ledger.url");
    Ok((beside(places::ledger(from)?), by))
}

/// `ledger-locks.db` beside `ledger.db`; in the same PostgreSQL database.
pub(crate) fn beside(ledger: LedgerPlace) -> LockPlace {
    match ledger {
        LedgerPlace::Postgres(url) => LockPlace::Postgres(url),
        LedgerPlace::Sqlite(path) => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            LockPlace::Sqlite(path.with_file_name(format!("{stem}-locks.db")))
        }
    }
}

#[cfg(test)]
mod tests;

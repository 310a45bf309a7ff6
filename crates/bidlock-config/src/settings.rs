//! The one table of settings. Flags, variables, files, `config show`, the reference file and its test all
//! read it, so that none of them can know a setting that the others do not.

/// A setting: its name, its default, its variables.
#[derive(Debug)]
pub struct Setting {
    /// The TOML key, such as `lock.ttl`. One that ends in `.*` stands for a table with free keys.
    pub key: &'static str,
    /// As it would stand in TOML; `None` is "not set".
    pub default: Option<&'static str>,
    /// Variables of the replaced system and of common usage, best first. `BIDLOCK_*` goes without saying.
    pub known_names: &'static [&'static str],
    /// Never shown; may be given as `NAME_FILE`.
    pub secret: bool,
    /// A URL that may hold a password: shown without it; may be given as `NAME_FILE`.
    pub url: bool,
    /// A path: relative ones in a file are relative to that file's folder.
    pub path: bool,
}

const fn plain(key: &'static str, default: Option<&'static str>) -> Setting {
    Setting { key, default, known_names: &[], secret: false, url: false, path: false }
}

const fn named(key: &'static str, default: Option<&'static str>, names: &'static [&'static str]) -> Setting {
    Setting { known_names: names, ..plain(key, default) }
}

const fn path(key: &'static str) -> Setting {
    Setting { path: true, ..plain(key, None) }
}

const fn url(key: &'static str, names: &'static [&'static str]) -> Setting {
    Setting { url: true, ..named(key, None, names) }
}

/// The table of caps; below it stand names of marketplaces.
pub(crate) const CAPS: &str = "caps.per_day.";

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    url("ledger.url", &["DATABASE_URL"]),
    named("lock.manager_type", None, &["BID_LOCK_MANAGER_TYPE"]),
    url("lock.url", &[]),
    plain("lock.holder", None),
    named("lock.ttl", Some("\"300s\""), &["BIDLOCK_LOCK_TTL", "REDIS_LOCK_TTL"]),
    named("lock.timeout", Some("\"10s\""), &["BID_LOCK_TIMEOUT"]),
    named("lock.retry_count", Some("3"), &["BID_LOCK_RETRY_COUNT"]),
    plain("lock.renew", Some("true")),
    plain("lock.fallback", Some("\"database\"")),
    named("lock.use_redis", None, &["USE_REDIS_LOCKS"]),
    url("redis.url", &["REDIS_URL"]),
    named("redis.host", None, &["REDIS_HOST"]),
    named("redis.port", None, &["REDIS_PORT"]),
    named("redis.db", None, &["REDIS_DB"]),
    Setting { secret: true, ..named("redis.password", None, &["REDIS_PASSWORD"]) },
    plain("scan.format", Some("\"auto\"")),
    path("scan.map"),
    plain("scan.marketplace", None),
    path("scan.rules"),
    plain("scan.bid_on_everything", Some("false")),
    plain("scan.max_age", Some("\"24h\"")),
    plain("scan.every", None),
    plain("scan.batch", Some("256")),
    plain("scan.concurrency", Some("16")),
    plain("scan.wait", Some("\"10s\"")),
    plain("scan.patience", Some("\"30s\"")),
    url("submit.target", &[]),
    plain("submit.time_limit", Some("\"30s\"")),
    plain("submit.connect_limit", Some("\"10s\"")),
    plain("submit.max_unknown_in_a_row", Some("5")),
    Setting { secret: true, ..plain("submit.token", None) },
    path("submit.token_file"),
    plain("submit.approval", Some("\"by-marketplace\"")),
    plain("submit.approval_valid_for", Some("\"24h\"")),
    path("submit.proposal"),
    plain("submit.empty_proposal", Some("false")),
    plain("caps.per_day.*", None),
    plain("withdrawal.allow_rebid", Some("false")),
    url("legacy.url", &[]),
    plain("metrics.listen", None),
    plain("log.level", Some("\"warn\"")),
    plain("log.format", Some("\"text\"")),
];

/// `BIDLOCK_*` variables that are no settings of this table.
const OTHER_VARIABLES: &[&str] = &[
    "BIDLOCK_CONFIG",
    "BIDLOCK_ALLOW_MEMORY_FALLBACK",
    "BIDLOCK_REAL_DATA",
    "BIDLOCK_LEASE_KEY",
    "BIDLOCK_FENCING_TOKEN",
    #[cfg(feature = "canary")]
    bidlock_canary::VARIABLE,
];
/// What a Kubernetes service named `bidlock` puts into every pod's environment, and what tests use.
const FOREIGN_PREFIXES: &[&str] = &["BIDLOCK_SERVICE_", "BIDLOCK_PORT", "BIDLOCK_TEST_", "BIDLOCK_DEMO_"];

/// The setting of a key; free keys of a table are found by their table.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| match s.key.strip_suffix('*') {
        Some(table) => key.len() > table.len() && key.starts_with(table),
        None => s.key == key,
    })
}

/// The key under which a value is kept. A marketplace is named as postings name it: under another spelling a cap would
/// never count.
pub(crate) fn one_form(key: String) -> String {
    match key.strip_prefix(CAPS) {
        Some(name) => format!("{CAPS}{}", bidlock_market::marketplace_name(name)),
        None => key,
    }
}

/// `BIDLOCK_LOCK__TTL` for `lock.ttl`.
pub(crate) fn variable_of(key: &str) -> String {
    format!("BIDLOCK_{}", key.to_uppercase().replace('.', "__"))
}

/// `lock.ttl` for `BIDLOCK_LOCK__TTL`; `None` where no setting has this variable, in just these letters.
pub(crate) fn key_of(variable: &str) -> Option<String> {
    let key = variable.strip_prefix("BIDLOCK_")?.to_lowercase().replace("__", ".");
    (find(&key).is_some() && variable_of(&key) == variable).then_some(key)
}

/// Whether a key names a setting.
pub fn is_setting(key: &str) -> bool {
    find(key).is_some()
}

/// Whether a `BIDLOCK_*` variable may stand in the environment without being a setting.
pub(crate) fn is_other_variable(name: &str) -> bool {
    OTHER_VARIABLES.contains(&name) || FOREIGN_PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Whether anything reads this variable: settings, known names, their `_FILE` forms.
pub fn is_known_variable(name: &str) -> bool {
    let known = |name: &str| {
        SETTINGS.iter().any(|s| s.known_names.contains(&name))
            || OTHER_VARIABLES.contains(&name)
            || key_of(name).is_some()
            || ["NO_COLOR", "ENV", "RUST_LOG"].contains(&name)
    };
    known(name) || name.strip_suffix("_FILE").is_some_and(known)
}

/// The candidate nearest to a misspelt text, if any is near.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this likeness a suggestion would only mislead.
    const LEAST_LIKENESS: f64 = 0.75;
    let likeness = |candidate: &str| strsim::jaro_winkler(&text.to_lowercase(), &candidate.to_lowercase());
    candidates
        .map(|c| (likeness(c), c))
        .filter(|(l, _)| *l >= LEAST_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_variables_lead_to_each_other() {
        assert_eq!(variable_of("lock.ttl"), "BIDLOCK_LOCK__TTL");
        assert_eq!(key_of("BIDLOCK_LOCK__TTL").as_deref(), Some("lock.ttl"));
        assert_eq!(key_of("BIDLOCK_CAPS__PER_DAY__UPWORK").as_deref(), Some("caps.per_day.upwork"));
        assert!(find("caps.per_day.upwork").is_some());
        assert_eq!(key_of("BIDLOCK_lock__ttl"), None, "a second name would make it unclear which counts");
        assert!(find("caps.per_day").is_none() && find("caps.per_day.").is_none());
        assert!(is_other_variable("BIDLOCK_SERVICE_HOST") && is_other_variable("BIDLOCK_PORT_80_TCP"));
    }

    #[test]
    fn suggestions_are_near_or_none() {
        let keys = || SETTINGS.iter().map(|s| s.key);
        assert_eq!(nearest("lock.tll", keys()), Some("lock.ttl"));
        assert_eq!(nearest("submit.timelimit", keys()), Some("submit.time_limit"));
        assert_eq!(nearest("zzzzz", keys()), None);
    }
}

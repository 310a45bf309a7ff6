//! Typed values out of the layers; a value that can't be used is refused with its setting and its origin.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bidlock_ledger::{LEGACY_HOLDER, PostingId, store::MAX_BATCH};
use bidlock_market::{Format, Target};

use crate::{
    Approval, CapsConfig, Config, ConfigError, Engines, LockConfig, LogConfig, MetricsConfig, ScanConfig,
    SecondLocks, SubmitConfig, Surroundings, WithdrawalConfig,
    hiding::quoted,
    layers::Layers,
    origin::{Origin, named},
    places, settings, values,
};

/// The most tries of `lock.retry_count`: more would keep a scan from its end for longer than anybody waits.
pub const MAX_RETRIES: u32 = 1_000;
/// The shortest TTL of locks and claims: below it a scheduler's pause alone would lose them.
const LEAST_TTL: Duration = Duration::from_millis(100);
/// A longer TTL or pause is a typing mistake: 366 days.
const MOST_DURATION: Duration = Duration::from_secs(366 * 24 * 3_600);

/// What all values come from.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) layers: Layers,
    pub(crate) around: Surroundings,
    pub(crate) engines: Engines,
}

impl Sources {
    /// `lock.ttl (REDIS_LOCK_TTL)`.
    pub(crate) fn named(&self, key: &str) -> String {
        named(key, self.layers.get(key))
    }

    pub(crate) fn optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(raw) = self.layers.get(key) else { return Ok(None) };
        let parsed = parse(&raw.text).map_err(|why| {
            ConfigError::new(format!("{}: {why}", named(key, Some(raw))))
                .hint(format!("correct it where it is set: {}", raw.origin))
        })?;
        Ok(Some(parsed))
    }

    pub(crate) fn needed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.optional(key, parse)?.ok_or_else(|| {
            // Only settings with a default in the table are asked for here.
            ConfigError::new(format!("{key} has no value"))
                .hint("this is a fault of bidlock; please report it")
        })
    }

    /// A relative path counts from the folder of the file it was set in, else from the working folder.
    pub(crate) fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let raw = self.layers.get(key);
        self.optional(key, |text| match text {
            "" => Err("it is empty; write the path of a file".to_owned()),
            url if url.contains("://") => Err(format!("{} is a URL; write the path of a file", quoted(url))),
            path => Ok(raw.map(|raw| places::resolve(path, &raw.origin, &self.around))),
        })
        .map(Option::flatten)
    }

    /// A plain number means seconds where the variable of the replaced system says so.
    pub(crate) fn duration(&self, key: &str) -> Result<Duration, ConfigError> {
        self.needed(key, |text| bounded(self.parse_duration(key, text)?))
    }

    pub(crate) fn positive(&self, key: &str) -> Result<Duration, ConfigError> {
        self.needed(key, |text| not_zero(bounded(self.parse_duration(key, text)?)?))
    }

    fn parse_duration(&self, key: &str, text: &str) -> Result<Duration, String> {
        let old = self.layers.get(key).is_some_and(|raw| match &raw.origin {
            Origin::Variable(name) => {
                settings::find(key).is_some_and(|s| s.known_names.contains(&name.as_str()))
            }
            _ => false,
        });
        if old { values::duration_or_seconds(text) } else { values::duration(text) }
    }

    pub(crate) fn lock(&self) -> Result<LockConfig, ConfigError> {
        let least = |ttl: Duration| {
            if ttl < LEAST_TTL {
                Err(format!("a TTL of {ttl:?} is too short; at least 100ms"))
            } else {
                Ok(ttl)
            }
        };
        let retry = self.needed("lock.retry_count", |t| values::whole(t, 0, u64::from(MAX_RETRIES)))?;
        Ok(LockConfig {
            holder: self.optional("lock.holder", holder)?,
            ttl: self.needed("lock.ttl", |t| least(bounded(self.parse_duration("lock.ttl", t)?)?))?,
            timeout: self.duration("lock.timeout")?,
            retry_count: u32::try_from(retry).unwrap_or(u32::MAX),
            renew: self.needed("lock.renew", values::boolean)?,
            fallback: self.needed("lock.fallback", second_locks)?,
        })
    }

    pub(crate) fn scan(&self) -> Result<ScanConfig, ConfigError> {
        /// More at once gains nothing on one host and holds more open bids when it dies.
        const MOST_CONCURRENCY: u64 = 1_024;
        let count = |key: &str, most: u64| -> Result<usize, ConfigError> {
            let number = self.needed(key, |t| values::whole(t, 1, most))?;
            Ok(usize::try_from(number).unwrap_or(1))
        };
        Ok(ScanConfig {
            format: self.needed("scan.format", format)?,
            map: self.path("scan.map")?,
            marketplace: self.optional("scan.marketplace", marketplace)?,
            rules: self.path("scan.rules")?,
            bid_on_everything: self.needed("scan.bid_on_everything", values::boolean)?,
            max_age: self.positive("scan.max_age")?,
            every: self.optional("scan.every", |t| not_zero(bounded(values::duration(t)?)?))?,
            batch: count("scan.batch", MAX_BATCH as u64)?,
            concurrency: count("scan.concurrency", MOST_CONCURRENCY)?,
            wait: self.duration("scan.wait")?,
            patience: self.duration("scan.patience")?,
        })
    }

    pub(crate) fn submit(&self) -> Result<SubmitConfig, ConfigError> {
        let approval =
            self.needed("submit.approval", |t| values::one_of(t, &["never", "always", "by-marketplace"]))?;
        Ok(SubmitConfig {
            target: self.optional("submit.target", |t| t.parse::<Target>().map_err(|e| e.to_string()))?,
            time_limit: self.positive("submit.time_limit")?,
            connect_limit: self.positive("submit.connect_limit")?,
            max_unknown_in_a_row: self
                .needed("submit.max_unknown_in_a_row", |t| values::whole(t, 1, u32::MAX.into()))?
                .try_into()
                .unwrap_or(u32::MAX),
            approval: match approval {
                "never" => Approval::Never,
                "always" => Approval::Always,
                _ => Approval::ByMarketplace,
            },
            approval_valid_for: self.positive("submit.approval_valid_for")?,
            proposal: self.path("submit.proposal")?,
            empty_proposal: self.needed("submit.empty_proposal", values::boolean)?,
        })
    }

    pub(crate) fn withdrawal(&self) -> Result<WithdrawalConfig, ConfigError> {
        Ok(WithdrawalConfig { allow_rebid: self.needed("withdrawal.allow_rebid", values::boolean)? })
    }

    pub(crate) fn caps(&self) -> Result<CapsConfig, ConfigError> {
        let mut per_day = BTreeMap::new();
        for (name, raw) in self.layers.under(settings::CAPS) {
            let named = named(&format!("{}{name}", settings::CAPS), Some(raw));
            let refuse = |why: String, hint: &str| ConfigError::new(format!("{named}: {why}")).hint(hint);
            let name = marketplace(name).map_err(|why| refuse(why, "name a marketplace, or `default`"))?;
            let cap = values::whole(&raw.text, 0, u64::from(u32::MAX))
                .map_err(|why| refuse(why, "it is a number of bids a day; leave it out for no limit"))?;
            per_day.insert(name, cap);
        }
        Ok(CapsConfig { per_day })
    }

    pub(crate) fn metrics(&self) -> Result<MetricsConfig, ConfigError> {
        Ok(MetricsConfig { listen: self.optional("metrics.listen", values::listen_address)? })
    }

    pub(crate) fn log(&self) -> Result<LogConfig, ConfigError> {
        let level = self.needed("log.level", values::log_level)?;
        let format = self.needed("log.format", |t| values::one_of(t, &["text", "json"]))?;
        Ok(LogConfig { level, json: format == "json" })
    }
}

impl Config {
    /// Limits that only make sense together. A time limit that somebody set is refused where it does not fit;
    /// the default gives way to a short TTL.
    pub(crate) fn fit_limits(mut self) -> Result<Config, ConfigError> {
        let (ttl, limit) = (self.lock.ttl, self.submit.time_limit);
        if limit >= ttl {
            let is_set =
                |key| self.sources().layers.get(key).is_some_and(|raw| raw.origin != Origin::Default);
            if is_set("submit.time_limit") {
                let name = |key, value| format!("{} is {}", self.named(key), values::exact_duration(value));
                return Err(ConfigError::new(format!(
                    "{} and {}: a submission must end before its claim expires",
                    name("submit.time_limit", limit),
                    name("lock.ttl", ttl)
                ))
                .hint("make submit.time_limit shorter, or lock.ttl longer"));
            }
            self.submit.time_limit = ttl / 2;
        }
        self.submit.connect_limit = self.submit.connect_limit.min(self.submit.time_limit);
        Ok(self)
    }
}

fn bounded(duration: Duration) -> Result<Duration, String> {
    if duration > MOST_DURATION { Err("it is longer than 366 days".to_owned()) } else { Ok(duration) }
}

fn not_zero(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() { Err("it must be longer than zero".to_owned()) } else { Ok(duration) }
}

fn second_locks(text: &str) -> Result<SecondLocks, String> {
    Ok(match values::one_of(text, &["database", "memory", "none"])? {
        "database" => SecondLocks::Database,
        "memory" => SecondLocks::Memory,
        _ => SecondLocks::None,
    })
}

/// What stands in locks and bids: short, printable.
fn holder(text: &str) -> Result<String, String> {
    /// Longer names only fill the ledger.
    const MAX_HOLDER_BYTES: usize = 128;
    if text.trim().is_empty() || text.len() > MAX_HOLDER_BYTES || text.chars().any(char::is_control) {
        return Err(format!("a holder's name has 1 to {MAX_HOLDER_BYTES} bytes and no control characters"));
    }
    if text == LEGACY_HOLDER {
        return Err(format!(
            "{} is the holder of bids that were imported from a replaced system",
            quoted(text)
        ));
    }
    Ok(text.to_owned())
}

fn marketplace(text: &str) -> Result<String, String> {
    let checked = PostingId::new(text, "any").map_err(|e| e.to_string())?;
    Ok(checked.marketplace().to_owned())
}

/// Kept as text, which the readers of feeds take.
fn format(text: &str) -> Result<String, String> {
    text.parse::<Format>().map(|_| text.to_owned()).map_err(|_| {
        let names: Vec<String> = Format::all().map(|format| format.to_string()).collect();
        format!("{} is no format; use one of {}", quoted(text), names.join(", "))
    })
}

//! Typed values out of the layers; a value that can't be used is refused with its setting and its origin.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bidlock::layers::retry::MAX_RETRIES;
use bidlock_market::Target;
use bidlock_pipeline::{ApprovalPolicy, legacy::LEGACY_HOLDER};

use super::{
    CapsConfig, Config, LockConfig, LogConfig, MetricsConfig, ScanConfig, SecondLocks, SubmitConfig,
    layers::{Layers, Origin, Surroundings},
    named, places, settings, values,
};
use crate::failure::CliError;

/// The shortest TTL of locks and claims: below it a scheduler's pause alone would lose them.
const LEAST_TTL: Duration = Duration::from_millis(100);
/// A longer TTL or pause is a typing mistake: 366 days.
const MOST_DURATION: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Takes typed values out of the layers.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) around: &'a Surroundings,
}

impl Reader<'_> {
    pub(super) fn optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, CliError> {
        let Some(raw) = self.layers.get(key) else { return Ok(None) };
        let parsed = parse(&raw.text).map_err(|why| {
            CliError::usage(format!("{}: {why}", named(key, Some(raw))))
                .hint(format!("correct it where it is set: {}", raw.origin))
        })?;
        Ok(Some(parsed))
    }

    pub(super) fn needed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, CliError> {
        self.optional(key, parse)?.ok_or_else(|| {
            // Only settings with a default in the table are asked for here.
            CliError::usage(format!("{key} has no value"))
                .hint("this is a fault of bidlock; please report it")
        })
    }

    /// A relative path counts from the folder of the file it was set in, else from the working folder.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.layers.get(key).map(|raw| places::resolve(&raw.text, &raw.origin, self.around))
    }

    /// A plain number means seconds where the variable of the replaced system says so.
    pub(super) fn duration(&self, key: &str) -> Result<Duration, CliError> {
        self.needed(key, |text| bounded(self.parse_duration(key, text)?))
    }

    pub(super) fn positive(&self, key: &str) -> Result<Duration, CliError> {
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

    pub(super) fn lock(&self) -> Result<LockConfig, CliError> {
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

    pub(super) fn scan(&self) -> Result<ScanConfig, CliError> {
        /// More at once gains nothing on one host and holds more open bids when it dies.
        const MOST_CONCURRENCY: u64 = 1_024;
        let count = |key: &str, most: u64| -> Result<usize, CliError> {
            let number = self.needed(key, |t| values::whole(t, 1, most))?;
            Ok(usize::try_from(number).unwrap_or(1))
        };
        Ok(ScanConfig {
            format: self.needed("scan.format", format)?,
            map: self.path("scan.map"),
            marketplace: self.optional("scan.marketplace", marketplace)?,
            rules: self.path("scan.rules"),
            bid_on_everything: self.needed("scan.bid_on_everything", values::boolean)?,
            max_age: self.positive("scan.max_age")?,
            every: self.optional("scan.every", |t| not_zero(bounded(values::duration(t)?)?))?,
            batch: count("scan.batch", bidlock_ledger::store::MAX_BATCH as u64)?,
            concurrency: count("scan.concurrency", MOST_CONCURRENCY)?,
            wait: self.duration("scan.wait")?,
            patience: self.duration("scan.patience")?,
        })
    }

    pub(super) fn submit(&self) -> Result<SubmitConfig, CliError> {
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
                "never" => ApprovalPolicy::Never,
                "always" => ApprovalPolicy::Always,
                _ => ApprovalPolicy::ByMarketplace,
            },
            approval_valid_for: self.positive("submit.approval_valid_for")?,
            proposal: self.path("submit.proposal"),
            empty_proposal: self.needed("submit.empty_proposal", values::boolean)?,
        })
    }

    pub(super) fn caps(&self) -> Result<CapsConfig, CliError> {
        let mut per_day = BTreeMap::new();
        for (marketplace, raw) in self.layers.under("caps.per_day.") {
            let key = format!("caps.per_day.{marketplace}");
            let cap = values::whole(&raw.text, 0, u64::from(u32::MAX)).map_err(|why| {
                CliError::usage(format!("{}: {why}", named(&key, Some(raw))))
                    .hint("it is a number of bids a day; leave it out for no limit")
            })?;
            per_day.insert(marketplace.to_owned(), cap);
        }
        Ok(CapsConfig { per_day })
    }

    pub(super) fn metrics(&self) -> Result<MetricsConfig, CliError> {
        Ok(MetricsConfig { listen: self.optional("metrics.listen", values::listen_address)? })
    }

    pub(super) fn log(&self) -> Result<LogConfig, CliError> {
        let level = self.needed("log.level", |t| {
            let is_level = |part: &str| part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
            let fine = t.split(',').all(|part| is_level(part.rsplit('=').next().unwrap_or_default().trim()));
            if fine {
                Ok(t.to_owned())
            } else {
                Err(format!("`{t}` is not a level; use off, error, warn, info, debug or trace"))
            }
        })?;
        let format = self.needed("log.format", |t| values::one_of(t, &["text", "json"]))?;
        Ok(LogConfig { level, json: format == "json" })
    }

    /// Limits that only make sense together. A time limit that somebody set is refused where it does not fit;
    /// the default gives way to a short TTL.
    pub(super) fn fit_limits(&self, mut config: Config) -> Result<Config, CliError> {
        let (ttl, limit) = (config.lock.ttl, config.submit.time_limit);
        if limit >= ttl {
            let name = |key: &str, value: Duration| {
                format!("{} is {}", named(key, self.layers.get(key)), values::show_duration(value))
            };
            if self.layers.get("submit.time_limit").is_some_and(|raw| raw.origin != Origin::Default) {
                return Err(CliError::usage(format!(
                    "{} and {}: a submission must end before its claim expires",
                    name("submit.time_limit", limit),
                    name("lock.ttl", ttl)
                ))
                .hint("make submit.time_limit shorter, or lock.ttl longer"));
            }
            config.submit.time_limit = ttl / 2;
        }
        config.submit.connect_limit = config.submit.connect_limit.min(config.submit.time_limit);
        Ok(config)
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
        return Err(format!("`{text}` is the holder of bids that were imported from a replaced system"));
    }
    Ok(text.to_owned())
}

fn marketplace(text: &str) -> Result<String, String> {
    let checked = bidlock_ledger::PostingId::new(text, "any").map_err(|e| e.to_string())?;
    Ok(checked.marketplace().to_owned())
}

/// Kept as text, which the readers of feeds take.
fn format(text: &str) -> Result<String, String> {
    text.parse::<bidlock_market::Format>().map(|_| text.to_owned()).map_err(|e| e.to_string())
}

//! The configuration: layers merged, every value checked, every value's origin known.
//!
//! | module | what |
//! |---|---|
//! | [`settings`] | the one table of settings |
//! | [`layers`] | flags, variables, files, defaults, merged with their origins |
//! | [`values`] | text into typed values |
//! | [`places`] | which ledger and which locks the settings choose |
//! | [`show`] | all settings with values and origins, secrets hidden |

mod layers;
mod places;
pub(crate) mod settings;
mod show;
pub(crate) mod values;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bidlock_market::Target;

use self::layers::{Layers, Origin, Raw};
pub(crate) use self::{
    layers::{Surroundings, read_bounded},
    places::LockPlace,
    show::Shown,
};
use crate::{args::Override, failure::CliError};

/// The shortest TTL of locks and claims: below it a scheduler's pause alone would lose them.
const LEAST_TTL: Duration = Duration::from_millis(100);
/// A longer TTL or pause is a typing mistake: 366 days.
const MOST_DURATION: Duration = Duration::from_secs(366 * 24 * 3_600);
/// A larger proposal template is a mistake.
const MAX_PROPOSAL_BYTES: u64 = 256 << 10;

/// Every setting, typed and checked.
#[derive(Clone)]
pub(crate) struct Config {
    /// Locks and claims.
    pub(crate) lock: LockConfig,
    /// Reading feeds.
    pub(crate) scan: ScanConfig,
    /// Sending bids.
    pub(crate) submit: SubmitConfig,
    /// Limits.
    pub(crate) caps: CapsConfig,
    /// Withdrawals.
    pub(crate) withdrawal: WithdrawalConfig,
    /// Logs.
    pub(crate) log: LogConfig,
    /// What to tell the user although nothing is wrong.
    pub(crate) warnings: Vec<String>,
    layers: Layers,
    around: Surroundings,
}

/// Without the layers: they hold secrets.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Config { lock, scan, submit, caps, withdrawal, log, warnings, layers: _, around: _ } = self;
        f.debug_struct("Config")
            .field("lock", lock)
            .field("scan", scan)
            .field("submit", submit)
            .field("caps", caps)
            .field("withdrawal", withdrawal)
            .field("log", log)
            .field("warnings", warnings)
            .finish_non_exhaustive()
    }
}

/// `[lock]`, but for the place, which [`Config::lock_place`] chooses.
#[derive(Clone, Debug)]
pub(crate) struct LockConfig {
    /// This instance's name; `None` for `host:pid:random`.
    pub(crate) holder: Option<String>,
    /// The TTL of locks and claims.
    pub(crate) ttl: Duration,
    /// How long `lock acquire` and `lock run` wait.
    pub(crate) timeout: Duration,
    /// Tries after a passing error of the engine.
    pub(crate) retry_count: u32,
    /// Renewal in the background.
    pub(crate) renew: bool,
}

/// `[scan]`.
#[derive(Clone, Debug)]
pub(crate) struct ScanConfig {
    /// What the feed is.
    pub(crate) format: String,
    /// The field map's file.
    pub(crate) map: Option<PathBuf>,
    /// The postings' marketplace, where the feed does not say it.
    pub(crate) marketplace: Option<String>,
    /// The rules' file.
    pub(crate) rules: Option<PathBuf>,
    /// The greatest age of a fetch.
    pub(crate) max_age: Duration,
    /// Read again after this long.
    pub(crate) every: Option<Duration>,
    /// Postings in one batch of questions to ledger and locks.
    pub(crate) batch: usize,
    /// Postings worked on at once.
    pub(crate) concurrency: usize,
    /// How long to try again what another holds.
    pub(crate) wait: Duration,
}

/// `[submit]`.
#[derive(Clone, Debug)]
pub(crate) struct SubmitConfig {
    /// Where bids go; `None` where nobody said it, which is a dry run.
    pub(crate) target: Option<Target>,
    /// Of one submission, from connecting to the last byte of the answer. Shorter than the TTL.
    pub(crate) time_limit: Duration,
    /// Of connecting.
    pub(crate) connect_limit: Duration,
    /// Whether a person decides first.
    pub(crate) approval: ApprovalPolicy,
    /// How long an approval holds.
    pub(crate) approval_valid_for: Duration,
    /// The proposal template's file.
    pub(crate) proposal: Option<PathBuf>,
}

/// Whether a person decides before a bid is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApprovalPolicy {
    /// Bids are sent without.
    Never,
    /// Every bid waits.
    Always,
    /// As the marketplace one submits through asks for.
    ByMarketplace,
}

/// `[caps]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct CapsConfig {
    /// First sendings a day and marketplace; `default` stands for those without a line of their own.
    pub(crate) per_day: BTreeMap<String, u64>,
}

/// `[withdrawal]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithdrawalConfig {
    /// A confirmed withdrawal frees the posting for another bid.
    pub(crate) allow_rebid: bool,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    /// A level or a filter such as `info,bidlock=debug`.
    pub(crate) level: String,
    /// JSON lines instead of text.
    pub(crate) json: bool,
}

/// Whether a key names a setting.
#[cfg(test)]
pub(crate) fn is_setting(key: &str) -> bool {
    settings::find(key).is_some()
}

impl Config {
    /// Reads and checks everything but the places of ledger and locks.
    ///
    /// # Errors
    /// As [`Layers::read`]; or a value can't be used: the error names it and where it was set.
    pub(crate) fn load(
        around: Surroundings,
        file: Option<&Path>,
        flags: &[Override],
    ) -> Result<Config, CliError> {
        let layers = Layers::read(&around, file, flags)?;
        let from = Reader { layers: &layers, around: &around };
        let config = Config {
            lock: from.lock()?,
            scan: from.scan()?,
            submit: from.submit()?,
            caps: from.caps()?,
            withdrawal: WithdrawalConfig {
                allow_rebid: from.needed("withdrawal.allow_rebid", values::boolean)?,
            },
            log: from.log()?,
            warnings: places::warnings(&layers, &around),
            around: around.clone(),
            layers: layers.clone(),
        };
        from.fit_limits(config)
    }

    /// The configuration file that was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.layers.file.as_deref()
    }

    /// Where a setting's value comes from, for messages: `lock.ttl (REDIS_LOCK_TTL)`.
    pub(crate) fn named(&self, key: &str) -> String {
        named(key, self.layers.get(key))
    }

    /// The ledger's file.
    ///
    /// # Errors
    /// The setting chooses an engine that this release does not have, or no file.
    pub(crate) fn ledger_path(&self) -> Result<PathBuf, CliError> {
        places::ledger_path(&self.layers, &self.around)
    }

    /// Where locks are.
    ///
    /// # Errors
    /// The settings choose an engine that this release does not have, or contradict each other.
    pub(crate) fn lock_place(&self) -> Result<LockPlace, CliError> {
        places::lock_place(&self.layers, &self.around)
    }

    /// Where bids go; nowhere, if nobody said it.
    pub(crate) fn target(&self) -> Target {
        self.submit.target.clone().unwrap_or(Target::DryRun)
    }

    /// The bearer token for the marketplace.
    ///
    /// # Errors
    /// Both forms are set, the file can't be read, or it holds no token.
    pub(crate) fn token(&self) -> Result<Option<bidlock_market::Token>, CliError> {
        let wrong = |key: &str, why: String| {
            CliError::usage(format!("{}: {why}", self.named(key)))
                .hint("the file holds the token alone, on one line, and should be readable by you only")
        };
        match (self.layers.get("submit.token"), self.path("submit.token_file")) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(CliError::usage(format!(
                "both {} and {} are set",
                self.named("submit.token"),
                self.named("submit.token_file")
            ))
            .hint("keep one of them")),
            (Some(raw), None) => {
                let token = bidlock_market::Token::new(&raw.text);
                token.map(Some).map_err(|e| wrong("submit.token", e.to_string()))
            }
            (None, Some(path)) => {
                let token = bidlock_market::Token::from_file(&path);
                token.map(Some).map_err(|e| wrong("submit.token_file", e.to_string()))
            }
        }
    }

    /// The proposal template's text; `None` where no file is set.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn proposal(&self) -> Result<Option<String>, CliError> {
        let Some(path) = &self.submit.proposal else { return Ok(None) };
        let text = read_bounded(path, MAX_PROPOSAL_BYTES).map_err(|e| {
            CliError::usage(format!("{}: cannot read {}: {e}", self.named("submit.proposal"), path.display()))
                .hint("check the path, or unset submit.proposal to send an empty proposal")
        })?;
        Ok(Some(text))
    }

    /// All settings for a person, secrets hidden.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        show::all(&self.layers)
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Reader { layers: &self.layers, around: &self.around }.path(key)
    }
}

/// `lock.ttl (REDIS_LOCK_TTL)`.
fn named(key: &str, raw: Option<&Raw>) -> String {
    match raw.map(|r| &r.origin) {
        None | Some(Origin::Default) => format!("{key} (default)"),
        Some(Origin::File(path, _)) => format!("{key} ({})", path.display()),
        Some(origin) => format!("{key} ({origin})"),
    }
}

/// Takes typed values out of the layers.
struct Reader<'a> {
    layers: &'a Layers,
    around: &'a Surroundings,
}

impl Reader<'_> {
    fn optional<T>(
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

    fn needed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, CliError> {
        self.optional(key, parse)?.ok_or_else(|| {
            // Only settings with a default in the table are asked for here.
            CliError::usage(format!("{key} has no value"))
                .hint("this is a fault of bidlock; please report it")
        })
    }

    fn text(&self, key: &str) -> Option<String> {
        self.layers.get(key).map(|raw| raw.text.clone())
    }

    /// A relative path counts from the folder of the file it was set in, else from the working folder.
    fn path(&self, key: &str) -> Option<PathBuf> {
        self.layers.get(key).map(|raw| places::resolve(&raw.text, &raw.origin, self.around))
    }

    /// A plain number means seconds where the variable of the replaced system says so.
    fn duration(&self, key: &str) -> Result<Duration, CliError> {
        self.needed(key, |text| bounded(self.parse_duration(key, text)?))
    }

    fn positive(&self, key: &str) -> Result<Duration, CliError> {
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

    fn lock(&self) -> Result<LockConfig, CliError> {
        /// More tries than these only hide that an engine is down.
        const MOST_RETRIES: u64 = 100;
        let least = |ttl: Duration| {
            if ttl < LEAST_TTL {
                Err(format!("a TTL of {ttl:?} is too short; at least 100ms"))
            } else {
                Ok(ttl)
            }
        };
        let retry = self.needed("lock.retry_count", |t| values::whole(t, 0, MOST_RETRIES))?;
        Ok(LockConfig {
            holder: self.optional("lock.holder", holder)?,
            ttl: self.needed("lock.ttl", |t| least(bounded(self.parse_duration("lock.ttl", t)?)?))?,
            timeout: self.duration("lock.timeout")?,
            retry_count: u32::try_from(retry).unwrap_or(u32::MAX),
            renew: self.needed("lock.renew", values::boolean)?,
        })
    }

    fn scan(&self) -> Result<ScanConfig, CliError> {
        /// More at once gains nothing on one host and holds more open bids when it dies.
        const MOST_CONCURRENCY: u64 = 1_024;
        let count = |key: &str, most: u64| -> Result<usize, CliError> {
            let number = self.needed(key, |t| values::whole(t, 1, most))?;
            Ok(usize::try_from(number).unwrap_or(1))
        };
        Ok(ScanConfig {
            format: self.needed("scan.format", |t| Ok(t.to_owned()))?,
            map: self.path("scan.map"),
            marketplace: self.optional("scan.marketplace", marketplace)?,
            rules: self.path("scan.rules"),
            max_age: self.positive("scan.max_age")?,
            every: self.optional("scan.every", |t| not_zero(bounded(values::duration(t)?)?))?,
            batch: count("scan.batch", bidlock_ledger::store::MAX_BATCH as u64)?,
            concurrency: count("scan.concurrency", MOST_CONCURRENCY)?,
            wait: self.duration("scan.wait")?,
        })
    }

    fn submit(&self) -> Result<SubmitConfig, CliError> {
        let approval =
            self.needed("submit.approval", |t| values::one_of(t, &["never", "always", "by-marketplace"]))?;
        Ok(SubmitConfig {
            target: self.optional("submit.target", |t| t.parse::<Target>().map_err(|e| e.to_string()))?,
            time_limit: self.positive("submit.time_limit")?,
            connect_limit: self.positive("submit.connect_limit")?,
            approval: match approval {
                "never" => ApprovalPolicy::Never,
                "always" => ApprovalPolicy::Always,
                _ => ApprovalPolicy::ByMarketplace,
            },
            approval_valid_for: self.positive("submit.approval_valid_for")?,
            proposal: self.path("submit.proposal"),
        })
    }

    fn caps(&self) -> Result<CapsConfig, CliError> {
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

    fn log(&self) -> Result<LogConfig, CliError> {
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
    fn fit_limits(&self, mut config: Config) -> Result<Config, CliError> {
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

/// What stands in locks and bids: short, printable.
fn holder(text: &str) -> Result<String, String> {
    /// Longer names only fill the ledger.
    const MAX_HOLDER_BYTES: usize = 128;
    if text.trim().is_empty() || text.len() > MAX_HOLDER_BYTES || text.chars().any(char::is_control) {
        return Err(format!("a holder's name has 1 to {MAX_HOLDER_BYTES} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

fn marketplace(text: &str) -> Result<String, String> {
    let checked = bidlock_ledger::PostingId::new(text, "any").map_err(|e| e.to_string())?;
    Ok(checked.marketplace().to_owned())
}

#[cfg(test)]
mod tests;

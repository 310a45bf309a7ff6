//! The configuration: layers merged, every value checked, every value's origin known.
//!
//! | module | what |
//! |---|---|
//! | [`settings`] | the one table of settings |
//! | [`layers`] | flags, variables, files, defaults, merged with their origins |
//! | [`values`] | text into typed values |
//! | [`reader`] | the typed values out of the layers |
//! | [`places`], [`locks`] | which ledger and which locks the settings choose |
//! | [`redis`], [`server_url`] | where Redis is; URLs that hide their password |
//! | [`old_redis`] | where old instances lock, as far as the environment tells |
//! | [`show`] | all settings with values and origins, secrets hidden |

mod layers;
mod locks;
mod old_redis;
mod places;
mod reader;
mod redis;
mod server_url;
pub(crate) mod settings;
mod show;
pub(crate) mod values;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bidlock_market::Target;
use bidlock_pipeline::ApprovalPolicy;

use self::{
    layers::{Layers, Origin, Raw},
    reader::Reader,
};
pub(crate) use self::{
    layers::{Surroundings, read_bounded},
    locks::{LockChoice, LockPlace},
    places::{LedgerPlace, default_ledger},
    server_url::ServerUrl,
    show::Shown,
};
use crate::{args::Override, failure::CliError};

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
    /// Metrics.
    pub(crate) metrics: MetricsConfig,
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
        let Config { lock, scan, submit, caps, withdrawal, metrics, log, warnings, layers: _, around: _ } =
            self;
        f.debug_struct("Config")
            .field("lock", lock)
            .field("scan", scan)
            .field("submit", submit)
            .field("caps", caps)
            .field("withdrawal", withdrawal)
            .field("metrics", metrics)
            .field("log", log)
            .field("warnings", warnings)
            .finish_non_exhaustive()
    }
}

/// `[lock]`, but for the place, which [`Config::lock_choice`] chooses.
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
    /// What stands in for Redis while it is away.
    pub(crate) fallback: SecondLocks,
}

/// What stands in for Redis while it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondLocks {
    /// The database lock beside the ledger.
    Database,
    /// Locks in this process: in development only.
    Memory,
    /// Nothing: a scan waits.
    None,
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
    /// Without rules, bid on whatever can be read.
    pub(crate) bid_on_everything: bool,
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
    /// How long an engine may be away before the scan gives up.
    pub(crate) patience: Duration,
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
    /// So many unknown outcomes in a row stop sending.
    pub(crate) max_unknown_in_a_row: u32,
    /// Whether a person decides first.
    pub(crate) approval: ApprovalPolicy,
    /// How long an approval holds.
    pub(crate) approval_valid_for: Duration,
    /// The proposal template's file.
    pub(crate) proposal: Option<PathBuf>,
    /// Bids may go without a word.
    pub(crate) empty_proposal: bool,
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

/// `[metrics]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetricsConfig {
    /// Where a scan serves them; nowhere unless set.
    pub(crate) listen: Option<SocketAddr>,
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
            metrics: from.metrics()?,
            log: from.log()?,
            // What can't be chosen is told by whoever opens the locks.
            warnings: locks::choose(&layers, &around).map(|choice| choice.warnings).unwrap_or_default(),
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

    /// Where the ledger is.
    ///
    /// # Errors
    /// The setting names no database that bidlock knows.
    pub(crate) fn ledger_place(&self) -> Result<LedgerPlace, CliError> {
        places::ledger(&self.layers, &self.around)
    }

    /// Where the replaced system's database is, if one is named.
    ///
    /// # Errors
    /// The setting names no database that bidlock knows.
    pub(crate) fn legacy_place(&self) -> Result<Option<LedgerPlace>, CliError> {
        places::legacy(&self.layers, &self.around)
    }

    /// What the variables that old instances read say of their Redis, where they say another one than this.
    pub(crate) fn redis_of_old_instances(&self, locks: &ServerUrl) -> Option<String> {
        old_redis::another(&self.around, locks)
    }

    /// Where locks are, and why there.
    ///
    /// # Errors
    /// A setting that has a say can't be understood.
    pub(crate) fn lock_choice(&self) -> Result<LockChoice, CliError> {
        locks::choose(&self.layers, &self.around)
    }

    /// The locks beside the ledger, whatever keeps the locks.
    ///
    /// # Errors
    /// The ledger's setting names no database that bidlock knows.
    pub(crate) fn locks_beside_the_ledger(&self) -> Result<LockChoice, CliError> {
        let by = self.named("ledger.url");
        Ok(LockChoice {
            place: locks::beside(self.ledger_place()?),
            chosen_by: self.named("lock.fallback"),
            place_by: by,
            warnings: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Whether the environment says that this is development: then locks may fall back to what is not shared.
    pub(crate) fn is_development(&self) -> bool {
        let says = |name: &str, word: &str| self.around.variable(name).is_some_and(|text| text == word);
        says("ENV", "development") || says("BIDLOCK_ALLOW_MEMORY_FALLBACK", "1")
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
        let mut shown = show::all(&self.layers, &self.around);
        let limits = [
            ("submit.time_limit", self.submit.time_limit, "half of lock.ttl"),
            ("submit.connect_limit", self.submit.connect_limit, "no more than submit.time_limit"),
        ];
        for (key, effective, because) in limits {
            for setting in shown.iter_mut().filter(|setting| setting.key == key) {
                // What was fitted to another setting (`Reader::fit_limits`) is shown as it counts.
                if setting.value.as_deref().map(values::duration) != Some(Ok(effective)) {
                    setting.value = Some(values::show_duration(effective));
                    setting.origin = format!("{}; {because}", setting.origin);
                }
            }
        }
        shown
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

#[cfg(test)]
mod compose_tests;
#[cfg(test)]
mod tests;

//! [`Config`]: the layers merged, every value checked, every value's origin known.

use std::path::{Path, PathBuf};

use bidlock_market::Target;

use crate::{
    CapsConfig, ConfigError, ConfigFile, Engines, LedgerPlace, LockChoice, LockConfig, LogConfig,
    MetricsConfig, Override, ScanConfig, ServerUrl, Shown, SubmitConfig, Surroundings, WithdrawalConfig,
    layers::{Layers, read_bounded},
    locks, old_redis, places,
    reader::Sources,
    show,
};

/// A larger proposal template is a mistake.
const MAX_PROPOSAL_BYTES: u64 = 256 << 10;

/// Every setting, typed and checked. `Debug` shows no secret.
#[derive(Clone)]
pub struct Config {
    /// Locks and claims.
    pub lock: LockConfig,
    /// Reading feeds.
    pub scan: ScanConfig,
    /// Sending bids.
    pub submit: SubmitConfig,
    /// Limits.
    pub caps: CapsConfig,
    /// Withdrawals.
    pub withdrawal: WithdrawalConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Logs.
    pub log: LogConfig,
    /// What to tell the user although nothing is wrong.
    pub warnings: Vec<String>,
    sources: Sources,
}

/// Without the sources: they hold secrets.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Config { lock, scan, submit, caps, withdrawal, metrics, log, warnings, sources: _ } = self;
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

impl Config {
    /// Finds and reads the configuration file ([`ConfigFile::find`]), then everything else ([`Config::read`]).
    ///
    /// # Errors
    /// As both of them.
    pub fn load(
        around: Surroundings,
        file: Option<&Path>,
        given: &[Override],
        engines: Engines,
    ) -> Result<Config, ConfigError> {
        let file = ConfigFile::find(&around, file)?;
        Config::read(around, file.as_ref(), given, engines)
    }

    /// Merges and checks everything but the places of ledger and locks: what needs neither must not fail by them. Of the
    /// disk, it reads the files that `*_FILE` variables name.
    ///
    /// # Errors
    /// The file can't be parsed, a key or a `BIDLOCK_*` variable is unknown, a `*_FILE` can't be read, or a value can't be
    /// used: the error names it and where it was set.
    pub fn read(
        around: Surroundings,
        file: Option<&ConfigFile>,
        given: &[Override],
        engines: Engines,
    ) -> Result<Config, ConfigError> {
        let from = Sources { layers: Layers::read(&around, file, given)?, around, engines };
        let config = Config {
            lock: from.lock()?,
            scan: from.scan()?,
            submit: from.submit()?,
            caps: from.caps()?,
            withdrawal: from.withdrawal()?,
            metrics: from.metrics()?,
            log: from.log()?,
            // What can't be chosen is told by whoever opens the locks.
            warnings: locks::choose(&from).map(|choice| choice.warnings).unwrap_or_default(),
            sources: from,
        };
        config.fit_limits()
    }

    /// The configuration file that was read.
    pub fn file(&self) -> Option<&Path> {
        self.sources.layers.file.as_deref()
    }

    /// Where a setting's value comes from, for messages: `lock.ttl (REDIS_LOCK_TTL)`.
    pub fn named(&self, key: &str) -> String {
        self.sources.named(key)
    }

    /// Where the ledger is.
    ///
    /// # Errors
    /// The setting names no database that bidlock knows; or none does, and this user has no home.
    pub fn ledger_place(&self) -> Result<LedgerPlace, ConfigError> {
        places::ledger(&self.sources)
    }

    /// The ledger where nothing names another: a file of this user on this host.
    ///
    /// # Errors
    /// The user has no home.
    pub fn default_ledger(&self) -> Result<PathBuf, ConfigError> {
        places::default_ledger(&self.sources)
    }

    /// The folder where it is kept which ledgers this user has sent from on this host; `None` for a user without a home.
    pub fn ledgers_sent_from(&self) -> Option<PathBuf> {
        self.default_ledger().ok().map(|ledger| ledger.with_file_name("sent-from"))
    }

    /// Where the replaced system's database is, if one is named.
    ///
    /// # Errors
    /// The setting names no database that bidlock knows.
    pub fn legacy_place(&self) -> Result<Option<LedgerPlace>, ConfigError> {
        places::legacy(&self.sources)
    }

    /// What the variables that old instances read say of their Redis, where they say another one than this.
    pub fn redis_of_old_instances(&self, locks: &ServerUrl) -> Option<String> {
        old_redis::another(&self.sources, locks)
    }

    /// Where locks are, and why there.
    ///
    /// # Errors
    /// A setting that has a say can't be understood.
    pub fn lock_choice(&self) -> Result<LockChoice, ConfigError> {
        locks::choose(&self.sources)
    }

    /// The locks beside the ledger, whatever keeps the locks.
    ///
    /// # Errors
    /// The ledger's setting names no database that bidlock knows.
    pub fn locks_beside_the_ledger(&self) -> Result<LockChoice, ConfigError> {
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
    pub fn is_development(&self) -> bool {
        let says =
            |name: &str, word: &str| self.sources.around.variable(name).is_some_and(|text| text == word);
        says("ENV", "development") || says("BIDLOCK_ALLOW_MEMORY_FALLBACK", "1")
    }

    /// Where bids go; nowhere, if nobody said it.
    pub fn target(&self) -> Target {
        self.submit.target.clone().unwrap_or(Target::DryRun)
    }

    /// The bearer token for the marketplace.
    ///
    /// # Errors
    /// Both forms are set, the file can't be read, or it holds no token.
    pub fn token(&self) -> Result<Option<bidlock_market::Token>, ConfigError> {
        let wrong = |key: &str, why: String| {
            ConfigError::new(format!("{}: {why}", self.named(key)))
                .hint("the file holds the token alone, on one line, and should be readable by you only")
        };
        match (self.sources.layers.get("submit.token"), self.sources.path("submit.token_file")?) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(ConfigError::new(format!(
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
    pub fn proposal(&self) -> Result<Option<String>, ConfigError> {
        let Some(path) = &self.submit.proposal else { return Ok(None) };
        let text = read_bounded(path, MAX_PROPOSAL_BYTES).map_err(|e| {
            ConfigError::new(format!(
                "{}: cannot read {}: {e}",
                self.named("submit.proposal"),
                path.display()
            ))
            .hint("check the path, or unset submit.proposal to send an empty proposal")
        })?;
        Ok(Some(text))
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// All settings for a person, secrets hidden. What is shown in full reads back: a file that holds these texts gives the
    /// same settings.
    pub fn shown(&self) -> Vec<Shown> {
        show::all(&self.sources, self)
    }
}

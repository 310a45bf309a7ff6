//! The settings of bidlock: flags, variables, known names, one file and defaults, merged in one order; every value checked,
//! every value's origin known.
//!
//! Text goes in, typed settings come out, or a [`ConfigError`] that names the setting and where it was set. Nothing is
//! opened: neither ledger nor locks nor marketplace. Whoever opens them tells how its engines read a URL ([`Engines`]), so that
//! one that no engine would take is refused with the setting's name, before anything else happens.
//!
//! ```
//! use bidlock_config::{Config, ConfigError, ConfigFile, Engines, LedgerPlace, Override, Surroundings};
//!
//! // Whoever opens stores passes what its clients say of a URL.
//! let none: bidlock_config::UrlCheck = |_| Err(ConfigError::new("there is no such engine here"));
//! let engines = Engines { redis: none, postgres: none };
//!
//! let mut around = Surroundings::default();
//! around.variables.insert("REDIS_LOCK_TTL".into(), "50".into());
//! let file = ConfigFile::new("/etc/bidlock.toml", "[lock]\nttl = \"40s\"\n[ledger]\nurl = \"bids.db\"\n");
//! let config = Config::read(around.clone(), Some(&file), &[], engines)?;
//! assert_eq!(config.lock.ttl.as_secs(), 50, "the environment comes before the file");
//! assert_eq!(config.named("lock.ttl"), "lock.ttl (REDIS_LOCK_TTL)");
//! assert_eq!(config.ledger_place()?, LedgerPlace::Sqlite("/etc/bids.db".into()), "beside the file");
//!
//! let wrong = Override::new("lock.ttl", "soon", "--ttl");
//! let error = Config::read(around, Some(&file), &[wrong], engines).unwrap_err();
//! assert!(error.message.starts_with("lock.ttl (--ttl): `soon` is not a duration"));
//! # Ok::<(), ConfigError>(())
//! ```
//!
//! # Layout
//!
//! | where | what |
//! |---|---|
//! | `settings.rs` | the one table of settings |
//! | `layers.rs`, `origin.rs` | overrides, variables, files, defaults, merged with their origins |
//! | `values.rs` | text into typed values |
//! | `reader.rs`, `typed.rs` | the typed values out of the layers |
//! | `config.rs` | [`Config`]: all of it |
//! | `places.rs`, `locks.rs` | which ledger and which locks the settings choose |
//! | `redis.rs`, `server_url.rs`, `engines.rs` | where Redis is; URLs that hide their password; what engines say of them |
//! | `hiding.rs` | what of a text may be shown |
//! | `old_redis.rs` | where old instances lock, as far as the environment tells |
//! | `show.rs`, `reference.rs` | all settings with values and origins; the file that explains them |
//!
//! # Features
//!
//! `canary`: the variable of test builds may stand in the environment.

mod config;
mod engines;
mod error;
mod hiding;
mod layers;
mod locks;
mod old_redis;
mod origin;
mod places;
mod reader;
mod redis;
mod reference;
mod server_url;
mod settings;
mod show;
mod typed;
mod values;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use engines::{Engines, UrlCheck};
pub use error::ConfigError;
pub use hiding::without_password;
pub use layers::{ConfigFile, Override, Surroundings, read_bounded};
pub use locks::{LockChoice, LockPlace};
pub use origin::Origin;
pub use places::LedgerPlace;
pub use reader::MAX_RETRIES;
pub use reference::{REFERENCE, commented_reference};
pub use server_url::ServerUrl;
pub use settings::{SETTINGS, Setting, is_known_variable, is_setting};
pub use show::Shown;
pub use typed::{
    Approval, CapsConfig, LockConfig, LogConfig, MetricsConfig, ScanConfig, SecondLocks, SubmitConfig,
    WithdrawalConfig,
};
pub use values::{LEVELS, duration, show_duration};

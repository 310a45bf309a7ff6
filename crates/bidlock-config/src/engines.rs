//! What the engines themselves say of a server's URL: the one thing about settings that this crate can't know alone.

use crate::ConfigError;

/// Looks at a URL as the engine's client will, and answers where it leads, without user and password:
/// `redis://host:6379/0`. It opens no connection. Its error repeats nothing of the URL that may be a password, and does not
/// name the setting: whoever asks adds the name.
pub type UrlCheck = fn(&str) -> Result<String, ConfigError>;

/// The clients of the engines, as far as settings need them. Whoever opens stores has them; this crate depends on none.
#[derive(Clone, Copy, Debug)]
pub struct Engines {
    /// `redis://`, `rediss://`, `redis+unix://`, `valkey://`.
    pub redis: UrlCheck,
    /// `postgres://`, `postgresql://`, also with SQLAlchemy's driver behind a plus.
    pub postgres: UrlCheck,
}

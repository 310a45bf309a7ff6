//! What the engines' own clients say of a URL: the settings are checked by it.

use bidlock::backends::redis::RedisOptions;
use bidlock_config::{ConfigError, Engines};

/// The engines of this binary.
pub(crate) const ENGINES: Engines = Engines {
    redis: |url| {
        let options = RedisOptions::from_url(url);
        options.map(|options| options.place()).map_err(|error| refused(error.message(), error.hint()))
    },
    postgres: |url| {
        let target = bidlock_postgres::Target::parse(url);
        target
            .map(|target| target.place().to_string())
            .map_err(|error| refused(error.message(), error.hint()))
    },
};

fn refused(message: &str, hint: Option<&str>) -> ConfigError {
    ConfigError { message: message.to_owned(), hint: hint.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use bidlock::layers::retry;

    /// The settings know neither the locks nor the logs, and must not promise what these refuse.
    #[test]
    fn what_settings_take_is_what_locks_and_logs_take() {
        assert_eq!(bidlock_config::MAX_RETRIES, retry::MAX_RETRIES);
        for level in bidlock_config::LEVELS.into_iter().chain(["5"]) {
            assert!(level.parse::<tracing_subscriber::filter::LevelFilter>().is_ok(), "{level}");
        }
    }
}

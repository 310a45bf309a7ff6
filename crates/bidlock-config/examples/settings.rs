//! Reads the settings of this process, and says what they choose and who said so.
//!
//!     DATABASE_URL=bids.db REDIS_LOCK_TTL=60 cargo run -p bidlock-config --example settings

use bidlock_config::{Config, ConfigError, Engines, Surroundings};

/// Whoever opens stores passes its clients' own checks. Here a scheme is enough.
const ENGINES: Engines = Engines { redis: any, postgres: any };

#[allow(clippy::unnecessary_wraps, reason = "a client's check can fail")]
fn any(_url: &str) -> Result<String, ConfigError> {
    Ok("a server".to_owned())
}

#[allow(clippy::print_stdout, reason = "an example talks")]
fn main() -> Result<(), ConfigError> {
    let config = Config::load(Surroundings::of_this_process(), None, &[], ENGINES)?;
    println!("ledger: {} by {}", config.ledger_place()?, config.named("ledger.url"));
    let locks = config.lock_choice()?;
    println!("locks: {} by {}", locks.place, locks.chosen_by);
    println!("a claim lasts {:?} by {}", config.lock.ttl, config.named("lock.ttl"));
    Ok(())
}

//! The locks: do they answer, can one be taken and given back.

use bidlock::{Attempt, LockKey, Released};

use super::Check;
use crate::{app::App, config::LockPlace, failure::CliError};

/// Takes and gives back a lock that nobody else uses.
pub(super) async fn locks(app: &App) -> Check {
    const NAME: &str = "locks";
    let place = match app.config().and_then(|c| c.lock_choice()).map(|choice| choice.place) {
        Ok(place) => place,
        // The configuration's own row says so.
        Err(_) => return Check::skipped(NAME, "the configuration chooses none"),
    };
    match &place {
        LockPlace::Sqlite(path) if !path.try_exists().unwrap_or(true) => {
            return Check::skipped(
                NAME,
                format!("no locks yet at {}; they are made at first use", path.display()),
            );
        }
        LockPlace::GrantAll => {
            return Check::unhealthy(
                NAME,
                "they grant everything to everybody",
                "for tests only: unset lock.url",
            );
        }
        LockPlace::Memory => {
            return Check::warning(
                NAME,
                "in memory: they hold within one process alone",
                "unset lock.manager_type and lock.url to keep them beside the ledger",
            );
        }
        LockPlace::Sqlite(_) | LockPlace::Redis(_) | LockPlace::Postgres(_) => {}
    }
    match probe(app).await {
        Ok(check) => check,
        Err(error) => Check::failed(NAME, error),
    }
}

async fn probe(app: &App) -> Result<Check, CliError> {
    const NAME: &str = "locks";
    let locks = app.locks().await?;
    let health = locks.check().await?;
    let random = uuid::Uuid::new_v4().simple().to_string();
    let key = LockKey::named("bidlock", &format!("doctor-{random}")).map_err(|e| {
        CliError::unavailable(e.to_string()).hint("this is a fault of bidlock; please report it")
    })?;
    let released = match locks.try_lock(&key).await? {
        Attempt::Acquired(lease) => lease.release().await?,
        Attempt::Held(_) => Released::Stolen,
    };
    locks.shutdown().await?;
    if released != Released::Released {
        return Ok(Check::unhealthy(
            NAME,
            format!("a lock that was just taken was {released:?} when given back"),
            "stop the scanners and look who else writes to the file",
        ));
    }
    let found = format!("{} at {}; a lock was taken and given back", health.backend, health.place);
    if health.warnings.is_empty() {
        return Ok(Check::ok(NAME, found));
    }
    Ok(Check::warning(NAME, format!("{found}; {}", health.warnings.join("; ")), "see the warning"))
}

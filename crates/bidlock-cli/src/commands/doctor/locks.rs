//! The locks: does their engine answer, how is it, can a lock be taken and given back, which ledger do they serve.

use std::sync::Arc;

use bidlock::{
    Attempt, Health, LockBackend, LockKey, Released, Shared,
    backends::redis::{RedisBackend, RedisOptions},
};
use bidlock_config::{LedgerPlace, LockChoice, LockPlace};

use super::Check;
use crate::{
    app::{Access, App},
    commands::migrate,
    failure::CliError,
};

/// The rows' names, also where a check fails.
const NAME: &str = "locks";
const ENGINE: &str = "lock engine";
const BOUND: &str = "ledger of the locks";
const FALLBACK: &str = "lock fall-back";

/// All rows about the locks.
pub(super) async fn locks(app: &App) -> Vec<Check> {
    let choice = match app.config().and_then(|c| Ok(c.lock_choice()?)) {
        Ok(choice) => choice,
        Err(error) => return vec![Check::failed(NAME, error)],
    };
    let mut checks: Vec<Check> = choice
        .notes
        .iter()
        .map(|note| Check::warning("lock settings", note, "unset what is not meant for bidlock"))
        .collect();
    match &choice.place {
        LockPlace::Sqlite(path) if !path.try_exists().unwrap_or(true) => checks.push(Check::skipped(
            NAME,
            format!("no locks yet at {}; they are made at first use", path.display()),
        )),
        LockPlace::GrantAll => checks.push(Check::unhealthy(
            NAME,
            "they grant everything to everybody",
            "for tests only: unset lock.url",
        )),
        LockPlace::Memory => checks.push(Check::warning(
            NAME,
            "in memory: they hold within one process alone",
            "unset lock.manager_type and lock.url to keep them beside the ledger",
        )),
        LockPlace::Sqlite(_) | LockPlace::Redis(_) | LockPlace::Postgres(_) => {
            checks.extend(engine(app, &choice).await);
            checks.extend(standing_in(app, &choice).await);
        }
    }
    checks
}

/// What locks fall back to while their engine is away.
async fn standing_in(app: &App, choice: &LockChoice) -> Option<Check> {
    let second = match crate::fallback::second(app.config().ok()?, choice).await {
        Ok(Some(second)) => second.check().await.map_err(CliError::from),
        Ok(None) => return None,
        Err(error) => Err(error),
    };
    Some(match second {
        Ok(health) => Check::ok(
            FALLBACK,
            format!("{} at {} keeps locks while redis is away", health.backend, health.place),
        ),
        Err(error) => Check::failed(FALLBACK, error),
    })
}

/// An engine that outlives this process.
async fn engine(app: &App, choice: &LockChoice) -> Vec<Check> {
    let named = |error: CliError| Check::failed(NAME, error.because_of(&choice.place_by));
    // The engine itself, not what stands in for it. Redis is opened without a word: its warnings have rows here.
    let mut redis = None;
    let opened = match &choice.place {
        LockPlace::Redis(url) => RedisOptions::from_url(url.with_password())
            .map(|options| {
                Arc::clone(redis.insert(Arc::new(RedisBackend::lazy(options)))) as Arc<dyn LockBackend>
            })
            .map_err(|error| CliError::from(error).because_of(&choice.place_by)),
        _ => crate::stores::open_lock_backend(choice).await,
    };
    let backend = match opened {
        Ok(backend) => backend,
        Err(error) => return vec![Check::failed(NAME, error)],
    };
    let mut checks = match backend.check().await {
        Ok(health) => told(choice, &health),
        Err(error) if redis.is_some() => return vec![named(error.into())],
        Err(error) => vec![Check::failed(ENGINE, CliError::from(error).because_of(&choice.place_by))],
    };
    checks.push(probe(app, Arc::clone(&backend)).await.unwrap_or_else(named));
    let ledger = app.config().and_then(|c| Ok(c.ledger_place()?));
    if let (Shared::Fleet, Ok(LedgerPlace::Sqlite(path))) = (backend.capability().shared, ledger) {
        checks.push(Check::warning(
            "locks and ledger",
            format!("locks are shared between hosts, the ledger is a file of this one: {}", path.display()),
            "for scanners on several hosts set DATABASE_URL=postgres://…",
        ));
    }
    if let Some(redis) = redis {
        checks.push(bound(app, &redis).await.unwrap_or_else(|error| Check::failed(BOUND, error)));
    }
    checks
}

/// What the engine says of itself: one row, and one for each warning.
fn told(choice: &LockChoice, health: &Health) -> Vec<Check> {
    let mut found = format!(
        "{} at {}, by {}: answers in {:.1?}",
        health.backend, health.place, choice.place_by, health.took
    );
    if let LockPlace::Redis(url) = &choice.place {
        let encrypted = url.with_password().starts_with("rediss");
        found.push_str(if encrypted { ", encrypted yes" } else { ", encrypted no" });
    }
    for (name, value) in &health.facts {
        found.push_str(&format!(", {name} {value}"));
    }
    let mut checks = vec![Check::ok(ENGINE, found)];
    for warning in &health.warnings {
        // The way out stands behind the last colon or semicolon, where the engine names one.
        let (what, way_out) = warning.rsplit_once(": ").unwrap_or((warning, "see docs/backends"));
        checks.push(Check::warning(ENGINE, what, way_out));
    }
    checks
}

/// Takes and gives back a lock that nobody else uses: the rights to do so are tried as well.
async fn probe(app: &App, backend: Arc<dyn LockBackend>) -> Result<Check, CliError> {
    let locks = crate::stores::lock_manager(backend, app.config()?, &app.holder()?)?;
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
            "stop the scanners and look who else writes there",
        ));
    }
    Ok(Check::ok(NAME, "a lock was taken and given back"))
}

/// Whether the scanners of these locks use this ledger. Only looks: doctor binds nothing.
async fn bound(app: &App, redis: &RedisBackend) -> Result<Check, CliError> {
    let Some(known) = redis.bound_ledger().await? else {
        return Ok(Check::ok(BOUND, "none yet: the first scan that sends says which"));
    };
    let is_none_yet = async {
        let place = app.config()?.ledger_place()?;
        Ok::<_, CliError>(migrate::schema(app, &place).await?.found.is_none())
    };
    let own = match app.ledger(Access::Existing).await {
        Ok(ledger) => ledger.ledger_id().to_string(),
        // A scan that sends looks before it makes one, and is refused.
        Err(_) if is_none_yet.await.unwrap_or(false) => "none yet".to_owned(),
        Err(_) => return Ok(Check::skipped(BOUND, format!("{known}; this ledger can't be compared"))),
    };
    if known == own {
        return Ok(Check::ok(BOUND, format!("{known}, which is ours")));
    }
    Ok(Check::unhealthy(
        BOUND,
        format!("the locks serve the scanners of ledger {known}; ours is {own}: scans that send are refused"),
        "give all scanners the same ledger, or these locks of their own (another REDIS_DB); if the other one is out \
         of use for good: `bidlock scan --rebind-ledger`",
    ))
}

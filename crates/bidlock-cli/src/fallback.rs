//! What stands in for Redis while it is away: the database lock beside the ledger that the scanners share.

use std::{sync::Arc, time::Duration};

use bidlock::{
    LockBackend, Shared,
    layers::{
        fallback::{Fallback, FallbackStatus, Using},
        retry::Retry,
    },
};
use bidlock_metrics::FALLBACK_ACTIVE;

use crate::{
    config::{Config, LedgerPlace, LockChoice, LockPlace, SecondLocks},
    failure::CliError,
    stores,
};

/// The locks that the settings choose, each engine asked again as often as `lock.retry_count` says; and what they
/// fall back to, where they do.
///
/// # Errors
/// The engine can't be opened. One that merely does not answer is no error where another stands in for it.
pub(crate) async fn open(
    config: &Config,
    choice: &LockChoice,
) -> Result<(Arc<dyn LockBackend>, Option<Fallback>), CliError> {
    let again = |engine| Arc::new(Retry::new(engine, config.lock.retry_count));
    let LockPlace::Redis(url) = &choice.place else {
        return Ok((again(stores::open_lock_backend(choice).await?), None));
    };
    let Some((second, ledger)) = secondary(config).await? else {
        return Ok((again(stores::open_lock_backend(choice).await?), None));
    };
    let because = |error| CliError::from(error).because_of(&choice.place_by);
    let first = again(stores::redis_when_needed(url).map_err(because)?);
    let fallback = Fallback::builder(first, again(second))
        .ledger_shared_by(ledger)
        .allow_unshared(config.is_development())
        .on_change(|change| {
            FALLBACK_ACTIVE.gauge(&[]).set(f64::from(u8::from(change.to == Using::Secondary)))
        })
        .build()
        .map_err(|error| CliError::from(error).because_of(&config.named("lock.fallback")))?;
    fallback.start().await.map_err(because)?;
    Ok((Arc::new(fallback.clone()), Some(fallback)))
}

/// What stands in for the engine that the settings choose, if anything does.
///
/// # Errors
/// The settings can't be understood.
pub(crate) async fn second(
    config: &Config,
    choice: &LockChoice,
) -> Result<Option<Arc<dyn LockBackend>>, CliError> {
    match choice.place {
        LockPlace::Redis(_) => Ok(secondary(config).await?.map(|(second, _)| second)),
        _ => Ok(None),
    }
}

/// What stands in, and between whom the ledger is shared: all of them must share it too.
async fn secondary(config: &Config) -> Result<Option<(Arc<dyn LockBackend>, Shared)>, CliError> {
    // Old instances lock in Redis alone: what stood in for it would not keep them away.
    if config.legacy_place()?.is_some() {
        return Ok(None);
    }
    let ledger = config.ledger_place()?;
    let shared = match ledger {
        LedgerPlace::Sqlite(_) => Shared::Host,
        LedgerPlace::Postgres(_) => Shared::Fleet,
    };
    let second = match config.lock.fallback {
        SecondLocks::None => return Ok(None),
        SecondLocks::Memory => stores::in_memory().await,
        SecondLocks::Database => {
            // A command that needs no ledger makes none, and has nothing to fall back to.
            if let LedgerPlace::Sqlite(path) = &ledger
                && !path.exists()
            {
                return Ok(None);
            }
            stores::open_lock_backend(&config.locks_beside_the_ledger()?).await
        }
    };
    match second {
        Ok(second) => Ok(Some((second, shared))),
        Err(error) => {
            tracing::warn!(%error, "there is nothing to fall back to if Redis goes away");
            Ok(None)
        }
    }
}

/// For the end of a pass: how often another engine stood in since the last one, and for how long.
#[derive(Debug, Default)]
pub(crate) struct FallbackReport {
    last: Option<FallbackStatus>,
}

/// What is said of one pass.
#[derive(Clone, Debug)]
pub(crate) struct FallbackUse {
    /// At the end, another engine stands in.
    pub(crate) active: bool,
    /// It began to so often.
    pub(crate) times: u64,
    /// For so long.
    pub(crate) lasted: Duration,
    /// Which, and for which.
    pub(crate) engines: (&'static str, &'static str),
}

impl FallbackReport {
    /// What has happened since the last call.
    pub(crate) fn since(&mut self, now: FallbackStatus) -> FallbackUse {
        let (times, total) = self.last.as_ref().map_or((0, Duration::ZERO), |last| (last.times, last.total));
        let used = FallbackUse {
            active: now.active,
            times: now.times - times,
            lasted: now.total.saturating_sub(total),
            engines: (now.secondary, now.primary),
        };
        self.last = Some(now);
        used
    }
}

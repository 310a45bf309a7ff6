//! What stands in for Redis while it is away: the database lock beside the ledger that the scanners share.

use std::{sync::Arc, time::Duration};

use bidlock::{
    LockBackend, Moment, Shared,
    layers::{
        fallback::{Fallback, FallbackStatus, Using},
        retry::Retry,
    },
};
use bidlock_config::{Config, LedgerPlace, LockChoice, LockPlace, SecondLocks};
use bidlock_metrics::FALLBACK_ACTIVE;

use crate::{failure::CliError, stores};

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

/// How often a fall-back that lasts is said again.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// For the end of a pass: how often another engine stood in, and for how long.
#[derive(Debug, Default)]
pub(crate) struct FallbackReport {
    last: Option<FallbackStatus>,
    /// When people read of one that lasts.
    said: Option<Moment>,
    /// How much of the time in the other engine people have read of as over.
    over: Duration,
}

/// What is said of one pass, in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FallbackUse {
    /// At the end, another engine stands in.
    pub(crate) active: bool,
    /// It began to so often.
    pub(crate) times: u64,
    /// For so long.
    pub(crate) lasted: Duration,
}

impl FallbackReport {
    /// What has happened since the last call.
    pub(crate) fn since(&mut self, now: FallbackStatus) -> FallbackUse {
        let (times, total) = self.last.as_ref().map_or((0, Duration::ZERO), |last| (last.times, last.total));
        let used = FallbackUse {
            active: now.active,
            times: now.times - times,
            lasted: now.total.saturating_sub(total),
        };
        self.last = Some(now);
        used
    }

    /// A line for people: once while another engine stands in, again each minute that it lasts, and once when the first
    /// one is back, each with the whole time.
    pub(crate) fn news(&mut self, status: &FallbackStatus, now: Moment) -> Option<String> {
        let lasted = status.total.saturating_sub(self.over);
        let (first, second) = (status.primary, status.secondary);
        if status.active {
            if self.said.is_some_and(|said| now.since(said) < SAY_AGAIN_AFTER) {
                return None;
            }
            self.said = Some(now);
            return Some(format!(
                "{second} has kept the locks for {lasted:.1?} in place of {first}, which is away still; `bidlock \
                 doctor` says why"
            ));
        }
        if lasted.is_zero() {
            return None;
        }
        (self.said, self.over) = (None, status.total);
        Some(format!("{second} kept the locks for {lasted:.1?} in place of {first}, which is back"))
    }
}

#[cfg(test)]
mod tests {
    use bidlock::{Clock, SystemClock};

    use super::*;

    #[test]
    fn people_read_of_a_fall_back_once_then_each_minute_then_of_its_end_with_the_whole_time() {
        let start = SystemClock.now();
        let mut report = FallbackReport::default();
        let mut at = |second: u64, active: bool, total: u64| {
            let total = Duration::from_secs(total);
            let (primary, secondary) = ("redis", "postgres");
            let status = FallbackStatus { active, primary, secondary, times: 1, total, reason: None };
            report.news(&status, start.later(Duration::from_secs(second)))
        };
        assert_eq!(at(0, false, 0), None);
        assert!(at(2, true, 1).unwrap().contains("for 1.0s in place of redis, which is away still"));
        assert_eq!((at(4, true, 3), at(61, true, 60)), (None, None));
        assert!(at(62, true, 61).unwrap().contains("for 61.0s"));
        assert!(
            at(70, false, 65)
                .unwrap()
                .contains("postgres kept the locks for 65.0s in place of redis, which is back")
        );
        assert_eq!(at(72, false, 65), None);
        assert!(at(80, true, 67).unwrap().contains("for 2.0s"), "the next one counts anew");
    }
}

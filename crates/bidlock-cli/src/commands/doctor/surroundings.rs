//! The configuration, the clocks, the marketplace.

use bidlock_ledger::PostingId;
use bidlock_market::{LookUpError, Target, place_of};
use bidlock_sqlite::SystemHostClock;
use jiff::Timestamp;

use super::Check;
use crate::app::App;

/// A wall clock before this (2026-01-01) has not been set since the host started.
const LEAST_SANE_S: i64 = 1_767_225_600;
/// A wall clock after this (2100-01-01) is wrong too.
const MOST_SANE_S: i64 = 4_102_444_800;

/// Every value, and the files that values name.
pub(super) fn configuration(app: &App) -> Check {
    const NAME: &str = "configuration";
    let config = match crate::commands::config::verify(app).and_then(|()| app.config()) {
        Ok(config) => config,
        Err(error) => return Check::failed(NAME, error),
    };
    if !config.warnings.is_empty() {
        return Check::warning(NAME, config.warnings.join("; "), "unset one of the two");
    }
    Check::ok(NAME, config.file().map_or("no file; defaults".to_owned(), |f| f.display().to_string()))
}

/// Locks and claims count on the boot-time clock and the boot id; the wall clock is for people.
pub(super) fn clock() -> Check {
    const NAME: &str = "clock";
    if !SystemHostClock::is_reliable() {
        return Check::unhealthy(
            NAME,
            "the kernel's boot id cannot be read, so deadlines cannot be shared between processes",
            "let this process read /proc/sys/kernel/random/boot_id",
        );
    }
    let now: Timestamp = App::now();
    if !(LEAST_SANE_S..MOST_SANE_S).contains(&now.as_second()) {
        return Check::warning(NAME, format!("the wall clock says {now}"), "set the clock, or start NTP");
    }
    let now = now.round(jiff::Unit::Second).unwrap_or(now);
    Check::ok(NAME, format!("boot id and boot-time clock readable; wall clock {now}"))
}

/// A look-up of a posting that nobody has: it reaches the marketplace and changes nothing.
pub(super) async fn marketplace(app: &App) -> Check {
    const NAME: &str = "marketplace";
    let target = match app.config().map(|c| c.submit.target.clone()) {
        Ok(Some(target)) if target != Target::DryRun => target,
        _ => return Check::skipped(NAME, "submit.target is not set: dry runs only"),
    };
    let marketplace = match app.marketplace(&target) {
        Ok(marketplace) => marketplace,
        Err(error) => return Check::failed(NAME, error),
    };
    let place = place_of(marketplace.via()).to_owned();
    let probe = match PostingId::new("bidlock", "doctor") {
        Ok(probe) => probe,
        Err(error) => {
            return Check::unhealthy(NAME, error.to_string(), "this is a fault of bidlock; please report it");
        }
    };
    match marketplace.look_up(&probe).await {
        Ok(_) => Check::ok(NAME, format!("{place} answers look-ups")),
        Err(LookUpError::Unsupported { .. }) => Check::warning(
            NAME,
            format!("{place} has no look-up"),
            "what is unknown there must be settled by hand: `bidlock bid resolve`",
        ),
        Err(LookUpError::TryLater { .. }) => {
            Check::warning(NAME, format!("{place} asks to try later"), "try `bidlock doctor` again later")
        }
        Err(error @ LookUpError::Status { status: 401 | 403, .. }) => {
            Check::unhealthy(NAME, error.to_string(), "check the account and submit.token_file")
        }
        Err(error @ (LookUpError::Unreachable { .. } | LookUpError::Unanswered { .. })) => {
            Check::unhealthy(NAME, error.to_string(), "check the URL in submit.target, and the network")
        }
        Err(error) => Check::unhealthy(
            NAME,
            error.to_string(),
            "check that submit.target is the base of a marketplace's API; without look-ups nothing unknown can be settled",
        ),
    }
}

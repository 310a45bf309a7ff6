//! Waiting for a lock that another holds.

use std::sync::Arc;
use std::time::Duration;

use super::inner::Inner;
use super::local_queue::{MAX_WAITING, Place};
use super::{Acquire, Attempt};
use crate::backend::{Grant, Held, Renewed, Turn, Waiter, WakeUp};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::lease::Lease;

/// The first pause between two looks at a lock whose release wakes nobody.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The same where a release wakes everybody: only what was lost on the way is found by looking.
const WOKEN_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: also where releases wake waiters, a wake-up can be lost with the process that should send it.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// By how much a pause grows, as numerator and denominator.
const GROWTH: (u32, u32) = (3, 2);
/// How long after the time limit an answer that is under way may still come: it may be a grant.
const GRACE: Duration = Duration::from_millis(200);

/// How long to wait for a lock that another holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(Duration);

impl Wait {
    /// Not at all.
    pub fn none() -> Wait {
        Wait(Duration::ZERO)
    }

    /// Up to this long.
    pub fn up_to(limit: Duration) -> Wait {
        Wait(limit)
    }

    /// Whether this is no wait.
    pub fn is_none(self) -> bool {
        self.0.is_zero()
    }

    /// The time limit.
    pub fn limit(self) -> Duration {
        self.0
    }
}

/// Waits until the lock is ours or the limit has passed.
pub(super) async fn wait_for(inner: &Arc<Inner>, key: &LockKey, wait: Wait) -> Result<Attempt> {
    let until = inner.clock.now().later(wait.limit());
    let Some(place) = inner.queues.join(key) else {
        let message = format!("{MAX_WAITING} tasks wait for locks already");
        return Err(Error::new(ErrorKind::Busy, inner.name, "lock", message)
            .with_hint("wait in fewer tasks, or use try_lock"));
    };
    let _turn = tokio::select! {
        biased;
        turn = place.turn() => turn,
        () = inner.clock.sleep_until(until) => return given_up(inner, &place, wait),
    };
    tokio::select! {
        biased;
        attempt = poll(inner, key, &place, until) => attempt,
        // Dropping the poll gives back, in the background, what its unanswered request may have taken.
        () = inner.clock.sleep_until(until.later(GRACE)) => given_up(inner, &place, wait),
    }
}

/// What to answer when the limit has passed without an answer of our own.
fn given_up(inner: &Inner, place: &Place<'_>, wait: Wait) -> Result<Attempt> {
    match place.last_seen() {
        Some(held) => Ok(Attempt::Held(held)),
        None => {
            let message = format!("the store did not answer within {:?}", wait.limit());
            Err(Error::new(ErrorKind::Unavailable, inner.name, "lock", message).maybe_applied())
        }
    }
}

/// As first of the local queue: asks, waits for a wake-up or for a pause to end, and asks again.
async fn poll(inner: &Arc<Inner>, key: &LockKey, place: &Place<'_>, until: Moment) -> Result<Attempt> {
    let mut request = inner.request(key);
    // Whoever hands the lock over does so after the last look.
    let mut looked = inner.clock.now();
    let mut waiter = queue_at_once(inner, &request).await?;
    let mut held = waiter.as_ref().and_then(Waiter::held);
    if let Some(held) = &held {
        place.saw(held);
    }
    let mut pause = if waiter.is_some() { WOKEN_PAUSE } else { FIRST_PAUSE };
    let mut look = waiter.is_none();
    loop {
        if look {
            looked = inner.clock.now();
            let seen = match inner.ask_one(&request).await? {
                Attempt::Acquired(lease) => return Ok(Attempt::Acquired(lease)),
                Attempt::Held(seen) => seen,
            };
            place.saw(&seen);
            if inner.clock.now() >= until {
                return Ok(Attempt::Held(seen));
            }
            held = Some(seen);
        }
        look = true;
        let Some(queued) = &mut waiter else {
            // The lock may have become free between the answer and the enlisting: look once more.
            waiter = Some(inner.backend.enlist(&request).await?);
            continue;
        };
        let wake = inner.clock.now().later(jittered(pause, held.as_ref())).min(until);
        pause = longer(pause);
        let turn = tokio::select! {
            biased;
            turn = queued.next() => turn?,
            () = inner.clock.sleep_until(wake) => continue,
        };
        let Turn::Granted { grant, age, firm_for } = turn else { continue };
        if let Some(lease) = take_turn(inner, &request, grant, (age, firm_for), looked).await? {
            return Ok(Attempt::Acquired(lease));
        }
        // What has been given back must not be taken again under its name.
        request = inner.request(key);
        waiter = None;
    }
}

/// Where a release wakes everybody, queueing comes before asking: it takes a free lock as well, and costs no more.
async fn queue_at_once(inner: &Inner, request: &Acquire) -> Result<Option<Waiter>> {
    if inner.backend.capability().wake_up != WakeUp::Everybody {
        return Ok(None);
    }
    match inner.backend.enlist(request).await {
        // The engine can, and this server can't.
        Ok(waiter) if waiter.is_never() => Ok(None),
        Ok(waiter) => Ok(Some(waiter)),
        // Asking tries again after a lost answer, and says what is wrong.
        Err(error) if error.is_retryable() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A lock that was handed over is ours, unless this process slept through its end meanwhile. How old the grant is, the
/// store's clock tells, which may have leapt: where so much time has passed here since the last look that it can have
/// ended, a renewal proves that it has not.
async fn take_turn(
    inner: &Arc<Inner>,
    request: &Acquire,
    grant: Grant,
    (age, firm_for): (Duration, Option<Duration>),
    looked: Moment,
) -> Result<Option<Lease>> {
    let now = inner.clock.now();
    let sent = Moment::from_nanos(now.as_nanos().saturating_sub(Moment::ORIGIN.later(age).as_nanos()));
    let firm_for = firm_for.unwrap_or(request.ttl);
    if now >= sent.own_deadline(firm_for) {
        inner.give_back(request);
        return Ok(None);
    }
    let lease = inner.hold_firm(grant, request.ttl, firm_for, sent)?;
    let may_have_ended = now >= looked.own_deadline(firm_for);
    // Its first renewal makes it whole; where nobody renews in the background, that is now.
    let is_whole = firm_for >= request.ttl || inner.renewer.is_some();
    if (may_have_ended || !is_whole) && lease.renew().await? == Renewed::Lost {
        return Ok(None);
    }
    Ok(Some(lease))
}

/// The pause after this one.
fn longer(pause: Duration) -> Duration {
    (pause * GROWTH.0 / GROWTH.1).min(MAX_PAUSE)
}

/// The pause, spread by a quarter to either side so that waiters of many processes do not come in step, and not
/// much beyond the end of the lease that is waited for.
fn jittered(pause: Duration, held: Option<&Held>) -> Duration {
    let spread = pause.mul_f64(rand::random_range(0.75..1.25)).min(MAX_PAUSE);
    let jitter = Duration::from_millis(rand::random_range(1..=10));
    held.map_or(spread, |held| spread.min(held.remaining + jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_half_up_to_a_second() {
        let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
        let millis: Vec<u128> = pauses.map(|pause| pause.as_millis()).take(10).collect();
        assert_eq!(millis, [50, 75, 112, 168, 253, 379, 569, 854, 1_000, 1_000]);
    }

    #[test]
    fn pauses_are_capped_at_the_remaining_ttl_and_at_a_second() {
        let held = |remaining| Held { holder: "x".to_owned(), remaining };
        for _ in 0..1000 {
            let soon = jittered(MAX_PAUSE, Some(&held(Duration::from_millis(20))));
            assert!(soon > Duration::from_millis(20) && soon <= Duration::from_millis(30), "{soon:?}");
            assert!(jittered(MAX_PAUSE, Some(&held(Duration::from_secs(300)))) <= MAX_PAUSE);
            assert!(jittered(FIRST_PAUSE, None) >= FIRST_PAUSE * 3 / 4);
        }
    }
}

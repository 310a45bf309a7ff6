//! Waiting for a lock that another holds.

use std::sync::Arc;
use std::time::Duration;

use super::inner::Inner;
use super::local_queue::{MAX_WAITING, Place};
use super::{Acquire, Attempt};
use crate::backend::{Held, Turn, Waiter};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;

/// The first pause between two looks at a lock whose release wakes nobody.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
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
    let request = inner.request(key);
    tokio::select! {
        biased;
        attempt = poll(inner, &request, &place, until) => attempt,
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
async fn poll(inner: &Arc<Inner>, request: &Acquire, place: &Place<'_>, until: Moment) -> Result<Attempt> {
    let mut waiter: Option<Waiter> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let held = match inner.ask_one(request).await? {
            Attempt::Acquired(lease) => return Ok(Attempt::Acquired(lease)),
            Attempt::Held(held) => held,
        };
        place.saw(&held);
        if inner.clock.now() >= until {
            return Ok(Attempt::Held(held));
        }
        let Some(waiter) = &mut waiter else {
            // The lock may have become free between the answer and the enlisting: look once more.
            waiter = Some(inner.backend.enlist(request).await?);
            continue;
        };
        let wake = inner.clock.now().later(jittered(pause, &held)).min(until);
        pause = (pause * GROWTH.0 / GROWTH.1).min(MAX_PAUSE);
        tokio::select! {
            biased;
            turn = waiter.next() => {
                if let Some(attempt) = take_turn(inner, request, turn?)? {
                    return Ok(attempt);
                }
            }
            () = inner.clock.sleep_until(wake) => {}
        }
    }
}

/// A lock that was handed over is ours, unless this process slept through its TTL meanwhile.
fn take_turn(inner: &Arc<Inner>, request: &Acquire, turn: Turn) -> Result<Option<Attempt>> {
    let Turn::Granted { grant, age } = turn else { return Ok(None) };
    let now = inner.clock.now();
    let sent = Moment::from_nanos(now.as_nanos().saturating_sub(Moment::ORIGIN.later(age).as_nanos()));
    if now >= crate::lease::own_deadline(sent, request.ttl) {
        inner.give_back(request);
        return Ok(None);
    }
    inner.hold(grant, request.ttl, sent).map(|lease| Some(Attempt::Acquired(lease)))
}

/// The pause, spread by a quarter to either side so that waiters of many processes do not come in step, and not
/// much beyond the end of the lease that is waited for.
fn jittered(pause: Duration, held: &Held) -> Duration {
    let spread = pause.mul_f64(rand::random_range(0.75..1.25)).min(MAX_PAUSE);
    let after_expiry = held.remaining + Duration::from_millis(rand::random_range(1..=10));
    spread.min(after_expiry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_capped_at_the_remaining_ttl_and_at_a_second() {
        let held = |remaining| Held { holder: "x".to_owned(), remaining };
        for _ in 0..1000 {
            let soon = jittered(MAX_PAUSE, &held(Duration::from_millis(20)));
            assert!(soon > Duration::from_millis(20) && soon <= Duration::from_millis(30), "{soon:?}");
            assert!(jittered(MAX_PAUSE, &held(Duration::from_secs(300))) <= MAX_PAUSE);
            assert!(jittered(FIRST_PAUSE, &held(Duration::from_secs(300))) >= FIRST_PAUSE * 3 / 4);
        }
    }
}

//! Waiting by hand-off: whoever releases makes the longest waiter the holder, and the server tells it.
//!
//! A waiter stands in the lock's queue on the server, under the channel of its process. It is told on the one
//! connection that its process has anyway, so what the server did before it answered a command is known here before
//! that answer is. A lock handed over is held for [`UNCONFIRMED`] only, until its holder renews it: a process that has
//! died without its connection being closed blocks nobody for longer. Whatever goes wrong on this way (a message that
//! is lost with its connection, a queue that has expired, an old client that frees a lock without a word), the
//! manager polls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use tokio::sync::Notify;

use super::faults::{Fault, odd_answer};
use super::link::{Link, Pushed};
use super::scripts;
use super::single::{self, Release, UNCONFIRMED};
use super::value;
use crate::backend::{Acquire, Acquired, Enlisted, Grant, Held, Turn};
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::Result;
use crate::sync::locked;
use crate::token::Nonce;

/// How long a queue outlives the last word of any of its waiters, who repeat theirs when they poll, each second at
/// the latest.
const QUEUE_MEMORY: Duration = Duration::from_secs(30);

/// The first pause between two looks at a lock whose holder frees it without a word; it grows by half each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The waiters of one backend.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    places: Mutex<HashMap<Nonce, Arc<Place>>>,
    /// As many as there are, to be read without the mutex.
    count: AtomicUsize,
}

/// One waiter, known to the connection that brings its turn.
#[derive(Debug)]
struct Place {
    request: Acquire,
    state: Mutex<State>,
    changed: Notify,
    /// An old client has the lock, and will free it without a word.
    untold: AtomicBool,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// Ours, but not yet told to the manager.
    Granted {
        grant: Grant,
        server_us: u64,
        firm_for: Option<Duration>,
    },
    /// The connection broke: asking makes another, and shows how things are.
    Ask,
    /// Ours, and the manager knows.
    Taken,
}

/// A message that a lock was handed over: `NOW TOKEN holder|nonce|`.
#[derive(Debug, PartialEq, Eq)]
struct HandedOver {
    server_us: u64,
    token: u64,
    /// Whose turn it is.
    nonce: Nonce,
}

impl Waiters {
    /// Whether this attempt stands in a queue.
    pub(super) fn has(&self, nonce: Nonce) -> bool {
        self.count.load(Ordering::Acquire) > 0 && locked(&self.places).contains_key(&nonce)
    }

    fn join(&self, request: &Acquire) -> Arc<Place> {
        let place = Arc::new(Place {
            request: request.clone(),
            state: Mutex::new(State::Waiting),
            changed: Notify::new(),
            untold: AtomicBool::new(false),
        });
        let mut places = locked(&self.places);
        places.insert(request.nonce, Arc::clone(&place));
        self.count.store(places.len(), Ordering::Release);
        place
    }

    fn leave(&self, nonce: Nonce) {
        let mut places = locked(&self.places);
        places.remove(&nonce);
        self.count.store(places.len(), Ordering::Release);
    }

    /// Takes what the server says of its own accord.
    ///
    /// A turn of nobody here frees nothing: a connection that was given up for another may bring a second copy of what
    /// was heard long ago, and the lock that it names is held by then. Whoever leaves a queue frees what was handed to
    /// him; what slips through nevertheless ends after [`UNCONFIRMED`].
    pub(super) fn hear(&self, pushed: Pushed) {
        let payload = match pushed {
            Pushed::Message(payload) => payload,
            Pushed::Disconnected => {
                for place in locked(&self.places).values() {
                    let mut state = locked(&place.state);
                    if matches!(*state, State::Waiting) {
                        *state = State::Ask;
                        place.changed.notify_one();
                    }
                }
                return;
            }
        };
        let Some(told) = std::str::from_utf8(&payload).ok().and_then(parse) else {
            tracing::warn!("a message on our channel makes no sense; who else publishes there?");
            return;
        };
        let place = locked(&self.places).get(&told.nonce).cloned();
        let Some(place) = place else {
            tracing::debug!("a turn came to a waiter that has left");
            return;
        };
        let firm_for = (place.request.ttl > UNCONFIRMED).then_some(UNCONFIRMED);
        let grant = single::grant(&place.request, told.token);
        place.turn(State::Granted { grant, server_us: told.server_us, firm_for });
    }
}

impl Place {
    fn turn(&self, new: State) {
        let mut state = locked(&self.state);
        if !matches!(*state, State::Taken) {
            *state = new;
            self.changed.notify_one();
        }
    }
}

fn parse(text: &str) -> Option<HandedOver> {
    let mut parts = text.splitn(3, ' ');
    let server_us = parts.next()?.parse().ok()?;
    let token = parts.next()?.parse().ok()?;
    let nonce = value::parse_nonce(parts.next()?.strip_suffix('|')?.rsplit_once('|')?.1)?;
    Some(HandedOver { server_us, token, nonce })
}

/// A place in a queue; also the proof against losing what a cancelled or broken call may have taken.
pub(super) struct RedisWaiter {
    link: Arc<Link>,
    waiters: Arc<Waiters>,
    place: Arc<Place>,
    held: Option<Held>,
    /// The server's time in microseconds, and a moment of ours that is not later.
    clocks: (u64, Moment),
    /// The next pause between two looks, where looking is the only way.
    pause: Duration,
}

/// How a call of the queueing script ended.
pub(super) struct Queued {
    pub(super) answer: Acquired,
    server_us: u64,
    /// Held by an old client.
    untold: bool,
}

/// Takes the lock, or queues for it, or repeats that.
pub(super) async fn ask(link: &Link, request: &Acquire) -> Result<Queued, Fault> {
    let (names, script) = (link.names(), scripts::enlist(link.options().in_turn));
    let mut call = script.call(3);
    call.arg(names.token()).arg(&*names.lock(&request.key)).arg(names.queue(&request.key));
    call.arg(link.latest_token())
        .arg(UNCONFIRMED.as_millis() as u64)
        .arg(value::prefix_of_request(request))
        .arg(single::ttl_ms(request.ttl))
        .arg(member(link, request))
        .arg(QUEUE_MEMORY.as_millis() as u64);
    let Value::Array(mut parts) = script.run(link, call).await? else {
        return Err(odd_answer("enlist"));
    };
    let Some(Value::Int(server_us)) = parts.first() else { return Err(odd_answer("enlist")) };
    let server_us = server_us.unsigned_abs();
    let untold =
        matches!(parts.get(1), Some(Value::BulkString(holding)) if value::parse(holding).nonce.is_none());
    let answer = match parts.len() {
        2 => single::acquired(link, request, parts.swap_remove(1))?,
        _ => single::acquired(link, request, Value::Array(parts.split_off(1)))?,
    };
    Ok(Queued { answer, server_us, untold })
}

fn member(link: &Link, request: &Acquire) -> String {
    format!("{} {} {}", link.channel(), single::ttl_ms(request.ttl), value::prefix_of_request(request))
}

impl RedisWaiter {
    /// Takes the lock, or queues for it.
    pub(super) async fn enlist(
        link: &Arc<Link>,
        waiters: &Arc<Waiters>,
        request: &Acquire,
    ) -> Result<RedisWaiter, Fault> {
        let sent = SystemClock.now();
        let mut waiter = RedisWaiter {
            link: Arc::clone(link),
            waiters: Arc::clone(waiters),
            place: waiters.join(request),
            held: None,
            clocks: (0, sent),
            pause: FIRST_PAUSE,
        };
        // If this is cancelled or fails, the drop gives back whatever it may have taken.
        let queued = ask(link, request).await?;
        waiter.clocks.0 = queued.server_us;
        waiter.place.untold.store(queued.untold, Ordering::Relaxed);
        match queued.answer {
            Acquired::Granted(grant) => {
                let server_us = queued.server_us;
                waiter.place.turn(State::Granted { grant, server_us, firm_for: None });
            }
            Acquired::Held(held) => waiter.held = Some(held),
        }
        Ok(waiter)
    }

    /// How long ago, at the most, the server granted what it did at `server_us`.
    fn age(&self, server_us: u64) -> Duration {
        let (then_us, then) = self.clocks;
        let since = Duration::from_micros(server_us.saturating_sub(then_us));
        SystemClock.now().since(then.later(since))
    }
}

impl Waiters {
    /// What the manager has learnt by asking. A lock that it got is not given back when it leaves the queue.
    pub(super) fn asked(&self, nonce: Nonce, queued: &Queued) {
        if let Some(place) = locked(&self.places).get(&nonce) {
            place.untold.store(queued.untold, Ordering::Relaxed);
            if matches!(queued.answer, Acquired::Granted(_)) {
                *locked(&place.state) = State::Taken;
            }
        }
    }
}

#[async_trait]
impl Enlisted for RedisWaiter {
    async fn next(&mut self) -> Result<Turn> {
        loop {
            {
                let mut state = locked(&self.place.state);
                match std::mem::replace(&mut *state, State::Waiting) {
                    State::Granted { grant, server_us, firm_for } => {
                        *state = State::Taken;
                        self.link.saw_token(grant.token.get());
                        return Ok(Turn::Granted { grant, age: self.age(server_us), firm_for });
                    }
                    State::Ask => return Ok(Turn::TryAgain),
                    State::Taken => *state = State::Taken,
                    State::Waiting => {}
                }
            }
            if !self.place.untold.load(Ordering::Relaxed) {
                self.place.changed.notified().await;
                continue;
            }
            let until = SystemClock.now().later(self.pause.mul_f64(rand::random_range(0.75..1.25)));
            tokio::select! {
                () = self.place.changed.notified() => {}
                () = SystemClock.sleep_until(until) => {
                    self.pause = (self.pause * 3 / 2).min(MAX_PAUSE);
                    return Ok(Turn::TryAgain);
                }
            }
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.clone()
    }
}

impl Drop for RedisWaiter {
    fn drop(&mut self) {
        self.waiters.leave(self.place.request.nonce);
        if matches!(*locked(&self.place.state), State::Taken) {
            return;
        }
        // Out of the queue, and then free what was handed over before: in this order nothing comes in between.
        let link = Arc::clone(&self.link);
        let request = self.place.request.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let mut out = redis::cmd("ZREM");
            out.arg(link.names().queue(&request.key)).arg(member(&link, &request));
            let proof = value::prefix_of_request(&request);
            let release = Release { key: request.key, proof };
            let left = match link.query(&out).await {
                Ok(_) => single::release_by_script(&link, &[&release]).await.map(drop),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = left {
                let error = fault.into_error("enlist");
                tracing::debug!(%error, "a waiter left without a word: its turn is passed over when it comes");
            }
        });
    }
}

impl std::fmt::Debug for RedisWaiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisWaiter").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gives_its_parts_back() {
        let nonce = Nonce::from_bytes([7; 16]);
        let prefix = value::prefix("a b|c", nonce);
        let told = parse(&format!("17 18 {prefix}"));
        assert_eq!(told, Some(HandedOver { server_us: 17, token: 18, nonce }));
        for text in
            ["", "1 2", "1 2 3 ab", "1 2 x|y|", &format!("x 18 {prefix}"), &format!("17 18 {prefix}w")]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}

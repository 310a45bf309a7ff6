//! The layout of a single server: all keys on one, so that a batch is one script call, or a few of them at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bidlock_canary::{Canary, removed};
use futures::future::try_join_all;
use redis::{Cmd, Value};

use super::faults::{Fault, odd_answer};
use super::link::Link;
use super::native;
use super::scripts;
use super::value;
use crate::backend::{Acquire, Acquired, Grant, Held, Released, Renewed};
use crate::error::ErrorKind;
use crate::key::LockKey;
use crate::token::{FencingToken, HolderId, Nonce};

/// The most locks of one script call: the server does nothing else meanwhile, for half a millisecond at the most.
const MAX_SCRIPT_KEYS: usize = 256;
/// How long a lock that was handed over is held at the most until its new holder renews it: a holder that has died
/// or sleeps costs the others no more than this.
pub(super) const UNCONFIRMED: Duration = Duration::from_secs(2);
/// What `PTTL` says of a key that is not there, and of one without a TTL.
pub(super) const GONE: i64 = -2;
const ENDLESS: i64 = -1;
/// What stands for a lock without a TTL, as an old client's mistake leaves one.
const FOREVER: Duration = Duration::from_secs(366 * 24 * 3600);

/// What is released: the lock, and its value if it is the caller's, or what that begins with. Empty: whoever's it is.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) key: LockKey,
    pub(super) proof: String,
}

impl Release {
    pub(super) fn of(grant: &Grant) -> Release {
        let anyone = removed(Canary::AnyRelease);
        let proof = if anyone { String::new() } else { value::proof_of_grant(grant) };
        Release { key: grant.key.clone(), proof }
    }
}

/// How often something happens, as a moving average in 1/65,536: how often acquisitions lose, how often a lock that
/// is released is waited for. What happens mostly is tried first.
#[derive(Debug, Default)]
pub(super) struct Share(AtomicU32);

impl Share {
    const ONE: u32 = 1 << 16;

    fn is_likely(&self) -> bool {
        self.0.load(Relaxed) > Share::ONE / 2
    }

    fn note(&self, count: usize, of: usize) {
        let share = (count * Share::ONE as usize / of.max(1)) as u32;
        // A lost update between two callers costs nothing but a worse guess.
        let old = self.0.load(Relaxed);
        self.0.store(old - old / 8 + share / 8, Relaxed);
    }
}

pub(super) async fn acquire(
    link: &Link,
    losing: &Share,
    requests: &[Acquire],
) -> Result<Vec<Acquired>, Fault> {
    // Native reads cost the server a fraction of a script.
    let answers = if losing.is_likely() {
        losers_first(link, requests).await
    } else {
        by_script(link, requests.iter().collect()).await
    };
    let answers = answers.map_err(|fault| {
        // A script that stops half-way has granted what came before, and so may have one of several calls.
        let unasked = fault.kind() == ErrorKind::Unavailable && requests.len() <= MAX_SCRIPT_KEYS;
        if requests.len() > 1 && !unasked { fault.maybe_applied() } else { fault }
    })?;
    let lost = answers.iter().filter(|answer| matches!(answer, Acquired::Held(_))).count();
    losing.note(lost, answers.len());
    Ok(answers)
}

/// Reads who holds the locks, and asks the script only for those that are free.
async fn losers_first(link: &Link, requests: &[Acquire]) -> Result<Vec<Acquired>, Fault> {
    let mut pipeline = redis::Pipeline::with_capacity(requests.len() + 1);
    let mut read = Cmd::new();
    read.arg("MGET");
    for request in requests {
        read.arg(&*link.names().lock(&request.key));
    }
    pipeline.add_command(read);
    for request in requests {
        pipeline.cmd("PTTL").arg(&*link.names().lock(&request.key));
    }
    let mut answers = link.query_all(&pipeline).await?.into_iter();
    let Some(Value::Array(values)) = answers.next() else { return Err(odd_answer("MGET")) };
    let mut found: Vec<Option<Acquired>> = Vec::with_capacity(requests.len());
    for ((request, value), left) in requests.iter().zip(values).zip(answers) {
        found.push(held_by_another(request.nonce, &value, &left).map(Acquired::Held));
    }
    if found.len() != requests.len() {
        return Err(odd_answer("MGET"));
    }
    let open: Vec<&Acquire> = requests
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none())
        .map(|(request, _)| request)
        .collect();
    if open.is_empty() {
        return Ok(found.into_iter().flatten().collect());
    }
    let mut rest = by_script(link, open).await?.into_iter();
    found
        .into_iter()
        .map(|found| found.or_else(|| rest.next()).ok_or_else(|| odd_answer("acquire")))
        .collect()
}

/// Who holds a lock by its value, read first, and the rest of its life. `None` where the script decides: it is free or
/// ends between the reads, or the same attempt has it already and has to be granted it again.
fn held_by_another(nonce: Nonce, value: &Value, left: &Value) -> Option<Held> {
    let (Value::BulkString(value), Value::Int(left_ms)) = (value, left) else { return None };
    let holding = value::parse(value);
    let is_held = *left_ms != GONE && holding.nonce != Some(nonce);
    is_held.then(|| held_by(holding.holder, *left_ms))
}

async fn by_script(link: &Link, requests: Vec<&Acquire>) -> Result<Vec<Acquired>, Fault> {
    let calls = requests.chunks(MAX_SCRIPT_KEYS).map(async |requests| {
        let script = scripts::acquire(link.options().in_turn);
        let mut call = script.call(1 + requests.len());
        call.arg(link.names().token());
        for request in requests {
            call.arg(&*link.names().lock(&request.key));
        }
        call.arg(link.latest_token()).arg(UNCONFIRMED.as_millis() as u64);
        for request in requests {
            call.arg(value::prefix_of_request(request)).arg(ttl_ms(request.ttl));
        }
        let answers = answers_of(script.run(link, call).await?, requests.len(), "acquire")?;
        requests.iter().zip(answers).map(|(request, answer)| acquired(link, request, answer)).collect()
    });
    Ok(flat(try_join_all(calls).await?))
}

pub(super) fn acquired(link: &Link, request: &Acquire, answer: Value) -> Result<Acquired, Fault> {
    match answer {
        Value::Int(token) => {
            let token = token.unsigned_abs();
            link.saw_token(token);
            Ok(Acquired::Granted(grant(request, token)))
        }
        Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::BulkString(value), Value::Int(left_ms)]) => {
                Ok(Acquired::Held(held_by(value::parse(&value).holder, left_ms)))
            }
            _ => Err(odd_answer("acquire")),
        },
        _ => Err(odd_answer("acquire")),
    }
}

pub(super) fn grant(request: &Acquire, token: u64) -> Grant {
    let (key, holder): (LockKey, HolderId) = (request.key.clone(), request.holder.clone());
    let nonce: Nonce = request.nonce;
    Grant { key, holder, nonce, token: FencingToken::new(token) }
}

pub(super) fn held_by(holder: String, left_ms: i64) -> Held {
    Held { holder, remaining: remaining(left_ms) }
}

/// What `PTTL` says.
pub(super) fn remaining(left_ms: i64) -> Duration {
    if left_ms == ENDLESS { FOREVER } else { Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)) }
}

pub(super) fn ttl_ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

pub(super) async fn renew(link: &Link, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>, Fault> {
    let done = match link.facts().filter(|facts| facts.natives.can_renew()) {
        Some(facts) => {
            let names = link.names();
            let cmd = |grant: &Grant| {
                let value = whole(value::proof_of_grant(grant))?;
                Some(native::renewal(&names.lock(&grant.key), &value, ttl_ms(ttl)))
            };
            native::send(link, &facts.natives, grants.iter().map(cmd).collect()).await?
        }
        None => vec![false; grants.len()],
    };
    rest(grants, &done, Renewed::Renewed, async |grants| renew_by_script(link, grants, ttl).await).await
}

async fn renew_by_script(link: &Link, grants: &[&Grant], ttl: Duration) -> Result<Vec<Renewed>, Fault> {
    let calls = grants.chunks(MAX_SCRIPT_KEYS).map(async |grants| {
        let mut call = scripts::RENEW.call(grants.len());
        for grant in grants {
            call.arg(&*link.names().lock(&grant.key));
        }
        call.arg(ttl_ms(ttl));
        for grant in grants {
            call.arg(value::prefix_of_grant(grant));
        }
        let answers = answers_of(scripts::RENEW.run(link, call).await?, grants.len(), "renew")?;
        let renewed = answers.into_iter().map(|answer| match answer {
            Value::Int(1) => Ok(Renewed::Renewed),
            Value::Int(0) => Ok(Renewed::Lost),
            _ => Err(odd_answer("renew")),
        });
        renewed.collect::<Result<Vec<_>, _>>()
    });
    Ok(flat(try_join_all(calls).await?))
}

/// Frees locks; `waited` is how often others wait for them, which only the script can hand on.
pub(super) async fn release(
    link: &Link,
    waited: &Share,
    releases: &[Release],
) -> Result<Vec<Released>, Fault> {
    let done = match link.facts().filter(|facts| facts.natives.can_delete() && !waited.is_likely()) {
        Some(facts) => {
            let names = link.names();
            let cmd = |release: &Release| {
                facts.natives.delete(&names.lock(&release.key), whole(release.proof.as_str())?)
            };
            native::send(link, &facts.natives, releases.iter().map(cmd).collect()).await?
        }
        None => vec![false; releases.len()],
    };
    let ended =
        rest(releases, &done, Ended::Freed, async |releases| release_to_waiters(link, releases).await)
            .await?;
    waited.note(Ended::handed_over(&ended), releases.len());
    Ok(ended.into_iter().map(Ended::released).collect())
}

/// What a release came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Freed,
    HandedOver,
    Before,
    Stolen,
}

impl Ended {
    fn handed_over(all: &[Ended]) -> usize {
        all.iter().filter(|ended| matches!(ended, Ended::HandedOver)).count()
    }

    fn released(self) -> Released {
        match self {
            Ended::Freed | Ended::HandedOver => Released::Released,
            Ended::Before => Released::Expired,
            Ended::Stolen => Released::Stolen,
        }
    }
}

/// Frees locks by the script, also those of which only a part of the value is known.
pub(super) async fn release_by_script(link: &Link, releases: &[&Release]) -> Result<Vec<Released>, Fault> {
    let ended = release_to_waiters(link, releases).await?;
    Ok(ended.into_iter().map(Ended::released).collect())
}

async fn release_to_waiters(link: &Link, releases: &[&Release]) -> Result<Vec<Ended>, Fault> {
    let calls = releases.chunks(MAX_SCRIPT_KEYS).map(async |releases| {
        let mut call = scripts::RELEASE.call(1 + releases.len());
        call.arg(link.names().token());
        for release in releases {
            call.arg(&*link.names().lock(&release.key));
        }
        call.arg(link.latest_token()).arg(UNCONFIRMED.as_millis() as u64);
        for release in releases {
            call.arg(&release.proof);
        }
        let answers = answers_of(scripts::RELEASE.run(link, call).await?, releases.len(), "release")?;
        let ended = answers.into_iter().map(|answer| match answer {
            Value::Int(0) => Ok(Ended::Before),
            Value::Int(1) => Ok(Ended::Freed),
            Value::Int(2) => Ok(Ended::Stolen),
            Value::Int(3) => Ok(Ended::HandedOver),
            _ => Err(odd_answer("release")),
        });
        ended.collect::<Result<Vec<_>, _>>()
    });
    Ok(flat(try_join_all(calls).await?))
}

/// Asks for those that are not done, and puts the answers in their places.
async fn rest<R, A: Clone>(
    all: &[R],
    done: &[bool],
    answer: A,
    ask: impl AsyncFnOnce(&[&R]) -> Result<Vec<A>, Fault>,
) -> Result<Vec<A>, Fault> {
    let open: Vec<&R> = all.iter().zip(done).filter(|(_, done)| !**done).map(|(one, _)| one).collect();
    if open.is_empty() {
        return Ok(vec![answer; all.len()]);
    }
    let mut rest = ask(&open).await?.into_iter();
    let all = done.iter().map(|done| if *done { Some(answer.clone()) } else { rest.next() });
    all.map(|answer| answer.ok_or_else(|| odd_answer("a script"))).collect()
}

/// A lock's whole value, which a native command can compare; `None` for the beginning of one, or for none.
fn whole<T: AsRef<str>>(proof: T) -> Option<T> {
    proof.as_ref().ends_with(|last: char| last.is_ascii_digit()).then_some(proof)
}

/// Usually there is one part, which need not be copied.
fn flat<T>(mut parts: Vec<Vec<T>>) -> Vec<T> {
    if parts.len() == 1 { parts.pop().unwrap_or_default() } else { parts.into_iter().flatten().collect() }
}

fn answers_of(answer: Value, count: usize, what: &str) -> Result<Vec<Value>, Fault> {
    match answer {
        Value::Array(answers) if answers.len() == count => Ok(answers),
        _ => Err(odd_answer(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_mostly_is_tried_first() {
        let share = Share::default();
        let noted = |count, of| {
            for _ in 0..50 {
                share.note(count, of);
            }
            share.is_likely()
        };
        assert!(!share.is_likely(), "nothing has happened yet");
        share.0.store(Share::ONE / 2, Relaxed);
        assert!(!share.is_likely(), "half of the time is not mostly");
        assert!(noted(2, 2) && noted(3, 4) && !noted(1, 4));
        assert!(!noted(0, 2));
        assert!(!noted(0, 0), "an empty batch");
    }

    #[test]
    fn releases_to_waiters_are_counted() {
        let all = [Ended::HandedOver, Ended::Freed, Ended::Before, Ended::HandedOver, Ended::Stolen];
        assert_eq!(Ended::handed_over(&all), 2);
    }

    #[test]
    fn an_answer_for_more_or_fewer_locks_is_none() {
        let answers = |count| answers_of(Value::Array(vec![Value::Int(1); count]), 2, "release");
        assert_eq!(answers(2).unwrap().len(), 2);
        assert!(answers(1).is_err() && answers(3).is_err());
    }

    #[test]
    fn only_anothers_lock_that_was_there_at_both_reads_is_held() {
        let (mine, other) = (Nonce::from_bytes([1; 16]), Nonce::from_bytes([2; 16]));
        let value = |nonce| Value::BulkString(format!("{}17", value::prefix("host:1:x", nonce)).into_bytes());
        let held = |value: &Value, left_ms| held_by_another(mine, value, &Value::Int(left_ms));
        let by_other = held(&value(other), 250).unwrap();
        assert_eq!((&*by_other.holder, by_other.remaining), ("host:1:x", Duration::from_millis(250)));
        assert_eq!(held(&value(other), -1).unwrap().remaining, FOREVER);
        assert!(held(&Value::BulkString(b"scanner-7".to_vec()), 250).is_some(), "an old client's");
        assert!(held(&value(other), -2).is_none(), "it ended between the reads");
        assert!(held(&value(mine), 250).is_none(), "the same attempt, asked again");
        assert!(held(&Value::Nil, -2).is_none(), "free");
    }
}

//! The layout of a single server: all keys on one, so that a batch is one script call, or a few of them at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures::future::try_join_all;
use redis::{Cmd, Value};

use super::faults::{Fault, odd_answer};
use super::link::Link;
use super::scripts;
use super::value::{self, TOKEN_KEY};
use crate::backend::{Acquire, Acquired, Grant, Held, Released, Renewed};
use crate::key::LockKey;
use crate::token::{FencingToken, HolderId, Nonce};

/// The most locks of one script call: the server does nothing else meanwhile, for half a millisecond at the most.
const MAX_SCRIPT_KEYS: usize = 256;
/// How long a lock that was handed over is held at the most until its new holder renews it: a holder that has died
/// or sleeps costs the others no more than this.
pub(super) const UNCONFIRMED: Duration = Duration::from_secs(2);
/// What stands for a lock without a TTL, as an old client's mistake leaves one.
const FOREVER: Duration = Duration::from_secs(366 * 24 * 3600);

/// What is released: the lock, and what its value begins with if it is the caller's. Empty: whoever's it is.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) key: LockKey,
    pub(super) prefix: String,
}

impl Release {
    pub(super) fn of(grant: &Grant) -> Release {
        Release { key: grant.key.clone(), prefix: value::prefix_of_grant(grant) }
    }
}

/// How often acquisitions lose, as a moving average in 1/65,536: where most do, they are answered by native reads,
/// which cost the server a fraction of a script.
#[derive(Debug, Default)]
pub(super) struct Losing(AtomicU32);

impl Losing {
    const ONE: u32 = 1 << 16;

    fn is_likely(&self) -> bool {
        self.0.load(Relaxed) > Losing::ONE / 2
    }

    fn note(&self, answers: &[Acquired]) {
        let lost = answers.iter().filter(|answer| matches!(answer, Acquired::Held(_))).count();
        let share = (lost * Losing::ONE as usize / answers.len().max(1)) as u32;
        // A lost update between two callers costs nothing but a worse guess.
        let old = self.0.load(Relaxed);
        self.0.store(old - old / 8 + share / 8, Relaxed);
    }
}

pub(super) async fn acquire(
    link: &Link,
    losing: &Losing,
    requests: &[Acquire],
) -> Result<Vec<Acquired>, Fault> {
    let answers = if losing.is_likely() {
        losers_first(link, requests).await?
    } else {
        by_script(link, requests.iter().collect()).await?
    };
    losing.note(&answers);
    Ok(answers)
}

/// Reads who holds the locks, and asks the script only for those that are free.
async fn losers_first(link: &Link, requests: &[Acquire]) -> Result<Vec<Acquired>, Fault> {
    let mut pipeline = redis::Pipeline::with_capacity(requests.len() + 1);
    let mut read = Cmd::new();
    read.arg("MGET");
    for request in requests {
        read.arg(request.key.as_str());
    }
    pipeline.add_command(read);
    for request in requests {
        pipeline.cmd("PTTL").arg(request.key.as_str());
    }
    let mut answers = link.query_all(&pipeline).await?.into_iter();
    let Some(Value::Array(values)) = answers.next() else { return Err(odd_answer("MGET")) };
    let mut found: Vec<Option<Acquired>> = Vec::with_capacity(requests.len());
    for ((request, value), left) in requests.iter().zip(values).zip(answers) {
        found.push(match (value, left) {
            (Value::BulkString(value), Value::Int(left_ms)) if left_ms != -2 => {
                let holding = value::parse(&value);
                // The same attempt asked again has to be granted again.
                let another = holding.nonce != Some(request.nonce);
                another.then(|| Acquired::Held(held_by(holding.holder, left_ms)))
            }
            _ => None,
        });
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

async fn by_script(link: &Link, requests: Vec<&Acquire>) -> Result<Vec<Acquired>, Fault> {
    let calls = requests.chunks(MAX_SCRIPT_KEYS).map(async |requests| {
        let mut call = scripts::ACQUIRE.call(1 + requests.len());
        call.arg(TOKEN_KEY);
        for request in requests {
            call.arg(request.key.as_str());
        }
        call.arg(link.latest_token());
        for request in requests {
            call.arg(value::prefix_of_request(request)).arg(ttl_ms(request.ttl));
        }
        let answers = answers_of(scripts::ACQUIRE.run(link, call).await?, requests.len(), "acquire")?;
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

/// What `PTTL` says: -1 for a key without a TTL.
pub(super) fn remaining(left_ms: i64) -> Duration {
    if left_ms == -1 { FOREVER } else { Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)) }
}

pub(super) fn ttl_ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

pub(super) async fn renew(link: &Link, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>, Fault> {
    let calls = grants.chunks(MAX_SCRIPT_KEYS).map(async |grants| {
        let mut call = scripts::RENEW.call(grants.len());
        for grant in grants {
            call.arg(grant.key.as_str());
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

pub(super) async fn release(link: &Link, releases: &[Release]) -> Result<Vec<Released>, Fault> {
    let calls = releases.chunks(MAX_SCRIPT_KEYS).map(async |releases| {
        let mut call = scripts::RELEASE.call(1 + releases.len());
        call.arg(TOKEN_KEY);
        for release in releases {
            call.arg(release.key.as_str());
        }
        call.arg(link.latest_token()).arg(UNCONFIRMED.as_millis() as u64);
        for release in releases {
            call.arg(&release.prefix);
        }
        let answers = answers_of(scripts::RELEASE.run(link, call).await?, releases.len(), "release")?;
        let released = answers.into_iter().map(|answer| match answer {
            Value::Int(1) => Ok(Released::Released),
            Value::Int(0) => Ok(Released::Expired),
            Value::Int(2) => Ok(Released::Stolen),
            _ => Err(odd_answer("release")),
        });
        released.collect::<Result<Vec<_>, _>>()
    });
    Ok(flat(try_join_all(calls).await?))
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

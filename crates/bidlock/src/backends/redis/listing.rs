//! What is held: found by `SCAN`, so that the server is never kept busy for long.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::faults::{Fault, odd_answer};
use super::link::Link;
use super::{single, value};
use crate::backend::{HeldLock, KeyFilter, Page};
use crate::error::ErrorKind;
use crate::key::LockKey;

/// How many keys of the server one `SCAN` looks at: a fraction of a millisecond's work.
const SCAN_COUNT: usize = 1_000;
/// The most rounds of one listing: ten million keys. A server with more is not for locks alone.
const MAX_ROUNDS: usize = 10_000;
/// What the keys of all locks match; what else does is left out when it is looked at.
const ALL_LOCKS: &str = "*_lock:*";

pub(super) async fn inspect(link: &Link, filter: &KeyFilter, page: &Page) -> Result<Vec<HeldLock>, Fault> {
    let limit = page.bounded_limit();
    let wanted = |key: &LockKey| {
        filter.key.as_ref().is_none_or(|wanted| wanted == key)
            && filter.prefix.as_ref().is_none_or(|prefix| key.as_str().starts_with(prefix.as_str()))
            && page.after.as_ref().is_none_or(|after| key > after)
    };
    let mut found = BTreeMap::new();
    if limit == 0 {
        return Ok(Vec::new());
    }
    if let Some(key) = &filter.key {
        if wanted(key) {
            read(link, filter, vec![key.clone()], &mut found).await?;
        }
        return Ok(found.into_values().collect());
    }
    let pattern = filter.prefix.as_ref().map_or_else(|| ALL_LOCKS.to_owned(), |prefix| literal(prefix) + "*");
    let pattern = literal(link.names().prefix()) + &pattern;
    let mut cursor: u64 = 0;
    for _ in 0..MAX_ROUNDS {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_COUNT);
        let (next, keys): (u64, Vec<Vec<u8>>) =
            FromRedisValue::from_redis_value(link.query(&scan).await?).map_err(|_| odd_answer("SCAN"))?;
        // A key that does not parse is not a lock of ours: shown to nobody, harmful to nobody.
        let keys = keys.into_iter().filter_map(|key| link.names().parse(std::str::from_utf8(&key).ok()?));
        let keys: Vec<LockKey> = keys.filter(wanted).collect();
        if !keys.is_empty() {
            read(link, filter, keys, &mut found).await?;
        }
        while found.len() > limit {
            found.pop_last();
        }
        if next == 0 {
            return Ok(found.into_values().collect());
        }
        cursor = next;
    }
    let message = format!("there are more than {} keys on this server", MAX_ROUNDS * SCAN_COUNT);
    Err(Fault::new(ErrorKind::Unfit, message).hint("give locks a server or a database of their own"))
}

/// Reads the locks' values and adds those that match.
async fn read(
    link: &Link,
    filter: &KeyFilter,
    keys: Vec<LockKey>,
    found: &mut BTreeMap<LockKey, HeldLock>,
) -> Result<(), Fault> {
    let mut pipeline = redis::pipe();
    let mut values = redis::cmd("MGET");
    for key in &keys {
        values.arg(&*link.names().lock(key));
    }
    pipeline.cmd("TIME").add_command(values);
    for key in &keys {
        pipeline.cmd("PTTL").arg(&*link.names().lock(key));
    }
    let mut answers = link.query_all(&pipeline).await?.into_iter();
    let (Some(time), Some(Value::Array(values))) = (answers.next(), answers.next()) else {
        return Err(odd_answer("MGET"));
    };
    let (seconds, micros): (u64, u64) =
        FromRedisValue::from_redis_value(time).map_err(|_| odd_answer("TIME"))?;
    let now_us = seconds * 1_000_000 + micros;
    for ((key, value), left) in keys.into_iter().zip(values).zip(answers) {
        let (Value::BulkString(value), Value::Int(left_ms)) = (value, left) else { continue };
        let holding = value::parse(&value);
        if left_ms == single::GONE || filter.holder.as_ref().is_some_and(|wanted| *wanted != holding.holder) {
            continue;
        }
        // The token is the time of the grant; an old client leaves none.
        let held_us = if holding.nonce.is_some() { now_us.saturating_sub(holding.token.get()) } else { 0 };
        let lock = HeldLock {
            key: key.clone(),
            holder: holding.holder,
            token: holding.token,
            held_for: Duration::from_micros(held_us),
            remaining: single::remaining(left_ms),
        };
        found.insert(key, lock);
    }
    Ok(())
}

/// A pattern that matches this text and nothing else.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_pattern_is_taken_literally() {
        assert_eq!(super::literal(r"bid_lock:a*[b]?\:"), r"bid_lock:a\*\[b\]\?\\:");
    }
}

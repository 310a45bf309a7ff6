//! What a lock's key and value look like in Redis.
//!
//! The value is `holder|nonce|token`, and ends in `|w` while others wait for the lock. It begins with the holder, for
//! operators; holder and nonce together are one acquisition's own, for scripts; the token is the server's time of the
//! grant in microseconds, or more.

use std::borrow::Cow;
use std::fmt::Write;

use crate::backend::{Acquire, Grant};
use crate::key::LockKey;
use crate::token::{FencingToken, Nonce};

/// The last fencing token, kept while the server's clock is behind it and a second longer. The scripts know it.
const TOKEN_KEY: &str = "bidlock:token";
/// The id of the ledger that the scanners share.
const LEDGER_KEY: &str = "bidlock:ledger_id";
/// What the channel of a process begins with, on which it hears of locks handed over to it.
const CHANNEL_PREFIX: &str = "bidlock_wake:";
/// A nonce's first half is written in full, so that the second needs no separator.
const NONCE_HALF_DIGITS: usize = 16;

/// How keys are named on the server: as everywhere, after what the user wants before all of them.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
    token: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Names {
        Names { prefix: prefix.to_owned(), token: format!("{prefix}{TOKEN_KEY}") }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The last fencing token.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The id of the ledger that the scanners share.
    pub(super) fn ledger(&self) -> String {
        format!("{}{LEDGER_KEY}", self.prefix)
    }

    pub(super) fn lock<'a>(&self, key: &'a LockKey) -> Cow<'a, str> {
        match self.prefix.as_str() {
            "" => Cow::Borrowed(key.as_str()),
            prefix => Cow::Owned(format!("{prefix}{}", key.as_str())),
        }
    }

    /// The waiters for a lock, as the scripts name them too. The braces are a hash tag: in a cluster, the queue is
    /// where the lock is.
    pub(super) fn queue(&self, key: &LockKey) -> String {
        format!("{}bidlock_wait:{{{}}}", self.prefix, self.lock(key))
    }

    /// The lock that the server has under this name, if it is one of ours.
    pub(super) fn parse(&self, name: &str) -> Option<LockKey> {
        LockKey::parse(name.strip_prefix(self.prefix.as_str())?).ok()
    }
}

pub(super) fn channel(instance: &str) -> String {
    format!("{CHANNEL_PREFIX}{instance}")
}

/// What the value begins with under one attempt.
pub(super) fn prefix(holder: &str, nonce: Nonce) -> String {
    let nonce = u128::from_be_bytes(nonce.to_bytes());
    let (drawn_by, count) = ((nonce >> 64) as u64, nonce as u64);
    format!("{holder}|{drawn_by:016x}{count:x}|")
}

pub(super) fn prefix_of_request(request: &Acquire) -> String {
    prefix(request.holder.as_str(), request.nonce)
}

pub(super) fn prefix_of_grant(grant: &Grant) -> String {
    prefix(grant.holder.as_str(), grant.nonce)
}

/// The value of a lock that nobody waits for; what it begins with where the token is not known.
pub(super) fn proof_of_grant(grant: &Grant) -> String {
    let mut text = prefix_of_grant(grant);
    if grant.token != FencingToken::new(0) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", grant.token.get());
    }
    text
}

/// A lock's value, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// Of a value that is not ours, the whole.
    pub(super) holder: String,
    /// `None` for what an old client wrote.
    pub(super) nonce: Option<Nonce>,
    /// Zero for what an old client wrote.
    pub(super) token: FencingToken,
}

pub(super) fn parse(value: &[u8]) -> Holding {
    let text = String::from_utf8_lossy(value);
    ours(&text).unwrap_or_else(|| {
        let holder = if text.is_empty() { "(nameless)".to_owned() } else { text.into_owned() };
        Holding { holder, nonce: None, token: FencingToken::new(0) }
    })
}

fn ours(text: &str) -> Option<Holding> {
    let text = text.strip_suffix("|w").unwrap_or(text);
    let mut parts = text.rsplitn(3, '|');
    let (token, nonce, holder) = (parts.next()?, parts.next()?, parts.next()?);
    let token = FencingToken::new(token.parse().ok()?);
    Some(Holding { holder: holder.to_owned(), nonce: Some(parse_nonce(nonce)?), token })
}

pub(super) fn parse_nonce(text: &str) -> Option<Nonce> {
    let (drawn_by, count) = text.split_at_checked(NONCE_HALF_DIGITS)?;
    let half = |digits: &str| u64::from_str_radix(digits, 16).ok().map(u128::from);
    Some(Nonce::from_bytes(((half(drawn_by)? << 64) + half(count)?).to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gives_its_parts_back() {
        for holder in ["host:1:abcdef12", "a|b", "日本 |w", "|"] {
            for nonce in [0, 42, u128::MAX, 0x0123_4567_89ab_cdef << 64] {
                let nonce = Nonce::from_bytes(nonce.to_be_bytes());
                let value = format!("{}1700000000000000", prefix(holder, nonce));
                let expected = Holding {
                    holder: holder.to_owned(),
                    nonce: Some(nonce),
                    token: FencingToken::new(1_700_000_000_000_000),
                };
                assert_eq!(parse(value.as_bytes()), expected);
                assert_eq!(parse(format!("{value}|w").as_bytes()), expected);
            }
        }
    }

    #[test]
    fn what_an_old_client_wrote_is_its_holder() {
        for value in ["scanner-7", "a|b|c", "a|ff|17", "host:1:x|w"] {
            assert_eq!(parse(value.as_bytes()).holder, value);
            assert_eq!(parse(value.as_bytes()).nonce, None);
        }
        assert_eq!(parse(b"\xff\xfe").holder, "\u{fffd}\u{fffd}");
        assert_eq!(parse(b"").holder, "(nameless)");
    }
}

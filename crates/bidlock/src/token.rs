//! Who holds a lock, and with which token.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest holder name, in bytes: it is stored with every lock and shown to operators.
pub const MAX_HOLDER_BYTES: usize = 256;

/// Who holds a lock: `host:pid:uuid8`, or a name of the user's choice. For people and for look-ups; what makes a
/// lease its owner's is the [`Nonce`], so two instances with one configured name still exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HolderId(Arc<str>);

impl HolderId {
    /// `host:pid:uuid8` of this process; the last part differs at each call.
    pub fn for_this_process() -> HolderId {
        let host = host_part(&rustix::system::uname().nodename().to_string_lossy());
        let random = Uuid::new_v4().simple().to_string();
        HolderId(format!("{host}:{}:{}", std::process::id(), &random[..8]).into())
    }

    /// A name of the user's choice, such as `--holder NAME` gives.
    ///
    /// # Errors
    /// The name is empty (or blank), longer than [`MAX_HOLDER_BYTES`], or holds a control character.
    pub fn named(name: &str) -> Result<HolderId, InvalidHolder> {
        if name.trim().is_empty() {
            return Err(InvalidHolder("must not be empty".to_owned()));
        }
        if name.len() > MAX_HOLDER_BYTES {
            let long = name.len();
            return Err(InvalidHolder(format!(
                "is {long} bytes long; at most {MAX_HOLDER_BYTES} are allowed"
            )));
        }
        if let Some(at) = name.chars().position(char::is_control) {
            return Err(InvalidHolder(format!("holds a control character at position {at}")));
        }
        Ok(HolderId(name.into()))
    }

    /// The holder as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A host's name as the first part of a holder's: bounded so that the whole stays below [`MAX_HOLDER_BYTES`] whatever the
/// host is called.
fn host_part(name: &str) -> String {
    let host: String = name.chars().filter(|c| !c.is_control()).take(48).collect();
    if host.is_empty() { "localhost".to_owned() } else { host }
}

impl std::fmt::Display for HolderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HolderId {
    type Error = InvalidHolder;

    fn try_from(text: String) -> Result<HolderId, InvalidHolder> {
        HolderId::named(&text)
    }
}

impl From<HolderId> for String {
    fn from(holder: HolderId) -> String {
        holder.as_str().to_owned()
    }
}

/// A holder name cannot be used; says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the holder's name {0}")]
pub struct InvalidHolder(String);

/// Marks one acquisition: drawn anew for each, so that asking again after a lost answer is recognised as the same
/// attempt, and nobody else's release, renewal or retry ever matches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nonce(u128);

impl Nonce {
    /// Puts a nonce together from the drawing manager's random half and its count.
    pub(crate) fn new(drawn_by: u64, count: u64) -> Nonce {
        Nonce((u128::from(drawn_by) << 64) | u128::from(count))
    }

    /// As 16 bytes, big-endian, for engines that store it.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the 16 bytes of [`Nonce::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Nonce {
        Nonce(u128::from_be_bytes(bytes))
    }
}

/// A number that grows with each acquisition of a key, for resources of the user's own that can refuse an older one.
///
/// The store's time in microseconds, at least one more than the last. Advisory: it helps only where the resource
/// compares it, and an engine that loses its data may start lower. bidlock's own bids rest on the ledger's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingToken(u64);

impl FencingToken {
    /// A token of this value; for implementors of backends.
    pub fn new(value: u64) -> FencingToken {
        FencingToken(value)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for FencingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_host_pid_and_eight_hex_digits() {
        let (a, b) = (HolderId::for_this_process(), HolderId::for_this_process());
        assert_ne!(a, b);
        let parts: Vec<&str> = a.as_str().rsplitn(3, ':').collect();
        assert_eq!(parts[1], std::process::id().to_string());
        assert!(parts[0].len() == 8 && parts[0].chars().all(|c| c.is_ascii_hexdigit()), "{a}");
        assert_eq!(parts[2], host_part(&rustix::system::uname().nodename().to_string_lossy()));
        let long = "h".repeat(64);
        for (name, part) in
            [("web-1.example", "web-1.example"), ("we\tb\n", "web"), ("\n", "localhost"), ("", "localhost")]
        {
            assert_eq!(host_part(name), part, "{name:?}");
        }
        assert_eq!(host_part(&long), long[..48]);
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_refused() {
        for name in ["", "  ", "a\tb", &"x".repeat(257)] {
            assert!(HolderId::named(name).is_err(), "{name:?}");
        }
        let scanner = HolderId::named("scanner 1").unwrap();
        assert_eq!((scanner.as_str(), scanner.to_string().as_str()), ("scanner 1", "scanner 1"));
        assert_eq!(String::from(scanner), "scanner 1");
        assert!(HolderId::named(&"x".repeat(MAX_HOLDER_BYTES)).is_ok(), "the longest one");
    }

    #[test]
    fn a_fencing_token_is_its_number() {
        let token = FencingToken::new(7);
        assert_eq!((token.get(), token.to_string().as_str()), (7, "7"));
    }

    #[test]
    fn a_nonce_survives_storage() {
        let nonce = Nonce::new(0x0123_4567_89ab_cdef, 42);
        assert_eq!(Nonce::from_bytes(nonce.to_bytes()), nonce);
        assert_ne!(nonce, Nonce::new(0x0123_4567_89ab_cdef, 43));
    }
}

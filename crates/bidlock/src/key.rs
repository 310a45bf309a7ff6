//! What a lock is taken on: one posting of one marketplace, or a name of the user's own.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// The longest marketplace name or namespace, in bytes before encoding; the ledger's own bound.
pub const MAX_MARKETPLACE_BYTES: usize = 64;
/// The longest posting id or name, in bytes before encoding; the ledger's own bound.
pub const MAX_POSTING_BYTES: usize = 512;

/// What a posting's key begins with. Operators and the system that bidlock replaces know it from Redis.
const POSTING_PREFIX: &str = "bid_lock";
/// What a named key begins with: another prefix, so that no name can ever equal a posting's key.
const NAMED_PREFIX: &str = "named_lock";

/// One hasher for the whole process, keyed at random: ids come from strangers, who must not be able to choose
/// ids that collide in the in-process maps.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The key of one lock: `bid_lock:{marketplace}:{posting}` for a posting, `named_lock:{namespace}:{name}` for
/// anything else.
///
/// Each part has `:`, `%`, `{`, `}` percent-encoded and everything else left as it is, so two different postings
/// never share a key, a key splits into its parts again, and no id can form a Redis Cluster hash tag.
/// Ids are compared byte for byte: making two spellings of one posting equal is `bidlock_market`'s work.
///
/// ```
/// use bidlock::LockKey;
///
/// let key = LockKey::posting("upwork", "job_123")?;
/// assert_eq!(key.as_str(), "bid_lock:upwork:job_123");
/// assert_ne!(LockKey::posting("a:b", "c")?, LockKey::posting("a", "b:c")?);
/// # Ok::<(), bidlock::InvalidKey>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LockKey {
    text: Arc<str>,
    /// Of `text`, so that the in-process maps need not hash the text at every step.
    hash: u64,
}

impl LockKey {
    /// The key of a posting.
    ///
    /// # Errors
    /// A part is empty (or blank), too long, or holds a control character.
    pub fn posting(marketplace: &str, posting: &str) -> Result<LockKey, InvalidKey> {
        LockKey::checked(POSTING_PREFIX, ("marketplace", marketplace), ("posting id", posting))
    }

    /// The key under which a client that encodes nothing locks a posting, such as the system that bidlock replaces: both
    /// texts as they are. Equal to [`LockKey::posting`] where nothing had to be encoded. Two postings whose texts hold
    /// colons may share such a key, so it serves to keep others away, beside the posting's own key and never in its
    /// place; it is listed by no engine, and [`LockKey::parse`] refuses it.
    ///
    /// # Errors
    /// As for [`LockKey::posting`].
    pub fn verbatim(marketplace: &str, posting: &str) -> Result<LockKey, InvalidKey> {
        check("marketplace", marketplace, MAX_MARKETPLACE_BYTES)?;
        check("posting id", posting, MAX_POSTING_BYTES)?;
        let text = format!("{POSTING_PREFIX}:{marketplace}:{posting}");
        let hash = HASHER.hash_one(text.as_str());
        Ok(LockKey { text: text.into(), hash })
    }

    /// The key of anything else that only one may work on at a time.
    ///
    /// # Errors
    /// A part is empty (or blank), too long, or holds a control character.
    pub fn named(namespace: &str, name: &str) -> Result<LockKey, InvalidKey> {
        LockKey::checked(NAMED_PREFIX, ("namespace", namespace), ("name", name))
    }

    /// The key that prints as `text`: the inverse of [`LockKey::as_str`], and of nothing else.
    ///
    /// # Errors
    /// `text` is not what a key prints as; a text that merely decodes to a key's parts (`%41` for `A`) is
    /// refused too, or one posting would have two keys.
    pub fn parse(text: &str) -> Result<LockKey, InvalidKey> {
        let not_a_key = || InvalidKey {
            part: "key",
            why: format!("{text:?} is not of the form `{POSTING_PREFIX}:MARKETPLACE:POSTING`"),
        };
        let mut parts = text.splitn(3, ':');
        let (prefix, first, second) = (parts.next(), parts.next(), parts.next());
        let (Some(prefix), Some(first), Some(second)) = (prefix, first, second) else {
            return Err(not_a_key());
        };
        let decode = |part: &str| percent_decode_str(part).decode_utf8().map(|text| text.into_owned());
        let (Ok(first), Ok(second)) = (decode(first), decode(second)) else { return Err(not_a_key()) };
        let key = match prefix {
            POSTING_PREFIX => LockKey::posting(&first, &second)?,
            NAMED_PREFIX => LockKey::named(&first, &second)?,
            _ => return Err(not_a_key()),
        };
        if key.as_str() == text { Ok(key) } else { Err(not_a_key()) }
    }

    /// The key as engines store it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Marketplace and posting id as they were given, or `None` for a named key.
    pub fn as_posting(&self) -> Option<(String, String)> {
        self.parts(POSTING_PREFIX)
    }

    /// The marketplace as it was given, or `None` for a named key.
    pub fn marketplace(&self) -> Option<Cow<'_, str>> {
        let (marketplace, _) = self.text.strip_prefix(POSTING_PREFIX)?.strip_prefix(':')?.split_once(':')?;
        Some(percent_decode_str(marketplace).decode_utf8_lossy())
    }

    /// Namespace and name as they were given, or `None` for a posting's key.
    pub fn as_named(&self) -> Option<(String, String)> {
        self.parts(NAMED_PREFIX)
    }

    /// What every key of the marketplace begins with, for [`KeyFilter`](crate::KeyFilter).
    ///
    /// # Errors
    /// As for [`LockKey::posting`].
    pub fn marketplace_prefix(marketplace: &str) -> Result<String, InvalidKey> {
        check("marketplace", marketplace, MAX_MARKETPLACE_BYTES)?;
        let mut text = format!("{POSTING_PREFIX}:");
        encode_into(&mut text, marketplace);
        text.push(':');
        Ok(text)
    }

    /// A hash of the key, the same for equal keys within this process only.
    pub(crate) fn process_hash(&self) -> u64 {
        self.hash
    }

    fn checked(
        prefix: &str,
        (first_name, first): (&'static str, &str),
        (second_name, second): (&'static str, &str),
    ) -> Result<LockKey, InvalidKey> {
        check(first_name, first, MAX_MARKETPLACE_BYTES)?;
        check(second_name, second, MAX_POSTING_BYTES)?;
        let mut text = String::with_capacity(prefix.len() + first.len() + second.len() + 2);
        text.push_str(prefix);
        text.push(':');
        encode_into(&mut text, first);
        text.push(':');
        encode_into(&mut text, second);
        let hash = HASHER.hash_one(text.as_str());
        Ok(LockKey { text: text.into(), hash })
    }

    fn parts(&self, prefix: &str) -> Option<(String, String)> {
        let rest = self.text.strip_prefix(prefix)?.strip_prefix(':')?;
        let (first, second) = rest.split_once(':')?;
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        Some((decode(first), decode(second)))
    }
}

impl PartialEq for LockKey {
    fn eq(&self, other: &LockKey) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for LockKey {}

impl Hash for LockKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for LockKey {
    fn partial_cmp(&self, other: &LockKey) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LockKey {
    fn cmp(&self, other: &LockKey) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::fmt::Display for LockKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for LockKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LockKey({})", self.text)
    }
}

impl std::str::FromStr for LockKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<LockKey, InvalidKey> {
        LockKey::parse(text)
    }
}

impl TryFrom<String> for LockKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<LockKey, InvalidKey> {
        LockKey::parse(&text)
    }
}

impl From<LockKey> for String {
    fn from(key: LockKey) -> String {
        key.as_str().to_owned()
    }
}

/// A part of a key cannot be used; says which and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid lock key: {part} {why}")]
pub struct InvalidKey {
    /// `marketplace`, `posting id`, `namespace`, `name` or `key`.
    pub part: &'static str,
    /// What is wrong with it.
    pub why: String,
}

fn check(part: &'static str, text: &str, most: usize) -> Result<(), InvalidKey> {
    if text.trim().is_empty() {
        return Err(InvalidKey { part, why: "must not be empty".to_owned() });
    }
    if text.len() > most {
        return Err(InvalidKey {
            part,
            why: format!("is {} bytes long; at most {most} are allowed", text.len()),
        });
    }
    if let Some(at) = text.chars().position(char::is_control) {
        return Err(InvalidKey { part, why: format!("holds a control character at position {at}") });
    }
    Ok(())
}

/// Only what must be: ids in any script stay legible to an operator, and equal to what the replaced system wrote.
fn encode_into(out: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            ':' => out.push_str("%3A"),
            '%' => out.push_str("%25"),
            '{' => out.push_str("%7B"),
            '}' => out.push_str("%7D"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_as_operators_know_it() {
        assert_eq!(LockKey::posting("upwork", "job_123").unwrap().as_str(), "bid_lock:upwork:job_123");
        assert_eq!(
            LockKey::posting("a:b", "x%y{z}日本 é").unwrap().as_str(),
            "bid_lock:a%3Ab:x%25y%7Bz%7D日本 é"
        );
        assert_eq!(LockKey::marketplace_prefix("a:b").unwrap(), "bid_lock:a%3Ab:");
    }

    #[test]
    fn refuses_what_cannot_be_an_id_and_names_the_part() {
        let long = "x".repeat(MAX_POSTING_BYTES + 1);
        for (marketplace, posting, part, why) in [
            ("", "1", "marketplace", "must not be empty"),
            ("upwork", " ", "posting id", "must not be empty"),
            ("upwork", "a\nb", "posting id", "control character at position 1"),
            ("upwork", "a\u{85}", "posting id", "control character at position 1"),
            ("upwork", &long, "posting id", "513 bytes long; at most 512"),
            (&long[..65], "1", "marketplace", "65 bytes long; at most 64"),
        ] {
            let refused = LockKey::posting(marketplace, posting).unwrap_err();
            assert_eq!(refused.part, part);
            assert!(refused.why.contains(why), "{refused}");
        }
        assert!(LockKey::posting(&long[..64], &long[..512]).is_ok());
    }

    #[test]
    fn parses_only_what_a_key_prints_as() {
        for text in
            ["", "bid_lock", "bid_lock:a", "bid_lock:a:%41", "bid_lock:a:b:c", "other:a:b", "bid_lock:a:%ff"]
        {
            assert!(LockKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_verbatim_key_is_what_a_client_that_encodes_nothing_writes() {
        let key = LockKey::verbatim("Upwork", "https://jobs.example/1?a={b}").unwrap();
        assert_eq!(key.as_str(), "bid_lock:Upwork:https://jobs.example/1?a={b}");
        assert_eq!(LockKey::verbatim("upwork", "1").unwrap(), LockKey::posting("upwork", "1").unwrap());
        assert!(LockKey::parse(key.as_str()).is_err());
        assert!(LockKey::verbatim("upwork", " ").is_err());
    }

    fn part() -> impl Strategy<Value = String> {
        // Rich in the characters that are encoded, and in what encodes to them.
        prop::string::string_regex("([:%{}a3AB7D25]|\\PC){1,12}")
            .unwrap()
            .prop_filter("a valid part", |text| check("part", text, MAX_MARKETPLACE_BYTES).is_ok())
    }

    proptest! {
        #[test]
        fn no_two_postings_share_a_key(a in (part(), part()), b in (part(), part())) {
            let (key_a, key_b) = (LockKey::posting(&a.0, &a.1).unwrap(), LockKey::posting(&b.0, &b.1).unwrap());
            prop_assert_eq!(key_a == key_b, a == b);
            prop_assert_eq!(key_a.as_str() == key_b.as_str(), a == b);
            let named = LockKey::named(&b.0, &b.1).unwrap();
            prop_assert_ne!(key_a.as_str(), named.as_str());
        }

        #[test]
        fn a_key_gives_its_parts_back((marketplace, posting) in (part(), part())) {
            let key = LockKey::posting(&marketplace, &posting).unwrap();
            prop_assert_eq!(key.as_posting(), Some((marketplace.clone(), posting.clone())));
            prop_assert_eq!(key.marketplace().map(Cow::into_owned), Some(marketplace.clone()));
            prop_assert_eq!(key.as_named(), None);
            prop_assert_eq!(&LockKey::parse(key.as_str()).unwrap(), &key);
            let named = LockKey::named(&marketplace, &posting).unwrap();
            prop_assert_eq!(named.marketplace(), None);
            prop_assert_eq!(named.as_named(), Some((marketplace, posting)));
            prop_assert_eq!(LockKey::parse(named.as_str()).unwrap(), named);
        }

        #[test]
        fn any_text_is_parsed_to_itself_or_refused(text in "\\PC*|bid_lock:\\PC*:\\PC*") {
            if let Ok(key) = LockKey::parse(&text) {
                prop_assert_eq!(key.as_str(), text);
            }
        }
    }
}

//! `LockKey` never panics, gives its parts back, and no two postings or names share a key.

use bidlock::LockKey;

/// Panics where one of these does not hold. The bytes are four texts, a zero after each but the last.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(4, '\0');
    let [a, b, c, d] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    for text in [a, b, c, d] {
        if let Ok(key) = LockKey::parse(text) {
            assert_eq!(key.as_str(), text);
        }
    }
    let made = [LockKey::posting(a, b), LockKey::posting(c, d), LockKey::named(a, b), LockKey::named(c, d)];
    for (key, parts) in made.iter().zip([(a, b), (c, d), (a, b), (c, d)]) {
        let Ok(key) = key else { continue };
        let given = key.as_posting().or_else(|| key.as_named()).expect("one of the two");
        assert_eq!((given.0.as_str(), given.1.as_str()), parts);
        assert_eq!(LockKey::parse(key.as_str()).as_ref(), Ok(key));
        assert!(!key.as_str().contains(['{', '}']), "a hash tag");
    }
    if let [Ok(first), Ok(second), Ok(named_first), Ok(named_second)] = &made {
        assert_eq!(first == second, (a, b) == (c, d));
        assert_eq!(first.as_str() == second.as_str(), (a, b) == (c, d));
        assert_eq!(named_first == named_second, (a, b) == (c, d));
        assert_ne!(first.as_str(), named_first.as_str());
        assert_ne!(first.as_str(), named_second.as_str());
    }
}

//! Any text has a stable canonical id on every marketplace, or a reason why it has none; what the rules of
//! `bidlock_market::identity` say goes away never makes another id of it.

use bidlock_market::{canonical, canonical_url};

/// Panics where one of these does not hold.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for marketplace in ["upwork", "freelancer", "remoteok", "weworkremotely", "himalayas", "board"] {
        if let Ok(id) = canonical(marketplace, text) {
            assert_eq!(canonical(id.marketplace(), id.posting()).as_ref(), Ok(&id), "not stable");
            let padded = format!(" \u{feff}{text}\u{200b}\n");
            assert_eq!(
                canonical(&marketplace.to_uppercase(), &padded).as_ref(),
                Ok(&id),
                "blanks, or a name's case"
            );
        }
    }
    if let Some(id) = canonical_url(text) {
        assert_eq!(canonical(id.marketplace(), text).as_ref(), Ok(&id), "a URL tells another id alone");
        // What is taken from the end of a text, as quotes are, is not taken from the middle of it.
        let ends_as_url = text.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '/');
        if ends_as_url && !text.contains(['?', '#']) {
            let tracked = format!("{text}?utm_source=feed#top");
            assert_eq!(canonical_url(&tracked).as_ref(), Some(&id), "a tracking parameter");
        }
    }
}

//! Any text has a stable canonical id on every marketplace, or a reason why it has none.
#![no_main]

use bidlock_market::{canonical, canonical_url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for marketplace in ["upwork", "freelancer", "remoteok", "weworkremotely", "himalayas", "board"] {
        if let Ok(id) = canonical(marketplace, text) {
            assert_eq!(canonical(id.marketplace(), id.posting()).as_ref(), Ok(&id), "not stable");
        }
    }
    if let Some(id) = canonical_url(text) {
        assert_eq!(canonical(id.marketplace(), text).as_ref(), Ok(&id), "a URL tells another id alone");
    }
});

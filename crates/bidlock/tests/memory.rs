//! The memory backend: the conformance suite.

use std::sync::Arc;

use bidlock::backends::memory::MemoryBackend;
use bidlock::conformance::Fixture;

fn fixture() -> Fixture {
    let store = Arc::new(MemoryBackend::new());
    Fixture::new(move || store.clone())
}

bidlock::conformance_suite!(fixture());

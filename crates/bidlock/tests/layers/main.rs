//! The layers: asking again, falling back, and the faults that show whether they do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints know test functions, and not what these call"
)]

mod chaos;
mod fallback;
mod retry;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod servers;

use std::sync::Arc;
use std::time::Duration;

use bidlock::backends::memory::MemoryBackend;
use bidlock::layers::chaos::Chaos;
use bidlock::{Acquire, Acquired, Grant, HolderId, LockBackend, LockKey, ManualClock, Nonce};

const TTL: Duration = Duration::from_secs(60);
/// A wait that only a fault outlasts.
const PATIENCE: Duration = Duration::from_secs(30);

fn posting(id: &str) -> LockKey {
    LockKey::posting("upwork", id).unwrap()
}

fn request(id: &str, nonce: u8) -> Acquire {
    let holder = HolderId::named("scanner").unwrap();
    Acquire { key: posting(id), holder, nonce: Nonce::from_bytes([nonce; 16]), ttl: TTL }
}

async fn granted(backend: &dyn LockBackend, id: &str, nonce: u8) -> Grant {
    match backend.try_acquire(&[request(id, nonce)]).await.unwrap().remove(0) {
        Acquired::Granted(grant) => grant,
        Acquired::Held(held) => panic!("held by {held:?}"),
    }
}

async fn is_held(backend: &dyn LockBackend, id: &str) -> bool {
    let filter = bidlock::KeyFilter::key(&posting(id));
    !backend.inspect(&filter, bidlock::Page::default()).await.unwrap().is_empty()
}

/// A memory engine and the faults before it, on a clock that stands still.
fn engine(clock: &Arc<ManualClock>) -> (MemoryBackend, Chaos) {
    let memory = MemoryBackend::with_clock(clock.clone());
    let chaos = Chaos::calm(Arc::new(memory.clone()));
    (memory, chaos)
}

/// Lets every task that can run do so: on a runtime of one thread, with engines that never wait for anything outside.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

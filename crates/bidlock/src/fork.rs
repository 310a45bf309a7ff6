//! Notices that the process has forked.
//!
//! A forked child has the parent's nonces to come, its leases, and none of its threads. It must not go on with the
//! parent's manager: parent and child would ask under one nonce, and both would be granted. Asking the kernel for
//! the process id at every acquisition would cost more than the acquisition, so the C library tells us instead.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTERED: OnceLock<bool> = OnceLock::new();

/// How many forks lie between the first call and this process: a manager made under another number is not ours.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// Asks to be told of forks. Called by each new manager; only the first call does something.
pub(crate) fn watch() {
    REGISTERED.get_or_init(register);
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "the only way to be told; see the safety note")]
fn register() -> bool {
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Relaxed);
    }
    // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec, and lives for ever.
    let refused = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    if refused != 0 {
        tracing::warn!(
            errno = refused,
            "forks of this process will not be noticed: do not fork with locks held"
        );
    }
    refused == 0
}

#[cfg(not(unix))]
fn register() -> bool {
    false
}

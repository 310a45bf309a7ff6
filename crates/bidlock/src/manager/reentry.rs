//! Re-entry: a task that holds a lock gets it again. Only where the builder was asked for it.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Weak};
use std::thread::ThreadId;

use crate::key::LockKey;
use crate::lease::LeaseState;
use crate::sync::locked;

/// Which leases belong to which task. Bounded by the leases held: each entry goes with its lease's last release.
#[derive(Debug, Default)]
pub(crate) struct Reentry(Mutex<HashMap<(LockKey, Owner), Weak<LeaseState>>>);

/// A task; or the thread, for a future that runs outside of any task and so on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Task(tokio::task::Id),
    Thread(ThreadId),
}

impl Owner {
    fn current() -> Owner {
        tokio::task::try_id().map_or_else(|| Owner::Thread(std::thread::current().id()), Owner::Task)
    }
}

impl Reentry {
    /// Remembers a fresh lease as its task's.
    pub(super) fn note(&self, state: &Arc<LeaseState>) {
        locked(&self.0).insert((state.grant.key.clone(), Owner::current()), Arc::downgrade(state));
    }

    /// The task's lease of this key, with its entry counted.
    pub(super) fn enter(&self, key: &LockKey) -> Option<Arc<LeaseState>> {
        let map = locked(&self.0);
        let state = map.get(&(key.clone(), Owner::current()))?.upgrade()?;
        if state.entries.load(Relaxed) == 0 {
            return None; // its last release is under way
        }
        state.entries.fetch_add(1, Relaxed);
        Some(state)
    }

    /// Counts an entry down; `true` for the last. The lease may be dropped by another task than entered it.
    pub(super) fn leave(&self, state: &Arc<LeaseState>) -> bool {
        let mut map = locked(&self.0);
        if state.entries.fetch_sub(1, Relaxed) > 1 {
            return false;
        }
        let gone = Arc::as_ptr(state);
        map.retain(|(key, _), kept| *key != state.grant.key || !std::ptr::eq(kept.as_ptr(), gone));
        true
    }
}

//! Wakes waiters of the same process when a key of the same file is released.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::backend::{Enlisted, Turn};
use crate::error::Result;
use crate::key::LockKey;
use crate::sync::locked;

/// By file, so that several managers of one process on one file wake each other. An entry goes when the file is
/// opened again after its last backend has gone; there are as many as the process ever opened files.
static FILES: LazyLock<Mutex<HashMap<PathBuf, Weak<WakeUps>>>> = LazyLock::new(Mutex::default);

/// The waiters on one file in this process.
#[derive(Debug, Default)]
pub(super) struct WakeUps(Mutex<HashMap<LockKey, VecDeque<Arc<Notify>>>>);

impl WakeUps {
    /// Those of this file, whose path is canonical.
    pub(super) fn of(path: &Path) -> Arc<WakeUps> {
        let mut files = locked(&FILES);
        files.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = files.get(path).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(WakeUps::default());
        files.insert(path.to_owned(), Arc::downgrade(&fresh));
        fresh
    }

    pub(super) fn enlist(self: &Arc<WakeUps>, key: &LockKey) -> SqliteWaiter {
        let woken = Arc::new(Notify::new());
        locked(&self.0).entry(key.clone()).or_default().push_back(Arc::clone(&woken));
        SqliteWaiter { wake_ups: Arc::clone(self), key: key.clone(), woken }
    }

    /// Says that the key may be free, to the one who has waited longest.
    pub(super) fn wake<'a>(&self, keys: impl Iterator<Item = &'a LockKey>) {
        let waiters = locked(&self.0);
        if waiters.is_empty() {
            return;
        }
        for key in keys {
            if let Some(first) = waiters.get(key).and_then(VecDeque::front) {
                first.notify_one();
            }
        }
    }
}

/// A place in a key's queue in this process.
#[derive(Debug)]
pub(super) struct SqliteWaiter {
    wake_ups: Arc<WakeUps>,
    key: LockKey,
    woken: Arc<Notify>,
}

#[async_trait]
impl Enlisted for SqliteWaiter {
    async fn next(&mut self) -> Result<Turn> {
        self.woken.notified().await;
        Ok(Turn::TryAgain)
    }
}

impl Drop for SqliteWaiter {
    fn drop(&mut self) {
        let mut waiters = locked(&self.wake_ups.0);
        let Some(queue) = waiters.get_mut(&self.key) else { return };
        queue.retain(|woken| !Arc::ptr_eq(woken, &self.woken));
        match queue.front() {
            // A wake-up that we did not use is the next one's; one too many only makes it look.
            Some(next) => next.notify_one(),
            None => drop(waiters.remove(&self.key)),
        }
    }
}

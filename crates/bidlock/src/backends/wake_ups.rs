//! Wakes waiters of the same process when a key of the same store is released: for engines that push nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::backend::{Enlisted, Turn};
use crate::error::Result;
use crate::key::LockKey;
use crate::sync::locked;

/// By place, so that several managers of one process on one store wake each other. An entry goes when a store is
/// opened after its last backend has gone; there are as many as the process ever opened.
static PLACES: LazyLock<Mutex<HashMap<String, Weak<WakeUps>>>> = LazyLock::new(Mutex::default);

/// The waiters on one store in this process.
#[derive(Debug, Default)]
pub(super) struct WakeUps(Mutex<HashMap<LockKey, VecDeque<Arc<Notify>>>>);

impl WakeUps {
    /// Those of this store: a canonical path, or a URL without secrets.
    pub(super) fn of(place: &str) -> Arc<WakeUps> {
        let mut places = locked(&PLACES);
        places.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = places.get(place).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(WakeUps::default());
        places.insert(place.to_owned(), Arc::downgrade(&fresh));
        fresh
    }

    pub(super) fn enlist(self: &Arc<WakeUps>, key: &LockKey) -> LocalWaiter {
        let woken = Arc::new(Notify::new());
        locked(&self.0).entry(key.clone()).or_default().push_back(Arc::clone(&woken));
        LocalWaiter { wake_ups: Arc::clone(self), key: key.clone(), woken }
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
pub(super) struct LocalWaiter {
    wake_ups: Arc<WakeUps>,
    key: LockKey,
    woken: Arc<Notify>,
}

#[async_trait]
impl Enlisted for LocalWaiter {
    async fn next(&mut self) -> Result<Turn> {
        self.woken.notified().await;
        Ok(Turn::TryAgain)
    }
}

impl Drop for LocalWaiter {
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

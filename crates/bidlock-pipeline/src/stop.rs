//! Stopping: first gently, then at once.

use std::sync::Arc;

use tokio::sync::watch;

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Run,
    Drain,
    Abort,
}

/// A switch that a signal handler throws and the pipeline watches. Cheap to clone.
///
/// `drain`: nothing new is begun, claims not yet sent are handed back, requests under way are waited for
/// (bounded by the marketplace's time limit). `abort`: requests under way become `unknown` at once.
#[derive(Clone, Debug)]
pub struct Stop {
    level: Arc<watch::Sender<Level>>,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop { level: Arc::new(watch::Sender::new(Level::Run)) }
    }
}

impl Stop {
    /// Begins nothing new.
    pub fn drain(&self) {
        self.raise(Level::Drain);
    }

    /// Waits for nothing any more.
    pub fn abort(&self) {
        self.raise(Level::Abort);
    }

    /// Whether anything new may be begun.
    pub fn is_stopping(&self) -> bool {
        *self.level.borrow() >= Level::Drain
    }

    /// Resolves when nothing new may be begun.
    pub async fn stopping(&self) {
        self.reached(Level::Drain).await;
    }

    /// Resolves when nothing is waited for any more.
    pub async fn aborted(&self) {
        self.reached(Level::Abort).await;
    }

    fn raise(&self, to: Level) {
        self.level.send_if_modified(|level| {
            let higher = to > *level;
            if higher {
                *level = to;
            }
            higher
        });
    }

    async fn reached(&self, wanted: Level) {
        let mut watcher = self.level.subscribe();
        // The sender lives in `self`, so the channel can't close while this waits.
        if watcher.wait_for(|level| *level >= wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_only_rises() {
        let stop = Stop::default();
        assert!(!stop.is_stopping());
        stop.abort();
        stop.drain();
        stop.stopping().await;
        stop.aborted().await;
    }
}

//! The race: a counter that nothing guards but the lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Fixture, PATIENCE, granted, posting};
use crate::Wait;

const INSTANCES: u64 = 4;
const TASKS: u64 = 4;
const ROUNDS: u64 = 15;

/// Several tasks of several instances read, pause and write back; an update is lost if two are ever inside together.
/// Between *processes* the tests of the backend run the same on a file.
pub async fn unguarded_counter_under_the_lock(fixture: Fixture) {
    let counter = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for instance in 0..INSTANCES {
        let manager = fixture.manager(&format!("instance {instance}"));
        for _ in 0..TASKS {
            let (manager, counter) = (manager.clone(), Arc::clone(&counter));
            tasks.push(tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let lease = granted(manager.lock(&posting("counter"), Wait::up_to(PATIENCE * 3)).await);
                    let seen = counter.load(Relaxed);
                    tokio::task::yield_now().await;
                    counter.store(seen + 1, Relaxed);
                    lease.release().await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counter.load(Relaxed), INSTANCES * TASKS * ROUNDS);
}

//! rslock: `peer-rslock PORT SCALE`. 64 tasks with a key each; three tasks on one key that hold it for 5 ms.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rslock::LockManager;

const TTL: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<f64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let manager = LockManager::new(vec![format!("redis://127.0.0.1:{}/", arguments[0])]);
    println!("rslock\tpairs\t{}", pairs(&manager, 64, Duration::from_secs_f64(2.0 * arguments[1])).await);
    println!("rslock\thandover\t{}", handover(&manager, 3, 10).await);
}

async fn pairs(manager: &LockManager, tasks: usize, length: Duration) -> f64 {
    let start = Instant::now();
    let works: Vec<_> = (0..tasks)
        .map(|task| {
            let manager = manager.clone();
            tokio::spawn(async move {
                let mut count = 0;
                while start.elapsed() < length {
                    let lock = manager.lock(format!("peer:{task}").as_bytes(), TTL).await.unwrap();
                    manager.unlock(&lock).await;
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for work in works {
        count += work.await.unwrap();
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

async fn handover(manager: &LockManager, tasks: usize, rounds: usize) -> f64 {
    let seen: Arc<Mutex<(Option<(usize, Instant)>, Vec<f64>)>> = Arc::default();
    let works: Vec<_> = (0..tasks)
        .map(|task| {
            let (manager, seen) = (manager.clone(), seen.clone());
            tokio::spawn(async move {
                for _ in 0..rounds {
                    let lock = loop {
                        match manager.lock(b"peer:handover", TTL).await {
                            Ok(lock) => break lock,
                            Err(_) => continue,
                        }
                    };
                    {
                        let mut seen = seen.lock().unwrap();
                        if let Some((by, released)) = seen.0.take()
                            && by != task
                        {
                            seen.1.push(released.elapsed().as_secs_f64() * 1e3);
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    seen.lock().unwrap().0 = Some((task, Instant::now()));
                    manager.unlock(&lock).await;
                }
            })
        })
        .collect();
    for work in works {
        work.await.unwrap();
    }
    let mut took = std::mem::take(&mut seen.lock().unwrap().1);
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

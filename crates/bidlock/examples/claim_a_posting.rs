//! Two instances of one scanner see the same posting; one works on it, the other moves on.
//!
//! `cargo run -p bidlock --example claim_a_posting`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use bidlock::{Attempt, Guarded, LockKey, LockManager, Wait};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("locks.db");
    let url = file.to_str().ok_or("the temporary folder's name is not UTF-8")?;
    let (first, second) = (LockManager::connect(url).await?, LockManager::connect(url).await?);
    let key = LockKey::posting("upwork", "job_123")?;

    let Attempt::Acquired(lease) = first.try_lock(&key).await? else {
        return Err("a fresh file holds a lock".into());
    };
    println!("{} holds {key}, token {}", lease.holder(), lease.fencing_token());

    if let Attempt::Held(other) = second.try_lock(&key).await? {
        println!("the second one is told: {} has it for another {:?}", other.holder, other.remaining);
    }
    println!("released: {:?}", lease.release().await?);

    // Waits if need be, cancels the work if the lease is lost, and releases however the work ends.
    let worked = second
        .with_lock(&key, Wait::up_to(Duration::from_secs(10)), |lease| async move { lease.fencing_token() })
        .await?;
    if let Guarded::Done(token) = worked {
        println!("now the second one worked on it, with token {token}");
    }
    println!("{:?}", second.stats());
    Ok(())
}

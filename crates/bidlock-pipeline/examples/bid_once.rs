//! Two scanners with one ledger meet the same feed; the marketplace, here the sandbox, gets one bid a posting.
//!
//! `cargo run -p bidlock-pipeline --example bid_once`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use bidlock::{HolderId, LockManager, SystemClock};
use bidlock_ledger::{Claimant, LedgerStore, SqliteLedger};
use bidlock_market::{HttpOptions, ReadOptions, connect, read_bytes};
use bidlock_pipeline::{EverythingSuits, Parts, Pipeline, PipelineOptions, Stop};
use bidlock_sandbox::{Sandbox, SandboxOptions};

const FEED: &str = r#"[
    { "platform": "meadow", "id": "MD-1", "title": "Proofread a field guide", "budget": "$450" },
    { "platform": "Meadow", "id": "meadow:MD-1", "title": "Proofread a field guide", "budget": "$450" },
    { "platform": "meadow", "id": "MD-2", "title": "Index a cookbook", "budget": "$200" }
]"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let sandbox = Sandbox::start(SandboxOptions::new(folder.path().join("market.jsonl"))).await?;
    let feed = read_bytes("feed.json", FEED.as_bytes(), &ReadOptions::auto(jiff::Timestamp::UNIX_EPOCH))?;
    let postings: Vec<_> = feed.rows.into_iter().collect::<Result<_, _>>()?;

    for name in ["scanner-1", "scanner-2"] {
        let ledger = SqliteLedger::open(folder.path().join("ledger.db"))?;
        let holder = HolderId::named(name)?;
        let instance = LedgerStore::instance(&ledger);
        let parts = Parts {
            ledger: Arc::new(ledger),
            locks: LockManager::connect("memory:").await?,
            marketplace: connect(&sandbox.url().parse()?, HttpOptions::default())?,
            evaluator: Arc::new(EverythingSuits { proposal: "I can start on \"{title}\" today.".to_owned() }),
            clock: Arc::new(SystemClock),
            claimant: Claimant { holder: holder.to_string(), instance },
        };
        // The feed was "fetched" in 1970; a real one would be younger than the default limit of a day.
        let options = PipelineOptions { max_age: std::time::Duration::MAX, ..PipelineOptions::default() };
        let pipeline = Pipeline::new(parts, options, Stop::default())?;
        for (posting, outcome) in postings.iter().zip(pipeline.process_batch(&postings).await) {
            println!("{name}: {} is {}", posting.id, outcome?.name());
        }
        pipeline.shutdown().await;
    }

    let report = sandbox.report()?;
    println!("the marketplace has {} bids, {} of them duplicates", report.accepted, report.duplicates);
    assert_eq!((report.accepted, report.duplicates), (2, 0));
    sandbox.stop().await;
    Ok(())
}

//! Many scanners at once, without the help of locks, before a marketplace that accepts duplicates.

use std::{sync::Arc, time::Duration};

use bidlock::backends;
use bidlock_ledger::{BidState, sqlite::SystemHostClock};
use bidlock_market::{HttpMarketplace, HttpOptions, Marketplace, Posting};
use bidlock_pipeline::{PipelineError, Reconciler, Scan, ScanOptions, ScanSummary};
use bidlock_sandbox::{Report, Sandbox, SandboxOptions};
use futures::{future, stream};

use crate::rig::{Rig, posting};

/// Many scanners on few postings: they meet on every one.
const SCANNERS: u64 = 8;
const POSTINGS: u64 = 300;

async fn sandbox(rig: &Rig, modes: &str) -> (Sandbox, Arc<dyn Marketplace>) {
    let options = SandboxOptions::new(rig.dir.path().join("market.jsonl")).modes(modes.parse().unwrap());
    let sandbox = Sandbox::start(options).await.unwrap();
    let limits = HttpOptions { time_limit: Duration::from_secs(20), ..HttpOptions::default() };
    let market = HttpMarketplace::new(sandbox.url().parse().unwrap(), limits).unwrap();
    (sandbox, Arc::new(market))
}

/// Eight scanners, each with a ledger handle of its own on one file, over locks that exclude nobody. Each
/// sees every posting, in an order of its own, and some of them twice.
async fn race(rig: &Rig, market: &Arc<dyn Marketplace>) -> Vec<Result<ScanSummary, PipelineError>> {
    let locks = backends::open("unsafe-grant-all:").await.unwrap();
    let scans = (0..SCANNERS).map(|n| {
        let ledger = crate::rig::open_ledger(&rig.dir, Arc::new(SystemHostClock));
        let pipeline = rig
            .scanner(&format!("s{n}"))
            .ledger(Arc::new(ledger))
            .locks(locks.clone())
            .market(market.clone())
            .build();
        // Strides that share no factor with the number of postings visit all of them.
        let stride = [1, 7, 11, 13, 17, 19, 23, 29][n as usize % 8];
        let postings: Vec<Posting> =
            (0..POSTINGS + 40).map(|i| posting(&format!("p{}", i * stride % POSTINGS))).collect();
        tokio::spawn(async move {
            let options = ScanOptions { wait: Duration::from_secs(30), batch: 64, ..ScanOptions::default() };
            Scan::new(pipeline, options).run(stream::iter(postings), |_, _| {}).await
        })
    });
    let done = tokio::time::timeout(Duration::from_secs(50), future::join_all(scans)).await.expect("stuck");
    done.into_iter().map(|scan| scan.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_scanners_without_locks_submit_each_posting_exactly_once() {
    let rig = Rig::on_host_time();
    let (sandbox, market) = sandbox(&rig, "duplicates=accepted").await;
    let mut submitted = 0;
    for summary in race(&rig, &market).await {
        let summary = summary.unwrap();
        assert_eq!(summary.sightings, POSTINGS + 40);
        assert_eq!(summary.of("submitted") + summary.of("already_bid"), summary.sightings, "{summary:?}");
        submitted += summary.of("submitted");
    }
    let report = sandbox.report().unwrap();
    assert_eq!((submitted, report.submissions, report.accepted), (POSTINGS, POSTINGS, POSTINGS));
    assert_eq!((report.duplicates, report.keys_seen_again), (0, 0));
    assert!(report.postings.values().all(|p| p.received == 1));
    assert_eq!(rig.count(BidState::Submitted).await, POSTINGS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_scanners_without_locks_and_lost_answers_are_settled_by_look_up_alone() {
    let rig = Rig::on_host_time();
    let modes = "duplicates=accepted,reset-after=0.1,500-after=0.1,reset-before=0.05,429=0.05@1s,seed=11";
    let (sandbox, market) = sandbox(&rig, modes).await;
    for summary in race(&rig, &market).await {
        summary.unwrap();
    }
    let report = sandbox.report().unwrap();
    assert_eq!(report.duplicates, 0, "{:?}", report.duplicated().collect::<Vec<_>>());
    let reconciler = Reconciler::new(rig.ledger.clone(), Box::new(move |_| Ok(market.clone())), "reconciler");
    let settled = reconciler.run().await.unwrap();
    // A reset before anything was accepted can't be told from one after it: those stay unknown, for a person.
    let accepted = report.postings_accepted();
    assert_eq!(rig.count(BidState::Submitted).await, accepted);
    assert_eq!(u64::from(settled.open), POSTINGS - accepted);
    assert!(settled.bids.iter().all(|s| s.bid.unknown_cause.is_some()));
    assert!(accepted < POSTINGS && settled.settled > 0, "the modes did their work: {:?}", report.answers);
    assert_eq!(sandbox.report().unwrap().submissions, report.submissions, "a look-up sends nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_unique_index_nothing_is_claimed_and_nothing_is_sent() {
    let rig = Rig::on_host_time();
    drop_index(&rig.dir.path().join("ledger.db"));
    let (sandbox, market) = sandbox(&rig, "duplicates=accepted").await;
    for summary in race(&rig, &market).await {
        assert!(matches!(summary, Err(PipelineError::Ledger(_))), "{summary:?}");
    }
    assert_eq!(sandbox.submissions(), 0, "the mechanism is gone, and so is the sending");
}

fn drop_index(path: &std::path::Path) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    conn.execute_batch("DROP INDEX bids_live; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
}

/// What the proofs above rest on: without the one shared ledger the same scanners do bid twice, and the
/// report sees it.
#[tokio::test]
async fn scanners_with_a_ledger_each_bid_twice_and_the_report_sees_it() {
    let rig = Rig::on_host_time();
    let (sandbox, market) = sandbox(&rig, "").await;
    for n in 0..2 {
        // Two ledgers for one fleet: the fault that this product replaces.
        let other = Rig::on_host_time();
        let pipeline = other.scanner(&format!("s{n}")).market(market.clone()).build();
        crate::rig::one(&pipeline, "1").await;
    }
    let report: Report = sandbox.report().unwrap();
    assert_eq!((report.accepted, report.duplicates, report.keys_seen_again), (2, 1, 1));
}

//! The goal P11 of the performance page: a scan of postings that are all settled already, answered by the cache and
//! through the ledger, each beside its raw limit in the same run.
//!
//! `cargo bench -p bidlock-pipeline --bench scan`, or with `-- --quick` for a look. One line a goal: figure, raw
//! limit, ratio, goal, met or MISSED; then the same postings through a whole [`Scan`], which also takes each sighting
//! from its source and drops it.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark reports by printing, stops at the first surprise, and measures real time"
)]

use std::{
    collections::HashMap,
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bidlock::{LockManager, SystemClock};
use bidlock_ledger::{
    Actor, BidBrief, Change, ClaimOutcome, Claimant, Currency, LedgerStore, Money, Move, NewClaim, Payload,
    PostingId, SqliteLedger, Standing,
};
use bidlock_market::{
    Answer, Approval, Budget, Capabilities, Client, IdentityBasis, LookUpError, Marketplace, Posting,
    RemoteBid, SourceRef, Submission, WithdrawAnswer,
};
use bidlock_pipeline::{EverythingSuits, Outcome, Parts, Pipeline, PipelineOptions, Scan, ScanOptions, Stop};
use futures::stream;
use rusqlite::{Connection, OpenFlags, params};

/// As `scan` has it unless set.
const BATCH: usize = 256;
const TTL: Duration = Duration::from_secs(300);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (count, rounds) = if quick { (20_000, 3) } else { (100_000, 9) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let ledger = Arc::new(SqliteLedger::open(&file).unwrap());
    let postings: Vec<Posting> = (0..count).map(posting).collect();
    runtime.block_on(settle(&ledger, &postings));

    let cached = warm(&runtime, &ledger, &postings);
    let figure = median(rounds, || rate(count, || through(&runtime, &cached, &postings)));
    let map = bare_map(&runtime, &ledger, &postings);
    let raw = median(rounds, || rate(count, || look_into(&map, &postings)));
    report("settled postings answered by the cache", figure, raw, 1_000_000.0);

    // A pipeline of its own each time: what the ledger answers is remembered, which belongs to the price.
    let figure = median(rounds, || {
        let fresh = pipeline(&ledger);
        rate(count, || through(&runtime, &fresh, &postings))
    });
    let raw = median(rounds, || bare_select(&file, &postings));
    report("settled postings through the ledger", figure, raw, 100_000.0);

    let whole = |pipeline: &Arc<Pipeline>| {
        let sightings = postings.clone();
        let mut scan = Scan::new(Arc::clone(pipeline), ScanOptions::default());
        rate(count, || {
            let run = scan.run(stream::iter(sightings), |_, outcome| {
                black_box(outcome);
            });
            assert_eq!(runtime.block_on(run).unwrap().of("already_bid"), count as u64);
        })
    };
    let by_cache = median(rounds.min(3), || whole(&cached));
    let by_ledger = median(rounds.min(3), || whole(&pipeline(&ledger)));
    println!(
        "     for comparison: a whole `Scan` of the same, source and counting included: {by_cache:.0} postings/s from the cache, {by_ledger:.0} through the ledger"
    );
}

fn report(what: &str, figure: f64, raw: f64, goal: f64) {
    let verdict = if figure >= goal { "met" } else { "MISSED" };
    println!(
        "P11  {what:<44} {:>18}  raw {:>18}  ratio {:>7}  goal {:<12} {verdict}",
        format!("{figure:.0}/s"),
        format!("{raw:.0}/s"),
        format!("{:.2}x", figure / raw),
        format!(">= {goal:.0}/s"),
    );
}

/// The median of so many rounds.
fn median(rounds: usize, mut round: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..rounds).map(|_| round()).collect();
    figures.sort_by(f64::total_cmp);
    figures[rounds / 2]
}

fn rate(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    count as f64 / start.elapsed().as_secs_f64()
}

/// A posting with a made-up text of a usual length.
fn posting(n: usize) -> Posting {
    let amount = Money { minor: 45_000, currency: Currency::USD };
    let fetched_at = jiff::Timestamp::now();
    Posting {
        id: PostingId::new("examplework", format!("job_{n:012}")).unwrap(),
        identity: IdentityBasis::Id,
        written: Vec::new(),
        ambiguity: None,
        title: format!("A dashboard for customer number {n}"),
        url: Some(format!("https://jobs.example/{n}")),
        description: "We need a dashboard that shows our figures by week and by region. ".repeat(8),
        budget: Budget::from_amounts(Some(amount), None, None),
        skills: vec!["dashboards".to_owned(), "statistics".to_owned()],
        client: Client::default(),
        location: None,
        category: None,
        bid_cost: None,
        biddable: None,
        proposals: None,
        proposals_tier: None,
        posted_at: Some(fetched_at),
        fetched_at,
        source: SourceRef { name: "bench".to_owned(), row: n as u64 },
    }
}

fn claimant() -> Claimant {
    Claimant { holder: "bench:1:0123abcd".to_owned(), instance: None }
}

/// Brings every posting's bid to `submitted`, as a scanner does.
async fn settle(ledger: &SqliteLedger, postings: &[Posting]) {
    for part in postings.chunks(bidlock_ledger::store::MAX_BATCH) {
        let request = |p: &Posting| NewClaim {
            posting: p.id.clone(),
            claimant: claimant(),
            ttl: TTL,
            payload: Payload {
                amount: p.budget.low,
                proposal: "I can start on Monday.".to_owned(),
                posting_url: p.url.clone(),
                via: "bench".to_owned(),
                evaluation: None,
            },
        };
        let claims = ledger.claim(&part.iter().map(request).collect::<Vec<_>>()).await.unwrap();
        let change = |claim: &ClaimOutcome, action: Move| match claim {
            ClaimOutcome::Granted(claim) => {
                Change::new(claim.bid.claim_ref(), Actor("bench".to_owned()), action)
            }
            ClaimOutcome::Existing(_) => panic!("a fresh ledger"),
        };
        let door = Move::EnterSubmitting { ttl: TTL, cap: None };
        let yes = Move::Accept { external_ref: "b".to_owned() };
        for action in [door, yes] {
            let changes: Vec<Change> = claims.iter().map(|c| change(c, action.clone())).collect();
            ledger.apply(&changes).await.unwrap();
        }
    }
}

fn pipeline(ledger: &Arc<SqliteLedger>) -> Arc<Pipeline> {
    let parts = Parts {
        ledger: ledger.clone(),
        locks: LockManager::new(Arc::new(bidlock::backends::memory::MemoryBackend::new())),
        marketplace: Arc::new(NoMarketplace),
        evaluator: Arc::new(EverythingSuits::default()),
        clock: Arc::new(SystemClock),
        claimant: claimant(),
    };
    Pipeline::new(parts, PipelineOptions::default(), Stop::default()).unwrap()
}

/// A pipeline whose cache knows every posting.
fn warm(
    runtime: &tokio::runtime::Runtime,
    ledger: &Arc<SqliteLedger>,
    postings: &[Posting],
) -> Arc<Pipeline> {
    let pipeline = pipeline(ledger);
    through(runtime, &pipeline, postings);
    pipeline
}

fn through(runtime: &tokio::runtime::Runtime, pipeline: &Arc<Pipeline>, postings: &[Posting]) {
    runtime.block_on(async {
        for batch in postings.chunks(BATCH) {
            for outcome in pipeline.process_batch(batch).await {
                assert!(matches!(outcome, Ok(Outcome::AlreadyBid(_))));
            }
        }
    });
}

/// What the cache holds, in a bare map.
fn bare_map(
    runtime: &tokio::runtime::Runtime,
    ledger: &SqliteLedger,
    postings: &[Posting],
) -> HashMap<PostingId, BidBrief> {
    let mut map = HashMap::new();
    for part in postings.chunks(BATCH) {
        let ids: Vec<PostingId> = part.iter().map(|p| p.id.clone()).collect();
        for (id, standing) in ids.iter().zip(runtime.block_on(ledger.standing(&ids)).unwrap()) {
            let Standing::Taken(bid) = standing else { panic!("all are settled") };
            map.insert(id.clone(), bid);
        }
    }
    map
}

/// The raw limit of the cache: one look into a map of one thread, and a copy of what it holds.
fn look_into(map: &HashMap<PostingId, BidBrief>, postings: &[Posting]) {
    for posting in postings {
        black_box(map.get(&posting.id).cloned().unwrap());
    }
}

/// The raw limit of the ledger: the same question, prepared once, on a bare connection in one read transaction a
/// batch, its columns read and not made into anything.
fn bare_select(file: &Path, postings: &[Posting]) -> f64 {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.execute_batch("PRAGMA query_only = ON").unwrap();
    let mut select = conn
        .prepare(
            "SELECT id, state, claim_id, holder, claim_boot, claim_until_ms, approved_until_ms, created_at_ms
             FROM bids WHERE marketplace = ?1 AND posting = ?2 AND NOT rebid_allowed",
        )
        .unwrap();
    rate(postings.len(), || {
        for batch in postings.chunks(BATCH) {
            let tx = conn.unchecked_transaction().unwrap();
            for posting in batch {
                let asked = params![posting.id.marketplace(), posting.id.posting()];
                let row = select.query_row(asked, |row| {
                    let id: [u8; 16] = row.get(0)?;
                    black_box((row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?, row.get_ref(4)?));
                    black_box((row.get::<_, i64>(5)?, row.get_ref(6)?, row.get::<_, i64>(7)?));
                    Ok(id)
                });
                black_box(row.unwrap());
            }
            drop(tx);
        }
    })
}

/// Nothing is to be sent here.
#[derive(Debug)]
struct NoMarketplace;

#[async_trait::async_trait]
impl Marketplace for NoMarketplace {
    fn via(&self) -> &str {
        "bench"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            refuses_duplicates: false,
            looks_up: false,
            honours_idempotency_key: false,
            approval: Approval::NotNeeded,
            sends: true,
        }
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn submit(&self, submission: &Submission) -> Answer {
        panic!("{} is settled", submission.posting)
    }

    async fn look_up(&self, posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError> {
        panic!("{posting} is settled")
    }

    async fn withdraw(&self, external_ref: &str) -> WithdrawAnswer {
        panic!("{external_ref} stays")
    }
}

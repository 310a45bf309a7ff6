//! What the pipeline's tests stand on: a real ledger in a folder of its own whose clock moves by hand, a
//! marketplace that answers by script and writes down what it saw, and a ledger that fails on demand.

#![allow(unreachable_pub, reason = "a module of a test binary")]

pub mod database;
pub mod faulty;
pub mod market;
pub mod nth;
pub mod told;
pub mod wire;
pub mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bidlock::{
    Clock, HolderId, LockBackend, LockManager, Moment, SystemClock, backends::memory::MemoryBackend,
};
use bidlock_ledger::{
    Bid, BidEvent, BidFilter, BidState, Claimant, LedgerStore, Money, NewClaim, Page, Payload, PostingId,
    SqliteLedger, chain,
    sqlite::{HostClock, ManualHostClock, Options, SystemHostClock},
};
use bidlock_market::{Budget, Client, IdentityBasis, LostCause, Marketplace, Posting, SourceRef};
use bidlock_pipeline::{
    Evaluator, EverythingSuits, Outcome, Parts, Pipeline, PipelineError, PipelineOptions, Reconciler, Stop,
};

use self::market::{Market, Step};

/// The TTL of claims where a test names no other.
pub const TTL: Duration = Duration::from_secs(60);
/// Longer than any wait of a test that works; a test that does not ends by it.
pub const LONG: Duration = Duration::from_secs(20);

/// One ledger, one marketplace, and as many scanners as a test makes.
pub struct Rig {
    pub dir: tempfile::TempDir,
    /// The ledger's clock: decides what has expired.
    pub time: Arc<ManualHostClock>,
    pub ledger: Arc<dyn LedgerStore>,
    pub market: Arc<Market>,
    pub locks: Arc<dyn LockBackend>,
}

impl Rig {
    /// With a ledger whose clock moves by hand.
    pub fn new() -> Rig {
        let time = Arc::new(ManualHostClock::new());
        let clock: Arc<dyn HostClock> = time.clone();
        Rig::with_clock(time, clock)
    }

    /// With a ledger on the host's own clock: for daily caps, which compare it with the scanner's.
    pub fn on_host_time() -> Rig {
        Rig::with_clock(Arc::new(ManualHostClock::new()), Arc::new(SystemHostClock))
    }

    fn with_clock(time: Arc<ManualHostClock>, clock: Arc<dyn HostClock>) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open_ledger(&dir, clock);
        let (market, locks) = (Arc::new(Market::default()), Arc::new(MemoryBackend::new()));
        Rig { dir, time, ledger: Arc::new(ledger), market, locks }
    }

    /// With posting 1, whose outcome is unknown; the marketplace has the bid or not.
    pub async fn unknown(accepts: bool) -> Rig {
        let rig = Rig::new();
        let answer = market::lost(LostCause::ConnectionLost);
        rig.market.next("1", if accepts { Step::AcceptBut(answer) } else { Step::Say(answer) });
        assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "unknown");
        rig
    }

    /// A scanner with the rig's parts, to be changed before it is built.
    pub fn scanner(&self, holder: &str) -> Scanner {
        Scanner {
            holder: holder.to_owned(),
            ledger: self.ledger.clone(),
            market: self.market.clone(),
            locks: self.locks.clone(),
            evaluator: Arc::new(EverythingSuits { proposal: "I can do {title}".to_owned() }),
            clock: Arc::new(SystemClock),
            options: PipelineOptions { ttl: TTL, ..PipelineOptions::default() },
            stop: Stop::default(),
        }
    }

    /// A scanner with nothing changed.
    pub fn pipeline(&self, holder: &str) -> Arc<Pipeline> {
        self.scanner(holder).build()
    }

    /// A reconciler that asks the rig's marketplace.
    pub fn reconciler(&self) -> Reconciler {
        let market: Arc<dyn Marketplace> = self.market.clone();
        Reconciler::new(self.ledger.clone(), Box::new(move |_| Ok(market.clone())), "r")
    }

    /// The posting's rows, oldest first.
    pub async fn rows(&self, id: &str) -> Vec<Bid> {
        let filter = BidFilter { posting: Some(id.to_owned()), ..BidFilter::default() };
        self.ledger.list(&filter, &Page::default()).await.unwrap()
    }

    /// The posting's only row.
    pub async fn row(&self, id: &str) -> Bid {
        let mut rows = self.rows(id).await;
        assert_eq!(rows.len(), 1, "rows of {id}: {rows:?}");
        rows.pop().unwrap()
    }

    /// The only row of a posting on any marketplace.
    pub async fn row_on(&self, marketplace: &str, id: &str) -> Bid {
        let mut rows = self.rows(id).await;
        rows.retain(|row| row.posting.marketplace() == marketplace);
        assert_eq!(rows.len(), 1, "rows of {marketplace}/{id}: {rows:?}");
        rows.pop().unwrap()
    }

    /// The actions of a bid's history, its chain checked: `create take_over …`.
    pub async fn story(&self, bid: &Bid) -> String {
        let bid = self.ledger.bid(bid.id).await.unwrap().unwrap();
        let events = self.ledger.history(bid.id).await.unwrap();
        chain::verify(&events, bid.events).unwrap();
        let name = |e: &BidEvent| e.action.map_or("create", |a| a.as_str());
        events.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// Counts of the ledger by state.
    pub async fn count(&self, state: BidState) -> u64 {
        let counts = self.ledger.count(&BidFilter::default()).await.unwrap();
        counts.into_iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| n)
    }
}

pub fn open_ledger(dir: &tempfile::TempDir, clock: Arc<dyn HostClock>) -> SqliteLedger {
    SqliteLedger::open_with(Options::new(dir.path().join("ledger.db")).with_clock(clock)).unwrap()
}

/// A scanner to be.
pub struct Scanner {
    pub holder: String,
    pub ledger: Arc<dyn LedgerStore>,
    pub market: Arc<dyn Marketplace>,
    pub locks: Arc<dyn LockBackend>,
    pub evaluator: Arc<dyn Evaluator>,
    pub clock: Arc<dyn Clock>,
    pub options: PipelineOptions,
    pub stop: Stop,
}

impl Scanner {
    pub fn options(mut self, change: impl FnOnce(&mut PipelineOptions)) -> Scanner {
        change(&mut self.options);
        self
    }

    pub fn ledger(mut self, ledger: Arc<dyn LedgerStore>) -> Scanner {
        self.ledger = ledger;
        self
    }

    pub fn market(mut self, market: Arc<dyn Marketplace>) -> Scanner {
        self.market = market;
        self
    }

    pub fn locks(mut self, locks: Arc<dyn LockBackend>) -> Scanner {
        self.locks = locks;
        self
    }

    pub fn evaluator(mut self, evaluator: Arc<dyn Evaluator>) -> Scanner {
        self.evaluator = evaluator;
        self
    }

    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Scanner {
        self.clock = clock;
        self
    }

    pub fn stop(mut self, stop: &Stop) -> Scanner {
        self.stop = stop.clone();
        self
    }

    pub fn build(self) -> Arc<Pipeline> {
        let holder = HolderId::named(&self.holder).unwrap();
        let locks = LockManager::builder(self.locks).holder(holder).build().unwrap();
        let claimant = Claimant { holder: self.holder, instance: self.ledger.instance() };
        let Scanner { ledger, market: marketplace, evaluator, clock, options, stop, .. } = self;
        let parts = Parts { ledger, locks, marketplace, evaluator, clock, claimant };
        Pipeline::new(parts, options, stop).unwrap()
    }
}

/// The host's clock, and what a process has slept through beside: tests wait for no sleep to end.
#[derive(Debug, Default)]
pub struct SleptThrough(AtomicU64);

impl SleptThrough {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), SeqCst);
    }
}

#[async_trait::async_trait]
impl Clock for SleptThrough {
    fn now(&self) -> Moment {
        SystemClock.now().later(Duration::from_nanos(self.0.load(SeqCst)))
    }

    fn wall(&self) -> std::time::SystemTime {
        SystemClock.wall()
    }

    async fn sleep_until(&self, until: Moment) {
        SystemClock.sleep_until(SystemClock.now().later(until.since(self.now()))).await;
    }
}

/// A posting worth 250 dollars, seen just now.
pub fn posting(id: &str) -> Posting {
    posting_on("m", id)
}

pub fn posting_on(marketplace: &str, id: &str) -> Posting {
    Posting {
        id: posting_id(marketplace, id),
        identity: IdentityBasis::Id,
        written: Vec::new(),
        ambiguity: None,
        title: format!("Posting {id}"),
        url: Some(format!("https://market.example/p/{id}")),
        description: String::new(),
        budget: Budget::from_amounts(Some(usd(25_000)), None, None),
        skills: Vec::new(),
        client: Client::default(),
        location: None,
        category: None,
        bid_cost: None,
        biddable: None,
        proposals: None,
        proposals_tier: None,
        posted_at: None,
        fetched_at: now(),
        source: SourceRef { name: "feed".to_owned(), row: 1 },
    }
}

pub fn posting_id(marketplace: &str, id: &str) -> PostingId {
    PostingId::new(marketplace, id).unwrap()
}

/// A claim as another process would ask for it.
pub fn claim_of(id: &str, holder: &str) -> NewClaim {
    NewClaim {
        posting: posting_id("m", id),
        claimant: Claimant { holder: holder.to_owned(), instance: None },
        ttl: TTL,
        payload: Payload {
            amount: None,
            proposal: "theirs".to_owned(),
            posting_url: None,
            via: "scripted".to_owned(),
            evaluation: None,
        },
    }
}

pub fn usd(minor: i64) -> Money {
    Money { minor, currency: bidlock_ledger::Currency::USD }
}

/// The scanner's wall clock.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemClock.wall()).unwrap()
}

/// The outcomes of a batch, none of them an error.
pub async fn batch(pipeline: &Arc<Pipeline>, postings: &[Posting]) -> Vec<Outcome> {
    pipeline.process_batch(postings).await.into_iter().map(|o| o.unwrap()).collect()
}

pub async fn one(pipeline: &Arc<Pipeline>, id: &str) -> Outcome {
    pipeline.process(posting(id)).await.unwrap()
}

/// What a pass over the approved bids tells, and how it ends.
pub async fn approved(pipeline: &Arc<Pipeline>) -> (Vec<(PostingId, Outcome)>, Result<(), PipelineError>) {
    let mut sent = Vec::new();
    let ended =
        pipeline.send_approved(|posting, outcome| sent.push((posting.clone(), outcome.clone()))).await;
    (sent, ended)
}

/// What must not take long: a test that waits for ever fails instead.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("it took too long")
}

//! A scanner's day for the crash sweeps: a ledger, locks, a marketplace and clocks of its own; what one process does in
//! a day; what must hold when it is over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bidlock::{LockBackend, ManualClock, backends::memory::MemoryBackend};
use bidlock_ledger::{
    Actor, Bid, BidFilter, BidState, Change, LedgerStore, Move, Page,
    lawful::{Times, breaches},
    sqlite::HostClock,
};
use bidlock_market::{LostCause, Marketplace};
use bidlock_pipeline::{ApprovalPolicy, Reconciler, Scan, ScanOptions, withdraw};
use futures::stream;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use super::{
    Rig, Scanner, SleptThrough,
    database::Database,
    market::{Step, accepted, later, lost, refused},
    nth::{Fault, Nth, NthLedger, NthLocks, NthMarket},
    open_ledger, posting, posting_id,
};

/// What the marketplace does with each posting's first submission; a second one is always accepted.
pub const POSTINGS: [&str; 5] = ["accepted", "lost-after", "lost-before", "refused", "later"];
/// Longer than the TTL of claims and locks.
const BEYOND_TTL: Duration = Duration::from_secs(400);
/// No day takes longer, on however slow a host.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The engine that keeps the ledger of a world.
#[derive(Clone, Debug)]
pub enum Engine {
    /// A file of its own.
    Sqlite,
    /// A database on a real server, one world after the other.
    Postgres(Arc<Database>),
}

/// One ledger, one lock store, one marketplace, and clocks that the test moves.
pub struct World {
    pub rig: Rig,
    engine: Engine,
    lock_time: Arc<ManualClock>,
    /// What the scanners measure by, who sleep as long as everything ages.
    own_time: Arc<SleptThrough>,
    approval: ApprovalPolicy,
}

impl World {
    pub async fn new(engine: &Engine, approval: ApprovalPolicy) -> Arc<World> {
        let lock_time = Arc::new(ManualClock::new());
        let mut rig = Rig::new();
        if let Engine::Postgres(database) = engine {
            database.empty();
            rig.ledger = database.open(&database.url()).await.unwrap();
        }
        rig.locks = Arc::new(MemoryBackend::with_clock(lock_time.clone()));
        let market = &rig.market;
        market.next("lost-after", Step::AcceptBut(lost(LostCause::ConnectionLost)));
        market.say("lost-before", lost(LostCause::Timeout));
        market.say("refused", refused());
        market.say("later", later(Duration::from_millis(5)));
        market.say("later", accepted());
        let engine = engine.clone();
        Arc::new(World { rig, engine, lock_time, own_time: Arc::default(), approval })
    }

    /// Everything that was claimed or locked until now expires.
    pub fn age(&self) {
        self.rig.time.advance(BEYOND_TTL);
        if let Engine::Postgres(database) = &self.engine {
            database.clock.advance(BEYOND_TTL);
        }
        self.lock_time.advance(BEYOND_TTL);
        self.own_time.advance(BEYOND_TTL);
    }

    /// A scanner whose calls are counted, with a ledger handle and a connection to the locks of its own; to be called
    /// where it is to live. `way`: another way to the database than the direct one.
    ///
    /// # Errors
    /// The ledger can't be opened, as that way is broken.
    pub async fn scanner(&self, holder: &str, nth: &Arc<Nth>, way: Option<&str>) -> Result<Day, String> {
        let ledger: Arc<dyn LedgerStore> = match &self.engine {
            Engine::Postgres(database) => {
                let opened = database.open(way.unwrap_or(&database.url())).await;
                opened.map_err(|e| format!("open: {e}"))?
            }
            Engine::Sqlite => {
                let clock: Arc<dyn HostClock> = self.rig.time.clone();
                Arc::new(open_ledger(&self.rig.dir, clock))
            }
        };
        let market: Arc<dyn Marketplace> = Arc::new(NthMarket {
            nth: Arc::clone(nth),
            market: self.rig.market.clone(),
            ledger: self.rig.ledger.clone(),
            holder: holder.to_owned(),
        });
        let locks: Arc<dyn LockBackend> = Arc::new(NthLocks(Arc::clone(nth), self.rig.locks.clone()));
        let ledger: Arc<dyn LedgerStore> = Arc::new(NthLedger(Arc::clone(nth), ledger));
        let approval = self.approval;
        let scanner = self.rig.scanner(holder).ledger(ledger.clone()).market(market.clone()).locks(locks);
        let scanner = scanner.clock(self.own_time.clone()).options(|options| {
            options.approval = approval;
            // So that the n-th call is the same one each time.
            options.concurrency = 1;
        });
        Ok(Day { scanner, ledger, market, people: self.rig.ledger.clone(), approval })
    }

    /// A day without faults.
    pub async fn quiet_day(&self, holder: &str) {
        let (nth, _hear) = Nth::new(usize::MAX, Fault::NotDone);
        let worked =
            tokio::time::timeout(LIMIT, self.scanner(holder, &nth, None).await.unwrap().work()).await;
        worked.expect("a quiet day takes too long").expect("nothing stands in the way of a quiet day");
        assert_eq!(*nth.violations.lock().unwrap(), [""; 0]);
    }

    async fn rows(&self) -> BTreeMap<String, Vec<Bid>> {
        let mut rows: BTreeMap<String, Vec<Bid>> = BTreeMap::new();
        for bid in self.rig.ledger.list(&BidFilter::default(), &Page::default()).await.unwrap() {
            rows.entry(bid.posting.posting().to_owned()).or_default().push(bid);
        }
        rows
    }
}

/// What one scanner process does in a day: scans, sends what people approve, reconciles, withdraws one bid.
pub struct Day {
    scanner: Scanner,
    ledger: Arc<dyn LedgerStore>,
    market: Arc<dyn Marketplace>,
    /// The same ledger, for the people who approve: no fault meets them.
    people: Arc<dyn LedgerStore>,
    approval: ApprovalPolicy,
}

impl Day {
    /// Goes on to the next part of the day when one fails, and tells the first failure.
    pub async fn work(self) -> Result<(), String> {
        let mut failures = Vec::new();
        let Day { scanner, ledger, market, people, approval } = self;
        let pipeline = scanner.build();
        let options = ScanOptions { wait: Duration::from_secs(5), patience: LIMIT, ..ScanOptions::default() };
        let mut scan = Scan::new(pipeline.clone(), options);
        let scanned = scan.run(stream::iter(POSTINGS.map(posting)), |_, _| {}).await;
        failures.extend(scanned.err().map(|e| format!("scan: {e}")));
        if approval == ApprovalPolicy::Always {
            approve_all(&*people).await;
            failures.extend(scan.send_approved(|_, _| {}).await.err().map(|e| format!("approved: {e}")));
        }
        pipeline.shutdown().await;
        let asked = market.clone();
        let reconciler = Reconciler::new(ledger.clone(), Box::new(move |_| Ok(asked.clone())), "r");
        failures.extend(reconciler.run().await.err().map(|e| format!("reconcile: {e}")));
        failures.extend(withdraw_one(&*ledger, &*market).await.err());
        failures.into_iter().next().map_or(Ok(()), Err)
    }
}

async fn withdraw_one(ledger: &dyn LedgerStore, market: &dyn Marketplace) -> Result<(), String> {
    let filter = BidFilter { posting: Some("accepted".to_owned()), ..BidFilter::default() };
    let rows = ledger.list(&filter, &Page::default()).await.map_err(|e| format!("list: {e}"))?;
    for bid in rows.iter().filter(|bid| bid.state == BidState::Submitted) {
        let actor = Actor::scanner("somebody");
        let withdrawn = withdraw(ledger, market, bid, &actor, "too much work", Some("1"), false).await;
        withdrawn.map_err(|e| format!("withdraw: {e}"))?;
    }
    Ok(())
}

async fn approve_all(ledger: &dyn LedgerStore) {
    let filter = BidFilter { states: vec![BidState::AwaitingApproval], ..BidFilter::default() };
    for bid in ledger.list(&filter, &Page::default()).await.unwrap() {
        let valid_for = Duration::from_secs(86_400);
        let change = Change::new(bid.claim_ref(), Actor::scanner("somebody"), Move::Approve { valid_for });
        ledger.apply(&[change]).await.unwrap();
    }
}

/// What a process under way comes to.
pub type Working = JoinHandle<Result<(), String>>;

/// A process: a runtime of its own, so that it can die in the middle of everything.
pub struct Process(Option<Runtime>);

impl Process {
    pub fn new() -> Process {
        Process(Some(Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()))
    }

    pub fn start(&self, day: impl Future<Output = Result<(), String>> + Send + 'static) -> Working {
        self.0.as_ref().unwrap().spawn(day)
    }

    /// Returns when it is dead, as a kernel does.
    pub async fn kill(&mut self) {
        let runtime = self.0.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(LIMIT)).await.unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Every invariant at the end of the last day. `interrupted`: the fault explains an unknown outcome.
pub async fn check(world: &World, interrupted: bool, at: &str) {
    let rows = world.rows().await;
    assert_eq!(rows.len(), POSTINGS.len(), "{at}: nothing is lost");
    for posting in POSTINGS {
        let bids = &rows[posting];
        assert_eq!(bids.len(), 1, "{at}: one bid per posting: {bids:?}");
        let bid = &bids[0];
        let remote = world.rig.market.look_up(&posting_id("m", posting)).await.unwrap();
        let has = !remote.is_empty();
        // S1. A request that was answered with proof that nothing was accepted does not count.
        assert!(remote.len() <= 1, "{at}: {posting} was accepted {} times", remote.len());
        let proven = usize::from(posting == "later");
        let requests = world.rig.market.seen_for(posting);
        assert!(requests <= 1 + proven, "{at}: {posting} was sent {requests} times");
        // S8, S9 and L1.
        let settled = match bid.state {
            BidState::Submitted | BidState::Withdrawn => has,
            BidState::Rejected => !has && posting == "refused",
            BidState::Unknown => {
                assert!(bid.unknown_cause.is_some(), "{at}: {posting} is unknown and nothing says why");
                // What the marketplace has is found by look-up.
                !has && (posting == "lost-before" || interrupted)
            }
            _ => false,
        };
        assert!(settled, "{at}: {posting} is {:?}, the marketplace has it: {has}", bid.state);
        // S2, S4, S5, S7 and a whole history. Clocks leap in these days: times prove nothing.
        let events = world.rig.ledger.history(bid.id).await.unwrap();
        let times = Times { ttl_ms: 0, slack_ms: 0, is_known: &|_| false };
        let breaches = breaches(&events, bid.events, &times);
        assert!(breaches.is_empty(), "{at}: {posting}: {breaches:?}");
    }
}

//! The crash sweep: for every n, the n-th call that a scanner makes of its ledger, its locks or its marketplace
//! fails, loses its answer, or is where the process dies or sleeps beyond every TTL. Afterwards another scanner
//! works the same day once more, and every invariant holds.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends by them")]
#![allow(clippy::print_stdout, reason = "for whoever reads a failure")]

mod rig;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bidlock::{LockBackend, ManualClock, backends::memory::MemoryBackend};
use bidlock_ledger::{
    Actor, Bid, BidFilter, BidState, Change, LedgerStore, Move, Page, chain, sqlite::HostClock,
};
use bidlock_market::{LostCause, Marketplace};
use bidlock_pipeline::{ApprovalPolicy, Reconciler, Scan, ScanOptions, withdraw};
use futures::stream;
use rig::{
    Scanner, SleptThrough,
    market::{Step, accepted, later, lost, refused},
    nth::{Fault, Nth, NthLedger, NthLocks, NthMarket, Reached},
    posting, posting_id,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

/// What the marketplace does with each posting's first submission; a second one is always accepted.
const POSTINGS: [&str; 5] = ["accepted", "lost-after", "lost-before", "refused", "later"];
/// Longer than the TTL of claims and locks.
const BEYOND_TTL: Duration = Duration::from_secs(400);
/// No day takes longer, on however slow a host.
const LIMIT: Duration = Duration::from_secs(60);

/// One ledger file, one lock store, one marketplace, and clocks that the test moves.
struct World {
    rig: rig::Rig,
    lock_time: Arc<ManualClock>,
    /// What the scanners measure by, who sleep as long as everything ages.
    own_time: Arc<SleptThrough>,
    approval: ApprovalPolicy,
}

impl World {
    fn new(approval: ApprovalPolicy) -> World {
        let lock_time = Arc::new(ManualClock::new());
        let mut rig = rig::Rig::new();
        rig.locks = Arc::new(MemoryBackend::with_clock(lock_time.clone()));
        let market = &rig.market;
        market.next("lost-after", Step::AcceptBut(lost(LostCause::ConnectionLost)));
        market.say("lost-before", lost(LostCause::Timeout));
        market.say("refused", refused());
        market.say("later", later(Duration::from_millis(5)));
        market.say("later", accepted());
        World { rig, lock_time, own_time: Arc::default(), approval }
    }

    /// Everything that was claimed or locked until now expires.
    fn age(&self) {
        self.rig.time.advance(BEYOND_TTL);
        self.lock_time.advance(BEYOND_TTL);
        self.own_time.advance(BEYOND_TTL);
    }

    /// A scanner whose calls are counted, with a ledger handle and a connection to the locks of its own.
    fn scanner(&self, holder: &str, nth: &Arc<Nth>) -> Day {
        let clock: Arc<dyn HostClock> = self.rig.time.clone();
        let ledger: Arc<dyn LedgerStore> = Arc::new(rig::open_ledger(&self.rig.dir, clock));
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
        Day { scanner, ledger, market, people: self.rig.ledger.clone(), approval }
    }

    /// A day without faults.
    async fn quiet_day(&self, holder: &str) {
        let (nth, _hear) = Nth::new(usize::MAX, Fault::NotDone);
        let worked = tokio::time::timeout(LIMIT, self.scanner(holder, &nth).work()).await;
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
struct Day {
    scanner: Scanner,
    ledger: Arc<dyn LedgerStore>,
    market: Arc<dyn Marketplace>,
    /// The same ledger, for the people who approve: no fault meets them.
    people: Arc<dyn LedgerStore>,
    approval: ApprovalPolicy,
}

impl Day {
    /// Goes on to the next part of the day when one fails, and tells the first failure.
    async fn work(self) -> Result<(), String> {
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

/// What another scanner does while the struck one sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// It works a whole day.
    WorksThrough,
    /// It falls asleep as soon as it has made a claim, and wakes up after the other: it never slept for long.
    SleepsOnItsClaim,
}

/// The first claim of a day: after a sweep, a look at the ledger, and the locks.
const FIRST_CLAIM: usize = 3;

/// A process: a runtime of its own, so that it can die in the middle of everything.
struct Process(Option<Runtime>);

impl Process {
    fn new() -> Process {
        Process(Some(Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()))
    }

    fn start(&self, day: Day) -> JoinHandle<Result<(), String>> {
        self.0.as_ref().unwrap().spawn(day.work())
    }

    /// Returns when it is dead, as a kernel does.
    async fn kill(&mut self) {
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

/// One day with the fault at call `at`, then a quiet one, then the checks. Says which call was struck.
async fn strike(approval: ApprovalPolicy, at: usize, fault: Fault, meanwhile: Meanwhile) -> Option<String> {
    let world = World::new(approval);
    let (nth, mut hear) = Nth::new(at, fault);
    let mut process = Process::new();
    let mut day = process.start(world.scanner("struck", &nth));
    let struck = tokio::select! {
        reached = hear.recv() => reached,
        ended = tokio::time::timeout(LIMIT, &mut day) => {
            let _ = ended.expect("a day takes too long").expect("a day does not panic");
            None
        }
    };
    match struck {
        Some(Reached::Dead) => process.kill().await,
        Some(Reached::Asleep(wake)) => {
            world.age();
            let mut other = None;
            match meanwhile {
                Meanwhile::WorksThrough => world.quiet_day("meanwhile").await,
                Meanwhile::SleepsOnItsClaim => other = Some(sleeper(&world).await),
            }
            let _ = wake.send(());
            let ended = tokio::time::timeout(LIMIT, &mut day).await.expect("it woke up and did not end");
            let _ = ended.expect("a day does not panic");
            if let Some((wake, day)) = other {
                let _ = wake.map(|wake| wake.send(()));
                let ended =
                    tokio::time::timeout(LIMIT, day).await.expect("the other woke up and did not end");
                let _ = ended.expect("a day does not panic");
            }
        }
        None => {}
    }
    let name = nth.struck()?;
    world.age();
    world.quiet_day("afterwards").await;
    assert_eq!(*nth.violations.lock().unwrap(), [""; 0], "{fault:?} at {at} ({name})");
    check(&world, &name, fault, at).await;
    Some(name)
}

type Sleeper = (Option<oneshot::Sender<()>>, JoinHandle<Result<(), String>>);

/// A scanner that sleeps on its first claim; its day ends before if there is nothing left to claim.
async fn sleeper(world: &World) -> Sleeper {
    let (nth, mut hear) = Nth::new(FIRST_CLAIM, Fault::AsleepAfter);
    let mut day = tokio::spawn(world.scanner("sleeper", &nth).work());
    tokio::select! {
        Some(Reached::Asleep(wake)) = hear.recv() => (Some(wake), day),
        ended = &mut day => (None, tokio::spawn(async { ended.expect("a day does not panic") })),
    }
}

async fn check(world: &World, name: &str, fault: Fault, at: usize) {
    let at = format!("{fault:?} at call {at}, {name}");
    let rows = world.rows().await;
    assert_eq!(rows.len(), POSTINGS.len(), "{at}: nothing is lost");
    let interrupted = !matches!(fault, Fault::NotDone | Fault::AnswerLost) || name == "submit";
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
        // S5.
        let events = world.rig.ledger.history(bid.id).await.unwrap();
        chain::verify(&events, bid.events).unwrap();
        for two in events.windows(2) {
            let (before, after) = (&two[0], &two[1]);
            assert!(
                (after.epoch == before.epoch) == (after.claim_id == before.claim_id)
                    && after.epoch >= before.epoch,
                "{at}: epochs of {posting}: {before:?}, {after:?}"
            );
        }
    }
}

/// The names of the calls of a day without faults.
async fn calls(approval: ApprovalPolicy) -> Vec<String> {
    let world = World::new(approval);
    let (nth, _hear) = Nth::new(usize::MAX, Fault::NotDone);
    world.scanner("counted", &nth).work().await.unwrap();
    nth.names.lock().unwrap().clone()
}

async fn sweep(approval: ApprovalPolicy, fault: Fault, meanwhile: Meanwhile) {
    let calls = calls(approval).await;
    println!("{} calls: {}", calls.len(), calls.join(" "));
    let door = if approval == ApprovalPolicy::Always { "take_sending" } else { "enter_submitting" };
    for name in
        ["try_acquire", "claim", door, "submit", "accept", "lose_answer", "refuse", "release", "withdraw"]
    {
        assert!(calls.iter().any(|call| call == name), "a day has no {name}");
    }
    for (at, expected) in calls.iter().enumerate() {
        // The other's claim is in the way of what follows the struck one's own.
        if meanwhile == Meanwhile::SleepsOnItsClaim && !(expected == door || expected == "submit") {
            continue;
        }
        let name = strike(approval, at, fault, meanwhile).await;
        assert_eq!(name.as_ref(), Some(expected), "{fault:?}: call {at} is another one");
    }
}

macro_rules! sweeps {
    ($($name:ident: $approval:ident, $fault:ident, $meanwhile:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            sweep(ApprovalPolicy::$approval, Fault::$fault, Meanwhile::$meanwhile).await;
        }
    )*};
}

sweeps! {
    a_call_that_is_not_done: Never, NotDone, WorksThrough;
    a_call_whose_answer_is_lost: Never, AnswerLost, WorksThrough;
    death_before_a_call: Never, KilledBefore, WorksThrough;
    death_after_a_call: Never, KilledAfter, WorksThrough;
    sleep_beyond_every_ttl_before_a_call: Never, AsleepBefore, WorksThrough;
    sleep_beyond_every_ttl_after_a_call: Never, AsleepAfter, WorksThrough;
    waking_up_beside_anothers_claim: Never, AsleepBefore, SleepsOnItsClaim;
    approved_a_call_that_is_not_done: Always, NotDone, WorksThrough;
    approved_a_call_whose_answer_is_lost: Always, AnswerLost, WorksThrough;
    approved_death_before_a_call: Always, KilledBefore, WorksThrough;
    approved_death_after_a_call: Always, KilledAfter, WorksThrough;
    approved_sleep_beyond_every_ttl_before_a_call: Always, AsleepBefore, WorksThrough;
    approved_sleep_beyond_every_ttl_after_a_call: Always, AsleepAfter, WorksThrough;
}

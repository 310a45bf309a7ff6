//! What the processes of a simulation do: scan, work under locks, mind the desk.

use std::{sync::Arc, time::Duration};

use bidlock::{Attempt, Clock, HolderId, LockKey, LockManager, Wait};
use bidlock_ledger::{
    Actor, Bid, BidFilter, BidState, Change, Claimant, LedgerStore, MemoryLedger, Move, Page, PostingId,
};
use bidlock_market::{Budget, Client, IdentityBasis, Marketplace, Posting, SourceRef};
use bidlock_pipeline::{
    EverythingSuits, Parts, Pipeline, PipelineOptions, Reconciler, Scan, ScanOptions, withdraw,
};
use futures::stream;
use jiff::Timestamp;
use rand::{Rng, seq::SliceRandom};

use crate::{
    body::{Body, BodyClock},
    history::Happening,
    ledger::SimLedger,
    locks::{LockServer, SimLocks},
    market::SimMarket,
    plan::{PATIENCE, TTL, WAIT},
};

/// The marketplace's name in posting ids.
const MARKETPLACE: &str = "simwork";
/// How many postings go through the pipeline together.
const BATCH: usize = 5;
/// The keys that workers contend for.
const WORK_KEYS: u32 = 2;

/// What a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sees postings and bids on them.
    Scanner,
    /// Takes locks and works under them.
    Worker,
    /// An operator's desk: reconciles, and decides what a person decides.
    Desk,
}

/// The servers that all processes talk to.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    pub(crate) locks: LockServer,
    pub(crate) ledger: MemoryLedger,
}

/// A process's life, until it ends by itself; says why.
pub(crate) async fn run(role: Role, body: Arc<Body>, servers: Servers) -> String {
    match role {
        Role::Scanner => scan(body, servers).await,
        Role::Worker => work(body, servers).await,
        Role::Desk => mind_the_desk(body, servers).await,
    }
}

fn locks(body: &Arc<Body>, servers: &Servers) -> Result<LockManager, String> {
    let backend = SimLocks { server: servers.locks.clone(), body: Arc::clone(body) };
    LockManager::builder(Arc::new(backend))
        .ttl(TTL)
        .holder(HolderId::named(&body.holder).map_err(|e| e.to_string())?)
        .clock(Arc::new(BodyClock(Arc::clone(body))))
        .build()
        .map_err(|e| e.to_string())
}

fn ledger(body: &Arc<Body>, servers: &Servers) -> Arc<dyn LedgerStore> {
    Arc::new(SimLedger { store: servers.ledger.clone(), body: Arc::clone(body) })
}

async fn scan(body: Arc<Body>, servers: Servers) -> String {
    let world = Arc::clone(&body.world);
    let locks = match locks(&body, &servers) {
        Ok(locks) => locks,
        Err(why) => return why,
    };
    let parts = Parts {
        ledger: ledger(&body, &servers),
        locks,
        marketplace: Arc::new(SimMarket(Arc::clone(&body))),
        evaluator: Arc::new(EverythingSuits::default()),
        clock: Arc::new(BodyClock(Arc::clone(&body))),
        claimant: Claimant { holder: body.holder.clone(), instance: None },
    };
    let options = PipelineOptions {
        ttl: TTL,
        concurrency: 3,
        // A simulated world loses answers in long runs, and nobody is there to say that it goes on.
        max_unknown_in_a_row: u32::MAX,
        ..PipelineOptions::default()
    };
    let pipeline = match Pipeline::new(parts, options, body.stop.clone()) {
        Ok(pipeline) => pipeline,
        Err(why) => return why.to_string(),
    };
    // Ends: by a stop, an error, or with its simulation.
    loop {
        let mut scan =
            Scan::new(Arc::clone(&pipeline), ScanOptions { batch: BATCH, wait: WAIT, patience: PATIENCE });
        if world.plan.market.asks_a_person
            && let Err(error) = scan.send_approved(|_, _| {}).await
        {
            return error.to_string();
        }
        let holder = body.holder.clone();
        let told = Arc::clone(&world);
        let scanned = scan.run(stream::iter(feed(&body)), move |posting, outcome| {
            told.tell(Happening::Answered {
                holder: holder.clone(),
                posting: posting.id.clone(),
                outcome: outcome.name(),
            });
        });
        if let Err(error) = scanned.await {
            return error.to_string();
        }
        if body.stop.is_stopping() || pipeline.sending_stopped().is_some() {
            pipeline.shutdown().await;
            return "stopped".to_owned();
        }
        let pause = world.state().dice.random_range(200..1_500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// All postings that have appeared, in some order.
fn feed(body: &Arc<Body>) -> Vec<Posting> {
    let fetched_at = Timestamp::try_from(BodyClock(Arc::clone(body)).wall()).unwrap_or(Timestamp::UNIX_EPOCH);
    let appears_at = &body.world.plan.appears_at;
    let there = (1..).zip(appears_at).filter(|(_, at)| **at <= body.now());
    let mut postings: Vec<Posting> = there.filter_map(|(n, _)| posting(n, fetched_at)).collect();
    postings.shuffle(&mut body.world.state().dice);
    postings
}

/// The ids of the simulation's postings.
pub(crate) fn posting_id(n: usize) -> Option<PostingId> {
    PostingId::new(MARKETPLACE, format!("p{n}")).ok()
}

fn posting(n: usize, fetched_at: Timestamp) -> Option<Posting> {
    let id = posting_id(n)?;
    Some(Posting {
        title: format!("Work {n}"),
        url: Some(format!("https://simwork.example/{n}")),
        id,
        identity: IdentityBasis::Id,
        written: Vec::new(),
        ambiguity: None,
        description: String::new(),
        budget: Budget::default(),
        skills: Vec::new(),
        client: Client::default(),
        location: None,
        category: None,
        bid_cost: None,
        biddable: None,
        proposals: None,
        proposals_tier: None,
        posted_at: None,
        fetched_at,
        source: SourceRef { name: "simulation".to_owned(), row: n as u64 },
    })
}

/// Takes a lock, stays for a while or until it is lost, gives it back.
async fn work(body: Arc<Body>, servers: Servers) -> String {
    let world = Arc::clone(&body.world);
    let locks = match locks(&body, &servers) {
        Ok(locks) => locks,
        Err(why) => return why,
    };
    // Ends: by a stop, or with its simulation.
    while !body.stop.is_stopping() {
        let (key, wait, stay) = {
            let dice = &mut world.state().dice;
            let stay = if dice.random_ratio(1, 5) { 15_000 } else { 1_500 };
            (dice.random_range(0..WORK_KEYS), dice.random_range(0..6_000), dice.random_range(1..stay))
        };
        let Ok(key) = LockKey::posting("workers", &format!("k{key}")) else { return "no key".to_owned() };
        if let Ok(Attempt::Acquired(lease)) = locks.lock(&key, Wait::up_to(Duration::from_millis(wait))).await
            && !lease.is_lost()
        {
            let entry = |name: &str| (body.holder.clone(), name.to_owned());
            let (holder, name) = entry(key.as_str());
            world.tell(Happening::Entered { holder, key: name });
            tokio::select! {
                biased;
                () = lease.lost() => {}
                () = tokio::time::sleep(Duration::from_millis(stay)) => {}
            }
            // A process that slept meanwhile worked until it looked: its work ends as it goes through the gate.
            body.gate().await;
            let (holder, name) = entry(key.as_str());
            world.tell(Happening::Left { holder, key: name });
            // What the store answers is the manager's to deal with; a failed release goes to the background.
            drop(lease.release().await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(locks.shutdown().await);
    "stopped".to_owned()
}

async fn mind_the_desk(body: Arc<Body>, servers: Servers) -> String {
    let world = Arc::clone(&body.world);
    let store = ledger(&body, &servers);
    let market: Arc<dyn Marketplace> = Arc::new(SimMarket(Arc::clone(&body)));
    let connect = Arc::clone(&market);
    let reconciler =
        Reconciler::new(Arc::clone(&store), Box::new(move |_| Ok(Arc::clone(&connect))), &body.holder)
            .allow_rebid(world.plan.rebid_after_withdrawal);
    // Ends: with its simulation.
    loop {
        if let Err(error) = reconciler.run().await {
            world.tell(Happening::Ended { holder: body.holder.clone(), why: format!("a look: {error}") });
        }
        if let Ok(bids) = store.list(&BidFilter::default(), &Page { after: None, limit: 1_000 }).await {
            for bid in bids {
                act(&body, &*store, &*market, bid).await;
            }
        }
        let pause = if world.healed() { 300 } else { world.state().dice.random_range(500..4_000) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// What a person may do about one bid. After the faults, only approve.
async fn act(body: &Arc<Body>, store: &dyn LedgerStore, market: &dyn Marketplace, bid: Bid) {
    let world = &body.world;
    let healed = world.healed();
    let (acts, choice) = {
        let dice = &mut world.state().dice;
        (dice.random_ratio(world.plan.weather.operator, 1_000), dice.random_range(0..10))
    };
    let known = known_there(body, &bid);
    let actor = Actor::operator("mara");
    let (kind, action) = match bid.state {
        BidState::AwaitingApproval if healed || choice > 0 => {
            let valid_for = Duration::from_secs(if healed || choice > 4 { 600 } else { 3 });
            ("", Move::Approve { valid_for })
        }
        _ if healed || !acts => return,
        BidState::AwaitingApproval | BidState::Approved | BidState::Abandoned | BidState::Claimed
            if choice == 0 =>
        {
            ("operator_declines", Move::Decline)
        }
        BidState::Unknown if known.is_some() && choice < 3 => {
            ("operator_says_submitted", Move::ResolveSubmitted { external_ref: known })
        }
        BidState::Unknown | BidState::Rejected => {
            let allow_new_bid = choice > 6;
            let kind = if allow_new_bid { "operator_allows_new_bid" } else { "operator_says_not_submitted" };
            (kind, Move::ResolveNotSubmitted { allow_new_bid })
        }
        BidState::Submitted if choice == 0 => {
            world.fault("operator_withdraws", None, 0);
            let allow = world.plan.rebid_after_withdrawal;
            if let Err(error) = withdraw(store, market, &bid, &actor, "second thoughts", None, allow).await {
                world.tell(Happening::Ended { holder: body.holder.clone(), why: error.to_string() });
            }
            return;
        }
        _ => return,
    };
    if !kind.is_empty() {
        world.fault(kind, None, 0);
    }
    let change = Change::new(bid.claim_ref(), actor, action).because("so it was decided");
    // A desk that gets no answer looks again at its next round.
    drop(store.apply(&[change]).await);
}

/// What a person finds at the marketplace.
fn known_there(body: &Arc<Body>, bid: &Bid) -> Option<String> {
    let state = body.world.state();
    let kept = state.market.bids.iter().find(|kept| kept.bid == bid.id && kept.status == "active");
    kept.map(|kept| kept.external_ref.clone())
}

//! Holds what happened against the invariants of the design: from the outside, by the histories alone.
//!
//! | module | invariants |
//! |---|---|
//! | `law` | S2, S4, S5, S7: every event is one that the transition table allows, at its time |
//! | `marketplace` | S1, S8, S9: what the marketplace has, and what the ledger says of it |
//! | `settling` | L1, L2, L3, and the fault behind each unknown |
//! | `leases` | S10 |

mod law;
mod leases;
mod marketplace;
mod settling;

use std::collections::HashMap;

use bidlock_ledger::{Bid, BidEvent, BidFilter, BidId, LedgerStore, MemoryLedger, Page, PostingId};
use futures::FutureExt;

pub(crate) use settling::unknowns;

use crate::{
    history::{Entry, Fault, Happening, Millis},
    market::Kept,
    plan::Plan,
    world::{EPOCH, World},
};

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which: `S1` to `S10`, `L1` to `L3`, `unknown` for one without a fault, `process` for one that should not have
    /// ended so.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
}

/// All that is known at the end.
pub(crate) struct Evidence {
    pub(crate) plan: Plan,
    pub(crate) entries: Vec<Entry>,
    pub(crate) hash: String,
    /// Oldest first.
    pub(crate) rows: Vec<Bid>,
    pub(crate) events: HashMap<BidId, Vec<BidEvent>>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) ended_at: Millis,
}

impl Evidence {
    pub(crate) fn gather(world: &World, ledger: &MemoryLedger) -> Evidence {
        // The ledger in memory answers at once.
        let mut rows = Vec::new();
        let mut page = Page { after: None, limit: bidlock_ledger::store::MAX_PAGE };
        while let Some(Ok(part)) = ledger.list(&BidFilter::default(), &page).now_or_never() {
            let Some(last) = part.last() else { break };
            page.after = Some(bidlock_ledger::Cursor(last.id));
            rows.extend(part);
        }
        let history = |bid: &Bid| match ledger.history(bid.id).now_or_never() {
            Some(Ok(events)) => (bid.id, events),
            _ => (bid.id, Vec::new()),
        };
        let events = rows.iter().map(history).collect();
        let state = world.state();
        Evidence {
            plan: world.plan.clone(),
            entries: state.history.entries().to_vec(),
            hash: state.history.hash(),
            rows,
            events,
            kept: state.market.bids.clone(),
            ended_at: state.now(),
        }
    }

    /// A bid's events.
    fn events_of(&self, bid: &Bid) -> &[BidEvent] {
        self.events.get(&bid.id).map_or(&[], Vec::as_slice)
    }

    fn row(&self, id: BidId) -> Option<&Bid> {
        self.rows.iter().find(|row| row.id == id)
    }

    fn rows_of<'a>(&'a self, posting: &'a PostingId) -> impl Iterator<Item = &'a Bid> {
        self.rows.iter().filter(move |row| row.posting == *posting)
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = (Millis, &Fault)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            Happening::Fault(fault) => Some((entry.at, fault)),
            _ => None,
        })
    }
}

/// When an event happened, on the simulation's time.
fn at(event: &BidEvent) -> Millis {
    (event.at.0 - EPOCH).unsigned_abs()
}

/// All that does not hold.
pub(crate) fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Findings::default();
    law::check(evidence, &mut found);
    marketplace::check(evidence, &mut found);
    settling::check(evidence, &mut found);
    leases::check(evidence, &mut found);
    processes(evidence, &mut found);
    found.0
}

/// No process panics, and none meets a state of things that it calls impossible.
fn processes(evidence: &Evidence, found: &mut Findings) {
    for entry in &evidence.entries {
        if let Happening::Ended { holder, why } = &entry.what
            && (why.contains("panicked") || why.contains("invariant"))
        {
            found.add("process", format!("{holder} at {} ms: {why}", entry.at));
        }
    }
}

#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, invariant: &'static str, what: String) {
        self.0.push(Violation { invariant, what });
    }
}

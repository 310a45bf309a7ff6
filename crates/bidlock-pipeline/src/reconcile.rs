//! Settles what is unknown by looking it up. A positive look-up settles; a negative one is never proof.

use std::{collections::HashMap, sync::Arc};

use bidlock_canary::{Canary, removed};
use bidlock_ledger::{
    Actor, Applied, Bid, BidFilter, BidState, Change, LedgerStore, Move, NotMoved, Page,
    store::{Cursor, MAX_PAGE},
};
use bidlock_market::{Marketplace, place_of};
use serde::Serialize;
use serde_json::json;

use crate::{
    finding::{Found, find_among},
    pipeline::PipelineError,
    record::{alarm_of, second_bid},
};

/// How many sweeps one run makes at the most, each of a full page: a bound, not a wish.
const MAX_SWEEPS: u32 = 1_000;

/// Finds the marketplace implementation that a bid went through, by the name stored with it.
pub type Connect = dyn Fn(&str) -> Result<Arc<dyn Marketplace>, String> + Send + Sync;

/// Looks up every bid whose outcome is not certain.
pub struct Reconciler {
    ledger: Arc<dyn LedgerStore>,
    connect: Box<Connect>,
    actor: Actor,
    dry_run: bool,
    allow_rebid: bool,
}

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("actor", &self.actor).field("dry_run", &self.dry_run).finish()
    }
}

/// What a run found about one bid.
#[derive(Clone, Debug, Serialize)]
pub struct Settled {
    /// The bid before.
    pub bid: Bid,
    /// Where it stands now.
    pub now: BidState,
    /// In words.
    pub note: String,
    /// A wrong `not_submitted` was reopened, or two bids exist: tell a person.
    pub alarm: Option<String>,
    /// The look-up itself failed.
    pub failed: bool,
}

impl Settled {
    /// The marketplace has, or is getting, more than one bid on the posting.
    pub fn is_duplicate(&self) -> bool {
        self.alarm.as_deref().is_some_and(|alarm| alarm.starts_with("duplicate"))
    }
}

/// What a whole run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReconcileReport {
    /// Bids looked at, in the order of their making.
    pub bids: Vec<Settled>,
    /// How many reached another state.
    pub settled: u32,
    /// How many are still not certain.
    pub open: u32,
    /// How many look-ups failed.
    pub failed: u32,
}

impl Reconciler {
    /// A reconciler that names itself after `holder` in the events.
    pub fn new(ledger: Arc<dyn LedgerStore>, connect: Box<Connect>, holder: &str) -> Reconciler {
        Reconciler { ledger, connect, actor: Actor::reconciler(holder), dry_run: false, allow_rebid: false }
    }

    /// Looks up and tells, and records nothing.
    pub fn dry_run(mut self, dry_run: bool) -> Reconciler {
        self.dry_run = dry_run;
        self
    }

    /// The owner's policy: a confirmed withdrawal frees the posting for a new bid. Off by default.
    pub fn allow_rebid(mut self, allow: bool) -> Reconciler {
        self.allow_rebid = allow;
        self
    }

    /// Sweeps, then looks up every bid that is unknown, not_submitted or withdrawing.
    ///
    /// # Errors
    /// The ledger failed. A look-up that fails is told in the report and stops nothing.
    pub async fn run(&self) -> Result<ReconcileReport, PipelineError> {
        if !self.dry_run {
            for _ in 0..MAX_SWEEPS {
                if self.ledger.sweep(MAX_PAGE).await?.total() < MAX_PAGE {
                    break;
                }
            }
        }
        let states = vec![BidState::Unknown, BidState::NotSubmitted, BidState::Withdrawing];
        let filter = BidFilter { states, ..BidFilter::default() };
        let mut report = ReconcileReport::default();
        let mut markets: HashMap<String, Result<Arc<dyn Marketplace>, String>> = HashMap::new();
        let mut page = Page { after: None, limit: MAX_PAGE };
        loop {
            let bids = self.ledger.list(&filter, &page).await?;
            let Some(last) = bids.last() else { break };
            page.after = Some(Cursor(last.id));
            for bid in bids {
                let via = bid.payload.via.clone();
                let market = markets.entry(via).or_insert_with_key(|via| (self.connect)(via)).clone();
                let settled = self.settle(bid, market).await?;
                let certain = !matches!(settled.now, BidState::Unknown | BidState::Withdrawing);
                report.settled += u32::from(settled.now != settled.bid.state);
                report.open += u32::from(!certain);
                report.failed += u32::from(settled.failed);
                report.bids.push(settled);
            }
        }
        Ok(report)
    }

    async fn settle(
        &self,
        bid: Bid,
        market: Result<Arc<dyn Marketplace>, String>,
    ) -> Result<Settled, PipelineError> {
        let market = match market {
            // Asking again for a withdrawal needs no look-up.
            Ok(market) if market.capabilities().looks_up || bid.state == BidState::Withdrawing => market,
            Ok(_) => {
                return Ok(Settled::stays(
                    bid,
                    "this marketplace can't be asked; a person settles it",
                    false,
                ));
            }
            Err(why) => return Ok(Settled::stays(bid, &why, true)),
        };
        // Asked under another address than the bid went to, it may be another marketplace: there only our own
        // key proves anything, and an id of ours may name a stranger's bid.
        let elsewhere = market.via() != bid.payload.via;
        if bid.state == BidState::Withdrawing {
            if elsewhere {
                let place = place_of(&bid.payload.via);
                let note = format!("its withdrawal is asked for at {place} alone; leave --submit out");
                return Ok(Settled::stays(bid, &note, true));
            }
            return self.settle_withdrawal(bid, &*market).await;
        }
        let mut remote = match market.look_up(&bid.posting).await {
            Ok(remote) => remote,
            Err(error) => return Ok(Settled::stays(bid, &format!("the look-up failed: {error}"), true)),
        };
        if elsewhere {
            remote.retain(|there| there.idempotency_key.is_some());
        }
        let ours = match find_among(&*self.ledger, &bid, &remote).await? {
            Found::Ours(_) if removed(Canary::NoReconcile) => return Ok(Settled::stays(bid, "found", false)),
            Found::Ours(ours) => ours,
            Found::Not(note) if removed(Canary::NotFoundIsProof) => {
                let action = Move::ResolveNotSubmitted { allow_new_bid: true };
                return self.record(bid, action, &note, serde_json::Value::Null).await;
            }
            Found::Not(note) => return Ok(Settled::stays(bid, &note, false)),
        };
        let note = format!("found as {} ({})", ours.external_ref, ours.status);
        let detail =
            json!({ "look_up": { "id": ours.external_ref, "status": ours.status, "of": remote.len() } });
        let action = Move::Find { external_ref: ours.external_ref.clone() };
        let mut settled = self.record(bid, action, &note, detail).await?;
        // What the client has decided in the meantime follows in the same run.
        if let (BidState::Submitted, false, Some(later)) = (settled.now, self.dry_run, decided(&ours.status))
            && let Some(now) = self.ledger.bid(settled.bid.id).await?
            // Of this bid, and not of a second one that it was mistaken for.
            && now.external_ref.as_ref() == Some(&ours.external_ref)
        {
            let change = self.change(&now, later, &format!("the marketplace says {}", ours.status));
            if let Some(Applied::Moved { bid, .. }) = self.ledger.apply(&[change]).await?.pop() {
                settled.now = bid.state;
            }
        }
        Ok(settled)
    }

    /// A withdrawal that nobody confirmed: asking again is harmless.
    async fn settle_withdrawal(&self, bid: Bid, market: &dyn Marketplace) -> Result<Settled, PipelineError> {
        let Some(external_ref) = bid.external_ref.clone() else {
            return Ok(Settled::stays(
                bid,
                "the marketplace's id of this bid is not known; a person settles it",
                true,
            ));
        };
        if self.dry_run {
            return Ok(Settled::stays(bid, "the withdrawal would be asked for again", false));
        }
        match crate::withdraw::after_answer(market.withdraw(&external_ref).await, self.allow_rebid) {
            Ok((action, note)) => self.record(bid, action, &note, serde_json::Value::Null).await,
            Err(note) => Ok(Settled::stays(bid, &note, true)),
        }
    }

    async fn record(
        &self,
        bid: Bid,
        action: Move,
        note: &str,
        detail: serde_json::Value,
    ) -> Result<Settled, PipelineError> {
        if self.dry_run {
            return Ok(Settled::stays(bid, &format!("{note}; a dry run records nothing"), false));
        }
        let change = self.change(&bid, action.clone(), note).with_detail(detail);
        let applied = self.ledger.apply(&[change]).await?.pop();
        let (now, note, alarm) = match applied {
            Some(Applied::Moved { bid: now, alarm }) => (now, note, alarm),
            Some(Applied::Not(NotMoved::WrongState(now)))
                if let Some(alarm) = second_bid(&now, bid.claim_ref(), &action) =>
            {
                (now, note, Some(alarm))
            }
            Some(
                Applied::Already(now) | Applied::Not(NotMoved::StaleClaim(now) | NotMoved::WrongState(now)),
            ) if now.id == bid.id => (now, "somebody else moved it in the meantime", None),
            _ => {
                return Ok(Settled::stays(
                    bid,
                    "another bid on the posting stands in the way; look again",
                    false,
                ));
            }
        };
        if let Some(alarm) = &alarm {
            alarm_of(&now, alarm);
        }
        Ok(Settled { now: now.state, bid, note: note.to_owned(), alarm, failed: false })
    }

    fn change(&self, bid: &Bid, action: Move, note: &str) -> Change {
        Change::new(bid.claim_ref(), self.actor.clone(), action).because(note)
    }
}

impl Settled {
    fn stays(bid: Bid, note: &str, failed: bool) -> Settled {
        Settled { now: bid.state, bid, note: note.to_owned(), alarm: None, failed }
    }
}

/// What a status word of a marketplace means for a submitted bid.
fn decided(status: &str) -> Option<Move> {
    match status.to_ascii_lowercase().as_str() {
        "won" | "awarded" | "hired" => Some(Move::Win),
        "lost" | "not_awarded" => Some(Move::Lose),
        _ => None,
    }
}

//! Settles what is unknown by looking it up. A positive look-up settles; a negative one is never proof.

use std::{collections::HashMap, sync::Arc};

use bidlock_canary::{Canary, removed};
use bidlock_ledger::{
    Actor, Applied, Bid, BidFilter, BidState, Change, LedgerStore, Move, NotMoved, Page,
    store::{Cursor, MAX_PAGE},
};
use bidlock_market::{CLOCK_ALLOWANCE, Marketplace, RemoteBid, find_ours, place_of};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::{pipeline::PipelineError, record::second_bid};

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
        Ok(match applied {
            Some(Applied::Moved { bid: now, alarm }) => {
                if let Some(alarm) = &alarm {
                    tracing::error!(target: "bidlock::alarm", bid = %now.id, posting = %now.posting, %alarm, "alarm");
                }
                Settled { now: now.state, bid, note: note.to_owned(), alarm, failed: false }
            }
            Some(Applied::Already(now)) => {
                Settled { now: now.state, bid, note: note.to_owned(), alarm: None, failed: false }
            }
            Some(Applied::Not(NotMoved::WrongState(now)))
                if let Some(alarm) = second_bid(&now, bid.claim_ref(), &action) =>
            {
                tracing::error!(target: "bidlock::alarm", bid = %now.id, posting = %now.posting, %alarm, "alarm");
                Settled { now: now.state, bid, note: note.to_owned(), alarm: Some(alarm), failed: false }
            }
            _ => Settled::stays(bid, "somebody else moved it in the meantime", false),
        })
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

/// Since when a look-up by time may find the bid: its last sending, as every one before came back with proof that
/// nothing was accepted.
pub(crate) fn sent_at(bid: &Bid) -> Option<Timestamp> {
    bid.last_sent_at.and_then(|t| Timestamp::from_millisecond(t.0).ok())
}

/// What a look-up says of one bid.
pub(crate) enum Found<'a> {
    /// This one at the marketplace is it.
    Ours(&'a RemoteBid),
    /// None is, in words. No proof of anything.
    Not(String),
}

/// Finds a bid among those that the marketplace has on its posting. What another row has is not taken from it, and
/// where a `not_submitted` bid has a later one with its key, which was sent too, that one comes first: this one
/// is found only by a further bid, or by one made clearly before the later one was first sent.
pub(crate) async fn find_among<'a>(
    ledger: &dyn LedgerStore,
    bid: &Bid,
    remote: &'a [RemoteBid],
) -> Result<Found<'a>, PipelineError> {
    let filter = BidFilter {
        marketplace: Some(bid.posting.marketplace().to_owned()),
        posting: Some(bid.posting.posting().to_owned()),
        ..BidFilter::default()
    };
    // Read after the look-up: what is not sent by now was not found by it.
    let mut rows = ledger.list(&filter, &Page { after: None, limit: MAX_PAGE }).await?;
    rows.retain(|row| row.id != bid.id);
    Ok(choose(bid, &rows, remote))
}

fn choose<'a>(bid: &Bid, others: &[Bid], remote: &'a [RemoteBid]) -> Found<'a> {
    let mut taken: Vec<String> = others
        .iter()
        .filter(|row| is_settled_there(row.state))
        .filter_map(|row| row.external_ref.clone())
        .collect();
    let mut ours = Vec::new();
    // Ends: each round takes at least one of them out.
    while let Some(found) = find_ours(remote, bid.idempotency_key, sent_at(bid), &taken) {
        taken.push(found.external_ref.clone());
        ours.push(found);
    }
    let rivals: Vec<&Bid> = others.iter().filter(|row| comes_first(row, bid)).collect();
    if rivals.iter().any(|row| row.state == BidState::Submitting) {
        return Found::Not("a later bid on the posting is being sent at this moment; ask again".to_owned());
    }
    let first_sent = rivals.iter().filter_map(|row| row.first_sent_at).min();
    let clearly_before = first_sent
        .and_then(|t| Timestamp::from_millisecond(t.0).ok())
        .and_then(|t| t.checked_sub(CLOCK_ALLOWANCE).ok());
    let dated = ours.iter().find(|r| r.created_at.zip(clearly_before).is_some_and(|(at, limit)| at < limit));
    match dated.or(if ours.len() > rivals.len() { ours.first() } else { None }) {
        Some(found) => Found::Ours(found),
        None if ours.is_empty() => Found::Not(format!(
            "not among the {} bids the marketplace shows: no proof, a person decides",
            remote.len()
        )),
        None => Found::Not("what the marketplace shows may be the later bid on the posting".to_owned()),
    }
}

/// The marketplace's name of such a bid is known for certain.
fn is_settled_there(state: BidState) -> bool {
    use BidState::*;
    matches!(state, Submitted | Won | Lost | Withdrawing | Withdrawn)
}

/// Whether a bid found under the key of both is `later`'s rather than `bid`'s: the later one was sent, did not come
/// back with proof that nothing was accepted, and is not known by a name of its own.
fn comes_first(later: &Bid, bid: &Bid) -> bool {
    use BidState::*;
    let unnamed = is_settled_there(later.state) && later.external_ref.is_none();
    bid.state == NotSubmitted
        && later.epoch > bid.epoch
        && later.idempotency_key == bid.idempotency_key
        && later.attempts > 0
        && (unnamed || matches!(later.state, Submitting | Unknown | NotSubmitted))
}

//! One bid at a time: its events by the law, its requests behind the door, what it calls submitted, how it came to rest.

use bidlock_ledger::{
    Action, Bid, BidEvent, BidState,
    lawful::{Times, breaches},
};

use super::{
    Findings, Invariant,
    market::{Market, Sent},
    postings::{Postings, RowFacts},
    timeline::{Span, Timeline},
    unknowns,
    verdict::At,
};
use crate::{fault::Place, history::Begun};

/// How far an event's time may be from the times of others: all read one host's clocks, the wall clock before the boot-time
/// clock, with a moment between.
pub(super) const SLACK_MS: i64 = 50;
/// The same of the guards of claims on PostgreSQL: a claim is dated by its claimant's idea of the server's clock, which the
/// server takes if it is off by no more than a second.
const POSTGRES_CLAIM_SLACK_MS: i64 = 1_100;

/// What the check of one bid looks at besides.
pub(super) struct Around<'a> {
    pub(super) begun: &'a Begun,
    pub(super) timeline: &'a Timeline,
    pub(super) market: &'a Market,
}

impl Around<'_> {
    /// An event's time on the run's clock.
    pub(super) fn at_ms(&self, event: &BidEvent) -> i64 {
        event.at.0 - self.begun.wall_ms
    }

    /// Whether it can be judged by.
    pub(super) fn is_known(&self, event: &BidEvent) -> bool {
        !self.timeline.is_doubtful(self.ledger(), &event.actor, self.at_ms(event))
    }

    pub(super) fn ledger(&self) -> Place {
        self.begun.plan.engines.ledger()
    }

    pub(super) fn ttl_ms(&self) -> i64 {
        i64::try_from(self.begun.plan.ttl_ms).unwrap_or(i64::MAX)
    }

    /// Whether nothing could be had of this place at this time by whoever goes by this name: by all of them, where it is more
    /// than one.
    fn is_away(&self, place: Place, name: &str, at_ms: i64) -> bool {
        let mut lives = self.timeline.lives_in(name, (at_ms, at_ms)).peekable();
        lives.peek().is_some()
            && lives.all(|life| {
                self.timeline.near(at_ms, at_ms).any(|span| {
                    span.is_outage()
                        && span.lies_before(&life.process, place)
                        && (span.from_ms..=span.to_ms).contains(&at_ms)
                })
            })
    }

    fn claim_slack_ms(&self) -> i64 {
        if self.ledger() == Place::Sqlite { SLACK_MS } else { POSTGRES_CLAIM_SLACK_MS }
    }

    /// How long whatever was broken may take to come to rest, and what was claimed at this time. A lease whose holder has
    /// died lasts longer where the lock store's clock went back.
    fn rest_ms(&self, from_ms: i64) -> i64 {
        let promised = i64::try_from(self.begun.plan.rest_ms()).unwrap_or(i64::MAX / 2);
        promised + self.timeline.prolonged_ms((from_ms - self.ttl_ms(), from_ms + self.ttl_ms()))
    }
}

/// Checks a bid, and notes what its posting's check needs.
pub(super) fn check(
    bid: &Bid,
    events: &[BidEvent],
    around: &Around<'_>,
    postings: &mut Postings,
    found: &mut Findings,
    unknown: &mut unknowns::Tally,
) {
    law(bid, events, around, found);
    behind_the_door(bid, events, around, found);
    submitted_is_there(bid, events, around, found);
    at_rest(bid, events, around, postings.of(&bid.posting).is_some_and(|facts| facts.is_gone), found);
    followed(bid, events, around, found);
    without_redis(events, around, found);
    unknowns::check(bid, events, around, found, unknown);
    let number = postings.number(&bid.posting);
    let facts = &mut postings.facts[number];
    let freed = events
        .iter()
        .filter(|event| event.detail.get("rebid_allowed").and_then(serde_json::Value::as_bool) == Some(true));
    facts.freed_ms.extend(freed.map(|event| around.at_ms(event)));
    let epochs = events.iter().map(|event| event.epoch.0);
    facts.rows.push(RowFacts {
        bid: bid.id,
        state: bid.state,
        external_ref: bid.external_ref.clone(),
        rebid_allowed: bid.rebid_allowed,
        sent_ms: bid.last_sent_at.map(|at| at.0 - around.begun.wall_ms),
        epochs: (epochs.clone().min().unwrap_or_default(), epochs.max().unwrap_or_default()),
    });
}

/// S2, S4, S5, S7, as far as one bid's events show them.
fn law(bid: &Bid, events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    let is_known = |event: &BidEvent| around.is_known(event);
    let times = Times { ttl_ms: around.ttl_ms(), slack_ms: around.claim_slack_ms(), is_known: &is_known };
    for breach in breaches(events, bid.events, &times) {
        let what = format!("bid {}, event {}: {}", bid.id, breach.seq, breach.what);
        found.violated(breach.invariant.into(), At::posting(&bid.posting), what);
    }
    let claims = 1 + events.iter().filter(|event| makes_claim(event)).count() as u64;
    found.looked(Invariant::S4, "changes of bids", events.len() as u64);
    found.looked(Invariant::S5, "claims", claims);
    found.looked(Invariant::S7, "events", events.len() as u64);
}

fn makes_claim(event: &BidEvent) -> bool {
    matches!(event.action, Some(Action::TakeOver | Action::TakeSending))
}

fn doors(events: &[BidEvent]) -> impl Iterator<Item = &BidEvent> {
    events.iter().filter(|event| event.to == BidState::Submitting)
}

/// S2: the n-th request of a bid comes after its own n-th passage of the door. S6: also while the ledger is away.
fn behind_the_door(bid: &Bid, events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    let mut passages: Vec<i64> = doors(events)
        .map(|event| if around.is_known(event) { around.at_ms(event) } else { i64::MIN })
        .collect();
    passages.sort_unstable();
    let mut passages = passages.into_iter().peekable();
    for sent in around.market.of_bid(bid.id) {
        let away = ledger_away(events, around, sent);
        found.looked(Invariant::S2, "requests", 1);
        if away {
            found.looked(Invariant::S6, "requests while the ledger was away", 1);
        }
        if passages.next_if(|at_ms| *at_ms <= sent.at_ms + SLACK_MS).is_some() {
            continue;
        }
        let what =
            format!("request {} of bid {} came without a passage of the door of its own", sent.seq, bid.id);
        if away {
            found.violated(Invariant::S6, At::posting(&bid.posting), what.clone());
        }
        found.violated(Invariant::S2, At::posting(&bid.posting), what);
    }
}

/// Whether this bid's claimant could not reach the ledger when a request arrived.
fn ledger_away(events: &[BidEvent], around: &Around<'_>, sent: &Sent) -> bool {
    let claims = events.iter().filter(|event| event.action.is_none() || makes_claim(event));
    let claimant = claims.take_while(|event| around.at_ms(event) <= sent.at_ms).last().or(events.first());
    claimant.is_some_and(|event| around.is_away(around.ledger(), &event.actor, sent.at_ms))
}

/// S8: what the ledger calls submitted, the marketplace has, and had when it was called so.
fn submitted_is_there(bid: &Bid, events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    // A person's word needs no proof.
    let by_person = events.iter().any(|event| event.action == Some(Action::ResolveSubmitted));
    let mut named: Vec<&str> = Vec::new();
    for event in events.iter().filter(|event| event.to == BidState::Submitted) {
        let Some(name) = event.detail.get("external_ref").and_then(serde_json::Value::as_str) else {
            continue;
        };
        found.looked(Invariant::S8, "bids called submitted", 1);
        named.push(name);
        let at_ms = around.at_ms(event);
        let there = around.market.accepted_as(name).is_some_and(|(sent, _)| {
            !around.is_known(event) || sent.answered_ms.unwrap_or(sent.at_ms) <= at_ms + SLACK_MS
        });
        if !there && event.action != Some(Action::ResolveSubmitted) {
            let what =
                format!("bid {} was called submitted as {name}, which the marketplace had not", bid.id);
            found.violated(Invariant::S8, At::posting(&bid.posting), what);
        }
    }
    let unnamed = bid.external_ref.as_deref().is_none_or(|name| !named.contains(&name));
    if is_there(bid.state) && unnamed && !by_person {
        let what = format!("bid {} is {} as {:?}, and no event says so", bid.id, bid.state, bid.external_ref);
        found.violated(Invariant::S8, At::posting(&bid.posting), what);
    }
}

/// The ledger says that the marketplace has, or had, it.
pub(super) fn is_there(state: BidState) -> bool {
    use BidState::*;
    matches!(state, Submitted | Won | Lost | Withdrawing | Withdrawn)
}

/// Somebody has to move it on, and nobody but a scanner or the reconciler is waited for.
fn is_unrest(state: BidState) -> bool {
    use BidState::*;
    matches!(state, Claimed | Submitting | Approved | Abandoned | Withdrawing)
}

/// L1: at rest at the end, and already when the last scan began, but for what was abandoned and no feed shows (`is_gone`)
/// to anybody before that scan. Time in which the host stood still does not count.
fn at_rest(bid: &Bid, events: &[BidEvent], around: &Around<'_>, is_gone: bool, found: &mut Findings) {
    let (Some(quiet_ms), Some(last_scan_ms)) = (around.timeline.quiet_ms, around.timeline.last_scan_ms)
    else {
        return;
    };
    found.looked(Invariant::L1, "bids", 1);
    let waited_s = (last_scan_ms - quiet_ms) / 1_000;
    let at = || At::posting(&bid.posting);
    if is_unrest(bid.state) {
        let what = format!("bid {} is still {}, {waited_s} s and a scan after the faults", bid.id, bid.state);
        return found.violated(Invariant::L1, at(), what);
    }
    // What began before the quiet, and was moved on by the last scan alone.
    let before = events.iter().rfind(|event| around.at_ms(event) < last_scan_ms);
    let known = events.iter().all(|event| around.is_known(event));
    let had_ms = |event: &BidEvent| {
        let from_ms = quiet_ms.max(around.at_ms(event));
        last_scan_ms - from_ms - around.timeline.covered_ms((from_ms, last_scan_ms), |_| false)
    };
    if let Some(event) = before
        && known
        && is_unrest(event.to)
        && !(event.to == BidState::Abandoned && is_gone)
        && had_ms(event) >= around.rest_ms(around.at_ms(event))
    {
        let what = format!("bid {} was still {} {waited_s} s after the faults", bid.id, event.to);
        found.violated(Invariant::L1, at(), what);
    }
}

/// L2: once a killed claimant's claim has run out, somebody moves the row on. Time in which something was broken that
/// could keep the others from it, or the host stood still, does not count.
fn followed(bid: &Bid, events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    for pair in events.windows(2) {
        let [claimed, next] = pair else { continue };
        let moved_on = matches!(next.action, Some(Action::TakeOver | Action::SweepClaimed));
        let at_ms = around.at_ms(claimed);
        let mut lives = around.timeline.lives_in(&claimed.actor, (at_ms, at_ms)).peekable();
        let killed = lives.peek().is_some() && lives.all(|life| life.signal == Some(9));
        if claimed.to != BidState::Claimed || !moved_on || !killed {
            continue;
        }
        if !(around.is_known(claimed) && around.is_known(next)) {
            continue;
        }
        found.looked(Invariant::L2, "claims of the killed that others took over", 1);
        let (from_ms, to_ms) = (around.at_ms(claimed), around.at_ms(next));
        let hindered = around.timeline.covered_ms((from_ms, to_ms), Span::lasts);
        if to_ms - from_ms - hindered > around.rest_ms(from_ms) {
            let what =
                format!("bid {} waited for {} ms after its claimant was killed", bid.id, to_ms - from_ms);
            found.violated(Invariant::L2, At::posting(&bid.posting), what);
        }
    }
}

/// L4: doors that were passed while Redis was away.
fn without_redis(events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    for event in doors(events).filter(|event| around.is_known(event)) {
        let at_ms = around.at_ms(event);
        if around.is_away(Place::Redis, &event.actor, at_ms) {
            found.looked(Invariant::L4, "doors passed while Redis was away", 1);
        }
    }
}

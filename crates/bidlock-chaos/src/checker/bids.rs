//! One bid at a time: its events by the law, its requests behind the door, what it calls submitted, how it came to rest.

use bidlock_ledger::{
    Action, Bid, BidEvent, BidState,
    lawful::{Times, breaches},
};

use super::{
    Findings, Invariant,
    around::{Around, SLACK_MS},
    named,
    postings::{Postings, RowFacts},
    record::Sent,
    unknowns,
    verdict::At,
    without_redis,
};

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
    let number = postings.number(&bid.posting);
    named::check(bid, events, (around, number), found);
    at_rest(bid, events, around, postings.of(&bid.posting).is_some_and(|facts| facts.is_gone), found);
    followed(bid, events, around, found);
    without_redis::check(events, around, found);
    unknowns::check(bid, events, around, found, unknown);
    let facts = &mut postings.facts[number];
    facts.freed.extend(
        freed(bid, events)
            .map(|(event, until)| (around.at_ms(event), until.map(|event| around.at_ms(event)))),
    );
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

/// The events by which this bid freed its posting, each with the one that took it back: a bid that turns out to be there
/// after all does, unless another has been made by then.
fn freed<'a>(
    bid: &Bid,
    events: &'a [BidEvent],
) -> impl Iterator<Item = (&'a BidEvent, Option<&'a BidEvent>)> {
    let frees = |event: &BidEvent| {
        event.detail.get("rebid_allowed").and_then(serde_json::Value::as_bool) == Some(true)
    };
    let is_over = !bid.rebid_allowed;
    let at = (0..events.len()).filter(move |at| frees(&events[*at]));
    at.map(move |at| {
        let reopened = events[at..].iter().find(|event| event.to == BidState::Submitted);
        (&events[at], reopened.filter(|_| is_over))
    })
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

pub(super) fn makes_claim(event: &BidEvent) -> bool {
    matches!(event.action, Some(Action::TakeOver | Action::TakeSending))
}

fn doors(events: &[BidEvent]) -> impl Iterator<Item = &BidEvent> {
    events.iter().filter(|event| event.to == BidState::Submitting)
}

/// S2: each request of a bid follows a passage of the door of its own, the last one before it: what an earlier one let
/// through and never arrived is no leave for another. S6: also while the ledger is away.
fn behind_the_door(bid: &Bid, events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    let mut passages: Vec<i64> = doors(events)
        .map(|event| if around.is_known(event) { around.at_ms(event) } else { i64::MIN })
        .collect();
    passages.sort_unstable();
    // Where a passage has no time, none is known to have been followed by another.
    let is_dated = !passages.contains(&i64::MIN);
    let slack_ms = around.claim_slack_ms();
    let mut passages = passages.as_slice();
    for sent in around.record.of_bid(bid.id) {
        let away = ledger_away(events, around, sent);
        found.looked(Invariant::S2, "requests", 1);
        if away {
            found.looked(Invariant::S6, "requests while the ledger was away, each held against its door", 1);
        }
        while let [_, later @ ..] = passages
            && is_dated
            && later.first().is_some_and(|later_ms| later_ms + slack_ms < sent.at_ms)
        {
            passages = later;
        }
        if let [own, later @ ..] = passages
            && *own <= sent.at_ms + SLACK_MS
        {
            passages = later;
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
        last_scan_ms - from_ms - around.timeline.stalled_ms((from_ms, last_scan_ms))
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

/// L2: once a killed claimant's claim has run out, somebody moves the row on. Time in which nobody could does not count: see
/// [`hindered_ms`](super::Timeline::hindered_ms).
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
        // Until the claim has run out nobody may follow anyway: that time stands in what is promised.
        let may_ms = from_ms + around.ttl_ms();
        let hindered = around.timeline.hindered_ms(around.ledger(), (may_ms.min(to_ms), to_ms));
        found.looked(Invariant::L2, "milliseconds that they waited", (to_ms - from_ms).max(0).unsigned_abs());
        found.looked(Invariant::L2, "of these while nobody could", hindered.unsigned_abs());
        if to_ms - from_ms - hindered > around.rest_ms(from_ms) {
            let what =
                format!("bid {} waited for {} ms after its claimant was killed", bid.id, to_ms - from_ms);
            found.violated(Invariant::L2, At::posting(&bid.posting), what);
        }
    }
}

//! Every event is one that the table allows, made by whoever may make it, at a time when it may be made.

use std::collections::HashMap;

use bidlock_ledger::{
    Action, Bid, BidEvent, BidId, BidState, ClaimId, PostingId, chain,
    state::{Guard, TRANSITIONS},
};

use super::{Evidence, Findings, at};
use crate::{
    history::{Happening, Millis},
    plan::TTL_MILLIS,
    world::EPOCH,
};

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    for bid in &evidence.rows {
        let events = evidence.events_of(bid);
        if let Err(broken) = chain::verify(events, bid.events) {
            found.add("S7", format!("bid {}: {broken}", bid.id));
        }
        walk(bid, events, found);
    }
    doors(evidence, found);
    epochs(evidence, found);
}

/// What the events before one have made of a row.
struct Walk {
    state: BidState,
    claim: ClaimId,
    runs_until: Millis,
    approved_until: Option<Millis>,
}

/// S7, S4: from event to event along the table, each with its guard; claims change only where one is made.
fn walk(bid: &Bid, events: &[BidEvent], found: &mut Findings) {
    let mut row: Option<Walk> = None;
    for event in events {
        let Some(before) = row else {
            if event.to != BidState::Claimed || event.action.is_some() {
                found.add("S7", format!("bid {} begins with {event:?}", bid.id));
            }
            row = Some(Walk {
                state: event.to,
                claim: event.claim_id,
                runs_until: at(event) + TTL_MILLIS,
                approved_until: None,
            });
            continue;
        };
        if !is_allowed(&before, event) {
            let Walk { state, runs_until, .. } = before;
            found
                .add("S7", format!("bid {} was {state}, its claim until {runs_until} ms: {event:?}", bid.id));
        }
        let renews =
            matches!(event.action, Some(Action::TakeOver | Action::EnterSubmitting | Action::TakeSending));
        let makes_claim = matches!(event.action, Some(Action::TakeOver | Action::TakeSending));
        if event.claim_id != before.claim && !makes_claim {
            found.add("S4", format!("bid {} changed hands by {event:?}", bid.id));
        }
        let approved = event.detail.get("approved_until_ms").and_then(serde_json::Value::as_i64);
        row = Some(Walk {
            state: event.to,
            claim: event.claim_id,
            runs_until: if renews { at(event) + TTL_MILLIS } else { before.runs_until },
            approved_until: approved.map(|ms| (ms - EPOCH).unsigned_abs()).or(before.approved_until),
        });
        if matches!(event.action, Some(Action::ResolveSubmitted | Action::ResolveNotSubmitted))
            && !(event.actor.starts_with("operator:") && event.reason.is_some())
        {
            found.add("S7", format!("bid {}: a resolution without a person or a reason: {event:?}", bid.id));
        }
    }
}

fn is_allowed(row: &Walk, event: &BidEvent) -> bool {
    let now = at(event);
    TRANSITIONS.iter().any(|rule| {
        Some(rule.from) == event.from
            && rule.from == row.state
            && Some(rule.action) == event.action
            && rule.to == event.to
            && match rule.guard {
                Guard::Claim => true,
                Guard::Live => now < row.runs_until,
                Guard::Expired => now >= row.runs_until,
                Guard::ApprovalLive => row.approved_until.is_some_and(|until| now < until),
                Guard::ApprovalExpired => row.approved_until.is_some_and(|until| now >= until),
                Guard::WasApproved => row.approved_until.is_some(),
                Guard::NeverApproved => row.approved_until.is_none(),
            }
    })
}

/// S2: the n-th request of a process for a bid comes after its own n-th passage of the door. S4: what is moved is moved
/// under the claim that it has.
fn doors(evidence: &Evidence, found: &mut Findings) {
    let mut passages: HashMap<(BidId, &str), i32> = HashMap::new();
    for entry in &evidence.entries {
        match &entry.what {
            Happening::Moved { actor, bid, action, to, named, claim, claimant } => {
                if named != claim && *action != Action::TakeSending {
                    found.add(
                        "S4",
                        format!("at {} ms {actor} moved bid {bid} under another's claim", entry.at),
                    );
                }
                if *to == BidState::Submitting {
                    if actor != claimant {
                        let what = format!("at {} ms {actor} passed the door of {claimant}: {bid}", entry.at);
                        found.add("S2", what);
                    }
                    *passages.entry((*bid, actor)).or_default() += 1;
                }
            }
            Happening::Requested { request, holder, bid, .. } => {
                let left = passages.entry((*bid, holder)).or_default();
                *left -= 1;
                if *left < 0 {
                    let what =
                        format!("at {} ms {holder} sent request {request} for {bid} with no door", entry.at);
                    found.add("S2", what);
                }
            }
            _ => {}
        }
    }
}

/// S5: of the claims on a posting each has a higher ordinal than all before it.
fn epochs(evidence: &Evidence, found: &mut Findings) {
    let mut last: HashMap<&PostingId, i64> = HashMap::new();
    for entry in &evidence.entries {
        let Happening::Claimed { bid, epoch, holder, .. } = &entry.what else { continue };
        let Some(row) = evidence.row(*bid) else { continue };
        let highest = last.entry(&row.posting).or_insert(0);
        if epoch <= highest {
            let what =
                format!("at {} ms {holder} got epoch {epoch} on {} after {highest}", entry.at, row.posting);
            found.add("S5", what);
        }
        *highest = (*highest).max(*epoch);
    }
    let mut claims: HashMap<(&PostingId, i64), ClaimId> = HashMap::new();
    for bid in &evidence.rows {
        for event in evidence.events_of(bid) {
            let first = *claims.entry((&bid.posting, event.epoch.0)).or_insert(event.claim_id);
            if first != event.claim_id {
                found.add("S5", format!("two claims on {} have epoch {}", bid.posting, event.epoch.0));
            }
        }
    }
}

//! After the faults everything comes to rest, nothing is lost, and each unknown has its fault.

use bidlock_ledger::{Action, Bid, BidEvent, BidState, UnknownCause};

use super::{Evidence, Findings, at};
use crate::{
    history::{Happening, Millis},
    plan::{SWEEP, TTL},
    program::posting_id,
};

/// How far from what it explains a fault may lie: two ways of a call, and two stretches of a process.
const NEAR: Millis = 3_100;

/// Why an outcome was unknown.
#[derive(Clone, Debug)]
pub(crate) struct Attributed {
    /// What the ledger calls the cause.
    pub(crate) cause: UnknownCause,
    /// The fault that explains it; `None` is a violation.
    pub(crate) fault: Option<&'static str>,
}

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    for posting in (1..=evidence.plan.appears_at.len()).filter_map(posting_id) {
        let rows: Vec<&Bid> = evidence.rows_of(&posting).collect();
        let Some(last) = rows.last() else {
            found.add("L3", format!("{posting} was seen and has no bid"));
            continue;
        };
        for row in &rows {
            use BidState::*;
            // A person may take longer; what is unknown names its fault below. Where nothing can be looked up, the
            // reconciler does not ask for a withdrawal again either: that waits for a person.
            let unsettled = matches!(row.state, Claimed | Submitting | Approved)
                || (row.state == Abandoned && !is_remembered(evidence, &rows))
                || (row.state == Withdrawing && evidence.plan.market.looks_up);
            if unsettled {
                let ended = evidence.ended_at - evidence.plan.heals_at;
                let what =
                    format!("{ended} ms after the faults bid {} on {posting} is {}", row.id, row.state);
                found.add("L1", what);
            }
        }
        // Freed, and all scanners see it still: somebody should have taken it.
        if last.rebid_allowed && !is_remembered(evidence, &rows) {
            let what = format!("{posting} is free since {} ms, and nobody takes it", last.updated_at.0);
            found.add("L3", what);
        }
    }
    take_overs(evidence, found);
    for (bid, event, attributed) in unknowns(evidence) {
        if attributed.fault.is_none() {
            found.add("unknown", format!("bid {}: no fault explains {event:?}", bid.id));
        }
    }
}

/// A scanner that has seen a posting settled believes that for a while (`SettledCache`), also when it is freed meanwhile:
/// longer than a simulation lasts.
fn is_remembered(evidence: &Evidence, rows: &[&Bid]) -> bool {
    rows.iter().any(|row| evidence.events_of(row).iter().any(|event| event.to.is_settled()))
}

/// L2: once a dead claimant's claim has run out, somebody moves the row on. Looked at after the faults, when the others
/// can.
fn take_overs(evidence: &Evidence, found: &mut Findings) {
    let bound = u64::try_from((TTL + SWEEP).as_millis()).unwrap_or(0) + 5_000;
    for bid in &evidence.rows {
        for pair in evidence.events_of(bid).windows(2) {
            let [claimed, next] = pair else { continue };
            let moved_on = matches!(next.action, Some(Action::TakeOver | Action::SweepClaimed));
            let since = at(claimed).max(evidence.plan.heals_at);
            if claimed.to == BidState::Claimed && moved_on && at(next) > since + bound {
                let what = format!("bid {} waited from {} to {} ms", bid.id, at(claimed), at(next));
                found.add("L2", what);
            }
        }
    }
}

/// Each time an outcome became unknown, with its fault.
pub(crate) fn unknowns(evidence: &Evidence) -> Vec<(&Bid, &BidEvent, Attributed)> {
    let mut unknowns = Vec::new();
    for bid in &evidence.rows {
        let events = evidence.events_of(bid);
        for (place, event) in events.iter().enumerate() {
            let door = events[..place].iter().rev().find(|event| event.to == BidState::Submitting);
            let Some(door) = door else { continue };
            let holder = &door.actor;
            let attributed = match event.action {
                Some(Action::LoseAnswer) => lost(evidence, bid, holder, door, event),
                Some(Action::SweepSubmitting) => Attributed {
                    cause: UnknownCause::ClaimantSilent,
                    fault: silencing(evidence, holder, (at(door), at(event)), &SILENCING),
                },
                _ => continue,
            };
            unknowns.push((bid, event, attributed));
        }
    }
    unknowns
}

fn lost(evidence: &Evidence, bid: &Bid, holder: &str, door: &BidEvent, event: &BidEvent) -> Attributed {
    let cause = event.detail.get("cause").cloned().unwrap_or_default();
    let cause = serde_json::from_value(cause).unwrap_or(UnknownCause::ClaimantSilent);
    let request = evidence.entries.iter().rev().find_map(|entry| match &entry.what {
        Happening::Requested { request, holder: sender, bid: sent, .. }
            if sender == holder && *sent == bid.id && entry.at <= at(event) =>
        {
            Some(*request)
        }
        _ => None,
    });
    let of_request = evidence.faults().find(|(_, fault)| request.is_some() && fault.request == request);
    let fault = match cause {
        UnknownCause::Shutdown => silencing(evidence, holder, (at(door), at(event)), &["abort"]),
        // A marketplace that refuses a second bid has one: an earlier sending's.
        UnknownCause::Duplicate => {
            evidence.kept.iter().any(|kept| kept.posting == bid.posting).then_some("earlier_bid")
        }
        _ => of_request.map(|(_, fault)| fault.kind),
    };
    Attributed {
        cause,
        fault: fault.or_else(|| silencing(evidence, holder, (at(door), at(event)), &["pause"])),
    }
}

/// What keeps a process from going on, and then what keeps it from recording: the likeliest first.
const SILENCING: [&str; 8] = [
    "crash",
    "pause",
    "abort",
    "ledger_away",
    "ledger_cut_for_one",
    "ledger_late",
    "ledger_reply_lost",
    "ledger_not_applied",
];

/// A fault of one of these kinds that hit this process between the two times.
fn silencing(
    evidence: &Evidence,
    holder: &str,
    (from, to): (Millis, Millis),
    kinds: &[&'static str],
) -> Option<&'static str> {
    let host = holder.split('.').next().unwrap_or_default();
    kinds.iter().copied().find(|kind| {
        evidence.faults().any(|(began, fault)| {
            fault.kind == *kind
                && fault.target.as_deref().is_none_or(|target| target == holder || target == host)
                && began <= to
                && fault.until + NEAR >= from
        })
    })
}

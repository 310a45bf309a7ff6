//! What the marketplace has, and what the ledger says of it.

use std::collections::HashMap;

use bidlock_ledger::{Bid, BidState, PostingId};

use super::{Evidence, Findings, at};
use crate::{
    history::{Happening, Millis},
    market::Kept,
};

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    accepted_once(evidence, found);
    for bid in &evidence.rows {
        submitted_is_there(evidence, bid, found);
    }
    one_name_one_row(evidence, found);
    for kept in &evidence.kept {
        there_is_not_denied(evidence, kept, found);
    }
}

/// S1: one submission is accepted for a posting, and another only after the ledger recorded that it may be.
fn accepted_once(evidence: &Evidence, found: &mut Findings) {
    let mut postings: HashMap<usize, &PostingId> = HashMap::new();
    let mut accepted: HashMap<&PostingId, usize> = HashMap::new();
    for entry in &evidence.entries {
        match &entry.what {
            Happening::Requested { request, posting, .. } => {
                postings.insert(*request, posting);
            }
            Happening::Arrived { request, accepted: Some(external_ref), .. } => {
                let Some(posting) = postings.get(request) else { continue };
                let count = accepted.entry(posting).or_default();
                *count += 1;
                if *count > 1 + freed_before(evidence, posting, entry.at) {
                    let what = format!("at {} ms {posting} got its bid {count}: {external_ref}", entry.at);
                    found.add("S1", what);
                }
            }
            _ => {}
        }
    }
    for posting in accepted.keys() {
        let live = evidence.rows_of(posting).filter(|row| !row.rebid_allowed).count();
        if live > 1 {
            found.add("S1", format!("{posting} has {live} live rows"));
        }
    }
}

/// How often the ledger recorded that the posting may be bid on again.
fn freed_before(evidence: &Evidence, posting: &PostingId, now: Millis) -> usize {
    let events = evidence.rows_of(posting).flat_map(|row| evidence.events_of(row));
    events
        .filter(|event| event.detail.get("rebid_allowed").and_then(serde_json::Value::as_bool) == Some(true))
        .filter(|event| at(event) <= now)
        .count()
}

/// It is known there.
fn is_there(state: BidState) -> bool {
    use BidState::*;
    matches!(state, Submitted | Won | Lost | Withdrawing | Withdrawn)
}

/// S8: what the ledger calls submitted, the marketplace has, and had when it was called so.
fn submitted_is_there(evidence: &Evidence, bid: &Bid, found: &mut Findings) {
    if is_there(bid.state) {
        let named = bid.external_ref.as_ref();
        let there =
            evidence.kept.iter().any(|kept| Some(&kept.external_ref) == named && kept.posting == bid.posting);
        if !there {
            found.add("S8", format!("bid {} on {} is {} as {named:?}", bid.id, bid.posting, bid.state));
        }
    }
    for event in evidence.events_of(bid).iter().filter(|event| event.to == BidState::Submitted) {
        let had = evidence.kept.iter().any(|kept| kept.posting == bid.posting && kept.at <= at(event));
        if !had {
            found.add("S8", format!("bid {} was called submitted before it was: {event:?}", bid.id));
        }
    }
}

/// S8: no two rows are one bid of the marketplace.
fn one_name_one_row(evidence: &Evidence, found: &mut Findings) {
    let mut named: HashMap<(&PostingId, &str), &Bid> = HashMap::new();
    for bid in evidence.rows.iter().filter(|bid| is_there(bid.state)) {
        let Some(external_ref) = &bid.external_ref else { continue };
        if let Some(other) = named.insert((&bid.posting, external_ref), bid) {
            found.add(
                "S8",
                format!("bids {} and {} on {} are both {external_ref}", other.id, bid.id, bid.posting),
            );
        }
    }
}

/// S9: what the marketplace has, the ledger does not deny. Where nothing can be looked up, a person's wrong word stands.
fn there_is_not_denied(evidence: &Evidence, kept: &Kept, found: &mut Findings) {
    use BidState::*;
    let known = |row: &Bid| is_there(row.state) && row.external_ref.as_ref() == Some(&kept.external_ref);
    if evidence.rows_of(&kept.posting).any(known) {
        return;
    }
    let Some(row) = evidence.row(kept.bid) else {
        return found
            .add("S9", format!("{} has {} of a bid that nobody knows", kept.posting, kept.external_ref));
    };
    let excused = match row.state {
        Submitting | Unknown => true,
        NotSubmitted => !evidence.plan.market.looks_up,
        _ => false,
    };
    if !excused {
        let (posting, external_ref) = (&kept.posting, &kept.external_ref);
        found.add("S9", format!("{posting} has {external_ref}, and its bid {} is {}", row.id, row.state));
    }
}

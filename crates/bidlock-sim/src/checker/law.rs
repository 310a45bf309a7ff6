//! Every event is one that the table allows, made by whoever may make it, at a time when it may be made.

use std::collections::HashMap;

use bidlock_ledger::{
    BidId, BidState, ClaimId, PostingId,
    lawful::{Times, breaches},
    state::Action,
};

use super::{Evidence, Findings};
use crate::{history::Happening, plan::TTL_MILLIS};

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    let ttl_ms = i64::try_from(TTL_MILLIS).unwrap_or(i64::MAX);
    let times = Times { ttl_ms, slack_ms: 0, is_known: &|_| true };
    for bid in &evidence.rows {
        for breach in breaches(evidence.events_of(bid), bid.events, &times) {
            found.add(breach.invariant, format!("bid {}: event {}: {}", bid.id, breach.seq, breach.what));
        }
    }
    doors(evidence, found);
    epochs(evidence, found);
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

//! L4: bidding goes on without Redis.

use bidlock::layers::retry::LAST_START;
use bidlock_ledger::{BidEvent, BidState};

use super::{Findings, Invariant, around::Around, bids::makes_claim, timeline::Timeline, verdict::At};
use crate::fault::Place;

/// What shows it.
pub(super) const GOES_ON: &str = "of them on claims made a TTL after it went";

/// A scanner asks Redis again for so long, before it takes its locks in the database.
const ASKS_AGAIN_MS: i64 = LAST_START.as_millis() as i64;
/// Without Redis for so long beyond that, in all, and nothing sent: not by chance.
const LONG_AWAY_MS: i64 = 2_000;
/// Fewer submissions in a run than this may well miss an outage.
const MUCH_SENT: usize = 50;

/// Doors of one bid that were passed while Redis was away. What was locked before it went may still be sent; what was claimed
/// when such locks had run out shows that bidding goes on.
pub(super) fn check(events: &[BidEvent], around: &Around<'_>, found: &mut Findings) {
    let mut claimed: Option<&BidEvent> = None;
    for event in events.iter().filter(|event| around.is_known(event)) {
        if event.action.is_none() || makes_claim(event) {
            claimed = Some(event);
        }
        if event.to != BidState::Submitting
            || !around.is_away(Place::Redis, &event.actor, around.at_ms(event))
        {
            continue;
        }
        found.looked(Invariant::L4, "doors passed while Redis was away", 1);
        let at_ms = claimed.map_or(i64::MIN, |event| around.at_ms(event));
        let since_ms = around.away_since(Place::Redis, &event.actor, at_ms);
        let goes_on = since_ms.is_some_and(|since_ms| at_ms - since_ms >= around.ttl_ms());
        found.looked(Invariant::L4, GOES_ON, u64::from(goes_on));
    }
}

/// Over all bids: it would be odd if nothing at all was claimed and sent for so long, where much was sent otherwise.
pub(super) fn finish(timeline: &Timeline, sent: usize, found: &mut Findings) {
    let outages = timeline.faults.iter().filter(|span| span.is_outage() && span.hits_all(Place::Redis));
    let away_ms: i64 = outages.map(|span| (span.to_ms - span.from_ms - ASKS_AGAIN_MS).max(0)).sum();
    let doors = found.count(Invariant::L4, GOES_ON);
    if doors == 0 && away_ms >= LONG_AWAY_MS && sent >= MUCH_SENT {
        let what = format!(
            "Redis was away for {away_ms} ms in all beyond the {ASKS_AGAIN_MS} ms of each time in which it is asked again, and \
             nothing was claimed and sent meanwhile"
        );
        found.violated(Invariant::L4, At::nowhere(), what);
    }
}

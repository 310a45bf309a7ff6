//! Why an outcome became unknown: each must have a fault that explains it, or a host that stood still.

use std::collections::BTreeMap;

use bidlock_ledger::{Action, Bid, BidEvent, BidState, UnknownCause};

use super::{
    Findings, Invariant,
    around::{Around, SLACK_MS},
    chance::MAX_SILENCES,
    record::Sent,
    verdict::At,
};
use crate::fault::{FaultKind, Place};

/// How much sooner than its limit a request may end by it: the two ends do not begin to count together.
const LIMIT_SLACK_MS: i64 = 150;

/// What keeps a process from recording an answer, the likeliest first. Where newer binaries take over, the older one is killed.
const SILENCING: [FaultKind; 4] =
    [FaultKind::Kill, FaultKind::Pause, FaultKind::Terminate, FaultKind::ProtocolFloor];
/// What makes a process take an answer for lost by itself.
const INTERRUPTING: [FaultKind; 4] =
    [FaultKind::Terminate, FaultKind::Pause, FaultKind::Kill, FaultKind::ProtocolFloor];

/// Behind an unknown outcome that no fault explains, and a host that stood still does.
pub(crate) const HOST_STALLED: &str = "host_stalled";

/// What is counted of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How often each cause was explained by each fault.
    pub(super) counts: BTreeMap<(String, String), u64>,
    /// When they became unknown.
    pub(super) at_ms: Vec<i64>,
    /// How long after their door claimants were found to be silent, where that can be told: at most [`MAX_SILENCES`].
    pub(super) silences_ms: Vec<i64>,
}

/// What explains an unknown outcome.
enum Why {
    Fault(FaultKind),
    /// A marketplace that refuses a second bid has one: that of an earlier sending.
    EarlierBid,
    /// No fault, but the host stood still meanwhile.
    HostStalled,
}

impl Why {
    fn name(&self) -> &'static str {
        match self {
            Why::Fault(kind) => kind.name(),
            Why::EarlierBid => "earlier_bid",
            Why::HostStalled => HOST_STALLED,
        }
    }
}

pub(super) fn check(
    bid: &Bid,
    events: &[BidEvent],
    around: &Around<'_>,
    found: &mut Findings,
    tally: &mut Tally,
) {
    for (place, event) in events.iter().enumerate() {
        let Some(door) = events[..place].iter().rev().find(|event| event.to == BidState::Submitting) else {
            continue;
        };
        let doors = events[..place].iter().filter(|event| event.to == BidState::Submitting).count();
        let case = Case { bid, door, event, doors, around };
        let (cause, why) = match event.action {
            Some(Action::LoseAnswer) => case.lost(),
            Some(Action::SweepSubmitting) => (UnknownCause::ClaimantSilent, case.silent()),
            _ => continue,
        };
        if cause == UnknownCause::ClaimantSilent
            && tally.silences_ms.len() < MAX_SILENCES
            && let Some((from_ms, to_ms)) = case.told_time()
        {
            tally.silences_ms.push(to_ms - from_ms);
        }
        let why = why.or_else(|| case.stalled(cause));
        found.looked(Invariant::Unknowns, "unknown outcomes", 1);
        let name = why.as_ref().map_or("nothing", Why::name);
        *tally.counts.entry((cause.to_string(), name.to_owned())).or_default() += 1;
        tally.at_ms.push(around.at_ms(event));
        if why.is_none() {
            let reason = event.reason.as_deref().unwrap_or_default();
            let what = format!("bid {}: no fault explains `{cause}` ({reason})", bid.id);
            found.violated(Invariant::Unknowns, At::posting(&bid.posting), what);
        }
    }
}

/// What keeps whoever goes by this name from recording an answer within this time, whatever it sent.
pub(super) fn silenced(around: &Around<'_>, name: &str, time: (i64, i64)) -> Option<FaultKind> {
    let before = silenced_before_sending(around, name, time);
    before.or_else(|| around.timeline.on_way(name, Place::Market, time))
}

/// The same, but for what lies before the marketplace.
fn silenced_before_sending(around: &Around<'_>, name: &str, time: (i64, i64)) -> Option<FaultKind> {
    let (timeline, ledger) = (around.timeline, around.ledger());
    timeline
        .on_process(name, &SILENCING, time)
        .or_else(|| timeline.on_way(name, ledger, time))
        // One of its answers was lost: which, its connection does not tell.
        .or_else(|| timeline.lost_reply(name, ledger, time, None))
}

/// Whether this is how a fault of the marketplace looks to its client.
fn fits(cause: UnknownCause, fault: FaultKind) -> bool {
    use FaultKind::*;
    match cause {
        UnknownCause::ConnectionLost => fault == MarketReset,
        UnknownCause::ServerError => fault == MarketError,
        UnknownCause::Redirect => fault == MarketRedirect,
        UnknownCause::UnreadableAnswer => fault == MarketGarbage,
        UnknownCause::Timeout => matches!(fault, MarketSilent | MarketSlow),
        _ => false,
    }
}

/// One outcome that became unknown.
struct Case<'a> {
    bid: &'a Bid,
    /// The passage of the door before it, and which one that is.
    door: &'a BidEvent,
    doors: usize,
    event: &'a BidEvent,
    around: &'a Around<'a>,
}

impl Case<'_> {
    /// The claimant has lost its answer.
    fn lost(&self) -> (UnknownCause, Option<Why>) {
        let cause = self.event.detail.get("cause").cloned().unwrap_or_default();
        let cause = serde_json::from_value(cause).unwrap_or(UnknownCause::ClaimantSilent);
        let why = match cause {
            UnknownCause::Shutdown => self.on_process(&INTERRUPTING),
            UnknownCause::Duplicate if self.has_earlier_bid() => Some(Why::EarlierBid),
            // The client was given an answer, so that only the one who gave it is to blame.
            UnknownCause::ServerError | UnknownCause::Redirect | UnknownCause::UnreadableAnswer => {
                self.of_request(|fault| fits(cause, fault))
            }
            cause => self
                .of_request(|fault| fits(cause, fault))
                .or_else(|| self.reply_lost())
                .or_else(|| self.on_way(Place::Market))
                .or_else(|| self.on_process(&INTERRUPTING)),
        };
        (cause, why)
    }

    /// Nobody has recorded anything.
    fn silent(&self) -> Option<Why> {
        let stopped = silenced_before_sending(self.around, &self.door.actor, self.time());
        // The answer came too late to be recorded within the claim.
        stopped
            .map(Why::Fault)
            .or_else(|| self.of_request(|_| true))
            .or_else(|| self.reply_lost())
            .or_else(|| self.on_way(Place::Market))
    }

    fn has_earlier_bid(&self) -> bool {
        self.request().is_some_and(|sent| sent.already.is_some())
    }

    /// The request of this passage: none where it never arrived.
    fn request(&self) -> Option<&Sent> {
        let (from_ms, to_ms) = self.time();
        let during = |sent: &&Sent| (from_ms..=to_ms).contains(&sent.at_ms);
        let sent = || self.around.record.of_bid(self.bid.id);
        sent().filter(during).last().or_else(|| sent().nth(self.doors.saturating_sub(1)))
    }

    /// What the marketplace did to it, if that is of interest.
    fn of_request(&self, is_it: impl Fn(FaultKind) -> bool) -> Option<Why> {
        let sent = self.request()?;
        let slow = sent.answered_ms.is_none_or(|at| at - sent.at_ms >= self.limit_ms() - LIMIT_SLACK_MS);
        let slow = slow.then_some(FaultKind::MarketSlow);
        sent.fault.filter(|fault| is_it(*fault)).or(slow.filter(|fault| is_it(*fault))).map(Why::Fault)
    }

    fn on_process(&self, kinds: &[FaultKind]) -> Option<Why> {
        self.around.timeline.on_process(&self.door.actor, kinds, self.time()).map(Why::Fault)
    }

    fn on_way(&self, place: Place) -> Option<Why> {
        self.around.timeline.on_way(&self.door.actor, place, self.time()).map(Why::Fault)
    }

    /// The answer to this very request was thrown away: its connection tells.
    fn reply_lost(&self) -> Option<Why> {
        let port = self.request()?.port?;
        let (market, timeline) = (Place::Market, &self.around.timeline);
        timeline.lost_reply(&self.door.actor, market, self.time(), Some(port)).map(Why::Fault)
    }

    /// The host stood still during this very request, in a way that looks like this. A short wait can't be told from a long
    /// one afterwards: any overlap counts.
    fn stalled(&self, cause: UnknownCause) -> Option<Why> {
        use UnknownCause::{ClaimantSilent, ConnectionLost, Timeout};
        if !matches!(cause, ClaimantSilent | ConnectionLost | Timeout) {
            return None;
        }
        // Where no clock tells its time, the marketplace's record does; a whole life would excuse too much.
        let of_request = || self.request().map(|sent| (sent.at_ms, sent.at_ms + self.limit_ms()));
        let time = self.told_time().or_else(of_request)?;
        (!self.around.timeline.stalls_in(time).is_empty()).then_some(Why::HostStalled)
    }

    /// How long a request may take.
    fn limit_ms(&self) -> i64 {
        i64::try_from(self.around.begun.plan.time_limit_ms).unwrap_or(i64::MAX / 2)
    }

    /// From the door to the loss, where that can be told.
    fn told_time(&self) -> Option<(i64, i64)> {
        let around = self.around;
        (around.is_known(self.door) && around.is_known(self.event))
            .then(|| (around.at_ms(self.door) - SLACK_MS, around.at_ms(self.event) + SLACK_MS))
    }

    /// The same. Where it can't be told, the whole life of the claimant.
    fn time(&self) -> (i64, i64) {
        let life = || {
            let lives = self.around.timeline.lives_of(&self.door.actor);
            let times = lives.map(|life| (life.from_ms, life.to_ms.unwrap_or(i64::MAX / 2)));
            times.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))).unwrap_or((0, i64::MAX / 2))
        };
        self.told_time().unwrap_or_else(life)
    }
}

//! When nobody could move on what the dead have left behind: what L2 does not count.

use std::collections::BTreeSet;

use super::timeline::{Span, Timeline};
use crate::{
    fault::{FaultKind, Place},
    history::Role,
};

impl Timeline {
    /// How much of this time, in milliseconds, no scanner could take over or sweep: the host stood still, ledger or Redis was
    /// broken for all, or each scanner by itself was stopped or cut off from one of them. A scanner that is dead and that no
    /// fault keeps down excuses nothing: it ought to have been started again.
    pub(super) fn hindered_ms(&self, ledger: Place, (from_ms, to_ms): (i64, i64)) -> i64 {
        let concern = |span: &&Span| stops_all(span, ledger) || stops_one(span, ledger);
        let spans: Vec<&Span> = self.near(from_ms, to_ms).filter(concern).collect();
        let stalls = self.stalls_in((from_ms, to_ms));
        let scanners = self.scanners();
        let mut edges = vec![from_ms, to_ms];
        edges.extend(spans.iter().flat_map(|span| [span.from_ms, span.may_show_until_ms()]));
        edges.extend(stalls.iter().flat_map(|stall| [stall.from_ms, stall.to_ms]));
        edges.retain(|at_ms| (from_ms..=to_ms).contains(at_ms));
        edges.sort_unstable();
        let is_hindered = |from_ms: i64, to_ms: i64| {
            let lasts = |span: &&&Span| span.from_ms <= from_ms && to_ms <= span.may_show_until_ms();
            let during = || spans.iter().filter(lasts);
            let is_stopped =
                |process: &&str| during().any(|span| span.target.process.as_deref() == Some(*process));
            stalls.iter().any(|stall| stall.from_ms <= from_ms && to_ms <= stall.to_ms)
                || during().any(|span| stops_all(span, ledger))
                || (!scanners.is_empty() && scanners.iter().all(is_stopped))
        };
        let parts = edges.windows(2).filter_map(|part| Some((*part.first()?, *part.last()?)));
        parts.filter(|(from, to)| is_hindered(*from, *to)).map(|(from, to)| to - from).sum()
    }

    /// The scanners that are started again when they end; not those that scan once.
    fn scanners(&self) -> BTreeSet<&str> {
        let lives = self.lives.iter().filter(|life| life.role == Role::Scanner && life.is_kept_alive());
        lives.map(|life| life.process.as_str()).collect()
    }
}

/// Ledger or Redis is broken, or keeps this version out. A slow way is a way, what waits for an answer to lose breaks nothing
/// meanwhile, and what happens to a clock is [`prolonged_ms`](Timeline::prolonged_ms).
fn breaks_a_store(span: &Span, ledger: Place) -> bool {
    use FaultKind::{Delay, LoseReply, RedisClock, Trickle};
    let is_whole = matches!(span.fault, Delay | Trickle | LoseReply | RedisClock);
    span.target.place.is_some_and(|place| place == ledger || place == Place::Redis) && !is_whole
}

fn stops_all(span: &Span, ledger: Place) -> bool {
    let hits_all = breaks_a_store(span, ledger) && span.target.process.is_none();
    span.lasts() && (hits_all || span.fault == FaultKind::ProtocolFloor)
}

/// What is named by the fault's process does not work, or is cut off from a store.
fn stops_one(span: &Span, ledger: Place) -> bool {
    let stops = matches!(span.fault, FaultKind::Pause | FaultKind::Kill | FaultKind::Terminate);
    span.lasts() && (stops || breaks_a_store(span, ledger))
}

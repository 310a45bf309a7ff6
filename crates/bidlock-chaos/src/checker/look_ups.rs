//! What the last look-ups of a run could see: a bid that they show may not be unknown any more.

use super::{around::Around, postings::RowFacts, record::Sent};
use crate::history::Role;

/// How much earlier than its sending a bid may be dated by a marketplace, where a look-up knows it by nothing but its time:
/// `bidlock_market::CLOCK_ALLOWANCE`.
pub(super) const CLOCK_ALLOWANCE_MS: i64 = 120_000;

/// The last look-ups: those of the `reconcile` behind the last scan.
#[derive(Debug)]
pub(super) struct LookUps {
    /// When they began, if the run came so far.
    from_ms: Option<i64>,
    /// They show no keys.
    hides_keys: bool,
}

impl LookUps {
    /// Where nothing was looked up behind the last scan, which is as bad as finding nothing, the end of the run counts.
    pub(super) fn of(around: &Around<'_>) -> LookUps {
        let timeline = around.timeline;
        let last = timeline.lives.iter().rfind(|life| life.role == Role::Operator).map(|life| life.from_ms);
        let behind = |last_scan_ms: i64| last.filter(|at_ms| *at_ms >= last_scan_ms);
        let modes = around.begun.plan.market.parse::<bidlock_sandbox::Modes>();
        LookUps {
            from_ms: timeline.ended_ms.map(|ended| timeline.last_scan_ms.and_then(behind).unwrap_or(ended)),
            hides_keys: modes.is_ok_and(|modes| modes.hides_keys),
        }
    }

    /// Whether they show this submission, which was accepted and not withdrawn, as the row's bid: by its key, or, where none
    /// is shown, by its time. They are asked of a marketplace that fails no more.
    pub(super) fn show(&self, sent: &Sent, row: &RowFacts) -> bool {
        let accepted_ms = sent.answered_ms.unwrap_or(sent.at_ms);
        let by_time = || row.sent_ms.is_some_and(|at_ms| at_ms - CLOCK_ALLOWANCE_MS <= accepted_ms);
        self.from_ms.is_some_and(|from_ms| accepted_ms < from_ms) && (!self.hides_keys || by_time())
    }
}

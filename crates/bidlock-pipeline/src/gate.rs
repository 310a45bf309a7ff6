//! What the marketplace has told all senders of this process: wait, or stop.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bidlock::Moment;
use bidlock_ledger::Bid;
use bidlock_market::place_of;

use crate::{outcome::DeferReason, pipeline::Pipeline, send::MAX_PAUSE};

/// Shared by all senders of one pipeline.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stopped: Option<String>,
    closed_until: Option<(Moment, String)>,
    /// A marketplace is at the address: it has answered as one.
    heard: bool,
    /// Requests without a readable answer since the last that had one.
    unknown_in_a_row: u32,
    /// They are why sending has stopped.
    stopped_by_unknowns: bool,
}

impl Gate {
    /// Why sending has stopped for good in this process, if it has.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.state().stopped.clone()
    }

    /// The first reason stays. Says whether this is the first.
    fn stop(&self, detail: &str, by_unknowns: bool) -> bool {
        let mut state = self.state();
        let is_first = state.stopped.is_none();
        if is_first {
            state.stopped = Some(detail.to_owned());
            state.stopped_by_unknowns = by_unknowns;
        }
        is_first
    }

    /// A request has had an answer that can be read, whatever it says.
    pub(crate) fn answered(&self) {
        self.state().unknown_in_a_row = 0;
    }

    /// A request has had none. Says how many in a row have not.
    fn unanswered(&self) -> u32 {
        let mut state = self.state();
        state.unknown_in_a_row = state.unknown_in_a_row.saturating_add(1);
        state.unknown_in_a_row
    }

    /// A 429 speaks to every sender of this process, not only to the one that got it.
    pub(crate) fn close(&self, until: Moment, detail: &str) {
        let mut state = self.state();
        if state.closed_until.as_ref().is_none_or(|(t, _)| *t < until) {
            state.closed_until = Some((until, detail.to_owned()));
        }
    }

    /// A marketplace has answered at the address.
    pub(crate) fn heard(&self) {
        self.state().heard = true;
    }

    fn has_heard(&self) -> bool {
        self.state().heard
    }

    fn closed_until(&self) -> Option<(Moment, String)> {
        self.state().closed_until.clone()
    }

    /// A sender that panicked leaves whole values behind, so a poisoned lock is as good as any.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// Why sending has stopped for good in this process, if it has: the marketplace refused the account, is not at its
    /// address, or leaves one request after the other without an answer.
    pub fn sending_stopped(&self) -> Option<String> {
        self.gate.stopped()
    }

    /// Sending has stopped because of [`PipelineOptions::max_unknown_in_a_row`](crate::PipelineOptions): bids were sent that
    /// the marketplace may have.
    pub fn stopped_by_unknowns(&self) -> bool {
        self.gate.state().stopped_by_unknowns
    }

    /// Before the door: waits for a short pause that the marketplace asked for, or says why there is no
    /// point in waiting.
    pub(crate) async fn wait_at_the_gate(&self) -> Option<DeferReason> {
        loop {
            if let Some(why) = self.not_sending() {
                return Some(why);
            }
            if let Some(why) = self.closed_for_long() {
                return Some(why);
            }
            let (until, _) = self.gate.closed_until()?;
            if until.since(self.clock.now()).is_zero() {
                return None;
            }
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = self.stop.stopping() => {}
            }
        }
    }

    /// The marketplace asked for a pause that is longer than a claim should wait: asked before a claim is made
    /// too, so that a long pause writes no rows and no events.
    fn closed_for_long(&self) -> Option<DeferReason> {
        let (until, detail) = self.gate.closed_until()?;
        let wait = until.since(self.clock.now());
        let long = wait > MAX_PAUSE || wait * 2 > self.options.ttl;
        long.then(|| DeferReason::TryLater { until: self.wall_now().checked_add(wait).ok(), detail })
    }

    /// Why no claim is worth making now, if so.
    pub(crate) fn not_claiming(&self) -> Option<DeferReason> {
        self.not_sending().or_else(|| self.closed_for_long())
    }

    /// Why nothing may be begun, if so.
    pub(crate) fn not_sending(&self) -> Option<DeferReason> {
        if self.stop.is_stopping() {
            return Some(DeferReason::ShuttingDown);
        }
        self.sending_stopped().map(|detail| DeferReason::SendingStopped { detail })
    }

    /// Nothing more is sent by this process: the marketplace has said of the account, or of the address, what holds for
    /// every posting.
    pub(crate) fn stop_sending(&self, bid: &Bid, what: &str) -> DeferReason {
        self.stop_at(bid, what, false)
    }

    /// A bid's answer was lost. One after the other, nothing more is sent: whatever were sent would become unknown, and
    /// nobody bids on it again.
    pub(crate) fn unanswered(&self, bid: &Bid, detail: &str) {
        let in_a_row = self.gate.unanswered();
        if in_a_row >= self.options.max_unknown_in_a_row {
            let what = format!(
                "gave no readable answer to {in_a_row} bids in a row, which are unknown now; the last one: {detail}"
            );
            self.stop_at(bid, &what, true);
        }
    }

    fn stop_at(&self, bid: &Bid, what: &str, by_unknowns: bool) -> DeferReason {
        let detail = format!("{} {what}", place_of(self.marketplace.via()));
        // Whatever is under way meets the same, and says it in its own outcome.
        if self.gate.stop(&detail, by_unknowns) {
            tracing::error!(marketplace = bid.posting.marketplace(), %detail, "sending has stopped");
        }
        DeferReason::SendingStopped { detail }
    }

    /// There was nothing where bids go to. At an address where a marketplace has answered this process, or answers a look-up
    /// now, that speaks of this posting alone (closed, say, at one that names no reason). At any other the address is
    /// wrong, and sending stops.
    pub(crate) async fn nothing_there(&self, bid: &Bid, detail: String) -> DeferReason {
        if !self.gate.has_heard()
            && self.marketplace.capabilities().looks_up
            && self.marketplace.look_up(&bid.posting).await.is_ok()
        {
            self.gate.heard();
        }
        if !self.gate.has_heard() {
            return self.stop_sending(bid, &format!("is not where bids are taken: {detail}"));
        }
        tracing::warn!(posting = %bid.posting, %detail, "no bid is taken on this posting");
        self.not_taken.insert(bid.posting.clone(), detail.clone());
        DeferReason::NotTaken { detail }
    }

    /// Closes the gate for so long.
    pub(crate) fn close_gate_for(&self, pause: Duration, detail: &str) {
        self.gate.close(self.clock.now().later(pause), detail);
    }
}

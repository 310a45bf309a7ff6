//! Which engine is used, since when and why; the record of changes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::watch;

use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::sync::locked;

/// How many changes are kept; the log has them all.
pub const MAX_CHANGES: usize = 64;

/// Which of two engines is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Using {
    /// The one that was chosen.
    Primary,
    /// The one that stands in for it.
    Secondary,
}

/// A change from one engine to the other.
#[derive(Clone, Debug, Serialize)]
pub struct FallbackChange {
    /// Which is used from then on.
    pub to: Using,
    /// Its name.
    pub engine: &'static str,
    /// When, by this host's wall clock.
    pub at: SystemTime,
    /// Why.
    pub reason: String,
}

/// The health state.
#[derive(Clone, Debug, Serialize)]
pub struct FallbackStatus {
    /// Whether the secondary is used now.
    pub active: bool,
    /// The primary's name.
    pub primary: &'static str,
    /// The secondary's name.
    pub secondary: &'static str,
    /// How often the secondary had to stand in.
    pub times: u64,
    /// For how long it did, all together.
    pub total: Duration,
    /// What the primary said last, while it is away.
    pub reason: Option<String>,
}

/// Hears of each change, on the task that makes it: it must not block.
pub(super) type OnChange = Arc<dyn Fn(&FallbackChange) + Send + Sync>;

/// Which engine is used, and the number of changes until then: a call that failed in an earlier turn changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    number: u64,
    pub(super) using: Using,
}

pub(super) struct Switch {
    turn: watch::Sender<Turn>,
    state: Mutex<State>,
    on_change: Option<OnChange>,
}

#[derive(Debug)]
struct State {
    since: Moment,
    reason: Option<String>,
    /// Of what kind the last error was that was logged.
    told: Option<ErrorKind>,
    healthy: u32,
    times: u64,
    total: Duration,
    changes: VecDeque<FallbackChange>,
}

impl Switch {
    pub(super) fn new(now: Moment, on_change: Option<OnChange>) -> Switch {
        let state = State {
            since: now,
            reason: None,
            told: None,
            healthy: 0,
            times: 0,
            total: Duration::ZERO,
            changes: VecDeque::new(),
        };
        let turn = watch::Sender::new(Turn { number: 0, using: Using::Primary });
        Switch { turn, state: Mutex::new(state), on_change }
    }

    pub(super) fn turn(&self) -> Turn {
        *self.turn.borrow()
    }

    /// For who wants to be woken by a change.
    pub(super) fn turns(&self) -> watch::Receiver<Turn> {
        self.turn.subscribe()
    }

    /// Uses the secondary, called `engine`, from now on, unless there was a change since `turn`; says whether it was
    /// done here.
    pub(super) fn go_over(
        &self,
        turn: Turn,
        engine: &'static str,
        error: &Error,
        (now, at): (Moment, SystemTime),
    ) -> bool {
        let to = Using::Secondary;
        let done = self.change(turn, FallbackChange { to, engine, at, reason: error.to_string() }, |state| {
            state.times += 1;
            state.reason = Some(error.to_string());
            state.told = Some(error.kind());
            state.since = now;
        });
        if done {
            tracing::warn!(target: "bidlock::audit", engine, %error, "locks fall back to another engine");
        }
        done
    }

    /// The same for the way back to the primary.
    pub(super) fn go_back(&self, turn: Turn, engine: &'static str, (now, at): (Moment, SystemTime)) -> bool {
        let to = Using::Primary;
        let reason = format!("{engine} has been well for a while");
        let done = self.change(turn, FallbackChange { to, engine, at, reason }, |state| {
            state.total += now.since(state.since);
            state.reason = None;
            state.since = now;
        });
        if done {
            tracing::warn!(target: "bidlock::audit", engine, "locks are back in their own engine");
        }
        done
    }

    fn change(&self, turn: Turn, change: FallbackChange, note: impl FnOnce(&mut State)) -> bool {
        {
            let mut state = locked(&self.state);
            if self.turn() != turn || turn.using == change.to {
                return false;
            }
            note(&mut state);
            state.healthy = 0;
            if state.changes.len() == MAX_CHANGES {
                state.changes.pop_front();
            }
            state.changes.push_back(change.clone());
            self.turn.send_replace(Turn { number: turn.number + 1, using: change.to });
        }
        if let Some(tell) = &self.on_change {
            tell(&change);
        }
        true
    }

    /// Counts a probe that went well; gives how many did in a row, and for how long the secondary has been used.
    pub(super) fn probed_well(&self, now: Moment) -> (u32, Duration) {
        let mut state = locked(&self.state);
        state.healthy = state.healthy.saturating_add(1);
        (state.healthy, now.since(state.since))
    }

    /// Notes a probe that failed; says whether it is worth a line in the log, as it fails in another way than before.
    pub(super) fn probed_badly(&self, error: &Error) -> bool {
        let mut state = locked(&self.state);
        state.healthy = 0;
        state.reason = Some(error.to_string());
        state.told.replace(error.kind()) != Some(error.kind())
    }

    pub(super) fn reason(&self) -> Option<String> {
        locked(&self.state).reason.clone()
    }

    pub(super) fn status(
        &self,
        now: Moment,
        (primary, secondary): (&'static str, &'static str),
    ) -> FallbackStatus {
        let state = locked(&self.state);
        let active = self.turn().using == Using::Secondary;
        let now_for = if active { now.since(state.since) } else { Duration::ZERO };
        FallbackStatus {
            active,
            primary,
            secondary,
            times: state.times,
            total: state.total + now_for,
            reason: state.reason.clone(),
        }
    }

    pub(super) fn changes(&self) -> Vec<FallbackChange> {
        locked(&self.state).changes.iter().cloned().collect()
    }
}

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switch")
            .field("turn", &self.turn())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

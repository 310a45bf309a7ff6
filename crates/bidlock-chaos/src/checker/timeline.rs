//! Who lived when, and what was broken when: what the other parts ask about.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    fault::{FaultKind, Place, Target},
    history::{Entry, Exited, FaultLine, ReplyLost, Role, Started, What},
};

/// How long after its end a fault may still show at the most: see [`may_show_until_ms`](Span::may_show_until_ms).
const AFTERMATH_MS: i64 = 1_500;
/// How long after it things are put down to it: see [`shows_until_ms`](Span::shows_until_ms).
const SHORT_AFTERMATH_MS: i64 = 300;

/// Lives and faults of a run, in the order of their beginnings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Every incarnation of every process.
    pub lives: Vec<Life>,
    /// Every fault that the rig injected.
    pub faults: Vec<Span>,
    /// Faults that were planned and did not take place, and why.
    pub skipped: Vec<(FaultKind, String)>,
    /// When the host itself stood still, in order; no two of them overlap.
    #[serde(default)]
    pub stalls: Vec<Stall>,
    /// When the quiet period began, if the run came so far.
    pub quiet_ms: Option<i64>,
    /// When the last scan over the whole feed began.
    pub last_scan_ms: Option<i64>,
    /// When the run ended.
    pub ended_ms: Option<i64>,
    /// How many notes of processes the history was spared, as there were too many.
    #[serde(default)]
    pub notes_left_out: u64,
    /// Where each incarnation's life stands.
    #[serde(skip)]
    by_incarnation: HashMap<String, usize>,
    /// The lives of all that go by a name in locks and bids: of one, mostly.
    #[serde(skip)]
    by_name: HashMap<String, Vec<usize>>,
    /// Answers that were thrown away, in order.
    #[serde(skip)]
    lost: Vec<(i64, ReplyLost)>,
    /// Where the faults are that move a clock.
    #[serde(skip)]
    jumps: Vec<usize>,
    /// The longest fault so far: how far back one has to look.
    #[serde(skip)]
    longest_ms: i64,
}

/// One incarnation of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Its name through all incarnations.
    pub process: String,
    /// Its own.
    pub holder: String,
    /// The name by which it goes in locks and bids, where that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_by: Option<String>,
    /// What it does.
    pub role: Role,
    /// When it began, in milliseconds since the run began.
    pub from_ms: i64,
    /// When its end was seen.
    pub to_ms: Option<i64>,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Life {
    /// The name by which it goes in locks and bids.
    pub(super) fn name(&self) -> &str {
        self.goes_by.as_deref().unwrap_or(&self.holder)
    }

    /// The rig starts it again whenever it ends, until all are asked to end; unlike what runs once.
    pub(super) fn is_kept_alive(&self) -> bool {
        self.role != Role::Operator && self.process != self.holder
    }
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its number in the plan.
    pub id: u32,
    /// What.
    pub fault: FaultKind,
    /// What it hit.
    pub target: Target,
    /// The incarnation, where it is one process.
    pub holder: Option<String>,
    /// How much; see [`FaultLine::amount`].
    pub amount: i64,
    /// When it began.
    pub from_ms: i64,
    /// When all was whole again; where that was not written down, when it should have been.
    pub to_ms: i64,
}

/// A time in which the host itself stood still: no fault of the rig's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// When everything should have gone on.
    pub from_ms: i64,
    /// When it did.
    pub to_ms: i64,
}

impl Span {
    /// It was not over at once.
    pub(super) fn lasts(&self) -> bool {
        self.to_ms > self.from_ms
    }

    /// Until when it may still hinder, at the most: connections are made anew, waits run out. For what it excuses, such as that
    /// nobody took over.
    pub(super) fn may_show_until_ms(&self) -> i64 {
        self.to_ms + AFTERMATH_MS
    }

    /// Until when what goes wrong is put down to it: it does not wait for something to strike at. For what it explains, where a
    /// longer time would name faults that had nothing to do with it.
    fn shows_until_ms(&self) -> i64 {
        self.to_ms + SHORT_AFTERMATH_MS
    }

    /// Nothing can be had of what it hits while it lasts.
    pub(super) fn is_outage(&self) -> bool {
        use FaultKind::*;
        let kind = matches!(
            self.fault,
            Cut | CutRequests
                | CutReplies
                | Refuse
                | RedisKill
                | RedisPause
                | PostgresKill
                | PostgresPause
                | DiskFull
                | WriterStalls
                | ProtocolFloor
        );
        kind && self.lasts()
    }

    /// When the lock store's clock leapt forward by it, about: leases ended before their holders could know.
    fn leapt_ms(&self) -> Option<i64> {
        (self.fault == FaultKind::RedisClock).then_some(if self.amount > 0 {
            self.from_ms
        } else {
            self.to_ms
        })
    }

    /// Whether it is this place's, for everybody.
    pub(super) fn hits_all(&self, place: Place) -> bool {
        self.target.place == Some(place) && self.target.process.is_none()
    }

    /// Whether it lies between this process and the place, or is the place's own.
    pub(super) fn lies_before(&self, process: &str, place: Place) -> bool {
        self.target.place == Some(place) && self.target.hits(process)
    }
}

impl Timeline {
    pub(super) fn hear(&mut self, entry: &Entry) {
        let at_ms = i64::try_from(entry.at_ms).unwrap_or(i64::MAX);
        match &entry.what {
            What::ProcessStarted(started) => self.started(at_ms, started),
            What::ProcessExited(exited) => self.exited(at_ms, exited),
            What::FaultBegins(line) => self.begins(at_ms, line),
            What::ReplyLost(lost) => self.lost.push((at_ms, lost.clone())),
            What::FaultEnds { id } => {
                if let Some(span) = self.faults.iter_mut().rev().find(|span| span.id == *id) {
                    span.to_ms = at_ms;
                    self.longest_ms = self.longest_ms.max(at_ms - span.from_ms);
                }
            }
            What::FaultSkipped { id, fault, why } => {
                // It began, and injecting it failed. No other has begun since.
                self.faults.pop_if(|span| span.id == *id);
                self.skipped.push((*fault, why.clone()));
            }
            What::HostStalled { ms } => {
                let mut from_ms = at_ms.saturating_sub_unsigned(*ms);
                // Several watches may have noticed one moment. Lines come in the order of its ends.
                while let Some(before) = self.stalls.pop_if(|before| before.to_ms >= from_ms) {
                    from_ms = from_ms.min(before.from_ms);
                }
                self.stalls.push(Stall { from_ms, to_ms: at_ms });
            }
            What::QuietBegins => self.quiet_ms = Some(at_ms),
            What::LastScanBegins => self.last_scan_ms = Some(at_ms),
            What::Ended { notes_left_out } => {
                (self.ended_ms, self.notes_left_out) = (Some(at_ms), *notes_left_out);
            }
            _ => {}
        }
    }

    fn started(&mut self, from_ms: i64, started: &Started) {
        let Started { process, holder, role, goes_by, .. } = started.clone();
        self.by_incarnation.insert(holder.clone(), self.lives.len());
        let life = Life { process, holder, goes_by, role, from_ms, to_ms: None, code: None, signal: None };
        self.by_name.entry(life.name().to_owned()).or_default().push(self.lives.len());
        self.lives.push(life);
    }

    fn exited(&mut self, at_ms: i64, exited: &Exited) {
        if let Some(life) = self.by_incarnation.get(&exited.holder).and_then(|at| self.lives.get_mut(*at)) {
            (life.to_ms, life.code, life.signal) = (Some(at_ms), exited.code, exited.signal);
        }
    }

    fn begins(&mut self, from_ms: i64, line: &FaultLine) {
        let FaultLine { id, fault, target, lasts_ms, amount, holder } = line.clone();
        let lasts_ms = i64::try_from(lasts_ms).unwrap_or(0);
        self.longest_ms = self.longest_ms.max(lasts_ms);
        if fault == FaultKind::ClockJump {
            self.jumps.push(self.faults.len());
        }
        self.faults.push(Span { id, fault, target, holder, amount, from_ms, to_ms: from_ms + lasts_ms });
    }

    /// Whose incarnation this is.
    pub(super) fn process_of(&self, holder: &str) -> Option<&str> {
        let life = self.by_incarnation.get(holder).and_then(|at| self.lives.get(*at))?;
        Some(&life.process)
    }

    /// The lives of all that go by this name. Of several, nothing but their times tells which is meant.
    pub(super) fn lives_of(&self, name: &str) -> impl Iterator<Item = &Life> + Clone {
        self.by_name.get(name).into_iter().flatten().filter_map(|at| self.lives.get(*at))
    }

    /// Those of them that lived in this time.
    pub(super) fn lives_in(
        &self,
        name: &str,
        (from_ms, to_ms): (i64, i64),
    ) -> impl Iterator<Item = &Life> + Clone {
        let lived = move |life: &&Life| {
            life.from_ms <= to_ms && life.to_ms.is_none_or(|end| end + SHORT_AFTERMATH_MS >= from_ms)
        };
        self.lives_of(name).filter(lived)
    }

    /// The faults that may have shown in this time.
    pub(super) fn near(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Span> + Clone {
        let reach_ms = self.longest_ms + AFTERMATH_MS;
        let first = self.faults.partition_point(|span| span.from_ms < from_ms - reach_ms);
        let last = self.faults.partition_point(|span| span.from_ms <= to_ms);
        let near = self.faults.get(first..last.max(first)).unwrap_or_default();
        near.iter().filter(move |span| span.may_show_until_ms() >= from_ms)
    }

    /// The first fault of these kinds that hit this very process in this time, or one of the same name.
    pub(super) fn on_process(
        &self,
        name: &str,
        kinds: &[FaultKind],
        (from_ms, to_ms): (i64, i64),
    ) -> Option<FaultKind> {
        let lives = self.lives_in(name, (from_ms, to_ms));
        let hits = |span: &&Span| {
            let hit = |life: &Life| {
                span.target.hits(&life.process) && span.holder.as_deref().is_none_or(|hit| hit == life.holder)
            };
            span.target.place.is_none() && span.shows_until_ms() >= from_ms && lives.clone().any(hit)
        };
        let mut near = kinds.iter().copied();
        near.find(|kind| self.near(from_ms, to_ms).filter(hits).any(|span| span.fault == *kind))
    }

    /// The first fault in this time of a place, or of this process's way to it. One that loses an answer is found where it
    /// did: see [`lost_reply`](Timeline::lost_reply).
    pub(super) fn on_way(&self, name: &str, place: Place, (from_ms, to_ms): (i64, i64)) -> Option<FaultKind> {
        let lives = self.lives_in(name, (from_ms, to_ms));
        let waits = |span: &&Span| span.fault == FaultKind::LoseReply;
        let mut near =
            self.near(from_ms, to_ms).filter(|span| span.shows_until_ms() >= from_ms && !waits(span));
        let lies_before = |span: &&Span| lives.clone().any(|life| span.lies_before(&life.process, place));
        near.find(lies_before).map(|span| span.fault)
    }

    /// Whether an answer of this place to this process was thrown away in this time; one on the connection of this port,
    /// where that is known.
    pub(super) fn lost_reply(
        &self,
        name: &str,
        place: Place,
        (from_ms, to_ms): (i64, i64),
        port: Option<u16>,
    ) -> Option<FaultKind> {
        let first = self.lost.partition_point(|(at_ms, _)| *at_ms < from_ms);
        let during = self.lost.get(first..)?.iter().take_while(|(at_ms, _)| *at_ms <= to_ms);
        let mut lost = during.filter(|(_, lost)| lost.place == place && port.is_none_or(|p| p == lost.port));
        lost.any(|(at_ms, lost)| {
            self.lives_in(name, (*at_ms, *at_ms)).any(|life| life.process == lost.process)
        })
        .then_some(FaultKind::LoseReply)
    }

    /// How many answers were thrown away.
    pub(super) fn lost_replies(&self) -> u64 {
        self.lost.len() as u64
    }

    /// The times in which the host stood still that overlap this one.
    pub(super) fn stalls_in(&self, (from_ms, to_ms): (i64, i64)) -> &[Stall] {
        let first = self.stalls.partition_point(|stall| stall.to_ms <= from_ms);
        let last = self.stalls.partition_point(|stall| stall.from_ms < to_ms);
        self.stalls.get(first..last.max(first)).unwrap_or_default()
    }

    /// Whether the lock store's clock leapt forward in this time, or right before it.
    pub(super) fn store_leapt(&self, (from_ms, to_ms): (i64, i64)) -> bool {
        // The line is written a moment before the clock is moved, or after it.
        let leapt = |at_ms: i64| at_ms - SHORT_AFTERMATH_MS <= to_ms && at_ms + AFTERMATH_MS >= from_ms;
        self.near(from_ms, to_ms + SHORT_AFTERMATH_MS).filter_map(Span::leapt_ms).any(leapt)
    }

    /// By how much leases of this time may last longer, because the lock store's clock went back.
    pub(super) fn prolonged_ms(&self, (from_ms, to_ms): (i64, i64)) -> i64 {
        let leaps = self.near(from_ms, to_ms).filter(|span| span.fault == FaultKind::RedisClock);
        let back_ms = leaps.map(|span| span.amount.saturating_mul(1_000));
        back_ms.max().unwrap_or_default().max(0)
    }

    /// Whether an event's time can't be told: on SQLite whoever writes an event dates it, by a wall clock that a fault may
    /// have moved. `at_ms` is what it says, on the run's time.
    pub(super) fn is_doubtful(&self, ledger: Place, actor: &str, at_ms: i64) -> bool {
        if ledger != Place::Sqlite || self.jumps.is_empty() {
            return false;
        }
        let within = |span: &Span, at_ms: i64| {
            at_ms + AFTERMATH_MS >= span.from_ms && at_ms <= span.may_show_until_ms()
        };
        // By the time first: there are many leaps, many lives, and hundreds of thousands of events.
        let mut jumps = self.jumps.iter().filter_map(|at| self.faults.get(*at)).filter(|span| {
            within(span, at_ms) || within(span, at_ms.saturating_sub(span.amount.saturating_mul(1_000)))
        });
        let name = actor.rsplit(':').next().unwrap_or(actor);
        // Sweepers do not say in which process they ran.
        jumps.any(|span| {
            let mut lives = self.lives_of(name).peekable();
            lives.peek().is_none() || lives.any(|life| span.target.hits(&life.process))
        })
    }

    /// How much of this time the host stood still, in milliseconds.
    pub(super) fn stalled_ms(&self, (from_ms, to_ms): (i64, i64)) -> i64 {
        let stalls = self.stalls_in((from_ms, to_ms)).iter();
        stalls.map(|stall| stall.to_ms.min(to_ms) - stall.from_ms.max(from_ms)).sum()
    }
}

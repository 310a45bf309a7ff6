//! What a run came to, for people and for programs.
//!
//! | module | what |
//! |---|---|
//! | `text` | a page for the terminal |
//! | `html`, `picture` | one file for the browser, with the run as a picture; no script, nothing from elsewhere |
//! | `accepted` | what was accepted, and why some postings rightly have two bids |
//! | `words` | numbers and lists as all of them write them |

mod accepted;
mod html;
mod picture;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use self::words::{count, number};
use crate::{
    checker::{Chance, Checked, Finding, HOST_STALLED, Invariant, Unknown, Verdict},
    fault::FaultKind,
    history::NotExercised,
    plan::Engines,
};

/// A run of whose unknown outcomes more than one in so many are explained by nothing but the host's own stalls says so.
const STALLS_SAY_LITTLE: u64 = 20;

/// What the host itself did to a run: none of the rig's faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostStalls {
    /// How often it stood still.
    pub count: u64,
    /// For how long at the most, in milliseconds.
    pub longest_ms: i64,
    /// How many unknown outcomes nothing else explains.
    pub unknowns: u64,
}

/// What a run came to. As JSON, its field names stay as they are.
#[derive(Clone, Debug, Serialize)]
pub struct Report<'a> {
    /// Every invariant that was exercised held.
    pub clean: bool,
    /// The invariants that did not hold.
    pub violated: Vec<Invariant>,
    /// The plan's seed.
    pub seed: u64,
    /// Where locks and ledger were.
    pub engines: Engines,
    /// Names and versions of bidlock and the engines.
    pub versions: &'a [(String, String)],
    /// The mechanism that was taken out, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<&'a str>,
    /// How long the run took, in milliseconds.
    pub took_ms: i64,
    /// Scanner processes at a time.
    pub scanners: u32,
    /// Postings in the feed.
    pub postings: u64,
    /// Submissions that reached the marketplace.
    pub submissions: u64,
    /// Submissions that it accepted.
    pub accepted: u64,
    /// Postings bid on more often than allowed: the proof is 0.
    pub duplicates: u64,
    /// Postings of which nobody says what became: the proof is 0.
    pub lost: u64,
    /// How many bids ended in each state.
    pub states: &'a BTreeMap<String, u64>,
    /// How many faults there were.
    pub faults_total: u64,
    /// Of how many types.
    pub fault_types: usize,
    /// How often each struck.
    pub faults: &'a BTreeMap<FaultKind, u64>,
    /// Why outcomes were unknown.
    pub unknowns: &'a [Unknown],
    /// How many outcomes were unknown, and how many of them name their fault.
    pub unknowns_total: u64,
    /// See `unknowns_total`.
    pub unknowns_named: u64,
    /// What the faults behind `claimant_silent` are worth: how often chance would have named one.
    pub claimant_silent_by_chance: &'a Chance,
    /// How often the host itself stood still.
    pub host_stalls: HostStalls,
    /// Notes of processes that the history was spared, as there were too many. A panic never is one of them.
    pub notes_left_out: u64,
    /// One for each invariant, in order.
    pub findings: &'a [Finding],
    /// Kinds of faults that could not be injected on this host.
    pub not_exercised: &'a [NotExercised],
    /// What shows all of this again.
    pub replay: String,
    #[serde(skip)]
    checked: &'a Checked,
}

impl<'a> Report<'a> {
    /// Of a checked run; `replay` is the command that shows it again.
    pub fn of(checked: &'a Checked, replay: &str) -> Report<'a> {
        let Checked { begun, timeline, faults, unknowns, findings, .. } = checked;
        let violated_by = |invariant: Invariant| {
            findings
                .iter()
                .find(|finding| finding.invariant == invariant)
                .map_or(0, |finding| finding.violated)
        };
        let counted = |named: bool| {
            let of = unknowns.iter().filter(|unknown| (unknown.fault != "nothing") || !named);
            of.map(|unknown| unknown.count).sum()
        };
        Report {
            clean: checked.is_clean(),
            violated: checked.violated().collect(),
            seed: begun.plan.seed,
            engines: begun.plan.engines,
            versions: &begun.versions,
            canary: begun.canary.as_deref(),
            took_ms: timeline.ended_ms.or(timeline.last_scan_ms).unwrap_or_default(),
            scanners: begun.plan.scanners,
            postings: checked.postings,
            submissions: checked.submissions,
            accepted: checked.accepted,
            duplicates: violated_by(Invariant::S1),
            lost: violated_by(Invariant::L3),
            states: &checked.states,
            faults_total: faults.values().sum(),
            fault_types: faults.len(),
            faults,
            unknowns,
            unknowns_total: counted(false),
            unknowns_named: counted(true),
            claimant_silent_by_chance: &checked.silence_by_chance,
            host_stalls: host_stalls(checked),
            notes_left_out: timeline.notes_left_out,
            findings,
            not_exercised: &begun.not_exercised,
            replay: replay.to_owned(),
            checked,
        }
    }

    /// A page for a terminal of 80 columns.
    pub fn text(&self) -> String {
        text::page(self)
    }

    /// One file for a browser.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// What the host did, where it did anything.
    fn host_stalled(&self) -> Option<String> {
        let HostStalls { count: stalls, longest_ms, unknowns } = self.host_stalls;
        let (stalls, unknowns) = (count(stalls, "time"), count(unknowns, "unknown outcome"));
        (self.host_stalls.count > 0)
            .then(|| format!("stalled {stalls}, for {longest_ms} ms at most; behind {unknowns}"))
    }

    /// How much the fault behind a claimant's silence says, where there was one.
    fn by_chance(&self) -> Option<String> {
        let chance = self.claimant_silent_by_chance;
        (chance.drawn > 0).then(|| {
            let share = |n: u64| n * 100 / chance.drawn;
            let mut faults: Vec<(&FaultKind, &u64)> = chance.by_fault.iter().collect();
            faults.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            let faults: Vec<String> =
                faults.iter().map(|(kind, n)| format!("{kind} {} %", share(**n))).collect();
            format!(
                "a fault that would explain `claimant_silent` hit {} % of {} scanners and times drawn at random ({})",
                share(chance.explained()),
                number(chance.drawn),
                if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
            )
        })
    }

    /// What the verdict does not rest on: notes that were not kept.
    fn left_out(&self) -> Option<String> {
        (self.notes_left_out > 0).then(|| {
            format!("{} of processes left out, none of them a panic", count(self.notes_left_out, "note"))
        })
    }

    /// Why the invariant of unknown outcomes rests on less than it seems to, if it does.
    fn host_was_too_busy(&self) -> Option<String> {
        let (stalled, all) = (self.host_stalls.unknowns, self.unknowns_total);
        (stalled * STALLS_SAY_LITTLE > all).then(|| {
            let (stalled, all) = (number(stalled), number(all));
            format!(
                "stalls of the host, no faults, explain {stalled} of {all} outcomes; run it on a quieter host"
            )
        })
    }

    fn not_exercised_invariants(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::NotExercised)
    }
}

fn host_stalls(checked: &Checked) -> HostStalls {
    let stalls = &checked.timeline.stalls;
    let unknowns = checked.unknowns.iter().filter(|unknown| unknown.fault == HOST_STALLED);
    HostStalls {
        count: stalls.len() as u64,
        longest_ms: stalls.iter().map(|stall| stall.to_ms - stall.from_ms).max().unwrap_or_default(),
        unknowns: unknowns.map(|unknown| unknown.count).sum(),
    }
}

//! What a run came to, for people and for programs.
//!
//! | module | what |
//! |---|---|
//! | `text` | a page for the terminal |
//! | `html`, `picture` | one file for the browser, with the run as a picture; no script, nothing from elsewhere |
//! | `words` | numbers and lists as all of them write them |

mod html;
mod picture;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    checker::{Checked, Finding, Invariant, Unknown, Verdict},
    fault::FaultKind,
    history::NotExercised,
    plan::Engines,
};

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

    fn not_exercised_invariants(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::NotExercised)
    }
}

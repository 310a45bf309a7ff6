//! What one seed came to.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

use crate::{
    checker::{Evidence, Violation, unknowns},
    history::{Entry, Happening},
};

/// What one seed came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Equal for equal histories.
    pub hash: String,
    /// How many faults of each kind were injected.
    pub faults: BTreeMap<&'static str, u64>,
    /// How long it lasted, in seconds of virtual time.
    pub simulated_secs: u64,
    /// How many postings there were.
    pub postings: usize,
    /// How many submissions left a process.
    pub requests: usize,
    /// How many the marketplace accepted.
    pub accepted: usize,
    /// How many bids are in each state.
    pub states: BTreeMap<&'static str, u64>,
    /// How often each fault made an outcome unknown.
    pub unknowns: BTreeMap<String, u64>,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Everything that happened, in order.
    pub entries: Vec<Entry>,
}

impl Report {
    pub(crate) fn new(seed: u64, evidence: Evidence, violations: Vec<Violation>) -> Report {
        let mut faults = BTreeMap::new();
        for (_, fault) in evidence.faults() {
            *faults.entry(fault.kind).or_default() += 1;
        }
        let mut states = BTreeMap::new();
        for row in &evidence.rows {
            *states.entry(row.state.as_str()).or_default() += 1;
        }
        let mut named = BTreeMap::new();
        for (_, _, attributed) in unknowns(&evidence) {
            let fault = attributed.fault.unwrap_or("nothing");
            *named.entry(format!("{} by {fault}", attributed.cause)).or_default() += 1;
        }
        let requested = |entry: &&Entry| matches!(entry.what, Happening::Requested { .. });
        Report {
            seed,
            faults,
            simulated_secs: evidence.ended_at / 1_000,
            postings: evidence.plan.appears_at.len(),
            requests: evidence.entries.iter().filter(requested).count(),
            accepted: evidence.kept.len(),
            states,
            unknowns: named,
            violations,
            hash: evidence.hash,
            entries: evidence.entries,
        }
    }

    /// The report on one line, for programs; without the history.
    pub fn to_json(&self) -> Value {
        let violations: Vec<Value> = self
            .violations
            .iter()
            .map(|violation| json!({ "invariant": violation.invariant, "what": violation.what }))
            .collect();
        json!({
            "seed": self.seed,
            "hash": self.hash,
            "simulated_secs": self.simulated_secs,
            "postings": self.postings,
            "requests": self.requests,
            "accepted": self.accepted,
            "faults": self.faults,
            "states": self.states,
            "unknowns": self.unknowns,
            "violations": violations,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, hash) = (self.seed, &self.hash[..16.min(self.hash.len())]);
        writeln!(
            f,
            "seed {seed}: {} s, {} postings, {} requests, {} accepted, history {hash}",
            self.simulated_secs, self.postings, self.requests, self.accepted
        )?;
        for (title, counts) in [("faults", &self.faults), ("states", &self.states)] {
            let counts: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            writeln!(f, "  {title}: {}", counts.join(", "))?;
        }
        let counts: Vec<String> = self.unknowns.iter().map(|(name, n)| format!("{name} ({n})")).collect();
        writeln!(f, "  unknown: {}", counts.join(", "))?;
        for violation in &self.violations {
            writeln!(f, "  VIOLATED {}: {}", violation.invariant, violation.what)?;
        }
        Ok(())
    }
}

//! What was found of each invariant.

use std::collections::BTreeMap;

use bidlock_ledger::PostingId;
use serde::{Deserialize, Serialize};

use super::Invariant;

/// The most violations of one invariant that are told in full; all are counted. A run in which more things go wrong is
/// understood by these.
pub const MAX_TOLD: usize = 10;

/// What was found of one invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub invariant: Invariant,
    /// The verdict.
    pub verdict: Verdict,
    /// What was looked at, and how much of it.
    pub looked_at: BTreeMap<String, u64>,
    /// How often it did not hold.
    pub violated: u64,
    /// The first ones, at most [`MAX_TOLD`].
    pub violations: Vec<Violation>,
    /// Why it was not exercised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How an invariant stands after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It held wherever it was looked for.
    Proven,
    /// It did not hold.
    Violated,
    /// Nothing happened that could have broken it.
    NotExercised,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::Violated => "VIOLATED",
            Verdict::NotExercised => "not exercised",
        }
    }
}

/// One place where an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// What was found.
    pub what: String,
    /// The posting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posting: Option<PostingId>,
    /// The lock's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The lines of the recorded files that show it, by time.
    pub shown_by: Vec<Shown>,
}

/// A line of a recorded file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    /// Milliseconds since the run began.
    pub at_ms: i64,
    /// `ledger`, `sandbox` or `history`.
    pub file: String,
    /// What it says, shortened.
    pub text: String,
}

/// Where a violation is looked for afterwards.
#[derive(Clone, Debug, Default)]
pub(super) struct At {
    pub(super) posting: Option<PostingId>,
    pub(super) key: Option<String>,
}

impl At {
    pub(super) fn posting(posting: &PostingId) -> At {
        At { posting: Some(posting.clone()), key: None }
    }

    pub(super) fn key(key: &str) -> At {
        At { posting: None, key: Some(key.to_owned()) }
    }

    pub(super) fn nowhere() -> At {
        At::default()
    }
}

/// The findings while they are being made.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<Invariant, Made>);

#[derive(Debug, Default)]
struct Made {
    looked_at: BTreeMap<&'static str, u64>,
    violated: u64,
    violations: Vec<Violation>,
    why: Option<&'static str>,
}

impl Findings {
    /// So much was looked at.
    pub(super) fn looked(&mut self, invariant: Invariant, what: &'static str, count: u64) {
        *self.0.entry(invariant).or_default().looked_at.entry(what).or_default() += count;
    }

    /// How much of it was looked at so far.
    pub(super) fn count(&self, invariant: Invariant, what: &str) -> u64 {
        self.0.get(&invariant).and_then(|made| made.looked_at.get(what)).copied().unwrap_or_default()
    }

    /// It does not hold here.
    pub(super) fn violated(&mut self, invariant: Invariant, at: At, what: String) {
        let made = self.0.entry(invariant).or_default();
        made.violated += 1;
        if made.violations.len() < MAX_TOLD {
            let At { posting, key } = at;
            made.violations.push(Violation { what, posting, key, shown_by: Vec::new() });
        }
    }

    /// Why it may not have been exercised: told if nothing was looked at that could have broken it.
    pub(super) fn needs(&mut self, invariant: Invariant, what: &'static str, why: &'static str) {
        if self.count(invariant, what) == 0 {
            self.0.entry(invariant).or_default().why = Some(why);
        }
    }

    /// The violations, to be shown.
    pub(super) fn violations(&mut self) -> impl Iterator<Item = &mut Violation> {
        self.0.values_mut().flat_map(|made| &mut made.violations)
    }

    /// All of them, one for each invariant, in order.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        let finding = |invariant: Invariant| {
            let Made { looked_at, violated, violations, why } = self.0.remove(&invariant).unwrap_or_default();
            let verdict = match (violated, why, looked_at.values().sum::<u64>()) {
                (1.., _, _) => Verdict::Violated,
                (0, None, 1..) => Verdict::Proven,
                _ => Verdict::NotExercised,
            };
            let nothing = (verdict == Verdict::NotExercised).then_some("nothing of the kind happened");
            Finding {
                invariant,
                verdict,
                looked_at: looked_at.into_iter().map(|(what, count)| (what.to_owned(), count)).collect(),
                violated,
                violations,
                why: nothing.map(|nothing| why.unwrap_or(nothing).to_owned()),
            }
        };
        Invariant::ALL.map(finding).into()
    }
}

//! What `scan --json` prints, checked against its contract.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Every name that an outcome may have.
pub const OUTCOMES: [&str; 9] = [
    "submitted",
    "already_bid",
    "held_elsewhere",
    "declined",
    "awaiting_approval",
    "refused",
    "unknown",
    "deferred",
    "ambiguous_identity",
];

/// A scan's stdout.
#[derive(Debug)]
pub struct Lines {
    /// Posting and outcome of each sighting.
    pub outcomes: Vec<(String, String)>,
    /// Reasons of rows that could not be read.
    pub invalid: Vec<String>,
    pub summary: Value,
}

impl Lines {
    /// Reads and checks: event shapes, one outcome a sighting, the summary last, sums that add up.
    #[track_caller]
    pub fn checked(out: &str) -> Lines {
        let mut events: Vec<Value> =
            out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
        let summary = events.pop().expect("at least a summary");
        assert_eq!(summary["event"], "summary", "the summary stands last");
        let (mut outcomes, mut invalid) = (Vec::new(), Vec::new());
        let mut distinct = BTreeSet::new();
        for event in &events {
            match event["event"].as_str() {
                Some("outcome") => {
                    let posting = text(event, "posting");
                    distinct.insert((text(event, "marketplace"), posting.clone()));
                    outcomes.push((posting, outcome(event)));
                }
                Some("invalid") => {
                    text(event, "source");
                    assert!(event["row"].is_u64(), "{event}");
                    invalid.push(text(event, "reason"));
                }
                Some("approved") => drop(outcome(event)),
                _ => panic!("an event of no kind: {event}"),
            }
        }
        let mut counts: BTreeMap<&str, u64> = OUTCOMES.iter().map(|name| (*name, 0)).collect();
        for (_, outcome) in &outcomes {
            *counts.get_mut(outcome.as_str()).unwrap() += 1;
        }
        for (name, count) in counts {
            assert_eq!(summary[name].as_u64(), Some(count), "{name} in {summary}");
        }
        assert_eq!(summary["sightings"], outcomes.len(), "{summary}");
        assert_eq!(summary["distinct"], distinct.len(), "{summary}");
        assert_eq!(summary["invalid"], invalid.len(), "{summary}");
        assert!(summary["seconds"].as_f64().is_some_and(|s| s >= 0.0), "{summary}");
        Lines { outcomes, invalid, summary }
    }

    /// A count of the summary.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.summary))
    }
}

#[track_caller]
fn text(event: &Value, name: &str) -> String {
    let found = event[name].as_str().filter(|text| !text.is_empty());
    found.unwrap_or_else(|| panic!("{name} in {event}")).to_owned()
}

/// An outcome's name; a bid is named where there is one.
#[track_caller]
fn outcome(event: &Value) -> String {
    let name = text(event, "outcome");
    assert!(OUTCOMES.contains(&name.as_str()), "{event}");
    let bid = event.get("bid").unwrap_or_else(|| panic!("no `bid` in {event}"));
    let dry = event["dry_run"] == true;
    let has_bid =
        matches!(name.as_str(), "submitted" | "already_bid" | "awaiting_approval" | "refused" | "unknown");
    match has_bid && !dry {
        true => assert!(bid.as_str().is_some_and(|id| uuid::Uuid::parse_str(id).is_ok()), "{event}"),
        false => assert!(bid.is_null() || dry, "{event}"),
    }
    name
}

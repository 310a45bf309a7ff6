//! S10: two do not work under one key at a time, unless the lock store forgot or gave away what it had granted, or one
//! of them slept.

use std::collections::HashMap;

use super::{Evidence, Findings};
use crate::history::{Fault, Happening, Millis};

/// From a grant to the work under it: two ways of a call.
const NEAR: Millis = 3_100;

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    let mut inside: HashMap<&str, Vec<(&str, Millis)>> = HashMap::new();
    for entry in &evidence.entries {
        match &entry.what {
            Happening::Entered { holder, key } => {
                let others = inside.entry(key).or_default();
                for (other, since) in others.iter() {
                    if !is_excused(evidence, other, *since, entry.at) {
                        let what = format!(
                            "at {} ms {holder} enters {key}, where {other} has been since {since} ms",
                            entry.at
                        );
                        found.add("S10", what);
                    }
                }
                others.push((holder, entry.at));
            }
            Happening::Left { holder, key } => {
                inside.entry(key).or_default().retain(|(other, _)| other != holder);
            }
            // The dead work no more.
            Happening::Fault(Fault { kind: "crash", target: Some(dead), .. })
            | Happening::Ended { holder: dead, .. } => {
                inside.values_mut().for_each(|holders| holders.retain(|(other, _)| other != dead));
            }
            _ => {}
        }
    }
}

fn is_excused(evidence: &Evidence, other: &str, since: Millis, now: Millis) -> bool {
    evidence.faults().any(|(began, fault)| {
        let store_misbehaved = matches!(fault.kind, "locks_forget" | "locks_grant_all");
        let slept = fault.kind == "pause" && fault.target.as_deref() == Some(other);
        (store_misbehaved || slept) && began <= now && fault.until + NEAR >= since
    })
}

//! S10: two do not work under one key at a time, unless the lock store forgot or gave away what it had granted, or one
//! of them slept.

use std::collections::HashMap;

use super::{Evidence, Findings};
use crate::history::{Fault, Happening, Millis};

/// From a grant to the work under it: two ways of a call.
const NEAR: Millis = 3_100;

/// What a checker of leases looks at: faults with the times at which they began.
type Faults<'a> = [(Millis, &'a Fault)];

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    let faults: Vec<(Millis, &Fault)> = evidence.faults().collect();
    let mut inside: HashMap<&str, Vec<(&str, Millis)>> = HashMap::new();
    for entry in &evidence.entries {
        match &entry.what {
            Happening::Entered { holder, key } => {
                let others = inside.entry(key).or_default();
                for (other, since) in others.iter() {
                    if !is_excused(&faults, (other, *since), (holder, entry.at)) {
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

/// `other` has worked since then, and `holder` enters now.
fn is_excused(faults: &Faults<'_>, (other, since): (&str, Millis), (holder, now): (&str, Millis)) -> bool {
    // What is handed over to a sleeper is its own from then on, and it may wake up before that has run out.
    let asleep_since = faults
        .iter()
        .filter(|(began, fault)| is_pause_of(fault, holder) && *began <= now && fault.until + NEAR >= now)
        .map(|(began, _)| *began)
        .min();
    let granted = since.min(asleep_since.unwrap_or(since));
    faults.iter().any(|(began, fault)| {
        let store_misbehaved = matches!(fault.kind, "locks_forget" | "locks_grant_all");
        let from = if store_misbehaved { granted } else { since };
        (store_misbehaved || is_pause_of(fault, other)) && *began <= now && fault.until + NEAR >= from
    })
}

fn is_pause_of(fault: &Fault, holder: &str) -> bool {
    fault.kind == "pause" && fault.target.as_deref() == Some(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(target: &str, until: Millis) -> Fault {
        Fault { kind: "pause", target: Some(target.to_owned()), until, request: None }
    }

    fn forgets(at: Millis) -> (Millis, Fault) {
        (at, Fault { kind: "locks_forget", target: None, until: at, request: None })
    }

    fn excused(faults: &[(Millis, Fault)]) -> bool {
        let faults: Vec<(Millis, &Fault)> = faults.iter().map(|(began, fault)| (*began, fault)).collect();
        is_excused(&faults, ("second", 29_488), ("first", 29_980))
    }

    /// Seed 1408: `first` slept in the queue, was handed the lock at 21.1 s, the store forgot everything at 24.5 s and granted
    /// it to `second`, and `first` woke up before the end of what it had been given.
    #[test]
    fn a_sleeper_was_handed_what_the_store_then_forgot() {
        assert!(excused(&[(19_714, pause("first", 33_469)), forgets(24_520)]));
    }

    #[test]
    fn two_under_one_key_need_a_fault_that_explains_them() {
        assert!(!excused(&[]));
        assert!(!excused(&[forgets(24_520)]), "too long ago: nobody slept");
        assert!(!excused(&[(19_714, pause("first", 20_000)), forgets(24_520)]), "it was awake again");
        assert!(!excused(&[(19_714, pause("first", 33_469))]), "it slept, and its own deadline has passed");
        assert!(!excused(&[(19_714, pause("third", 33_469)), forgets(24_520)]), "somebody else slept");
        assert!(excused(&[forgets(29_700)]));
        assert!(excused(&[(29_600, pause("second", 45_000))]), "whoever works sleeps meanwhile");
    }
}

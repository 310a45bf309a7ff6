//! S10 and S4, on the locks: nobody works under a lease once another has been granted the key, and a stranger's release
//! and renewal do nothing.
//!
//! A worker writes a step of work down only where its own deadline had not passed when the step ended, whatever paused
//! it meanwhile: it believed in its lease until then. That may be after another's grant only where the store forgot a
//! grant, its clock leapt forward, or another store stood in for it, and such faults are known.

use std::collections::HashMap;

use super::{
    Findings, Invariant,
    timeline::{Span, Timeline},
    verdict::At,
};
use crate::{
    fault::{FaultKind, Place},
    history::{LeaseLine, LeaseStep},
};

/// The most leases of one key that are remembered: an older one ended long ago.
const MAX_REMEMBERED: usize = 64;
/// The most overlaps that are kept until the faults are known: the first ones tell.
const MAX_OVERLAPS: usize = 10_000;

/// The leases heard of so far. Workers are heard of in any order among each other.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_key: HashMap<String, Vec<Held>>,
    grants: u64,
    steps: u64,
    forged: u64,
    overlaps: Vec<Overlap>,
    stolen: Vec<(String, String)>,
}

/// One lease, as far as its holder was seen to believe in it.
#[derive(Clone, Debug)]
struct Held {
    holder: String,
    token: u64,
    granted_us: u64,
    worked_us: u64,
}

#[derive(Debug)]
struct Overlap {
    key: String,
    first: Held,
    second: Held,
}

impl Leases {
    pub(super) fn hear(&mut self, line: &LeaseLine) {
        match &line.step {
            LeaseStep::Granted { token, .. } => {
                self.grants += 1;
                let (holder, granted_us) = (line.holder.clone(), line.at_us);
                let held = Held { holder, token: *token, granted_us, worked_us: granted_us };
                let known = self.by_key.entry(line.key.clone()).or_default();
                if known.len() >= MAX_REMEMBERED {
                    known.remove(0);
                }
                known.push(held.clone());
                self.compare(&line.key, &held);
            }
            LeaseStep::Worked { token, deadline_us, .. } => {
                self.steps += 1;
                let known = self.by_key.get_mut(&line.key).into_iter().flatten();
                let mut known = known.rev();
                let own = known.find(|held| held.token == *token && held.holder == line.holder);
                if let Some(own) = own {
                    // The line itself may be late: its writer may have been paused before it.
                    own.worked_us = own.worked_us.max(line.at_us.min(*deadline_us));
                    let own = own.clone();
                    self.compare(&line.key, &own);
                }
            }
            LeaseStep::Forged { release, renewal, .. } => {
                self.forged += 1;
                if release == "released" || renewal == "renewed" {
                    let answers = format!("`{release}`, and its renewal `{renewal}`");
                    let what = format!("a stranger's release of {} was answered {answers}", line.key);
                    self.stolen.push((line.key.clone(), what));
                }
            }
            LeaseStep::Lost { .. } | LeaseStep::Released { .. } => {}
        }
    }

    /// Looks whether this lease and another of its key were believed in at one time.
    fn compare(&mut self, key: &str, own: &Held) {
        for other in self.by_key.get(key).into_iter().flatten() {
            let same = (other.token, &other.holder) == (own.token, &own.holder);
            let (first, second) = if other.granted_us < own.granted_us { (other, own) } else { (own, other) };
            if !same && first.worked_us > second.granted_us && self.overlaps.len() < MAX_OVERLAPS {
                let (key, first, second) = (key.to_owned(), first.clone(), second.clone());
                self.overlaps.push(Overlap { key, first, second });
            }
        }
    }

    /// With the faults known, says what does not hold.
    pub(super) fn finish(self, timeline: &Timeline, found: &mut Findings) {
        found.looked(Invariant::S10, "leases", self.grants);
        found.looked(Invariant::S10, "steps of work under them", self.steps);
        found.looked(Invariant::S4, "strangers' releases and renewals of locks", self.forged);
        for (key, what) in self.stolen {
            found.violated(Invariant::S4, At::key(&key), what);
        }
        for Overlap { key, first, second } in self.overlaps {
            if let Some(excuse) = excuse(timeline, &first, &second) {
                found.looked(Invariant::S10, excuse, 1);
                continue;
            }
            let what = format!(
                "{} worked under {key} at {} ms, where {} had had it since {} ms",
                first.holder,
                first.worked_us / 1_000,
                second.holder,
                second.granted_us / 1_000
            );
            found.violated(Invariant::S10, At::key(&key), what);
        }
    }
}

/// What the lock store did while the first one believed in its lease that takes a lease from its holder without a word: it
/// forgot; another one stood in for it, for all or for one of the two; or its clock leapt.
fn excuse(timeline: &Timeline, first: &Held, second: &Held) -> Option<&'static str> {
    let ms = |us: u64| i64::try_from(us / 1_000).unwrap_or(i64::MAX);
    let time = (ms(first.granted_us), ms(first.worked_us));
    let processes = [first, second].map(|held| timeline.process_of(&held.holder));
    let was_away = |span: &Span| {
        let of_either = || processes.iter().flatten().any(|process| span.lies_before(process, Place::Redis));
        span.is_outage() && (span.hits_all(Place::Redis) || of_either())
    };
    let forgot = timeline
        .near(time.0, time.1)
        .any(|span| matches!(span.fault, FaultKind::RedisKill | FaultKind::RedisFlush) || was_away(span));
    let leapt = || timeline.store_leapt(time).then_some("overlaps where the store's clock had leapt");
    forgot.then_some("overlaps where the store had forgotten a lease").or_else(leapt)
}

//! Where grants are: what the secondary holds, and what may still be held in the primary though nobody wants it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::backend::{Grant, MAX_BATCH};
use crate::clock::Moment;
use crate::sync::locked;
use crate::token::Nonce;

/// How many grants each of the two lists remembers. One that is forgotten is found by asking both engines, or ends with
/// its TTL.
const MAX_REMEMBERED: usize = 65_536;
/// A list with fewer entries than this is not swept.
const SWEEP_FLOOR: usize = 1_024;
/// For how long a release is owed to an engine that is away: most leases have ended by then.
pub(super) const LONGEST_MEMORY: Duration = Duration::from_secs(3_600);

/// What the secondary has granted, until it is released or its lease has ended.
#[derive(Debug, Default)]
pub(super) struct Abroad(Mutex<Remembered<()>>);

/// What is to be released in the primary when it is back, until the lease has ended anyway.
#[derive(Debug, Default)]
pub(super) struct LeftBehind(Mutex<Remembered<Grant>>);

#[derive(Debug)]
struct Remembered<T> {
    entries: HashMap<Nonce, (T, Moment)>,
    /// Above this many entries those that have ended are taken out.
    sweep_above: usize,
}

impl<T> Default for Remembered<T> {
    fn default() -> Remembered<T> {
        Remembered { entries: HashMap::new(), sweep_above: SWEEP_FLOOR }
    }
}

impl<T> Remembered<T> {
    /// Remembers, and says whether there was room.
    fn note(&mut self, now: Moment, nonce: Nonce, what: T, until: Moment) -> bool {
        if self.entries.len() >= self.sweep_above {
            self.entries.retain(|_, (_, until)| *until > now);
            self.sweep_above = (self.entries.len() * 2).max(SWEEP_FLOOR);
        }
        let room = self.entries.len() < MAX_REMEMBERED || self.entries.contains_key(&nonce);
        if room {
            self.entries.insert(nonce, (what, until));
        }
        room
    }
}

impl Abroad {
    pub(super) fn note(&self, now: Moment, granted: impl Iterator<Item = (Nonce, Moment)>) {
        let mut remembered = locked(&self.0);
        for (nonce, until) in granted {
            remembered.note(now, nonce, (), until);
        }
    }

    pub(super) fn has(&self, nonce: Nonce) -> bool {
        locked(&self.0).entries.contains_key(&nonce)
    }

    pub(super) fn forget(&self, nonces: impl Iterator<Item = Nonce>) {
        let mut remembered = locked(&self.0);
        for nonce in nonces {
            remembered.entries.remove(&nonce);
        }
    }

    /// The places of the grants that are in the primary, as far as is known, and of those in the secondary.
    pub(super) fn split(&self, grants: &[Grant]) -> (Vec<usize>, Vec<usize>) {
        let remembered = locked(&self.0);
        (0..grants.len()).partition(|at| !remembered.entries.contains_key(&grants[*at].nonce))
    }
}

impl LeftBehind {
    pub(super) fn note(&self, now: Moment, left: impl Iterator<Item = (Grant, Moment)>) {
        let mut remembered = locked(&self.0);
        let mut forgotten = 0_u64;
        for (grant, until) in left {
            forgotten += u64::from(!remembered.note(now, grant.nonce, grant, until));
        }
        drop(remembered);
        if forgotten > 0 {
            tracing::warn!(forgotten, "too many releases wait for an engine that is away: left to their TTL");
        }
    }

    /// Some of what is to be released, without what has ended by itself.
    pub(super) fn batch(&self, now: Moment) -> Vec<Grant> {
        let mut remembered = locked(&self.0);
        remembered.entries.retain(|_, (_, until)| *until > now);
        remembered.entries.values().take(MAX_BATCH).map(|(grant, _)| grant.clone()).collect()
    }

    pub(super) fn done(&self, grants: &[Grant]) {
        let mut remembered = locked(&self.0);
        for grant in grants {
            remembered.entries.remove(&grant.nonce);
        }
    }
}

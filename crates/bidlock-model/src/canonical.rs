//! Names: worlds that differ only in which scanner, which posting, or under which numbers, are one.

use crate::{
    settings::{Names, Settings},
    world::{At, MAX_POSTINGS, Posting, Reconciler, Stage, World},
};

/// New names for old ones: the rank among those that anybody still refers to.
#[derive(Clone, Copy, Default)]
struct Renaming(u64);

impl Renaming {
    fn keep(&mut self, name: u8) {
        self.0 |= 1 << (name & 63);
    }

    fn of(self, name: u8) -> u8 {
        let lower = (1u64 << (name & 63)) - 1;
        (self.0 & lower).count_ones() as u8
    }
}

impl World {
    /// The one world that stands for all that differ from this one in names only, as far as the settings say.
    pub fn canonical(&self, settings: &Settings) -> World {
        if settings.names == Names::Kept {
            return *self;
        }
        let straight = self.renamed(settings, false);
        if settings.names == Names::Renumbered || settings.postings < 2 {
            return straight;
        }
        let [first, second] = &straight.postings;
        match first.cmp(second) {
            std::cmp::Ordering::Less => straight,
            std::cmp::Ordering::Greater => self.renamed(settings, true),
            std::cmp::Ordering::Equal => straight.min(self.renamed(settings, true)),
        }
    }

    fn renamed(&self, settings: &Settings, swap: bool) -> World {
        let mut world = *self;
        let claims = self.claims_in_use();
        for (posting, claims) in world.postings.iter_mut().zip(&claims) {
            posting.rename(claims);
        }
        if swap {
            world.postings.swap(0, 1);
        }
        for scanner in &mut world.scanners {
            scanner.stage.rename(swap, &claims);
            if let Some(lease) = &mut scanner.lease {
                lease.posting ^= u8::from(swap);
            }
        }
        match &mut world.reconciler {
            Reconciler::Idle => {}
            Reconciler::Looked(at, _) | Reconciler::Found(at, _) => at.rename(swap, &claims),
        }
        for asked in world.askers.iter_mut().flatten() {
            asked.at.rename(swap, &claims);
        }
        if settings.names == Names::Interchangeable {
            world.scanners[..usize::from(settings.scanners)].sort_unstable();
            world.askers.sort_unstable();
        }
        world
    }

    fn claims_in_use(&self) -> [Renaming; MAX_POSTINGS] {
        let mut claims = [Renaming::default(); MAX_POSTINGS];
        for (posting, claims) in self.postings.iter().zip(&mut claims) {
            posting.rows.iter().flatten().for_each(|row| claims.keep(row.claim));
        }
        let mut keep = |at: At, claim: u8| claims[usize::from(at.posting)].keep(claim);
        for scanner in &self.scanners {
            if let Some(at) = scanner.stage.at() {
                keep(at, at.claim);
            }
            if let Stage::Asking { at, passed, .. } = scanner.stage {
                keep(at, passed);
            }
        }
        if let Reconciler::Looked(at, _) | Reconciler::Found(at, _) = self.reconciler {
            keep(at, at.claim);
        }
        self.askers.iter().flatten().for_each(|asked| keep(asked.at, asked.at.claim));
        claims
    }

    /// A claim id that nobody refers to.
    pub fn fresh_claim(&self, posting: u8) -> u8 {
        let used = self.claims_in_use()[usize::from(posting)].0;
        (64 - used.leading_zeros()) as u8
    }
}

impl Posting {
    fn rename(&mut self, claims: &Renaming) {
        let mut epochs = Renaming::default();
        epochs.keep(0);
        epochs.keep(self.top_epoch);
        self.rows.iter().flatten().for_each(|row| epochs.keep(row.epoch));
        for row in self.rows.iter_mut().flatten() {
            row.claim = claims.of(row.claim);
            row.epoch = epochs.of(row.epoch);
        }
        self.top_epoch = epochs.of(self.top_epoch);
    }
}

impl Stage {
    fn rename(&mut self, swap: bool, claims: &[Renaming; MAX_POSTINGS]) {
        match self {
            Stage::Idle => {}
            Stage::Locked(posting) | Stage::Deleting(posting) => *posting ^= u8::from(swap),
            Stage::Asking { at, passed, .. } => {
                *passed = claims[usize::from(at.posting)].of(*passed);
                at.rename(swap, claims);
            }
            Stage::Claimed(at)
            | Stage::Seen(at)
            | Stage::Passed(at)
            | Stage::Waiting(at)
            | Stage::Answered(at, _) => at.rename(swap, claims),
        }
    }
}

impl At {
    fn rename(&mut self, swap: bool, claims: &[Renaming; MAX_POSTINGS]) {
        self.claim = claims[usize::from(self.posting)].of(self.claim);
        self.posting ^= u8::from(swap);
    }
}

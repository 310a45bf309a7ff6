//! What goes wrong, drawn from the seed before anything starts: the same for both contenders.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::args::Chaos;

/// The TTL of locks and claims. Short, so that a demo can outlast it.
pub(super) const TTL: Duration = Duration::from_secs(2);
/// How many requests each scanner has under way at once.
pub(super) const CONCURRENCY: u32 = 2;
/// How much longer than the TTL a pause lasts at least, and at most.
const BEYOND_TTL_MS: std::ops::Range<u64> = 300..900;
/// How long a killed scanner stays away.
pub(super) const RESTART_AFTER: Duration = Duration::from_millis(250);
/// Faults strike while this share of the postings (in percent) is being submitted.
const FIRST_PERCENT: u32 = 4;
const LAST_PERCENT: u32 = 80;
/// The most faults of each kind; more would only make the demo longer.
const MAX_FAULTS: u32 = 24;

/// Something that happens to a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL, then a restart.
    Kill,
    /// SIGSTOP, then SIGCONT after this long: always longer than the TTL.
    Pause(Duration),
}

/// One fault of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// When the marketplace has received so many requests. Not a time: so the plan means the same on a slow
    /// computer, and to both contenders.
    pub(super) after_requests: u64,
    /// Whom it strikes; the next one that runs, if this one does not.
    pub(super) scanner: usize,
    /// What happens.
    pub(super) fault: Fault,
}

/// The faults, in the order in which they strike.
pub(super) fn faults(chaos: Chaos, seed: u64, postings: u32, scanners: u32) -> Vec<Planned> {
    let (kills, pauses) = match chaos {
        Chaos::Off => (0, 0),
        Chaos::Light => ((postings / 70).max(2), (postings / 100).max(1)),
        Chaos::Heavy => ((postings / 35).max(4), (postings / 50).max(2)),
    };
    let mut rng = StdRng::seed_from_u64(seed);
    let mut draw = |fault: Fault| Planned {
        after_requests: u64::from(postings * rng.random_range(FIRST_PERCENT..LAST_PERCENT) / 100),
        scanner: rng.random_range(0..scanners) as usize,
        fault: match fault {
            Fault::Pause(_) => Fault::Pause(TTL + Duration::from_millis(rng.random_range(BEYOND_TTL_MS))),
            Fault::Kill => Fault::Kill,
        },
    };
    let mut plan: Vec<Planned> = (0..kills.min(MAX_FAULTS)).map(|_| draw(Fault::Kill)).collect();
    plan.extend((0..pauses.min(MAX_FAULTS)).map(|_| draw(Fault::Pause(Duration::ZERO))));
    plan.sort_by_key(|planned| planned.after_requests);
    plan
}

/// How the marketplace behaves: it accepts duplicates, takes its time, and loses some answers after it has
/// accepted the bid. Written as for `bidlock sandbox run --mode`.
pub(super) fn modes(chaos: Chaos, seed: u64) -> String {
    let faults = match chaos {
        Chaos::Off => "",
        Chaos::Light => ",reset-after=0.02,500-after=0.01,429=0.01@1s",
        Chaos::Heavy => {
            ",reset-after=0.04,500-after=0.03,garbage-after=0.01,silent-after=0.01,reset-before=0.02,429=0.02@1s"
        }
    };
    format!(
        "duplicates=accepted,keys=ignored,seed={seed},delay-before=always@10ms..30ms,delay-after=always@10ms..30ms{faults}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_every_pause_outlasts_the_ttl() {
        let plan = faults(Chaos::Light, 7, 400, 4);
        assert_eq!(plan, faults(Chaos::Light, 7, 400, 4));
        assert_ne!(plan, faults(Chaos::Light, 8, 400, 4));
        assert!(plan.iter().filter(|p| p.fault == Fault::Kill).count() >= 2);
        for planned in &plan {
            assert!((16..320).contains(&planned.after_requests) && planned.scanner < 4, "{planned:?}");
            if let Fault::Pause(time) = planned.fault {
                assert!(time > TTL, "{planned:?}");
            }
        }
        assert_eq!(faults(Chaos::Off, 7, 400, 4), []);
    }

    #[test]
    fn the_marketplace_understands_every_mode() {
        for chaos in [Chaos::Off, Chaos::Light, Chaos::Heavy] {
            let text = modes(chaos, 7);
            assert!(text.parse::<bidlock_sandbox::Modes>().is_ok(), "{text}");
        }
    }
}

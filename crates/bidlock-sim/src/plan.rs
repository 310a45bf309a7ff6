//! What a seed decides before the simulation begins: its size, its marketplace, its faults.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use crate::history::Millis;

/// How long claims and leases live. Small, so that many expire within a short simulation.
pub(crate) const TTL: Duration = Duration::from_millis(TTL_MILLIS);
/// The same in the simulation's unit.
pub(crate) const TTL_MILLIS: Millis = 10_000;
/// The marketplace's time limit, shorter than the TTL.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(4);
/// How long a scan tries a held posting.
pub(crate) const WAIT: Duration = Duration::from_secs(5);
/// How long a scan waits for an engine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a scan sweeps: a third of the TTL.
pub(crate) const SWEEP: Duration = Duration::from_millis(3_334);
/// The promise of L1: after the faults every posting is settled within TTL + sweep + 5 s.
pub(crate) const QUIET: Duration = Duration::from_millis(10_000 + 3_334 + 5_000);

/// The first faults come after this, so that there is something to break.
const CALM: Millis = 300;

/// The world that a seed makes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many scanners.
    pub(crate) scanners: usize,
    /// How many workers under locks alone.
    pub(crate) workers: usize,
    /// When each posting appears in the feed.
    pub(crate) appears_at: Vec<Millis>,
    /// When the faults end.
    pub(crate) heals_at: Millis,
    /// What the marketplace is like.
    pub(crate) market: MarketKind,
    /// The owner's policy on withdrawn bids.
    pub(crate) rebid_after_withdrawal: bool,
    /// Likelihoods of faults of single calls.
    pub(crate) weather: Weather,
    /// Faults with a time, in order.
    pub(crate) timed: Vec<(Millis, Timed)>,
}

/// What a marketplace is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketKind {
    /// A second bid is refused with 409.
    pub(crate) refuses_duplicates: bool,
    /// A repeated key gets the first answer.
    pub(crate) honours_key: bool,
    /// Look-ups show keys.
    pub(crate) shows_keys: bool,
    /// Our bids can be looked up.
    pub(crate) looks_up: bool,
    /// A person decides first.
    pub(crate) asks_a_person: bool,
    /// How long it takes with a submission, at the most.
    pub(crate) takes: Millis,
}

/// How likely a call is to fail, per mille.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Of the lock engine's calls.
    pub(crate) locks: u32,
    /// Of the ledger's.
    pub(crate) ledger: u32,
    /// Of the marketplace's.
    pub(crate) market: u32,
    /// Of a person acting at a look at the desk.
    pub(crate) operator: u32,
}

/// A fault with a time.
#[derive(Clone, Debug)]
pub(crate) enum Timed {
    /// The process dies at its n-th next call, before it or after.
    Crash {
        /// Which host.
        host: usize,
        /// At which of its next calls.
        calls: u32,
    },
    /// The process sleeps from its n-th next call on.
    Pause {
        /// Which host.
        host: usize,
        /// At which of its next calls.
        calls: u32,
        /// For how long.
        millis: Millis,
    },
    /// The host's wall clock jumps.
    WallJump {
        /// Which host.
        host: usize,
        /// By how much.
        millis: i64,
    },
    /// The lock engine forgets everything.
    LocksForget,
    /// The lock engine grants whatever is asked.
    LocksGrantAll(Millis),
    /// The lock engine does not answer; one host's calls, or everybody's.
    LocksAway(Option<usize>, Millis),
    /// The same for the ledger.
    LedgerAway(Option<usize>, Millis),
    /// The process is asked to stop.
    Stop {
        /// Which host.
        host: usize,
        /// Twice: at once.
        abort: bool,
    },
}

impl Plan {
    /// What the dice say.
    pub(crate) fn draw(dice: &mut StdRng) -> Plan {
        let heals_at = dice.random_range(25_000..60_000);
        let scanners = dice.random_range(2..=4);
        let market = MarketKind {
            refuses_duplicates: dice.random_ratio(1, 8),
            honours_key: dice.random_ratio(1, 8),
            shows_keys: dice.random_ratio(3, 4),
            looks_up: dice.random_ratio(3, 4),
            asks_a_person: dice.random_ratio(1, 4),
            takes: *pick(dice, &[5, 500, 3_500]),
        };
        let strength = *pick(dice, &[0, 15, 40, 90]);
        let weather = Weather {
            locks: dice.random_range(0..=strength),
            ledger: dice.random_range(0..=strength),
            market: dice.random_range(0..=strength * 5),
            operator: dice.random_range(0..=250),
        };
        let postings = dice.random_range(6..=30);
        let appears_at: Vec<Millis> =
            (0..postings).map(|n| if n < 3 { 0 } else { dice.random_range(0..heals_at - 1_000) }).collect();
        let mut timed: Vec<_> = (0..dice.random_range(4..24))
            .map(|_| {
                // Half of them where there is most to break: when a posting has just appeared.
                let news = pick(dice, &appears_at) + dice.random_range(0..1_500);
                let any = dice.random_range(CALM..heals_at - 2_000);
                let at = if dice.random_bool(0.5) { news } else { any };
                (at.clamp(CALM, heals_at - 500), Timed::draw(dice, scanners))
            })
            .collect();
        timed.sort_by_key(|(at, _)| *at);
        Plan {
            scanners,
            workers: 2,
            appears_at,
            heals_at,
            market,
            rebid_after_withdrawal: dice.random_bool(0.5),
            weather,
            timed,
        }
    }
}

impl Timed {
    fn draw(dice: &mut StdRng, scanners: usize) -> Timed {
        // Workers follow the scanners; the desk of the operator is left alone.
        let host = if dice.random_ratio(4, 5) { dice.random_range(0..scanners) } else { scanners };
        let one = dice.random_bool(0.5).then_some(host);
        match dice.random_range(0..22) {
            0..6 => Timed::Crash { host, calls: dice.random_range(1..25) },
            6..12 => {
                // Half of them just beyond the TTL, where somebody has taken over and is at work.
                let beyond = dice.random_range(TTL_MILLIS..TTL_MILLIS + 6_000);
                let millis = if dice.random_bool(0.5) { beyond } else { dice.random_range(500..25_000) };
                Timed::Pause { host, calls: dice.random_range(1..25), millis }
            }
            12 => Timed::WallJump { host, millis: dice.random_range(-300_000_000..300_000_000) },
            13..15 => Timed::LocksForget,
            15 => Timed::LocksGrantAll(dice.random_range(500..20_000)),
            16..18 => Timed::LocksAway(one, dice.random_range(200..20_000)),
            18..20 => Timed::LedgerAway(one, dice.random_range(200..35_000)),
            _ => Timed::Stop { host, abort: dice.random_bool(0.5) },
        }
    }
}

/// One of several.
pub(crate) fn pick<'a, T>(dice: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[dice.random_range(0..from.len())]
}

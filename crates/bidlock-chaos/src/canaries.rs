//! What the rig does to notice that a mechanism was taken out: for each canary a short plan that needs it.
//!
//! Where two canaries need the same, they share a plan, so that few runs without a canary show that none of the plans
//! finds anything where nothing is missing.

use bidlock_canary::Canary;

use crate::{
    checker::Invariant,
    fault::{FaultKind, Place, Target},
    plan::{Engines, Plan, Planned},
};

/// A plan that shows that a mechanism is missing.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, shared by all canaries that it shows.
    pub name: &'static str,
    /// What is done.
    pub plan: Plan,
    /// The invariant that breaks first of all; others may break with it.
    pub breaks: Invariant,
}

/// The plan that shows this canary; `None` for those that the rig can't show, as nothing that it looks at depends on
/// their mechanism alone. The simulation and the tests of the locks notice these.
pub fn scenario(canary: Canary) -> Option<Scenario> {
    let (plan, breaks) = match canary {
        Canary::NoDoor => (plain(), Invariant::S2),
        Canary::NoUniqueness => (late_to_the_lock(), Invariant::S1),
        Canary::RawIdentity => (plain(), Invariant::S3),
        Canary::AssumeAccepted => (lost_answers(), Invariant::S8),
        Canary::FollowRedirects => (lost_answers(), Invariant::S2),
        Canary::LostHandsBack => (lost_answers(), Invariant::S1),
        Canary::NoReconcile => (lost_answers(), Invariant::L1),
        Canary::NotFoundIsProof => (lost_answers(), Invariant::S7),
        Canary::ResendUnknown => (lost_answers(), Invariant::S1),
        Canary::NoSweep => (killed(), Invariant::L1),
        Canary::SweepBack => (killed(), Invariant::S7),
        Canary::SameEpoch => (handed_back(), Invariant::S5),
        Canary::AnyClaim => (stopped_at_the_door(), Invariant::S2),
        Canary::SendBlindly => (ledger_away(), Invariant::S6),
        Canary::AnyRelease => (stopped_holders(), Invariant::S4),
        Canary::NoOwnDeadline | Canary::OneNonce => (stopped_holders(), Invariant::S10),
        Canary::EarlyTakeOver | Canary::LeakLocks => return None,
    };
    let (name, plan) = plan;
    Some(Scenario { name, plan, breaks })
}

/// Three scanners on one host, in front of a marketplace that accepts whatever it gets.
fn base() -> Plan {
    Plan {
        seed: 1,
        engines: Engines::Sqlite,
        runs_ms: 4_000,
        postings: 240,
        scanners: 3,
        workers: 0,
        ttl_ms: 1_200,
        // Long beside what answers take here: a busy host must not look like a fault.
        time_limit_ms: 900,
        asking: 0,
        twins: false,
        allow_rebid: false,
        market: "duplicates=accepted,seed=1".to_owned(),
        faults: Vec::new(),
    }
}

/// Nothing is broken. Scanners meet on the same postings all the same, which feeds write in several ways.
fn plain() -> (&'static str, Plan) {
    ("plain", base())
}

/// One scanner hears of locks much later than the others: what it has seen to be free is done when it gets the lock.
fn late_to_the_lock() -> (&'static str, Plan) {
    let plan = Plan { engines: Engines::RedisAndPostgres, runs_ms: 6_500, ..base() };
    // Once it has connected, which takes many messages.
    let late = fault(1_200, FaultKind::Delay, Target::between("scanner-1", Place::Redis), 5_000);
    ("late-to-the-lock", with(plan, [Planned { amount: LATE_MS, ..late }]))
}

/// The marketplace loses answers in every way, and look-ups are late.
fn lost_answers() -> (&'static str, Plan) {
    let market = "duplicates=accepted,seed=1,reset=0.15,500=0.1,307=0.1,garbage-after=0.05,stale=0.7@1500ms";
    ("lost-answers", Plan { market: market.to_owned(), ..base() })
}

/// Scanners are killed with requests on their way.
fn killed() -> (&'static str, Plan) {
    let market = "duplicates=accepted,seed=1,delay-after=200ms..350ms".to_owned();
    let kill = |scanner| move |at_ms| fault(at_ms, FaultKind::Kill, Target::process(scanner), 500);
    let times = [1_000, 2_000, 3_000];
    let faults =
        times.map(kill("scanner-1")).into_iter().chain(times.map(|at| at + 400).map(kill("scanner-2")));
    ("killed", with(Plan { market, ..base() }, faults))
}

/// The marketplace asks for patience longer than a claim lasts: the first claims are handed back, and taken over.
fn handed_back() -> (&'static str, Plan) {
    let market = "duplicates=accepted,seed=1,429=first:8@2s".to_owned();
    ("handed-back", Plan { market, ..base() })
}

/// Scanners are stopped for a little longer than a claim lasts, so that they wake up beside whoever took over: how much
/// longer that needs to be depends on how busy the host is.
fn stopped_at_the_door() -> (&'static str, Plan) {
    let market = "duplicates=accepted,seed=1,delay-after=200ms..300ms".to_owned();
    let plan = Plan { runs_ms: 8_000, market, ..base() };
    let stop = |(at_ms, scanner, beyond_ms)| {
        fault(at_ms, FaultKind::Pause, Target::process(scanner), plan.ttl_ms + beyond_ms)
    };
    let stops = [
        (800, "scanner-1", 300),
        (1_100, "scanner-2", 600),
        (3_000, "scanner-3", 900),
        (3_300, "scanner-1", 500),
        (5_300, "scanner-2", 400),
        (5_600, "scanner-3", 1_300),
    ];
    let faults = stops.map(stop);
    ("stopped-at-the-door", with(plan, faults))
}

/// The ledger crashes again and again.
fn ledger_away() -> (&'static str, Plan) {
    let plan = Plan { engines: Engines::RedisAndPostgres, runs_ms: 6_000, ..base() };
    let crash = |at_ms| fault(at_ms, FaultKind::PostgresKill, Target::place(Place::Postgres), 700);
    ("ledger-away", with(plan, [crash(1_500), crash(3_200), crash(4_900)]))
}

/// All workers but one are stopped for longer than a lease lasts, again and again: some with a lock in hand that the others
/// want.
fn stopped_holders() -> (&'static str, Plan) {
    let plan = Plan {
        runs_ms: 5_500,
        postings: 40,
        scanners: 2,
        workers: 8,
        ttl_ms: 600,
        time_limit_ms: 200,
        ..base()
    };
    let stop = |at_ms, worker| {
        fault(at_ms, FaultKind::Pause, Target::process(format!("worker-{worker}")), plan.ttl_ms + 550)
    };
    let stops: Vec<Planned> = [600, 2_100, 3_600]
        .into_iter()
        .flat_map(|at_ms| (1..plan.workers).map(move |worker| (at_ms + u64::from(worker) * 60, worker)))
        .map(|(at_ms, worker)| stop(at_ms, worker))
        .collect();
    ("stopped-holders", with(plan, stops))
}

/// How much later one scanner hears of locks, in milliseconds: longer than a bid takes from the lock to its record.
const LATE_MS: i64 = 250;

fn fault(at_ms: u64, fault: FaultKind, target: Target, lasts_ms: u64) -> Planned {
    Planned { id: 0, at_ms, fault, target, lasts_ms, amount: 0 }
}

fn with(plan: Plan, faults: impl IntoIterator<Item = Planned>) -> Plan {
    let mut faults: Vec<Planned> = faults.into_iter().collect();
    faults.sort_by_key(|fault| fault.at_ms);
    for (id, fault) in (1..).zip(&mut faults) {
        fault.id = id;
    }
    Plan { faults, ..plan }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_canary_but_two_has_a_plan_of_about_ten_seconds() {
        let without: Vec<_> = Canary::ALL.into_iter().filter(|canary| scenario(*canary).is_none()).collect();
        assert_eq!(without, [Canary::EarlyTakeOver, Canary::LeakLocks]);
        for plan in Canary::ALL.into_iter().filter_map(scenario).map(|scenario| scenario.plan) {
            assert!(plan.runs_ms + plan.quiet_ms() < 15_000, "{plan:?}");
            assert!(
                plan.time_limit_ms < plan.ttl_ms && plan.market.contains("duplicates=accepted"),
                "{plan:?}"
            );
            plan.market.parse::<bidlock_sandbox::Modes>().unwrap();
        }
    }
}

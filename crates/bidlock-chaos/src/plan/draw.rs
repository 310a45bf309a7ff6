//! From an order to a plan: what the dice say, within bounds that leave room for progress.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::{Engines, Order, Plan, Planned};
use crate::{
    fault::{FaultKind, Place},
    nemeses::{self, Nemesis},
};

/// Faults begin after this, so that there is something to break.
const CALM_MS: u64 = 1_000;
/// How often another time is drawn for a fault that finds no room, before it is left out.
const TRIES: u32 = 60;
/// Two faults of one thing lie at least so far apart: what was broken comes back to life in between.
const GAP_MS: u64 = 600;
/// So much of the time, in per cent, the ledger or the marketplace may be out of reach for everybody.
const MAX_OUTAGE_PERCENT: u64 = 30;
/// The TTLs that are drawn, in milliseconds: short, so that many expire within a short run.
const TTLS_MS: [u64; 3] = [1_500, 2_000, 2_800];
/// A submission's time limit is this part of the TTL: below it, as it must be, and far beyond what a healthy answer takes on
/// a busy computer, so that none runs out of it but by a fault.
const TIME_LIMIT_PART: u64 = 2;
/// Processes that take locks and do nothing else.
const WORKERS: u32 = 2;

pub(super) fn plan(order: &Order) -> Plan {
    let mut dice = StdRng::seed_from_u64(order.seed);
    // A tag of its own: what a seed drew before it learnt of these stays what it was.
    let mut more = StdRng::seed_from_u64(order.seed ^ 0x2b1d);
    let twins = more.random_ratio(1, 3);
    let second = if more.random_ratio(1, 4) { "refused" } else { "accepted" };
    let ttl_ms = TTLS_MS[dice.random_range(0..TTLS_MS.len())];
    let mut plan = Plan {
        seed: order.seed,
        engines: order.engines,
        runs_ms: order.runs_ms,
        postings: order.postings,
        scanners: order.scanners,
        workers: WORKERS,
        ttl_ms,
        time_limit_ms: ttl_ms / TIME_LIMIT_PART,
        asking: u32::from(dice.random_ratio(3, 4)),
        twins,
        allow_rebid: dice.random_bool(0.5),
        market: market(&mut dice, ttl_ms / TIME_LIMIT_PART, second),
        faults: Vec::new(),
    };
    let wanted = u64::from(order.faults_per_minute) * order.runs_ms / 60_000;
    for nemesis in kinds(&mut dice, order.engines, usize::try_from(wanted).unwrap_or(usize::MAX)) {
        if let Some(planned) = place(&mut dice, &plan, nemesis) {
            plan.faults.push(planned);
        }
    }
    plan.faults.sort_by_key(|planned| planned.at_ms);
    for (id, planned) in (1..).zip(&mut plan.faults) {
        planned.id = id;
    }
    plan
}

/// How the marketplace behaves. Most accept second bids, so that they show; some refuse them, and what they were asked counts.
/// The rest differs by seed.
fn market(dice: &mut StdRng, time_limit_ms: u64, second: &str) -> String {
    let keys = if dice.random_ratio(1, 4) { "honoured" } else { "ignored" };
    let echo = if dice.random_ratio(1, 4) { "no" } else { "yes" };
    let strength: f64 = [1.0, 1.5, 2.0][dice.random_range(0..3)];
    let rate = |share: f64| (share * strength * 1_000.0).round() / 1_000.0;
    let (late, later) = (time_limit_ms / 2, time_limit_ms * 2);
    format!(
        "duplicates={second},keys={keys},echo-keys={echo},seed={},reset={},500={},503={},garbage={},silent={},\
         429={}@1s,307={},404={},422={},stale=0.3@700ms,look-up-500={},withdraw-refused=0.1,delay-before={}@{late}ms..{later}ms,\
         delay=1ms..15ms",
        dice.random::<u32>(),
        rate(0.025),
        rate(0.015),
        rate(0.015),
        rate(0.015),
        rate(0.004),
        // Each keeps all senders of its scanner waiting for a second.
        rate(0.003),
        rate(0.008),
        rate(0.004),
        rate(0.004),
        rate(0.1),
        rate(0.01),
    )
}

/// So many: each at least once, if there is room for all, and then by weight.
fn kinds(dice: &mut StdRng, engines: Engines, wanted: usize) -> Vec<&'static dyn Nemesis> {
    let all: Vec<_> = nemeses::ALL.iter().copied().filter(|nemesis| nemesis.weight(engines) > 0).collect();
    let total: u32 = all.iter().map(|nemesis| nemesis.weight(engines)).sum();
    let mut drawn = all.clone();
    drawn.shuffle(dice);
    drawn.truncate(wanted);
    while drawn.len() < wanted {
        let mut left = dice.random_range(0..total);
        let hit = all.iter().find(|nemesis| {
            let weight = nemesis.weight(engines);
            let is_hit = left < weight;
            left = left.saturating_sub(weight);
            is_hit
        });
        drawn.extend(hit);
    }
    drawn
}

/// A time for this fault at which it leaves room for progress; none if there is none.
fn place(dice: &mut StdRng, plan: &Plan, nemesis: &dyn Nemesis) -> Option<Planned> {
    for _ in 0..TRIES {
        let drawn = nemesis.draw(dice, plan);
        let last = plan.runs_ms.checked_sub(drawn.lasts_ms + GAP_MS).filter(|last| *last > CALM_MS)?;
        let planned = Planned {
            id: 0,
            at_ms: dice.random_range(CALM_MS..last),
            fault: nemesis.kind(),
            target: drawn.target,
            lasts_ms: drawn.lasts_ms,
            amount: drawn.amount,
        };
        if leaves_room(plan, &planned) {
            return Some(planned);
        }
    }
    None
}

fn leaves_room(plan: &Plan, new: &Planned) -> bool {
    let meanwhile = || plan.faults.iter().filter(|other| overlap(new, other));
    if meanwhile().any(|other| plan.collide(new, other)) {
        return false;
    }
    // Half of the scanners work at any time.
    let downs = meanwhile().filter(|other| is_down(other)).count();
    if is_down(new) && downs >= (plan.scanners as usize).div_ceil(2) {
        return false;
    }
    if stops_everybody(plan, new) {
        let outages: u64 =
            plan.faults.iter().filter(|f| stops_everybody(plan, f)).map(|f| f.lasts_ms + GAP_MS).sum();
        let is_alone = !meanwhile().any(|other| stops_everybody(plan, other));
        return is_alone && (outages + new.lasts_ms) * 100 <= plan.runs_ms * MAX_OUTAGE_PERCENT;
    }
    true
}

fn overlap(a: &Planned, b: &Planned) -> bool {
    let end = |fault: &Planned| fault.at_ms + fault.lasts_ms + GAP_MS;
    a.at_ms < end(b) && b.at_ms < end(a)
}

/// A scanner that does not work meanwhile.
fn is_down(fault: &Planned) -> bool {
    use FaultKind::*;
    matches!(fault.fault, Pause | Kill | Terminate | ProtocolFloor)
}

/// Nobody can bid meanwhile.
fn stops_everybody(plan: &Plan, fault: &Planned) -> bool {
    use FaultKind::*;
    let place = match fault.fault {
        PostgresKill | PostgresPause | DiskFull | WriterStalls => return true,
        Cut | CutRequests | CutReplies | Refuse | Delay | Trickle if fault.target.process.is_none() => {
            fault.target.place
        }
        _ => None,
    };
    place.is_some_and(|place| place == Place::Market || place == plan.engines.ledger())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn order(seed: u64, engines: Engines) -> Order {
        Order { seed, engines, runs_ms: 120_000, postings: 1_000, scanners: 4, faults_per_minute: 120 }
    }

    #[test]
    fn the_same_order_gives_the_same_plan_and_another_seed_another() {
        for engines in [Engines::Sqlite, Engines::RedisAndPostgres, Engines::Postgres] {
            let plan = Plan::draw(&order(7, engines));
            assert_eq!(plan, Plan::draw(&order(7, engines)));
            assert_ne!(plan.faults, Plan::draw(&order(8, engines)).faults);
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        }
    }

    #[test]
    fn a_plan_holds_what_was_asked_for_and_every_kind_that_its_engines_have() {
        for seed in 0..20 {
            for engines in [Engines::Sqlite, Engines::RedisAndPostgres, Engines::Postgres] {
                let plan = Plan::draw(&order(seed, engines));
                assert!(plan.faults.len() > 150, "{} of 240 faults found room", plan.faults.len());
                let kinds: HashSet<_> = plan.faults.iter().map(|planned| planned.fault).collect();
                let all = nemeses::ALL.iter().filter(|nemesis| nemesis.weight(engines) > 0).count();
                assert!(kinds.len() + 1 >= all, "{} of {all} kinds", kinds.len());
                assert!(plan.market.parse::<bidlock_sandbox::Modes>().is_ok(), "{}", plan.market);
                assert!(plan.faults.is_sorted_by_key(|planned| planned.at_ms));
            }
        }
    }

    #[test]
    fn some_seeds_have_a_marketplace_that_refuses_second_bids_and_some_have_twins() {
        let plans: Vec<Plan> = (0..40).map(|seed| Plan::draw(&order(seed, Engines::Sqlite))).collect();
        let refusing = plans.iter().filter(|plan| plan.market.starts_with("duplicates=refused")).count();
        let twins = plans.iter().filter(|plan| plan.twins).count();
        assert!((4..=16).contains(&refusing) && (6..=20).contains(&twins), "{refusing}, {twins} of 40");
        let plan = plans.iter().find(|plan| plan.twins).unwrap();
        let named =
            ["scanner-1", "scanner-2", "worker-2", "scanner-3", "asker-1"].map(|name| plan.goes_by(name));
        let twins = ["scanner-twin", "scanner-twin", "worker-twin"].map(|name| Some(name.to_owned()));
        assert_eq!((&named[..3], &named[3..]), (&twins[..], &[None, None][..]));
    }

    #[test]
    fn faults_leave_room_for_progress() {
        for seed in 0..20 {
            let plan = Plan::draw(&order(seed, Engines::RedisAndPostgres));
            for (n, a) in plan.faults.iter().enumerate() {
                assert!(a.at_ms >= CALM_MS && a.at_ms + a.lasts_ms < plan.runs_ms);
                // All that last when this one begins: a long one may see many short ones pass, one after the other.
                let others = plan.faults[..n].iter().filter(|b| overlap(a, b));
                let (clashes, down): (Vec<_>, Vec<_>) = (
                    others.clone().filter(|b| plan.collide(a, b)).collect(),
                    others.filter(|b| is_down(b)).collect(),
                );
                assert!(clashes.is_empty(), "{a:?} and {clashes:?}");
                assert!(!is_down(a) || down.len() < 2, "half of four scanners work: {a:?} and {down:?}");
            }
            let outages: u64 =
                plan.faults.iter().filter(|f| stops_everybody(&plan, f)).map(|f| f.lasts_ms).sum();
            assert!(outages * 100 <= plan.runs_ms * MAX_OUTAGE_PERCENT);
        }
    }
}

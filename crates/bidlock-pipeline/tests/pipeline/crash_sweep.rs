//! The crash sweep: for every n, the n-th call that a scanner makes of its ledger, its locks or its marketplace
//! fails, loses its answer, or is where the process dies or sleeps beyond every TTL. Afterwards another scanner
//! works the same day once more, and every invariant holds. The same over a real PostgreSQL server, and the n-th
//! message on the way to it: some of them with every change (`BIDLOCK_SWEEP_SEED` says which), all of them by
//! `cargo nextest run -p bidlock-pipeline --all-features --run-ignored only -E 'test(/^crash_sweep::/)' --no-capture`.

#![allow(clippy::print_stdout, reason = "for whoever reads a failure")]

use std::{collections::BTreeMap, sync::Arc};

use bidlock_pipeline::ApprovalPolicy;
use tokio::sync::oneshot;

use crate::rig::{
    database::Database,
    nth::{Fault, Nth, Reached},
    wire::Wire,
    world::{Engine, LIMIT, Process, Working, World, check},
};

/// What another scanner does while the struck one sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// It works a whole day.
    WorksThrough,
    /// It falls asleep as soon as it has made a claim, and wakes up after the other: it never slept for long.
    SleepsOnItsClaim,
}

/// Over PostgreSQL, a test takes each of so many calls: a strike needs connections by the dozen. The seed says which.
const ON_POSTGRES: usize = 6;

/// No day has more; one that does never ends.
const MOST_MESSAGES: usize = 20_000;
/// And none has fewer: with approvals some 1,500, without some 1,200.
const FEWEST_MESSAGES: usize = 600;

/// The first claim of a day: after a sweep, a look at the ledger, and the locks.
const FIRST_CLAIM: usize = 3;

/// One day with the fault at call `at`, then a quiet one, then the checks. Says which call was struck.
async fn strike(
    engine: &Engine,
    approval: ApprovalPolicy,
    at: usize,
    fault: Fault,
    meanwhile: Meanwhile,
) -> Option<String> {
    let world = World::new(engine, approval).await;
    let (nth, mut hear) = Nth::new(at, fault);
    let mut process = Process::new();
    let mut day = process.start({
        let (world, nth) = (Arc::clone(&world), Arc::clone(&nth));
        async move { world.scanner("struck", &nth, None).await?.work().await }
    });
    let struck = tokio::select! {
        reached = hear.recv() => reached,
        ended = tokio::time::timeout(LIMIT, &mut day) => {
            let _ = ended.expect("a day takes too long").expect("a day does not panic");
            None
        }
    };
    match struck {
        Some(Reached::Dead) => process.kill().await,
        Some(Reached::Asleep(wake)) => {
            world.age();
            let mut other = None;
            match meanwhile {
                Meanwhile::WorksThrough => world.quiet_day("meanwhile").await,
                Meanwhile::SleepsOnItsClaim => other = Some(sleeper(&world).await),
            }
            let _ = wake.send(());
            let ended = tokio::time::timeout(LIMIT, &mut day).await.expect("it woke up and did not end");
            let _ = ended.expect("a day does not panic");
            if let Some((wake, day)) = other {
                let _ = wake.map(|wake| wake.send(()));
                let ended =
                    tokio::time::timeout(LIMIT, day).await.expect("the other woke up and did not end");
                let _ = ended.expect("a day does not panic");
            }
        }
        None => {}
    }
    let name = nth.struck()?;
    world.age();
    world.quiet_day("afterwards").await;
    assert_eq!(*nth.violations.lock().unwrap(), [""; 0], "{fault:?} at {at} ({name})");
    let interrupted = !matches!(fault, Fault::NotDone | Fault::AnswerLost) || name == "submit";
    check(&world, interrupted, &format!("{fault:?} at call {at}, {name}")).await;
    Some(name)
}

type Sleeper = (Option<oneshot::Sender<()>>, Working);

/// A scanner that sleeps on its first claim; its day ends before if there is nothing left to claim.
async fn sleeper(world: &World) -> Sleeper {
    let (nth, mut hear) = Nth::new(FIRST_CLAIM, Fault::AsleepAfter);
    let mut day = tokio::spawn(world.scanner("sleeper", &nth, None).await.unwrap().work());
    tokio::select! {
        Some(Reached::Asleep(wake)) = hear.recv() => (Some(wake), day),
        ended = &mut day => (None, tokio::spawn(async { ended.expect("a day does not panic") })),
    }
}

/// The names of the calls of a day without faults.
async fn calls(engine: &Engine, approval: ApprovalPolicy) -> Vec<String> {
    let world = World::new(engine, approval).await;
    let (nth, _hear) = Nth::new(usize::MAX, Fault::NotDone);
    world.scanner("counted", &nth, None).await.unwrap().work().await.unwrap();
    nth.names.lock().unwrap().clone()
}

/// Strikes every `stride`-th call, beginning with another one for each fault.
async fn sweep(engine: &Engine, approval: ApprovalPolicy, fault: Fault, meanwhile: Meanwhile, stride: usize) {
    let calls = calls(engine, approval).await;
    println!("{} calls: {}", calls.len(), calls.join(" "));
    let door = if approval == ApprovalPolicy::Always { "take_sending" } else { "enter_submitting" };
    for name in
        ["try_acquire", "claim", door, "submit", "accept", "lose_answer", "refuse", "release", "withdraw"]
    {
        assert!(calls.iter().any(|call| call == name), "a day has no {name}");
    }
    let is_in_reach = |(_, name): &(usize, &String)| {
        // Elsewhere the other's claim is in the way of what follows the struck one's own.
        meanwhile == Meanwhile::WorksThrough || *name == door || *name == "submit"
    };
    let first = (seed() + fault as usize) % stride;
    for (at, expected) in calls.iter().enumerate().filter(is_in_reach).skip(first).step_by(stride) {
        let name = strike(engine, approval, at, fault, meanwhile).await;
        assert_eq!(name.as_ref(), Some(expected), "{fault:?}: call {at} is another one");
    }
}

/// Where the sweeps begin that leave something out.
fn seed() -> usize {
    std::env::var("BIDLOCK_SWEEP_SEED").map_or(1, |seed| seed.parse().expect("a number"))
}

/// A server of this test's own; `None`: there is none to start, and that was said.
fn postgres() -> Option<Engine> {
    Some(Engine::Postgres(Arc::new(Database::start()?)))
}

/// One day on whose way to the database the message `at` breaks the connection, then a quiet one, then the checks.
/// Says which message that was.
async fn break_the_wire(engine: &Engine, approval: ApprovalPolicy, at: usize) -> Option<String> {
    let Engine::Postgres(database) = engine else { panic!("there is no wire to a file") };
    let world = World::new(engine, approval).await;
    let wire = Wire::start(database.port(), at).await;
    let way = database.url().replace(&format!(":{}/", database.port()), &format!(":{}/", wire.port));
    assert_ne!(way, database.url(), "the way leads around the wire");
    let (nth, _hear) = Nth::new(usize::MAX, Fault::NotDone);
    let process = Process::new();
    let day = process.start({
        let (world, nth) = (Arc::clone(&world), Arc::clone(&nth));
        async move { world.scanner("struck", &nth, Some(&way)).await?.work().await }
    });
    let ended = tokio::time::timeout(LIMIT, day).await.expect("a day takes too long");
    let ended = ended.expect("a day does not panic");
    let at = format!("a connection that breaks at message {at}, {}", wire.struck()?);
    world.age();
    world.quiet_day("afterwards").await;
    assert_eq!(*nth.violations.lock().unwrap(), [""; 0], "{at}");
    check(&world, false, &format!("{at}, {ended:?}")).await;
    wire.struck()
}

/// Every `stride`-th message, until a day meets no fault any more.
async fn break_the_wire_everywhere(approval: ApprovalPolicy, stride: usize) {
    let Some(engine) = postgres() else { return };
    let mut struck = BTreeMap::new();
    for at in (seed() % stride..MOST_MESSAGES).step_by(stride) {
        let Some(message) = break_the_wire(&engine, approval, at).await else {
            println!("{at} messages at the most, struck: {struck:?}");
            assert!(at >= FEWEST_MESSAGES, "a day with {at} messages is none");
            return;
        };
        *struck.entry(message).or_insert(0) += 1;
    }
    panic!("a day that never ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_at_a_message() {
    break_the_wire_everywhere(ApprovalPolicy::Never, 61).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approved_a_connection_that_breaks_at_a_message() {
    break_the_wire_everywhere(ApprovalPolicy::Always, 89).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "every message: minutes"]
async fn a_connection_that_breaks_at_every_message() {
    break_the_wire_everywhere(ApprovalPolicy::Never, 1).await;
    break_the_wire_everywhere(ApprovalPolicy::Always, 1).await;
}

macro_rules! sweeps {
    ($($name:ident: $approval:ident, $fault:ident, $meanwhile:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (approval, meanwhile) = (ApprovalPolicy::$approval, Meanwhile::$meanwhile);
                sweep(&Engine::Sqlite, approval, Fault::$fault, meanwhile, 1).await;
            }
        )*

        mod on_postgres {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let Some(engine) = postgres() else { return };
                    let (approval, meanwhile) = (ApprovalPolicy::$approval, Meanwhile::$meanwhile);
                    sweep(&engine, approval, Fault::$fault, meanwhile, ON_POSTGRES).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "every call: minutes"]
            async fn every_call() {
                let Some(engine) = postgres() else { return };
                $(
                    println!("{}", stringify!($name));
                    let (approval, meanwhile) = (ApprovalPolicy::$approval, Meanwhile::$meanwhile);
                    sweep(&engine, approval, Fault::$fault, meanwhile, 1).await;
                )*
            }
        }
    };
}

sweeps! {
    a_call_that_is_not_done: Never, NotDone, WorksThrough;
    a_call_whose_answer_is_lost: Never, AnswerLost, WorksThrough;
    death_before_a_call: Never, KilledBefore, WorksThrough;
    death_after_a_call: Never, KilledAfter, WorksThrough;
    sleep_beyond_every_ttl_before_a_call: Never, AsleepBefore, WorksThrough;
    sleep_beyond_every_ttl_after_a_call: Never, AsleepAfter, WorksThrough;
    waking_up_beside_anothers_claim: Never, AsleepBefore, SleepsOnItsClaim;
    approved_a_call_that_is_not_done: Always, NotDone, WorksThrough;
    approved_a_call_whose_answer_is_lost: Always, AnswerLost, WorksThrough;
    approved_death_before_a_call: Always, KilledBefore, WorksThrough;
    approved_death_after_a_call: Always, KilledAfter, WorksThrough;
    approved_sleep_beyond_every_ttl_before_a_call: Always, AsleepBefore, WorksThrough;
    approved_sleep_beyond_every_ttl_after_a_call: Always, AsleepAfter, WorksThrough;
}

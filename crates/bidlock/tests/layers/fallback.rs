//! Falling back, between two engines in memory and on a clock that the test moves.

use std::sync::Mutex;

use bidlock::layers::chaos::{Mishap, Odds};
use bidlock::layers::fallback::{Fallback, FallbackBuilder, HEALTHY_PROBES, MIN_DWELL, PROBE_EVERY, Using};
use bidlock::{Actor, Error, ErrorKind, KeyFilter, LockManager, Page, Released, Renewed, Shared, Wait};

use super::*;

struct Rig {
    clock: Arc<ManualClock>,
    primary: (MemoryBackend, Chaos),
    secondary: (MemoryBackend, Chaos),
    fallback: Fallback,
}

impl Rig {
    fn new() -> Rig {
        Rig::built(|builder| builder)
    }

    fn built(more: impl FnOnce(FallbackBuilder) -> FallbackBuilder) -> Rig {
        let clock = Arc::new(ManualClock::new());
        let (primary, secondary) = (engine(&clock), engine(&clock));
        let fallback = another(&clock, &primary.1, &secondary.1, more);
        Rig { clock, primary, secondary, fallback }
    }

    /// Another process on the same engines.
    fn another(&self) -> Fallback {
        another(&self.clock, &self.primary.1, &self.secondary.1, |builder| builder)
    }

    fn manager(&self) -> LockManager {
        LockManager::builder(Arc::new(self.fallback.clone()))
            .clock(self.clock.clone())
            .ttl(TTL)
            .build()
            .unwrap()
    }

    fn away(&self) {
        self.primary.1.away(Some(ErrorKind::Unavailable));
    }

    /// Lets so many probes take place.
    async fn probes(&self, count: u32) {
        for _ in 0..count {
            settle().await;
            self.clock.advance(PROBE_EVERY);
        }
        settle().await;
    }

    fn is_active(&self) -> bool {
        self.fallback.status().active
    }
}

fn another(
    clock: &Arc<ManualClock>,
    primary: &Chaos,
    secondary: &Chaos,
    more: impl FnOnce(FallbackBuilder) -> FallbackBuilder,
) -> Fallback {
    let builder = Fallback::builder(Arc::new(primary.clone()), Arc::new(secondary.clone()));
    more(builder.allow_unshared(true).clock(clock.clone())).build().unwrap()
}

const ENOUGH: u32 = 10;

#[tokio::test]
async fn the_secondary_stands_in_and_the_change_is_told_once() {
    let heard: Arc<Mutex<Vec<Using>>> = Arc::default();
    let rig = Rig::built({
        let heard = heard.clone();
        move |builder| builder.on_change(move |change| heard.lock().unwrap().push(change.to))
    });
    granted(&rig.fallback, "before", 1).await;
    assert!(is_held(&rig.primary.0, "before").await && !rig.is_active());
    rig.away();
    for n in 2..10 {
        granted(&rig.fallback, &n.to_string(), n).await;
        assert!(is_held(&rig.secondary.0, &n.to_string()).await);
    }
    let status = rig.fallback.status();
    assert!(status.active && status.times == 1, "{status:?}");
    assert!(status.reason.unwrap().contains("broken on purpose"));
    rig.primary.1.away(None);
    rig.probes(ENOUGH).await;
    granted(&rig.fallback, "after", 10).await;
    assert!(is_held(&rig.primary.0, "after").await);
    assert_eq!(*heard.lock().unwrap(), [Using::Secondary, Using::Primary]);
    let changes: Vec<Using> = rig.fallback.changes().iter().map(|change| change.to).collect();
    assert_eq!(changes, [Using::Secondary, Using::Primary]);
    let status = rig.fallback.status();
    assert!(!status.active && status.reason.is_none() && status.total >= MIN_DWELL, "{status:?}");
}

#[tokio::test]
async fn only_what_another_engine_helps_against_is_fallen_back_from() {
    use ErrorKind::*;
    for (kind, falls_back) in [
        (Unavailable, true),
        (Busy, true),
        (Poisoned, true),
        (Unfit, true),
        (Corrupt, false),
        (Invalid, false),
        (Internal, false),
    ] {
        let rig = Rig::new();
        rig.primary.1.away(Some(kind));
        let answer = rig.fallback.try_acquire(&[request("1", 1)]).await;
        assert_eq!((answer.is_ok(), rig.is_active()), (falls_back, falls_back), "{kind:?}");
    }
}

#[tokio::test]
async fn there_is_no_way_back_before_the_primary_has_been_well_for_a_while() {
    let rig = Rig::new();
    rig.away();
    granted(&rig.fallback, "1", 1).await;
    // It comes and goes, for much longer than the secondary is used at the least.
    for _ in 0..20 {
        rig.primary.1.away(None);
        rig.probes(HEALTHY_PROBES - 1).await;
        rig.away();
        rig.probes(1).await;
        assert!(rig.is_active());
    }
    rig.primary.1.away(None);
    rig.probes(HEALTHY_PROBES).await;
    assert!(!rig.is_active());
    assert_eq!(rig.fallback.changes().len(), 2);
    // It goes again at once: back at once, and then at least the shortest time there, however well it is.
    rig.away();
    granted(&rig.fallback, "2", 2).await;
    rig.primary.1.away(None);
    let dwell = u32::try_from(MIN_DWELL.as_secs() / PROBE_EVERY.as_secs()).unwrap();
    rig.probes(dwell - 1).await;
    assert!(rig.is_active());
    rig.probes(1).await;
    assert!(!rig.is_active());
}

/// A call that began before a change and fails after it says nothing of how things are now.
#[tokio::test]
async fn a_late_failure_changes_nothing() {
    let clock = Arc::new(ManualClock::new());
    let (primary, secondary) = (engine(&clock).1, engine(&clock).1);
    let slow = Chaos::with_clock(Arc::new(primary.clone()), 0, Odds::default(), clock.clone());
    let fallback = another(&clock, &slow, &secondary, |builder| builder);
    let late = Duration::from_secs(60);
    slow.next_goes([Mishap::Late(late)]);
    let first = tokio::spawn({
        let fallback = fallback.clone();
        async move { fallback.try_acquire(&[request("1", 1)]).await.map(drop) }
    });
    settle().await;
    primary.away(Some(ErrorKind::Unavailable));
    granted(&fallback, "2", 2).await;
    primary.away(None);
    for _ in 0..ENOUGH {
        settle().await;
        clock.advance(PROBE_EVERY);
    }
    settle().await;
    assert!(!fallback.status().active);
    primary.next_goes([Mishap::Refused(ErrorKind::Unavailable)]);
    clock.advance(late);
    first.await.unwrap().unwrap();
    assert!(!fallback.status().active && fallback.status().times == 1);
}

/// A probe takes a lock and gives it back: an engine that answers and can't is not well.
#[tokio::test]
async fn a_primary_that_answers_and_grants_nothing_is_not_well() {
    let rig = Rig::new();
    rig.away();
    granted(&rig.fallback, "1", 1).await;
    rig.primary.1.away(None);
    for _ in 0..ENOUGH * 2 {
        // The check goes well, and the acquisition does not.
        rig.primary.1.next_goes([Mishap::Late(Duration::ZERO), Mishap::Refused(ErrorKind::Poisoned)]);
        rig.probes(1).await;
    }
    assert!(rig.is_active());
    assert!(!rig.primary.0.inspect(&KeyFilter::all(), Page::default()).await.unwrap().iter().any(|_| true));
    rig.probes(ENOUGH).await;
    assert!(!rig.is_active());
}

#[tokio::test]
async fn leases_are_renewed_and_released_where_they_were_granted() {
    let rig = Rig::new();
    let locks = rig.manager();
    let first = locks.try_lock(&posting("first")).await.unwrap().acquired().unwrap();
    rig.away();
    let second = locks.try_lock(&posting("second")).await.unwrap().acquired().unwrap();
    assert!(is_held(&rig.primary.0, "first").await && is_held(&rig.secondary.0, "second").await);
    // The engine of the first stays away beyond its TTL: that one ends, and takes the other not with it.
    for _ in 0..40 {
        rig.clock.advance(TTL / 20);
        settle().await;
    }
    assert!(first.is_lost());
    assert!(!second.is_lost(), "a lease of the engine that is there was not renewed");
    // Back in the primary, the second is still renewed and released in the secondary.
    rig.primary.1.away(None);
    rig.probes(ENOUGH).await;
    assert!(!rig.is_active());
    assert_eq!(second.renew().await.unwrap(), Renewed::Renewed);
    let calls = rig.primary.1.calls();
    assert_eq!(second.release().await.unwrap(), Released::Released);
    assert_eq!(rig.primary.1.calls(), calls, "the engine that did not grant it was asked");
    assert!(!is_held(&rig.secondary.0, "second").await);
}

/// A word from `bidlock lock acquire` is released by another process, which has seen nothing of the outage.
#[tokio::test]
async fn a_lease_of_the_secondary_is_found_by_who_does_not_know_of_it() {
    let rig = Rig::new();
    rig.away();
    let grant = granted(&rig.fallback, "1", 1).await;
    let while_away = rig.another();
    assert_eq!(while_away.renew(std::slice::from_ref(&grant), TTL).await.unwrap(), [Renewed::Renewed]);
    rig.primary.1.away(None);
    let after = rig.another();
    assert_eq!(after.renew(std::slice::from_ref(&grant), TTL).await.unwrap(), [Renewed::Renewed]);
    let after = rig.another();
    assert_eq!(after.release(&[grant]).await.unwrap(), [Released::Released]);
    assert!(!is_held(&rig.secondary.0, "1").await);
}

#[tokio::test]
async fn what_is_left_in_the_primary_is_released_before_the_way_back() {
    let rig = Rig::new();
    // Held when it went away.
    let held = granted(&rig.fallback, "held", 1).await;
    // Granted, but the answer was lost; the secondary grants it as well.
    rig.primary.1.next_goes([Mishap::AnswerLost]);
    let grant = granted(&rig.fallback, "lost", 2).await;
    assert!(
        rig.is_active() && is_held(&rig.primary.0, "lost").await && is_held(&rig.secondary.0, "lost").await
    );
    rig.away();
    let error = rig.fallback.release(&[held]).await.unwrap_err();
    assert!(error.to_string().contains("released when the engine is back"), "{error}");
    rig.primary.1.away(None);
    rig.probes(ENOUGH).await;
    assert!(!rig.is_active());
    assert!(!is_held(&rig.primary.0, "lost").await && !is_held(&rig.primary.0, "held").await);
    assert_eq!(rig.fallback.release(&[grant]).await.unwrap(), [Released::Released]);
}

#[tokio::test]
async fn waiters_queue_in_the_engine_that_stands_in() {
    let rig = Rig::new();
    let _held = granted(&rig.primary.0, "1", 1).await;
    let elsewhere = granted(&rig.secondary.0, "1", 2).await;
    let locks = rig.manager();
    let waiting = tokio::spawn(async move { locks.lock(&posting("1"), Wait::up_to(PATIENCE)).await });
    settle().await;
    // Somebody else sees that the primary is away. The clock stands still: nobody polls.
    rig.away();
    granted(&rig.fallback, "2", 3).await;
    settle().await;
    assert!(!waiting.is_finished());
    rig.secondary.0.release(&[elsewhere]).await.unwrap();
    let lease = waiting.await.unwrap().unwrap().acquired().unwrap();
    assert!(is_held(&rig.secondary.0, "1").await);
    assert_eq!(lease.release().await.unwrap(), Released::Released);
}

#[tokio::test]
async fn operators_see_and_free_both_engines() {
    let rig = Rig::new();
    let by = Actor::new("me", "test").unwrap();
    granted(&rig.primary.0, "b", 1).await;
    granted(&rig.secondary.0, "a", 2).await;
    granted(&rig.secondary.0, "b", 3).await;
    let keys = async || -> Vec<LockKey> {
        let locks = rig.fallback.inspect(&KeyFilter::all(), Page::default()).await.unwrap();
        locks.into_iter().map(|lock| lock.key).collect()
    };
    assert_eq!(keys().await, [posting("a"), posting("b"), posting("b")]);
    assert_eq!(rig.fallback.force_release(&posting("b"), &by).await.unwrap(), Released::Released);
    assert_eq!(keys().await, [posting("a")]);
    rig.away();
    assert_eq!(keys().await, [posting("a")]);
    assert_eq!(rig.fallback.force_release(&posting("a"), &by).await.unwrap(), Released::Released);
    assert!(keys().await.is_empty() && rig.is_active());
}

#[tokio::test]
async fn a_check_tells_how_both_are() {
    let rig = Rig::new();
    let health = rig.fallback.check().await.unwrap();
    assert!(health.place.contains("to fall back to"), "{health:?}");
    rig.secondary.1.away(Some(ErrorKind::Unavailable));
    let warnings = rig.fallback.check().await.unwrap().warnings.join("; ");
    assert!(warnings.contains("nothing to fall back to"), "{warnings}");
    rig.away();
    let error = rig.fallback.check().await.unwrap_err();
    says_both(&error);
    rig.secondary.1.away(None);
    let warnings = rig.fallback.check().await.unwrap().warnings.join("; ");
    assert!(warnings.contains("stands in"), "{warnings}");
}

#[tokio::test]
async fn with_both_away_the_error_tells_of_both_and_can_pass() {
    let rig = Rig::new();
    rig.away();
    rig.secondary.1.away(Some(ErrorKind::Unavailable));
    let error = rig.fallback.try_acquire(&[request("1", 1)]).await.unwrap_err();
    says_both(&error);
    assert!(error.is_retryable());
}

#[track_caller]
fn says_both(error: &Error) {
    let text = error.to_string();
    assert!(
        text.matches("broken on purpose").count() == 2 && text.contains("stands in for is away"),
        "{text}"
    );
}

/// A fault of the configuration is for a person to mend.
#[tokio::test]
async fn a_start_falls_back_from_what_passes_and_from_nothing_else() {
    let rig = Rig::new();
    assert_eq!(rig.fallback.start().await.unwrap(), Using::Primary);
    rig.primary.1.away(Some(ErrorKind::Unfit));
    assert_eq!(rig.fallback.start().await.unwrap_err().kind(), ErrorKind::Unfit);
    rig.away();
    assert_eq!(rig.fallback.start().await.unwrap(), Using::Secondary);
    rig.secondary.1.away(Some(ErrorKind::Unavailable));
    says_both(&rig.another().start().await.unwrap_err());
}

#[test]
fn a_secondary_that_is_not_shared_as_the_ledger_is_refused() {
    let memory = || Arc::new(MemoryBackend::new());
    for ledger in [Shared::Fleet, Shared::Host] {
        let error = Fallback::builder(memory(), memory()).ledger_shared_by(ledger).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unfit);
        let text = error.to_string();
        assert!(
            text.contains("within one process") && text.contains("BIDLOCK_ALLOW_MEMORY_FALLBACK"),
            "{text}"
        );
    }
    Fallback::builder(memory(), memory()).allow_unshared(true).build().unwrap();
}

/// A file is as shared as a ledger in a file, and less than one in a server.
#[cfg(feature = "sqlite")]
#[test]
fn a_lock_file_stands_in_beside_a_ledger_in_a_file_and_not_beside_one_in_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = || {
        let path = folder.path().join("locks.db");
        Arc::new(bidlock::backends::sqlite::SqliteBackend::open(path).unwrap())
    };
    let primary = || Arc::new(MemoryBackend::new());
    Fallback::builder(primary(), file()).ledger_shared_by(Shared::Host).build().unwrap();
    let error = Fallback::builder(primary(), file()).build().unwrap_err();
    assert!(error.to_string().contains("within one host"), "{error}");
}

/// The suite in the primary, and in what stands in for it but for what asks about grants that are nobody's or have been
/// released: only the primary could tell that they are not its own.
mod in_the_primary {
    use super::*;

    bidlock::conformance_suite!(suite(None));
}

mod in_the_secondary {
    use super::*;

    bidlock::conformance_suite!(@of_whoever_holds suite(Some(ErrorKind::Unavailable)));
}

/// Instances on the same two engines, each with a fall-back of its own.
fn suite(primary_is: Option<ErrorKind>) -> bidlock::conformance::Fixture {
    let primary = Chaos::calm(Arc::new(MemoryBackend::new()));
    primary.away(primary_is);
    let secondary = MemoryBackend::new();
    bidlock::conformance::Fixture::new(move || {
        let builder = Fallback::builder(Arc::new(primary.clone()), Arc::new(secondary.clone()));
        Arc::new(builder.allow_unshared(true).build().unwrap())
    })
}

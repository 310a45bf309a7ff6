//! Asking again.

use bidlock::layers::chaos::Mishap;
use bidlock::layers::retry::Retry;
use bidlock::{Actor, Effect, ErrorKind, LockManager, Released};

use super::*;

fn chaotic() -> (MemoryBackend, Chaos) {
    engine(&Arc::new(ManualClock::new()))
}

#[tokio::test]
async fn the_lost_answer_to_an_acquisition_is_granted_again() {
    let (memory, chaos) = chaotic();
    chaos.next_goes([Mishap::AnswerLost]);
    let retry = Retry::new(Arc::new(chaos.clone()), 1);
    let grant = granted(&retry, "1", 1).await;
    assert_eq!(chaos.calls(), 2);
    // The engine made one grant, and it is this one.
    assert_eq!(memory.release(&[grant]).await.unwrap(), [Released::Released]);
    assert!(!is_held(&memory, "1").await);
}

#[tokio::test]
async fn only_passing_errors_are_asked_again_and_only_so_often() {
    for (kind, calls) in [
        (ErrorKind::Unavailable, 3),
        (ErrorKind::Busy, 3),
        (ErrorKind::Poisoned, 1),
        (ErrorKind::Unfit, 1),
        (ErrorKind::Corrupt, 1),
        (ErrorKind::Invalid, 1),
        (ErrorKind::Internal, 1),
    ] {
        let (_, chaos) = chaotic();
        chaos.away(Some(kind));
        let error = Retry::new(Arc::new(chaos.clone()), 2).try_acquire(&[request("1", 1)]).await.unwrap_err();
        assert_eq!((error.kind(), chaos.calls()), (kind, calls));
    }
}

/// Three tries in all, however many layers ask again: two such layers, and the manager's own asking for lost answers.
#[tokio::test]
async fn retries_do_not_multiply() {
    let (_, chaos) = chaotic();
    chaos.away(Some(ErrorKind::Unavailable));
    let inner = Arc::new(Retry::new(Arc::new(chaos.clone()), 2));
    let outer = Arc::new(Retry::new(inner.clone(), 2));
    let error = LockManager::new(outer).try_lock(&posting("1")).await.unwrap_err();
    assert!(error.was_retried() && error.is_retryable());
    assert_eq!(chaos.calls(), 3);

    let (memory, chaos) = chaotic();
    chaos.next_goes([Mishap::AnswerLost; 3]);
    let locks = LockManager::new(Arc::new(Retry::new(Arc::new(chaos.clone()), 2)));
    assert_eq!(locks.try_lock(&posting("1")).await.unwrap_err().effect(), Effect::Unknown);
    assert_eq!(chaos.calls(), 3);
    // What may have been granted is given back, and asked for once: nothing goes wrong any more.
    locks.shutdown().await.unwrap();
    assert!(!is_held(&memory, "1").await);
    assert_eq!(chaos.calls(), 4);
}

/// Else whoever waits for the engine finds its own locks held when it is back.
#[tokio::test]
async fn what_was_dropped_while_the_engine_is_away_is_released_when_it_is_back() {
    let (memory, chaos) = chaotic();
    let locks = LockManager::new(Arc::new(Retry::new(Arc::new(chaos.clone()), 2)));
    let lease = locks.try_lock(&posting("1")).await.unwrap().acquired().unwrap();
    chaos.away(Some(ErrorKind::Unavailable));
    drop(lease);
    // The first tries have failed.
    while chaos.calls() < 1 + 3 {
        tokio::task::yield_now().await;
    }
    chaos.away(None);
    locks.shutdown().await.unwrap();
    assert!(!is_held(&memory, "1").await);
}

/// An engine that lost an answer and then refuses may have applied the first try.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_may_have_been_applied() {
    let (memory, chaos) = chaotic();
    chaos.next_goes([Mishap::AnswerLost, Mishap::Refused(ErrorKind::Unavailable)]);
    let locks = LockManager::new(Arc::new(Retry::new(Arc::new(chaos), 1)));
    assert_eq!(locks.try_lock(&posting("1")).await.unwrap_err().effect(), Effect::Unknown);
    assert!(is_held(&memory, "1").await);
    locks.shutdown().await.unwrap();
    assert!(!is_held(&memory, "1").await);
}

/// The second time it might end the lease of somebody who came meanwhile.
#[tokio::test]
async fn a_forced_release_is_not_repeated_once_it_may_have_been_done() {
    let by = Actor::new("me", "test").unwrap();
    let (_, chaos) = chaotic();
    let retry = Retry::new(Arc::new(chaos.clone()), 5);
    chaos.next_goes([Mishap::AnswerLost]);
    retry.force_release(&posting("1"), &by).await.unwrap_err();
    assert_eq!(chaos.calls(), 1);
    chaos.next_goes([Mishap::Refused(ErrorKind::Busy)]);
    assert_eq!(retry.force_release(&posting("1"), &by).await.unwrap(), Released::Expired);
    assert_eq!(chaos.calls(), 3);
}

/// However many tries a setting permits.
#[tokio::test]
async fn tries_end_after_a_few_seconds() {
    let clock = Arc::new(ManualClock::new());
    let (_, chaos) = engine(&clock);
    chaos.away(Some(ErrorKind::Unavailable));
    let retry = Retry::with_clock(Arc::new(chaos.clone()), u32::MAX, clock.clone());
    let asking = tokio::spawn(async move { retry.try_acquire(&[request("1", 1)]).await });
    for _ in 0..60 {
        settle().await;
        clock.advance(Duration::from_millis(100));
    }
    settle().await;
    assert!(asking.is_finished(), "still asking after 6 s");
    assert!((4..30).contains(&chaos.calls()), "{}", chaos.calls());
}

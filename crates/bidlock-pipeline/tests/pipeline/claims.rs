//! Claims that expire under their claimants, answers that come late, ledgers that fail.

use std::{sync::Arc, time::Duration};

use bidlock::backends::memory::MemoryBackend;
use bidlock_ledger::{
    Action, Actor, Applied, BidState, Change, Effect, ErrorKind, Liveness, Move, UnknownCause,
};
use bidlock_market::LostCause;
use bidlock_pipeline::{ApprovalPolicy, DeferReason, Outcome, PipelineError, Scan, ScanOptions};
use futures::stream;

use crate::rig::{
    Rig, Scanner, SleptThrough, TTL,
    faulty::Faulty,
    market::{Step, accepted, duplicate, later, lost, refused},
    one, posting, soon,
};

/// A scanner whose locks exclude nobody else: what is left of a lock after its holder's pause.
fn with_own_locks(rig: &Rig, holder: &str) -> Scanner {
    rig.scanner(holder).locks(Arc::new(MemoryBackend::new()))
}

#[tokio::test]
async fn a_claimant_that_sleeps_past_its_claim_finds_the_door_shut() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    let (at_the_door, go) = faulty.hold_before(Action::EnterSubmitting);
    let sleeper = rig.scanner("sleeper").ledger(faulty).build();
    let sleeping = tokio::spawn(async move { one(&sleeper, "1").await });
    soon(at_the_door).await.unwrap();
    rig.time.advance(TTL);
    assert_eq!(one(&with_own_locks(&rig, "b").build(), "1").await.name(), "submitted");
    go.send(()).unwrap();
    let outcome = soon(sleeping).await.unwrap();
    assert_eq!(outcome.name(), "already_bid");
    assert_eq!(outcome.bid().unwrap().holder, "b");
    assert_eq!(rig.market.seen().len(), 1);
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create take_over enter_submitting accept");
}

#[tokio::test]
async fn a_claimant_that_wakes_first_but_late_may_not_send_either() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    let (at_the_door, go) = faulty.hold_before(Action::EnterSubmitting);
    let sleeper = rig.scanner("sleeper").ledger(faulty).build();
    let sleeping = tokio::spawn(async move { one(&sleeper, "1").await });
    soon(at_the_door).await.unwrap();
    rig.time.advance(TTL);
    go.send(()).unwrap();
    assert_eq!(soon(sleeping).await.unwrap().name(), "held_elsewhere", "to be tried again");
    assert!(rig.market.seen().is_empty());
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
    assert_eq!(rig.market.seen().len(), 1);
}

/// Asleep between the door and its request. Not having sent is proof, and frees the posting.
#[tokio::test]
async fn a_claimant_that_sleeps_behind_the_door_does_not_send() {
    for (approved, swept) in [(false, false), (false, true), (true, false), (true, true)] {
        let rig = Rig::new();
        let door = if approved { Action::TakeSending } else { Action::EnterSubmitting };
        if approved {
            one(&rig.scanner("asks").options(|o| o.approval = ApprovalPolicy::Always).build(), "1").await;
            let approve = Move::Approve { valid_for: TTL * 100 };
            let change = Change::new(rig.row("1").await.claim_ref(), Actor::operator("o"), approve);
            assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
        }
        let (faulty, own_time) = (Faulty::over(&rig.ledger), Arc::new(SleptThrough::default()));
        let (behind_the_door, wake) = faulty.hold_after(door);
        let sleeper = rig.scanner("sleeper").ledger(faulty).clock(own_time.clone()).build();
        let sleeping = tokio::spawn(async move { one(&sleeper, "1").await });
        soon(behind_the_door).await.unwrap();
        rig.time.advance(TTL);
        own_time.advance(TTL);
        if swept {
            assert_eq!(rig.ledger.sweep(10).await.unwrap().unknown, 1);
        }
        wake.send(()).unwrap();
        let outcome = soon(sleeping).await.unwrap();
        let told = format!("approved {approved}, swept {swept}: {outcome:?}");
        assert!(matches!(outcome, Outcome::Deferred(DeferReason::ClaimRanOut { .. })), "{told}");
        assert!(rig.market.seen().is_empty(), "{told}");
        let free = if approved { BidState::Approved } else { BidState::Abandoned };
        assert_eq!(rig.row("1").await.state, free, "{told}");
        assert_eq!(one(&with_own_locks(&rig, "b").build(), "1").await.name(), "submitted", "{told}");
        assert_eq!(rig.market.seen().len(), 1, "{told}");
    }
}

/// Its passage was recorded and the answer lost; when it asks again, the row stands at the door for another.
#[tokio::test]
async fn a_passage_that_is_over_lets_nobody_send() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    faulty.lose_replies(Action::EnterSubmitting, 1);
    let (asks_again, go) = faulty.hold_before_the_second(Action::EnterSubmitting);
    let late = rig.scanner("late").ledger(faulty).build();
    let late = tokio::spawn(async move { one(&late, "1").await });
    soon(asks_again).await.unwrap();
    // Whoever knows the claim may give the row back, and another takes it.
    let change = Change::new(rig.row("1").await.claim_ref(), Actor::operator("o"), Move::HandBack);
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
    let release = rig.market.hold("1", Step::Say(accepted()));
    let other = with_own_locks(&rig, "other").build();
    let other = tokio::spawn(async move { one(&other, "1").await });
    rig.market.wait_for(1).await;
    assert_eq!(rig.row("1").await.state, BidState::Submitting);
    go.send(()).unwrap();
    assert_eq!(soon(late).await.unwrap().name(), "held_elsewhere");
    drop(release);
    assert_eq!(soon(other).await.unwrap().name(), "submitted");
    assert_eq!(rig.market.seen().len(), 1);
}

/// Sends posting 1, and sweeps while the request is under way; then the marketplace does `step`.
async fn answered_after_the_sweep(rig: &Rig, step: Step) -> Outcome {
    let release = rig.market.hold("1", step);
    let pipeline = rig.pipeline("a");
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    rig.time.advance(TTL);
    assert_eq!(rig.ledger.sweep(10).await.unwrap().unknown, 1);
    let row = rig.row("1").await;
    assert_eq!((row.state, row.unknown_cause), (BidState::Unknown, Some(UnknownCause::ClaimantSilent)));
    // Nobody sends it meanwhile.
    assert_eq!(one(&with_own_locks(rig, "b").build(), "1").await.name(), "already_bid");
    drop(release);
    soon(sending).await.unwrap()
}

#[tokio::test]
async fn a_late_answer_by_the_same_claimant_settles_what_the_sweeper_marked() {
    for (step, state, name, story) in [
        (Step::Say(accepted()), BidState::Submitted, "submitted", "accept"),
        (Step::Say(refused()), BidState::Rejected, "refused", "refuse"),
        // Proof that nothing was accepted frees the posting, at once or after the pause.
        (Step::Say(later(TTL * 60)), BidState::Abandoned, "deferred", "hand_back"),
        (Step::Say(later(Duration::from_millis(5))), BidState::Abandoned, "deferred", "hand_back"),
        (Step::Say(crate::rig::market::stop()), BidState::Abandoned, "deferred", "hand_back"),
    ] {
        let rig = Rig::new();
        let told = format!("{step:?}");
        assert_eq!(answered_after_the_sweep(&rig, step).await.name(), name, "{told}");
        let row = rig.row("1").await;
        assert_eq!(row.state, state, "{told}");
        assert_eq!(rig.story(&row).await, format!("create enter_submitting sweep_submitting {story}"));
        assert_eq!(rig.market.seen().len(), 1, "{told}");
    }
}

#[tokio::test]
async fn a_late_loss_leaves_the_sweepers_cause() {
    let rig = Rig::new();
    let outcome = answered_after_the_sweep(&rig, Step::AcceptBut(lost(LostCause::Timeout))).await;
    assert_eq!(outcome.name(), "unknown");
    let row = rig.row("1").await;
    assert_eq!((row.state, row.unknown_cause), (BidState::Unknown, Some(UnknownCause::ClaimantSilent)));
    rig.reconciler().run().await.unwrap();
    assert_eq!(rig.row("1").await.state, BidState::Submitted);
}

#[tokio::test]
async fn a_late_yes_reopens_what_a_person_had_settled_as_not_submitted() {
    let rig = Rig::new();
    let release = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.pipeline("a");
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    rig.time.advance(TTL);
    rig.ledger.sweep(10).await.unwrap();
    let action = Move::ResolveNotSubmitted { allow_new_bid: false };
    let change = Change::new(rig.row("1").await.claim_ref(), Actor::operator("o"), action).because("mail");
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
    assert_eq!(one(&with_own_locks(&rig, "b").build(), "1").await.name(), "already_bid", "still used");
    drop(release);
    assert_eq!(soon(sending).await.unwrap().name(), "submitted");
    assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (BidState::Submitted, 1));
}

#[tokio::test]
async fn the_lost_reply_of_a_commit_at_the_door_is_resolved_by_its_nonce() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    faulty.lose_replies(Action::EnterSubmitting, 1);
    let pipeline = rig.scanner("a").ledger(faulty.clone()).build();
    assert_eq!(one(&pipeline, "1").await.name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!((row.attempts, rig.market.seen().len()), (1, 1), "one passage, one request");
    assert_eq!(rig.story(&row).await, "create enter_submitting accept");
    assert_eq!(faulty.failures.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_the_nonce_a_lost_reply_at_the_door_is_a_second_passage() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    faulty.forget_nonces();
    faulty.lose_replies(Action::EnterSubmitting, 1);
    one(&rig.scanner("a").ledger(faulty).build(), "1").await;
    assert_eq!(rig.row("1").await.attempts, 2, "the mechanism that the test above rests on");
}

#[tokio::test]
async fn lost_replies_to_answers_are_asked_again_and_recorded_once() {
    for (action, step, name, story) in [
        (Action::Accept, Step::Say(accepted()), "submitted", "accept"),
        (Action::Refuse, Step::Say(refused()), "refused", "refuse"),
        (Action::LoseAnswer, Step::Say(lost(LostCause::Timeout)), "unknown", "lose_answer"),
        (Action::HandBack, Step::Say(later(TTL * 60)), "deferred", "hand_back"),
    ] {
        let rig = Rig::new();
        let faulty = Faulty::over(&rig.ledger);
        faulty.lose_replies(action, 1);
        rig.market.next("1", step);
        assert_eq!(one(&rig.scanner("a").ledger(faulty).build(), "1").await.name(), name);
        let row = rig.row("1").await;
        assert_eq!(rig.story(&row).await, format!("create enter_submitting {story}"));
        assert_eq!(rig.market.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_lost_reply_to_a_claim_sends_nothing_until_the_claim_has_expired() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    faulty.lose_claims(1);
    let pipeline = rig.scanner("a").ledger(faulty).build();
    let Err(PipelineError::Ledger(error)) = pipeline.process(posting("1")).await else { panic!() };
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(one(&pipeline, "1").await.name(), "held_elsewhere", "by the claim that nobody knows");
    assert!(rig.market.seen().is_empty());
    rig.time.advance(TTL);
    assert_eq!(one(&pipeline, "1").await.name(), "submitted");
    assert_eq!((rig.row("1").await.epoch.0, rig.market.seen().len()), (2, 1));
}

#[tokio::test]
async fn while_the_ledger_is_away_nothing_is_sent_and_the_scan_goes_on_when_it_is_back() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    let pipeline = rig.scanner("a").ledger(faulty.clone()).build();
    faulty.go_away(4);
    let mut scan = Scan::new(pipeline, ScanOptions::default());
    let mut seen_at_first_answer = None;
    let sightings = stream::iter(["1", "2", "3"].map(posting));
    let summary = soon(scan.run(sightings, |_, _| {
        let failures = faulty.failures.load(std::sync::atomic::Ordering::SeqCst);
        seen_at_first_answer.get_or_insert(failures);
    }))
    .await
    .unwrap();
    assert_eq!((summary.of("submitted"), summary.sightings), (3, 3));
    assert_eq!(seen_at_first_answer, Some(4), "no answer before the ledger was back");
    assert_eq!(rig.market.seen().len(), 3);
}

#[tokio::test]
async fn a_ledger_that_stays_away_beyond_the_patience_is_an_error() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    let pipeline = rig.scanner("a").ledger(faulty.clone()).build();
    faulty.go_away(usize::MAX);
    let options = ScanOptions { patience: Duration::from_millis(120), ..ScanOptions::default() };
    let mut scan = Scan::new(pipeline, options);
    let error = soon(scan.run(stream::iter([posting("1")]), |p, o| panic!("{p:?} {o:?}"))).await.unwrap_err();
    assert!(matches!(&error, PipelineError::Ledger(e) if e.is_retryable()), "{error:?}");
    assert!(rig.market.seen().is_empty());
    faulty.come_back();
    assert!(rig.rows("1").await.is_empty());
}

/// A newer bidlock has migrated the ledger between two rounds.
#[tokio::test]
async fn a_ledger_that_is_for_newer_versions_by_now_ends_the_scan() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    let pipeline = rig.scanner("a").ledger(faulty.clone()).build();
    let mut round = Scan::new(pipeline.clone(), ScanOptions::default());
    round.run(stream::iter([posting("1")]), |_, _| {}).await.unwrap();
    faulty.leave_to_newer();
    let mut round = Scan::new(pipeline, ScanOptions::default());
    for error in [
        round.send_approved(|p, o| panic!("{p:?} {o:?}")).await.unwrap_err(),
        round.run(stream::iter([posting("2")]), |p, o| panic!("{p:?} {o:?}")).await.unwrap_err(),
    ] {
        let newer = matches!(&error, PipelineError::Ledger(e) if e.kind() == ErrorKind::SchemaNewer);
        assert!(newer, "{error:?}");
    }
    assert_eq!((rig.market.seen().len(), rig.rows("2").await.len()), (1, 0));
}

#[tokio::test]
async fn an_answer_is_recorded_when_the_ledger_comes_back() {
    let rig = Rig::new();
    let faulty = Faulty::over(&rig.ledger);
    let release = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.scanner("a").ledger(faulty.clone()).build();
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    faulty.go_away(2);
    drop(release);
    assert_eq!(soon(sending).await.unwrap().name(), "submitted");
    assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (BidState::Submitted, 1));
}

/// The ledger goes away while the request is under way, and stays away for longer than anybody waits with the answer.
#[tokio::test]
async fn who_has_sent_and_can_not_record_it_calls_the_outcome_unknown_and_never_held_elsewhere() {
    for (step, settled, said) in [
        (Step::Say(accepted()), BidState::Submitted, "accepted it as x1"),
        (Step::Say(refused()), BidState::Unknown, "refused it"),
        (Step::AcceptBut(lost(LostCause::Timeout)), BidState::Submitted, "answer was lost"),
        (Step::Say(later(TTL * 60)), BidState::Unknown, "nothing was accepted"),
    ] {
        let rig = Rig::new();
        let told = format!("{step:?}");
        let (faulty, own_time) = (Faulty::over(&rig.ledger), Arc::new(SleptThrough::default()));
        let release = rig.market.hold("1", step);
        let pipeline = rig.scanner("a").ledger(faulty.clone()).clock(own_time.clone()).build();
        let scanning = tokio::spawn(async move {
            let (mut scan, mut answers) = (Scan::new(pipeline, ScanOptions::default()), Vec::new());
            let sightings = stream::iter([posting("1")]);
            let ended = scan.run(sightings, |_, outcome| answers.push(outcome.clone())).await;
            (ended.map(drop), answers)
        });
        rig.market.wait_for(1).await;
        faulty.go_away(usize::MAX);
        drop(release);
        while faulty.failures.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        own_time.advance(Duration::from_secs(30));
        let (ended, answers) = soon(scanning).await.unwrap();
        ended.unwrap();
        let [Outcome::Unknown { bid, cause: UnknownCause::ClaimantSilent, detail }] = &answers[..] else {
            panic!("{told}: {answers:?}")
        };
        assert!(detail.contains(said) && detail.contains("the ledger is away"), "{told}: {detail}");
        // The row is as it was at the door, until the sweeper and a look-up settle it. Nothing is sent again.
        faulty.come_back();
        let row = rig.row("1").await;
        assert_eq!((row.id, row.state), (bid.id, BidState::Submitting), "{told}");
        rig.time.advance(TTL);
        assert_eq!(rig.ledger.sweep(10).await.unwrap().unknown, 1, "{told}");
        rig.reconciler().run().await.unwrap();
        assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (settled, 1), "{told}");
    }
}

#[tokio::test]
async fn a_look_up_after_a_409_that_can_not_be_recorded_leaves_the_outcome_unknown() {
    let rig = Rig::new();
    let (faulty, own_time) = (Faulty::over(&rig.ledger), Arc::new(SleptThrough::default()));
    rig.market.next("1", Step::AcceptBut(duplicate()));
    let (at_the_record, go) = faulty.hold_after(Action::LoseAnswer);
    let pipeline = rig.scanner("a").ledger(faulty.clone()).clock(own_time.clone()).build();
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    soon(at_the_record).await.unwrap();
    faulty.go_away(usize::MAX);
    go.send(()).unwrap();
    while faulty.failures.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    own_time.advance(Duration::from_secs(30));
    let outcome = soon(sending).await.unwrap();
    assert!(matches!(outcome, Outcome::Unknown { cause: UnknownCause::Duplicate, .. }), "{outcome:?}");
    rig.reconciler().run().await.unwrap();
    assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (BidState::Submitted, 1));
}

/// Its passage was recorded, the answer lost, and the claim over before the ledger answered again: it has not sent, and
/// gives the posting back instead of leaving it to become unknown.
#[tokio::test]
async fn a_passage_that_ran_out_before_its_answer_came_is_given_back() {
    // By the ledger's clock alone, too: it is the one that lets others follow.
    for (swept, by_own_clock) in [(false, true), (true, true), (false, false)] {
        let rig = Rig::new();
        let (faulty, own_time) = (Faulty::over(&rig.ledger), Arc::new(SleptThrough::default()));
        faulty.lose_replies(Action::EnterSubmitting, 1);
        let (asks_again, go) = faulty.hold_before_the_second(Action::EnterSubmitting);
        let late = rig.scanner("late").ledger(faulty).clock(own_time.clone()).build();
        let late = tokio::spawn(async move { one(&late, "1").await });
        soon(asks_again).await.unwrap();
        rig.time.advance(TTL);
        if by_own_clock {
            own_time.advance(TTL);
        }
        if swept {
            assert_eq!(rig.ledger.sweep(10).await.unwrap().unknown, 1);
        }
        go.send(()).unwrap();
        let outcome = soon(late).await.unwrap();
        assert!(
            matches!(outcome, Outcome::Deferred(DeferReason::ClaimRanOut { .. })),
            "{swept}: {outcome:?}"
        );
        assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (BidState::Abandoned, 0), "{swept}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_request_without_its_record() {
    let rig = Rig::new();
    let release = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.pipeline("a");
    let caller = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { one(&pipeline, "1").await }
    });
    rig.market.wait_for(1).await;
    caller.abort();
    assert!(soon(caller).await.unwrap_err().is_cancelled());
    drop(release);
    let settled = async {
        while matches!(rig.row("1").await.state, BidState::Submitting | BidState::Claimed) {
            tokio::task::yield_now().await;
        }
    };
    soon(settled).await;
    assert_eq!(rig.row("1").await.state, BidState::Submitted);
}

#[tokio::test]
async fn a_claim_names_the_process_whose_death_can_be_proven() {
    let rig = Rig::new();
    one(&rig.pipeline("a"), "1").await;
    let claimant = rig.row("1").await.claimant;
    assert!(claimant.instance.is_some());
    assert_eq!(rig.ledger.liveness(&claimant).await.unwrap(), Liveness::Alive);
}

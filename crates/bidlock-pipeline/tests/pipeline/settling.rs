//! Settling what is unknown by looking it up.

use std::sync::Arc;

use bidlock_ledger::{Action, Actor, Applied, BidState, Change, Move, store::MAX_PAGE};
use bidlock_market::{LookUpError, LostCause, Marketplace};
use bidlock_pipeline::{Outcome, PipelineError, ReconcileReport, Reconciler};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::rig::{
    Rig, TTL, claim_of,
    market::{Market, Step, accepted, duplicate, lost, refused, remote},
    one, posting, posting_on,
};

#[tokio::test]
async fn a_positive_look_up_settles() {
    let rig = Rig::unknown(true).await;
    let report = rig.reconciler().run().await.unwrap();
    assert_eq!((report.settled, report.open, report.failed), (1, 0, 0));
    assert_eq!((report.bids[0].bid.state, report.bids[0].now), (BidState::Unknown, BidState::Submitted));
    let row = rig.row("1").await;
    assert_eq!(row.external_ref.as_deref(), Some("x1"));
    assert_eq!(rig.story(&row).await, "create enter_submitting lose_answer find");
    assert_eq!(rig.market.seen().len(), 1, "a look-up is no sending");
    assert!(rig.reconciler().run().await.unwrap().bids.is_empty());
}

#[tokio::test]
async fn a_negative_look_up_is_no_proof_and_a_stale_one_is_followed_by_the_truth() {
    let rig = Rig::unknown(false).await;
    for _ in 0..3 {
        let report = rig.reconciler().run().await.unwrap();
        assert_eq!((report.settled, report.open), (0, 1));
    }
    assert_eq!(rig.row("1").await.state, BidState::Unknown);
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
    assert_eq!(rig.market.seen().len(), 1);

    let rig = Rig::unknown(true).await;
    rig.market.next_look_up(Ok(Vec::new()));
    assert_eq!(rig.reconciler().run().await.unwrap().open, 1);
    assert_eq!(rig.row("1").await.state, BidState::Unknown);
    assert_eq!(rig.reconciler().run().await.unwrap().settled, 1);
}

#[tokio::test]
async fn a_look_up_that_fails_is_told_and_stops_nothing() {
    let rig = Rig::unknown(true).await;
    rig.market.next("2", Step::AcceptBut(lost(LostCause::Timeout)));
    one(&rig.pipeline("a"), "2").await;
    let failed = LookUpError::Unreachable { via: "scripted".to_owned(), detail: "down".to_owned() };
    rig.market.next_look_up(Err(failed));
    let report = rig.reconciler().run().await.unwrap();
    assert_eq!((report.settled, report.open, report.failed), (1, 1, 1));
    assert!(report.bids[0].note.contains("down"), "{}", report.bids[0].note);
}

#[tokio::test]
async fn a_dry_run_tells_and_records_nothing() {
    let rig = Rig::unknown(true).await;
    let report = rig.reconciler().dry_run(true).run().await.unwrap();
    assert_eq!((report.settled, report.open), (0, 1));
    assert!(report.bids[0].note.contains("found as x1"), "{}", report.bids[0].note);
    assert_eq!(rig.row("1").await.state, BidState::Unknown);
}

#[tokio::test]
async fn it_sweeps_first_so_that_a_vanished_claimant_is_looked_up_too() {
    let rig = Rig::new();
    let _never = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.pipeline("a");
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    rig.time.advance(crate::rig::TTL);
    let row = rig.row("1").await;
    rig.market.has(&row.posting, remote("r", Some(row.idempotency_key.to_string())));
    assert_eq!(rig.reconciler().run().await.unwrap().settled, 1);
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create enter_submitting sweep_submitting find");
    sending.abort();
}

#[tokio::test]
async fn more_claims_of_vanished_processes_than_one_sweep_takes_are_all_swept() {
    let rig = Rig::new();
    let many = MAX_PAGE as usize + 1;
    let claims: Vec<_> = (0..many).map(|n| claim_of(&n.to_string(), "gone")).collect();
    rig.ledger.claim(&claims).await.unwrap();
    rig.time.advance(TTL);
    rig.reconciler().run().await.unwrap();
    assert_eq!((rig.count(BidState::Claimed).await, rig.count(BidState::Abandoned).await), (0, many as u64));
}

#[tokio::test]
async fn what_the_client_decided_meanwhile_is_recorded_in_the_same_run() {
    for (word, state) in [("won", BidState::Won), ("lost", BidState::Lost), ("odd", BidState::Submitted)] {
        let rig = Rig::unknown(true).await;
        rig.market.set_status("x1", word);
        let report = rig.reconciler().run().await.unwrap();
        assert_eq!((report.bids[0].now, rig.row("1").await.state), (state, state), "{word}");
    }
}

#[tokio::test]
async fn a_wrong_not_submitted_is_reopened_with_an_alarm() {
    let rig = Rig::unknown(true).await;
    let action = Move::ResolveNotSubmitted { allow_new_bid: false };
    let at = rig.row("1").await.claim_ref();
    let change = Change::new(at, Actor::operator("o"), action).because("their support says so");
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
    let report = rig.reconciler().run().await.unwrap();
    assert_eq!(report.bids[0].now, BidState::Submitted);
    assert!(report.bids[0].alarm.as_ref().unwrap().contains("reopened"));
}

#[tokio::test]
async fn a_marketplace_that_cannot_be_asked_leaves_it_to_a_person() {
    let rig = Rig::unknown(true).await;
    let ledger = rig.ledger.clone();
    let unreachable = || Box::new(|via: &str| Err(format!("no {via} here")));
    let report = bidlock_pipeline::Reconciler::new(ledger.clone(), unreachable(), "r").run().await.unwrap();
    assert_eq!((report.open, report.failed), (1, 1));
    assert!(report.bids[0].note.contains("no scripted here"));
    let mut mute = Market::default();
    mute.capabilities.looks_up = false;
    let mute = Arc::new(mute);
    let connect = Box::new(move |_: &str| Ok(mute.clone() as Arc<dyn bidlock_market::Marketplace>));
    let report = bidlock_pipeline::Reconciler::new(ledger, connect, "r").run().await.unwrap();
    assert_eq!((report.open, report.failed), (1, 0));
    assert!(report.bids[0].note.contains("can't be asked"), "{}", report.bids[0].note);
}

/// Found by the simulation: it ended the scan.
#[tokio::test]
async fn a_late_no_agrees_with_a_person_who_said_that_nothing_was_submitted() {
    let rig = Rig::new();
    let release = rig.market.hold("1", Step::Say(refused()));
    let pipeline = rig.pipeline("sleeper");
    let sender = tokio::spawn(async move { pipeline.process(posting("1")).await });
    rig.market.wait_for(1).await;
    rig.time.advance(TTL * 2);
    rig.ledger.sweep(10).await.unwrap();
    let bid = rig.row("1").await;
    assert_eq!(bid.state, BidState::Unknown);
    let word = Move::ResolveNotSubmitted { allow_new_bid: false };
    let change = Change::new(bid.claim_ref(), Actor::operator("o"), word).because("it is not there");
    rig.ledger.apply(&[change]).await.unwrap();
    drop(release);
    let outcome = crate::rig::soon(sender).await.unwrap().unwrap();
    assert_eq!(outcome.name(), "refused", "{outcome:?}");
    assert_eq!(rig.row("1").await.state, BidState::NotSubmitted);
}

/// Posting 1: the first bid was lost and settled as not submitted with a new bid allowed, and the second is lost
/// too. The marketplace has accepted what is said.
async fn two_lost(first_accepted: bool, second_accepted: bool) -> Rig {
    let rig = Rig::unknown(first_accepted).await;
    allow_new_bid(&rig).await;
    let answer = lost(LostCause::ConnectionLost);
    rig.market.next("1", if second_accepted { Step::AcceptBut(answer) } else { Step::Say(answer) });
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "unknown");
    rig
}

async fn allow_new_bid(rig: &Rig) {
    let action = Move::ResolveNotSubmitted { allow_new_bid: true };
    let at = rig.rows("1").await.pop().unwrap().claim_ref();
    let change = Change::new(at, Actor::operator("o"), action).because("their support says so");
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
}

async fn states_and_names(rig: &Rig) -> Vec<(BidState, Option<String>)> {
    rig.rows("1").await.into_iter().map(|row| (row.state, row.external_ref)).collect()
}

#[tokio::test]
async fn one_bid_under_the_key_of_two_rows_is_the_later_ones() {
    let rig = two_lost(false, true).await;
    for _ in 0..2 {
        rig.reconciler().run().await.unwrap();
        let now = [(BidState::NotSubmitted, None), (BidState::Submitted, Some("x1".to_owned()))];
        assert_eq!(states_and_names(&rig).await, now);
    }
}

#[tokio::test]
async fn two_bids_under_the_key_of_two_rows_are_one_each_and_a_duplicate() {
    let rig = two_lost(true, true).await;
    let report = rig.reconciler().run().await.unwrap();
    assert!(report.bids[0].alarm.as_ref().unwrap().contains("duplicate"), "{report:?}");
    let mut names: Vec<_> =
        states_and_names(&rig).await.into_iter().map(|(state, name)| (name, state)).collect();
    names.sort();
    let there = |name: &str| (Some(name.to_owned()), BidState::Submitted);
    assert_eq!(names, [there("x1"), there("x2")]);
}

#[tokio::test]
async fn a_bid_dated_clearly_before_the_later_sending_is_the_earlier_ones() {
    let rig = two_lost(false, false).await;
    let rows = rig.rows("1").await;
    let sent = jiff::Timestamp::from_millisecond(rows[1].first_sent_at.unwrap().0).unwrap();
    let mut old = remote("old", Some(rows[0].idempotency_key.to_string()));
    old.created_at = sent.checked_sub(jiff::SignedDuration::from_mins(1)).ok();
    rig.market.next_look_up(Ok(vec![old.clone()]));
    rig.market.next_look_up(Ok(Vec::new()));
    rig.reconciler().run().await.unwrap();
    assert_eq!(rig.rows("1").await[0].state, BidState::NotSubmitted, "clocks differ by a minute");
    old.created_at = sent.checked_sub(jiff::SignedDuration::from_mins(10)).ok();
    rig.market.has(&rows[0].posting, old);
    let report = rig.reconciler().run().await.unwrap();
    assert!(report.bids[0].alarm.is_some(), "{report:?}");
    let now = [(BidState::Submitted, Some("old".to_owned())), (BidState::Unknown, None)];
    assert_eq!(states_and_names(&rig).await, now);
}

#[tokio::test]
async fn what_is_found_while_a_later_bid_is_being_sent_reopens_nothing() {
    let rig = Rig::unknown(false).await;
    allow_new_bid(&rig).await;
    let go = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.pipeline("b");
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(2).await;
    let row = rig.rows("1").await.remove(0);
    // The marketplace has it already, and its answer is still under way.
    rig.market.next_look_up(Ok(vec![remote("x1", Some(row.idempotency_key.to_string()))]));
    let report = rig.reconciler().run().await.unwrap();
    assert!(report.bids[0].note.contains("being sent"), "{report:?}");
    assert_eq!(rig.rows("1").await[0].state, BidState::NotSubmitted);
    go.send(()).unwrap();
    assert_eq!(crate::rig::soon(sending).await.unwrap().name(), "submitted");
    rig.reconciler().run().await.unwrap();
    let now = [(BidState::NotSubmitted, None), (BidState::Submitted, Some("x1".to_owned()))];
    assert_eq!(states_and_names(&rig).await, now);
}

/// A person's own bid, made between two sendings of which the first came back, is not taken for the second.
#[tokio::test]
async fn a_look_up_by_time_goes_by_the_last_sending() {
    let rig = Rig::new();
    rig.market.say("1", crate::rig::market::later(std::time::Duration::from_secs(3_600)));
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "deferred");
    rig.time.advance(std::time::Duration::from_secs(36_000));
    rig.market.say("1", lost(LostCause::Timeout));
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "unknown");
    let row = rig.row("1").await;
    let at =
        |time: Option<bidlock_ledger::WallTime>| jiff::Timestamp::from_millisecond(time.unwrap().0).unwrap();
    let mut human = remote("human", None);
    human.created_at = at(row.first_sent_at).checked_add(jiff::SignedDuration::from_hours(5)).ok();
    let mut ours = remote("ours", None);
    ours.created_at = Some(at(row.last_sent_at));
    rig.market.next_look_up(Ok(vec![human.clone()]));
    assert_eq!(rig.reconciler().run().await.unwrap().open, 1);
    rig.market.next_look_up(Ok(vec![human, ours]));
    assert_eq!(rig.reconciler().run().await.unwrap().settled, 1);
    assert_eq!(rig.row("1").await.external_ref.as_deref(), Some("ours"));
}

/// Rows elsewhere say nothing of this posting's bids, whatever they are called by.
#[tokio::test]
async fn the_names_of_other_postings_bids_are_free_for_this_one() {
    for (marketplace, posting) in [("m", "2"), ("elsewhere", "1")] {
        let rig = Rig::unknown(false).await;
        let row = rig.row_on("m", "1").await;
        // The first bid that is accepted is called x1.
        let pipeline = rig.pipeline("b");
        assert_eq!(pipeline.process(posting_on(marketplace, posting)).await.unwrap().name(), "submitted");
        assert_eq!(rig.row_on(marketplace, posting).await.external_ref.as_deref(), Some("x1"));
        rig.market.has(&row.posting, remote("x1", Some(row.idempotency_key.to_string())));
        rig.reconciler().run().await.unwrap();
        let row = rig.row_on("m", "1").await;
        assert_eq!(
            (row.state, row.external_ref.as_deref()),
            (BidState::Submitted, Some("x1")),
            "{marketplace}/{posting}"
        );
    }
}

/// A reconciler that has looked a bid up, and not yet recorded what it found; and what lets it go on.
async fn before_its_find(
    rig: &Rig,
) -> (JoinHandle<Result<ReconcileReport, PipelineError>>, oneshot::Sender<()>) {
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(Action::Find);
    let market: Arc<dyn Marketplace> = rig.market.clone();
    let slow = Reconciler::new(faulty, Box::new(move |_| Ok(market.clone())), "slow");
    let slow = tokio::spawn(async move { slow.run().await });
    crate::rig::soon(reached).await.unwrap();
    (slow, go)
}

#[tokio::test]
async fn what_another_reconciler_has_found_meanwhile_is_settled_without_an_alarm() {
    let rig = Rig::unknown(true).await;
    let (slow, go) = before_its_find(&rig).await;
    assert_eq!(rig.reconciler().run().await.unwrap().settled, 1);
    go.send(()).unwrap();
    let report = crate::rig::soon(slow).await.unwrap().unwrap();
    assert_eq!((report.settled, report.open, report.failed), (1, 0, 0), "{report:?}");
    assert!(report.bids[0].now == BidState::Submitted && report.bids[0].alarm.is_none(), "{report:?}");
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create enter_submitting lose_answer find", "once");
}

/// The name that was looked up is another row's by the time it is recorded.
#[tokio::test]
async fn what_became_another_rows_meanwhile_is_found_for_nobody_and_says_so() {
    let mut rig = Rig::new();
    rig.market = Arc::new(Market::that_honours_keys());
    rig.market.next("1", Step::AcceptBut(lost(LostCause::ConnectionLost)));
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "unknown");
    let (slow, go) = before_its_find(&rig).await;
    allow_new_bid(&rig).await;
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
    go.send(()).unwrap();
    let report = crate::rig::soon(slow).await.unwrap().unwrap();
    assert_eq!((report.settled, report.open), (0, 1), "{report:?}");
    assert!(report.bids[0].note.contains("another bid on the posting"), "{report:?}");
    let now = [(BidState::NotSubmitted, None), (BidState::Submitted, Some("x1".to_owned()))];
    assert_eq!(states_and_names(&rig).await, now);
}

/// A scanner that was told of a duplicate, has looked it up, and not yet recorded what it found; and what lets it go on.
async fn before_its_own_find(rig: &Rig) -> (JoinHandle<Result<Outcome, PipelineError>>, oneshot::Sender<()>) {
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(Action::Find);
    let pipeline = rig.scanner("slow").ledger(faulty).build();
    let sending = tokio::spawn(async move { pipeline.process(posting("1")).await });
    crate::rig::soon(reached).await.unwrap();
    (sending, go)
}

#[tokio::test]
async fn what_a_reconciler_has_found_before_the_scanner_that_was_told_of_a_duplicate_is_submitted() {
    let rig = Rig::new();
    rig.market.next("1", Step::AcceptBut(duplicate()));
    let (sending, go) = before_its_own_find(&rig).await;
    assert_eq!(rig.reconciler().run().await.unwrap().settled, 1);
    go.send(()).unwrap();
    assert_eq!(crate::rig::soon(sending).await.unwrap().unwrap().name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create enter_submitting lose_answer find", "once");
}

/// The earlier bid's request has arrived after all: a person names it while the later bid is told of a duplicate.
#[tokio::test]
async fn what_became_the_earlier_rows_meanwhile_is_not_the_one_that_was_told_of_a_duplicate() {
    let rig = Rig::unknown(false).await;
    allow_new_bid(&rig).await;
    let earlier = rig.row("1").await;
    rig.market.next("1", Step::Say(duplicate()));
    let found = remote("x1", Some(earlier.idempotency_key.to_string()));
    rig.market.next_look_up(Ok(vec![found]));
    let (sending, go) = before_its_own_find(&rig).await;
    let action = Move::ResolveSubmitted { external_ref: Some("x1".to_owned()) };
    let word = Change::new(earlier.claim_ref(), Actor::operator("o"), action).because("it shows there");
    assert!(matches!(rig.ledger.apply(&[word]).await.unwrap()[0], Applied::Moved { .. }));
    go.send(()).unwrap();
    assert_eq!(crate::rig::soon(sending).await.unwrap().unwrap().name(), "unknown");
    let now = [(BidState::Submitted, Some("x1".to_owned())), (BidState::Unknown, None)];
    assert_eq!(states_and_names(&rig).await, now);
}

/// A ledger that refuses for good is no outage that a later look-up outlasts: the scan must end with it.
#[tokio::test]
async fn a_duplicate_whose_finding_the_ledger_refuses_for_good_ends_the_scan() {
    let rig = Rig::new();
    rig.market.next("1", Step::AcceptBut(duplicate()));
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    faulty.break_at(Action::Find);
    let error = rig.scanner("a").ledger(faulty).build().process(posting("1")).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(rig.row("1").await.state, BidState::Unknown);
}

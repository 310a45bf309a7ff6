//! What each answer of the marketplace does: to the row, to the outcome, to the history, to further sending.

use std::time::Duration;

use bidlock_ledger::{BidState, UnknownCause};
use bidlock_market::{LookUpError, LostCause};
use bidlock_pipeline::{DeferReason, Outcome, Stop};

use crate::rig::{
    Rig, TTL, batch,
    market::{Step, accepted, duplicate, later, lost, not_here, not_sent, refused, stop},
    one, posting, usd,
};

const SENT: &str = "create enter_submitting";

#[tokio::test]
async fn accepted_is_submitted_and_the_marketplace_saw_the_frozen_payload_once() {
    let rig = Rig::new();
    let outcome = one(&rig.pipeline("a"), "1").await;
    assert_eq!(outcome.name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!((row.state, row.attempts, row.external_ref.as_deref()), (BidState::Submitted, 1, Some("x1")));
    assert_eq!(outcome.bid().unwrap().id, row.id);
    assert_eq!(rig.story(&row).await, format!("{SENT} accept"));
    let seen = rig.market.seen();
    assert_eq!(seen.len(), 1);
    let sent = &seen[0];
    assert_eq!((sent.bid_id, sent.idempotency_key), (row.id.0, row.idempotency_key));
    assert_eq!((sent.amount, sent.proposal.as_str()), (Some(usd(25_000)), "I can do Posting 1"));
    assert_eq!(sent.posting_url.as_deref(), Some("https://market.example/p/1"));
    assert_eq!((row.payload.amount, &row.payload.proposal), (sent.amount, &sent.proposal));
    // Also for another scanner, whose cache knows nothing.
    for pipeline in [rig.pipeline("a"), rig.pipeline("b")] {
        assert_eq!(one(&pipeline, "1").await.name(), "already_bid");
    }
    assert_eq!(rig.market.seen().len(), 1);
}

#[tokio::test]
async fn refused_is_rejected_for_good() {
    let rig = Rig::new();
    rig.market.say("1", refused());
    let Outcome::Refused { bid, detail } = one(&rig.pipeline("a"), "1").await else { panic!() };
    assert_eq!((bid.state, detail.as_str()), (BidState::Rejected, "closed: the posting is closed"));
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, format!("{SENT} refuse"));
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
    assert_eq!(rig.market.seen().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_with_its_cause_and_never_sent_again() {
    for (cause, expected) in [
        (LostCause::Timeout, UnknownCause::Timeout),
        (LostCause::ConnectionLost, UnknownCause::ConnectionLost),
        (LostCause::Redirect, UnknownCause::Redirect),
        (LostCause::ServerError, UnknownCause::ServerError),
        (LostCause::UnreadableAnswer, UnknownCause::UnreadableAnswer),
    ] {
        let rig = Rig::new();
        rig.market.say("1", lost(cause));
        let Outcome::Unknown { bid, cause, .. } = one(&rig.pipeline("a"), "1").await else { panic!() };
        assert_eq!((bid.state, cause), (BidState::Unknown, expected));
        let row = rig.row("1").await;
        assert_eq!(row.unknown_cause, Some(expected));
        assert_eq!(rig.story(&row).await, format!("{SENT} lose_answer"));
        rig.time.advance(TTL * 10);
        assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
        assert_eq!(rig.market.seen().len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn a_409_with_our_bid_in_the_look_up_is_submitted() {
    let rig = Rig::new();
    rig.market.next("1", Step::AcceptBut(duplicate()));
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!((row.state, row.external_ref.as_deref()), (BidState::Submitted, Some("x1")));
    assert_eq!(rig.story(&row).await, format!("{SENT} lose_answer find"));
}

#[tokio::test]
async fn a_409_without_ours_is_unknown_as_duplicate() {
    let rig = Rig::new();
    rig.market.say("1", duplicate());
    let Outcome::Unknown { cause, .. } = one(&rig.pipeline("a"), "1").await else { panic!() };
    assert_eq!(cause, UnknownCause::Duplicate);
    // Somebody else's bid, by its key, is not ours.
    rig.market.say("2", duplicate());
    rig.market.next_look_up(Ok(vec![bidlock_market::RemoteBid {
        external_ref: "theirs".to_owned(),
        posting_id: "2".to_owned(),
        idempotency_key: Some(uuid::Uuid::new_v4().to_string()),
        status: "active".to_owned(),
        created_at: None,
    }]));
    assert_eq!(one(&rig.pipeline("a"), "2").await.name(), "unknown");
    // Nor is a look-up that fails any proof.
    rig.market.say("3", duplicate());
    rig.market.next_look_up(Err(bidlock_market::LookUpError::Unsupported { via: "m".to_owned() }));
    assert_eq!(one(&rig.pipeline("a"), "3").await.name(), "unknown");
    assert_eq!(rig.count(BidState::Unknown).await, 3);
    assert_eq!(rig.market.seen().len(), 3);
}

#[tokio::test]
async fn a_429_within_the_claim_is_sent_again_through_the_door() {
    let rig = Rig::new();
    rig.market.say("1", later(Duration::from_millis(20)));
    rig.market.say("1", later(Duration::from_millis(20)));
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!((row.attempts, rig.market.seen().len()), (3, 3));
    assert_eq!(rig.story(&row).await, format!("{SENT} enter_submitting enter_submitting accept"));
    let keys: Vec<_> = rig.market.seen().iter().map(|s| s.idempotency_key).collect();
    assert!(keys.iter().all(|k| *k == row.idempotency_key));
}

#[tokio::test]
async fn a_429_beyond_the_claim_is_handed_back_and_closes_the_gate_for_all() {
    let rig = Rig::new();
    rig.market.say("1", later(Duration::from_secs(3_600)));
    let pipeline = rig.scanner("a").options(|o| o.concurrency = 1).build();
    let outcomes = batch(&pipeline, &[posting("1"), posting("2")]).await;
    let Outcome::Deferred(DeferReason::TryLater { until: Some(_), detail }) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(detail, "slow down");
    // The second sender heard it too: nothing was sent for its posting.
    assert!(matches!(outcomes[1], Outcome::Deferred(DeferReason::TryLater { .. })), "{outcomes:?}");
    assert_eq!((rig.market.seen_for("1"), rig.market.seen_for("2")), (1, 0));
    let row = rig.row("1").await;
    assert_eq!(row.state, BidState::Abandoned);
    assert_eq!(rig.story(&row).await, format!("{SENT} hand_back"));
    // Behind a gate that stays closed for long no claim is made: a scan that comes again writes nothing.
    assert!(rig.rows("2").await.is_empty());
    for _ in 0..3 {
        assert_eq!(one(&pipeline, "1").await.name(), "deferred");
    }
    assert_eq!(rig.row("1").await.events, row.events);
    // Another process, which the marketplace has told nothing, takes it over and repeats key and payload.
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
    let seen = rig.market.seen();
    assert_eq!((seen[0].idempotency_key, &seen[0].proposal), (seen[1].idempotency_key, &seen[1].proposal));
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, format!("{SENT} hand_back take_over enter_submitting accept"));
    assert_eq!((row.epoch.0, row.claimant.holder.as_str()), (2, "b"));
}

#[tokio::test]
async fn a_429_that_never_ends_is_given_up_after_three_attempts() {
    let rig = Rig::new();
    for _ in 0..5 {
        rig.market.say("1", later(Duration::from_millis(1)));
    }
    let outcome = one(&rig.pipeline("a"), "1").await;
    assert!(matches!(outcome, Outcome::Deferred(DeferReason::TryLater { .. })), "{outcome:?}");
    assert_eq!((rig.market.seen().len(), rig.row("1").await.state), (3, BidState::Abandoned));
}

#[tokio::test]
async fn what_never_left_is_handed_back_and_another_takes_it_over() {
    let rig = Rig::new();
    for _ in 0..3 {
        rig.market.say("1", not_sent());
    }
    let outcome = one(&rig.pipeline("a"), "1").await;
    assert!(matches!(outcome, Outcome::Deferred(DeferReason::NotSent { .. })), "{outcome:?}");
    let row = rig.row("1").await;
    assert_eq!((row.state, row.attempts), (BidState::Abandoned, 3));
    assert!(row.reason.unwrap().contains("connection refused"));
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
    assert_eq!(rig.row("1").await.epoch.0, 2);
}

#[tokio::test]
async fn a_refused_account_stops_all_sending_and_keeps_the_reason() {
    let rig = Rig::new();
    rig.market.say("1", stop());
    let pipeline = rig.scanner("a").options(|o| o.concurrency = 1).build();
    let outcomes = batch(&pipeline, &[posting("1"), posting("2"), posting("3")]).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Deferred(DeferReason::SendingStopped { .. })), "{outcome:?}");
    }
    let why = pipeline.sending_stopped().unwrap();
    assert!(why.contains("http_402") && why.contains("no bids are left"), "{why}");
    assert_eq!(rig.market.seen().len(), 1, "nothing more is sent");
    assert_eq!(rig.row("1").await.state, BidState::Abandoned);
    assert_eq!(one(&pipeline, "4").await.name(), "deferred");
    assert!(rig.rows("4").await.is_empty(), "no row for what can't be sent");
    // Once the account is mended, another run sends all of them, each once.
    let outcomes = batch(&rig.pipeline("b"), &[posting("1"), posting("2"), posting("3")]).await;
    assert!(outcomes.iter().all(|o| o.name() == "submitted"), "{outcomes:?}");
}

/// A posting that is closed, at a marketplace that gives no reason for its 404.
#[tokio::test]
async fn one_posting_that_is_not_there_stops_nothing_where_a_marketplace_answers() {
    // Known by an earlier answer, whichever it was; by a look-up, where none came before; known by nothing.
    for (first, looks_up, goes_on) in [
        (Some(accepted()), false, true),
        (Some(refused()), false, true),
        (Some(duplicate()), false, true),
        (Some(later(Duration::from_millis(1))), false, true),
        (Some(lost(LostCause::ServerError)), false, false),
        (None, true, true),
        (None, false, false),
    ] {
        let told = format!("{first:?} {looks_up}");
        let mut rig = Rig::new();
        let mut market = crate::rig::market::Market::default();
        market.capabilities.looks_up = looks_up;
        rig.market = std::sync::Arc::new(market);
        let pipeline = rig.scanner("a").options(|o| o.concurrency = 1).build();
        if let Some(answer) = first {
            rig.market.say("0", answer);
            one(&pipeline, "0").await;
        }
        rig.market.say("1", not_here());
        let outcome = one(&pipeline, "1").await;
        assert_eq!(rig.row("1").await.state, BidState::Abandoned, "{told}");
        if !goes_on {
            let stopped = matches!(outcome, Outcome::Deferred(DeferReason::SendingStopped { .. }));
            assert!(stopped && pipeline.sending_stopped().is_some(), "{told}: {outcome:?}");
            continue;
        }
        let Outcome::Deferred(DeferReason::NotTaken { detail }) = &outcome else {
            panic!("{told}: {outcome:?}")
        };
        assert!(detail.contains("404") && pipeline.sending_stopped().is_none(), "{told}: {detail}");
        assert_eq!(one(&pipeline, "2").await.name(), "submitted", "{told}");
        // It is not asked for again by this process, and writes nothing; another one asks.
        let events = rig.row("1").await.events;
        assert_eq!(one(&pipeline, "1").await, outcome, "{told}");
        assert_eq!((rig.row("1").await.events, rig.market.seen_for("1")), (events, 1), "{told}");
        assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted", "{told}");
    }
}

/// A mistyped address must not cost every posting its bid.
#[tokio::test]
async fn an_address_where_nobody_takes_bids_stops_all_sending_and_burns_no_posting() {
    let rig = Rig::new();
    rig.market.say("1", not_here());
    let nothing = LookUpError::Status { via: "m".to_owned(), status: 404, detail: "nothing".to_owned() };
    rig.market.next_look_up(Err(nothing));
    let pipeline = rig.scanner("a").options(|o| o.concurrency = 1).build();
    let outcomes = batch(&pipeline, &[posting("1"), posting("2")]).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Deferred(DeferReason::SendingStopped { .. })), "{outcome:?}");
    }
    let why = pipeline.sending_stopped().unwrap();
    assert!(why.contains("http://m.example/typo/bids") && why.contains("404"), "{why}");
    assert_eq!((rig.market.seen().len(), rig.row("1").await.state), (1, BidState::Abandoned));
    // Once the address is mended, another run sends both, each once.
    let outcomes = batch(&rig.pipeline("b"), &[posting("1"), posting("2")]).await;
    assert!(outcomes.iter().all(|o| o.name() == "submitted"), "{outcomes:?}");
}

/// A marketplace that is ill must not cost every posting its bid.
#[tokio::test]
async fn unknown_outcomes_in_a_row_stop_all_sending() {
    let rig = Rig::new();
    let build = |holder| rig.scanner(holder).options(|o| o.concurrency = 1).build();
    let pipeline = build("a");
    let lose = |id: u32| rig.market.say(&id.to_string(), lost(LostCause::ServerError));
    // One readable answer in between, and the count begins anew; a request that never left does not count.
    (1..=4).for_each(lose);
    (6..=10).for_each(lose);
    for _ in 0..3 {
        rig.market.say("11", not_sent());
    }
    let before: Vec<_> = (1..=9).map(|n| posting(&n.to_string())).collect();
    batch(&pipeline, &before).await;
    assert_eq!(pipeline.sending_stopped(), None);
    assert_eq!(rig.count(BidState::Unknown).await, 8);
    one(&pipeline, "11").await;
    assert_eq!(pipeline.sending_stopped(), None);
    assert_eq!(one(&pipeline, "10").await.name(), "unknown");
    let why = pipeline.sending_stopped().unwrap();
    assert!(why.contains("5 bids in a row") && pipeline.stopped_by_unknowns(), "{why}");
    let outcome = one(&pipeline, "12").await;
    assert!(matches!(outcome, Outcome::Deferred(DeferReason::SendingStopped { .. })), "{outcome:?}");
    assert!(rig.rows("12").await.is_empty(), "no row for what can't be sent");
    assert_eq!(one(&build("b"), "12").await.name(), "submitted", "another run sends");
}

/// What is under way when it stops is all that it may cost beyond the limit.
#[tokio::test]
async fn unknown_outcomes_in_a_row_are_no_more_than_the_limit_and_what_is_under_way() {
    let rig = Rig::new();
    let all: Vec<_> = (1..=100).map(|n| posting(&n.to_string())).collect();
    (1..=100).for_each(|n: u32| rig.market.say(&n.to_string(), lost(LostCause::ServerError)));
    let pipeline = rig.scanner("a").options(|o| o.concurrency = 4).build();
    batch(&pipeline, &all).await;
    let unknown = rig.count(BidState::Unknown).await;
    assert!((5..=8).contains(&unknown), "{unknown}");
}

#[tokio::test]
async fn a_marketplace_that_ignores_its_own_time_limit_is_lost() {
    let mut rig = Rig::new();
    rig.market = std::sync::Arc::new(crate::rig::market::Market::with_time_limit(Duration::from_millis(10)));
    let _never = rig.market.hold("1", Step::Say(accepted()));
    let Outcome::Unknown { cause, .. } = one(&rig.pipeline("a"), "1").await else { panic!() };
    assert_eq!(cause, UnknownCause::Timeout);
}

#[tokio::test]
async fn an_abort_makes_what_is_under_way_unknown_and_a_drain_waits_for_it() {
    let rig = Rig::new();
    let stop = Stop::default();
    let drained = rig.market.hold("1", Step::Say(accepted()));
    let _aborted = rig.market.hold("2", Step::AcceptBut(accepted()));
    let pipeline = rig.scanner("a").stop(&stop).options(|o| o.concurrency = 2).build();
    let postings = [posting("1"), posting("2"), posting("3")];
    let run = tokio::spawn(async move { batch(&pipeline, &postings).await });
    rig.market.wait_for(2).await;
    stop.drain();
    drop(drained);
    // The drain waits for the first answer, begins nothing new, and goes on waiting for the second.
    crate::rig::soon(async {
        while rig.row("1").await.state != BidState::Submitted {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!run.is_finished());
    stop.abort();
    let outcomes = crate::rig::soon(run).await.unwrap();
    assert_eq!(outcomes[0].name(), "submitted");
    let Outcome::Unknown { cause, .. } = outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(cause, UnknownCause::Shutdown);
    assert!(matches!(outcomes[2], Outcome::Deferred(DeferReason::ShuttingDown)), "{outcomes:?}");
    assert!(rig.rows("3").await.is_empty());
    assert_eq!(rig.row("2").await.unknown_cause, Some(UnknownCause::Shutdown));
    assert_eq!(rig.market.seen().len(), 2);
}

#[tokio::test]
async fn a_drain_during_a_pause_hands_back() {
    let rig = Rig::new();
    let stop = Stop::default();
    rig.market.say("1", later(Duration::from_secs(10)));
    let pipeline = rig.scanner("a").stop(&stop).build();
    let run = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    stop.drain();
    let outcome = crate::rig::soon(run).await.unwrap();
    assert_eq!(outcome.name(), "deferred");
    assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (BidState::Abandoned, 1));
}

#[tokio::test]
async fn a_bid_handed_back_goes_where_its_next_claimant_sends_it() {
    let rig = Rig::new();
    rig.market.say("1", later(TTL * 60));
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "deferred");
    let mut other = crate::rig::market::Market::default();
    other.via = "other".to_owned();
    let other = std::sync::Arc::new(other);
    assert_eq!(one(&rig.scanner("b").market(other.clone()).build(), "1").await.name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!((row.payload.via.as_str(), row.state), ("other", BidState::Submitted), "look-ups follow it");
    let (first, second) = (&rig.market.seen()[0], &other.seen()[0]);
    assert_eq!((first.idempotency_key, &first.proposal), (second.idempotency_key, &second.proposal));
}

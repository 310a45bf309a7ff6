//! Words that come late, and find that somebody else was told something meanwhile. Found by the model.

use std::sync::Arc;

use bidlock::backends::memory::MemoryBackend;
use bidlock_ledger::{Action, Actor, BidState, Change, Move, UnknownCause};
use bidlock_market::{LostCause, RemoteBid, WithdrawAnswer};
use bidlock_pipeline::{Outcome, PipelineError, Reconciler, Withdrawal, withdraw};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::rig::{
    Rig, TTL,
    market::{Market, Step, accepted, lost},
    one, posting,
    told::Told,
};

/// Two ask for one withdrawal. The marketplace refuses it to one, which is recorded, and then grants it to the other.
#[tokio::test]
async fn a_withdrawal_granted_to_one_is_recorded_after_the_other_was_refused() {
    let rig = Rig::new();
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    let bid = rig.row("1").await;
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(Action::ConfirmWithdrawn);
    let (market, first) = (rig.market.clone(), bid.clone());
    let granted = tokio::spawn(async move {
        withdraw(&*faulty, &*market, &first, &Actor::operator("p"), "first", None, true).await
    });
    crate::rig::soon(reached).await.unwrap();
    rig.market.next_withdrawal(WithdrawAnswer::Refused {
        code: "busy".to_owned(),
        detail: String::new(),
        status: None,
    });
    let refused =
        withdraw(&*rig.ledger, &*rig.market, &bid, &Actor::operator("o"), "second", None, true).await;
    assert!(matches!(refused.unwrap(), Withdrawal::Refused { .. }));
    assert_eq!(rig.row("1").await.state, BidState::Submitted);
    go.send(()).unwrap();
    let granted = crate::rig::soon(granted).await.unwrap().unwrap();
    assert!(matches!(&granted, Withdrawal::Withdrawn(bid) if bid.rebid_allowed), "{granted:?}");
    assert_eq!(rig.row("1").await.state, BidState::Withdrawn);
}

/// A claimant sleeps on its request, a person frees the posting, and a look-up gives the marketplace's one bid to the later
/// row. Then the claimant hears its "yes": it is told of the row that has it, and nothing is counted twice.
#[tokio::test]
async fn a_late_yes_under_the_name_of_another_row_is_that_row() {
    let rig = Rig::new();
    let (release, sender) = sleeper(&rig).await;
    free(&rig).await;
    rig.market.say("1", lost(LostCause::Timeout));
    // The sleeper's lock is its own still; it has been lost elsewhere.
    let other = rig.scanner("b").locks(Arc::new(MemoryBackend::new())).build();
    assert_eq!(one(&other, "1").await.name(), "unknown");
    let later = rig.rows("1").await.remove(1);
    rig.market.next_look_up(Ok(Vec::new()));
    rig.market.next_look_up(Ok(vec![RemoteBid {
        external_ref: "x1".to_owned(),
        posting_id: "1".to_owned(),
        idempotency_key: Some(later.idempotency_key.to_string()),
        status: "active".to_owned(),
        created_at: None,
    }]));
    rig.reconciler().run().await.unwrap();
    drop(release);
    let outcome = crate::rig::soon(sender).await.unwrap().unwrap();
    assert_eq!(outcome.name(), "submitted", "{outcome:?}");
    assert_eq!(outcome.bid().unwrap().id, later.id, "{outcome:?}");
    let rows: Vec<_> = rig.rows("1").await.into_iter().map(|row| (row.state, row.external_ref)).collect();
    assert_eq!(rows, [(BidState::NotSubmitted, None), (BidState::Submitted, Some("x1".to_owned()))]);
}

/// The same, and the later row's request is under way when the first claimant hears its yes. The marketplace recognises the
/// key that both have, and answers the later one with the bid that it has: no row gets the other's name, and whoever is about
/// to withdraw one of two is told that there is one.
#[tokio::test]
async fn a_yes_that_repeats_the_name_of_another_row_leaves_its_own_unknown() {
    let mut rig = Rig::new();
    rig.market = Arc::new(Market::that_honours_keys());
    let (first_hears, first) = sleeper(&rig).await;
    free(&rig).await;
    let later_hears = rig.market.hold("1", Step::Say(accepted()));
    let other = rig.scanner("b").locks(Arc::new(MemoryBackend::new())).build();
    let later = tokio::spawn(async move { other.process(posting("1")).await });
    rig.market.wait_for(2).await;
    drop(first_hears);
    assert_eq!(crate::rig::soon(first).await.unwrap().unwrap().name(), "submitted");
    let told = Told::default();
    let listening = tracing::subscriber::set_default(told.clone());
    drop(later_hears);
    let outcome = crate::rig::soon(later).await.unwrap().unwrap();
    drop(listening);

    let rows = rig.rows("1").await;
    let names: Vec<_> = rows.iter().map(|row| (row.state, row.external_ref.as_deref())).collect();
    assert_eq!(names, [(BidState::Submitted, Some("x1")), (BidState::Unknown, None)]);
    let Outcome::Unknown { bid, cause: UnknownCause::Duplicate, detail } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(bid.id, rows[1].id);
    for row in &rows {
        assert!(detail.contains(&row.id.to_string()), "{detail}");
    }
    assert!(told.lines().contains(&format!("alarm={detail}")), "{:?}", told.lines());
    let event = rig.ledger.history(rows[1].id).await.unwrap().pop().unwrap();
    assert_eq!((event.action, event.reason), (Some(Action::LoseAnswer), Some(detail)));
    assert_eq!(event.detail["external_ref"], "x1");

    // Nobody sends it again, and no look-up gives it the other's name.
    assert_eq!(one(&rig.pipeline("c"), "1").await.name(), "already_bid");
    rig.reconciler().run().await.unwrap();
    assert_eq!(rig.rows("1").await[1].state, BidState::Unknown);
    assert_eq!(rig.market.seen().len(), 2);
}

/// A claimant sleeps on its request, and a person settles its bid under a name. The claimant then hears of another name:
/// there are two bids, which nobody else would ever notice. The row stays as it is.
#[tokio::test]
async fn a_yes_under_another_name_than_the_rows_own_is_an_alarm() {
    for (name, alarms) in [("x7", true), ("x1", false)] {
        let rig = Rig::new();
        let (hears, sender) = sleeper(&rig).await;
        let word = Move::ResolveSubmitted { external_ref: Some(name.to_owned()) };
        let change = Change::new(rig.row("1").await.claim_ref(), Actor::operator("o"), word).because("seen");
        rig.ledger.apply(&[change]).await.unwrap();
        let before = rig.row("1").await;
        let told = Told::default();
        let listening = tracing::subscriber::set_default(told.clone());
        drop(hears);
        let outcome = crate::rig::soon(sender).await.unwrap().unwrap();
        drop(listening);
        assert_eq!(outcome.name(), "submitted", "{outcome:?}");
        assert_eq!(rig.row("1").await, before);
        let both =
            |line: &String| line.contains("duplicate") && line.contains("as x7") && line.contains("as x1");
        assert_eq!(told.lines().iter().any(both), alarms, "{:?}", told.lines());
    }
}

/// A look-up finds a bid under one name while its claimant is told of another: two bids, of which the report tells.
#[tokio::test]
async fn a_bid_found_under_another_name_than_it_was_told_is_an_alarm() {
    let rig = Rig::new();
    let (hears, sender) = sleeper(&rig).await;
    let bid = rig.row("1").await;
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(Action::Find);
    rig.market.next_look_up(Ok(vec![RemoteBid {
        external_ref: "x7".to_owned(),
        posting_id: "1".to_owned(),
        idempotency_key: Some(bid.idempotency_key.to_string()),
        // The client's word on that other bid says nothing of this one.
        status: "lost".to_owned(),
        created_at: None,
    }]));
    let market = rig.market.clone();
    let reconciler = Reconciler::new(faulty, Box::new(move |_| Ok(market.clone())), "r");
    let run = tokio::spawn(async move { reconciler.run().await });
    crate::rig::soon(reached).await.unwrap();
    drop(hears);
    assert_eq!(crate::rig::soon(sender).await.unwrap().unwrap().name(), "submitted");
    go.send(()).unwrap();
    let report = crate::rig::soon(run).await.unwrap().unwrap();
    let alarm = report.bids[0].alarm.as_deref().unwrap();
    assert!(alarm.contains("duplicate") && alarm.contains("x7") && alarm.contains("x1"), "{alarm}");
    let row = rig.row("1").await;
    assert_eq!((row.state, row.external_ref.as_deref()), (BidState::Submitted, Some("x1")));
}

/// A claimant whose request is under way when its claim has run out, so that its row is `unknown`; and what lets it hear.
async fn sleeper(rig: &Rig) -> (oneshot::Sender<()>, JoinHandle<Result<Outcome, PipelineError>>) {
    let hears = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.pipeline("sleeper");
    let sender = tokio::spawn(async move { pipeline.process(posting("1")).await });
    rig.market.wait_for(1).await;
    rig.time.advance(TTL * 2);
    rig.ledger.sweep(10).await.unwrap();
    (hears, sender)
}

/// A person settles the posting's bid as not submitted, and allows a new one.
async fn free(rig: &Rig) {
    let word = Move::ResolveNotSubmitted { allow_new_bid: true };
    let change = Change::new(rig.row("1").await.claim_ref(), Actor::operator("o"), word).because("not there");
    rig.ledger.apply(&[change]).await.unwrap();
}

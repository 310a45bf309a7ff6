//! Words that come late, and find that somebody else was told something meanwhile. Found by the model.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, their helpers included")]

mod rig;

use std::sync::Arc;

use bidlock::backends::memory::MemoryBackend;
use bidlock_ledger::{Action, Actor, BidState, Change, Move};
use bidlock_market::{LostCause, RemoteBid, WithdrawAnswer};
use bidlock_pipeline::{Withdrawal, withdraw};
use rig::{
    Rig, TTL,
    market::{Step, accepted, lost},
    one, posting,
};

/// Two ask for one withdrawal. The marketplace refuses it to one, which is recorded, and then grants it to the other.
#[tokio::test]
async fn a_withdrawal_granted_to_one_is_recorded_after_the_other_was_refused() {
    let rig = Rig::new();
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    let bid = rig.row("1").await;
    let faulty = rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(Action::ConfirmWithdrawn);
    let (market, first) = (rig.market.clone(), bid.clone());
    let granted = tokio::spawn(async move {
        withdraw(&*faulty, &*market, &first, &Actor::operator("p"), "first", None, true).await
    });
    rig::soon(reached).await.unwrap();
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
    let granted = rig::soon(granted).await.unwrap().unwrap();
    assert!(matches!(&granted, Withdrawal::Withdrawn(bid) if bid.rebid_allowed), "{granted:?}");
    assert_eq!(rig.row("1").await.state, BidState::Withdrawn);
}

/// A claimant sleeps on its request, a person frees the posting, and a look-up gives the marketplace's one bid to the later
/// row. Then the claimant hears its "yes": it is told of the row that has it, and nothing is counted twice.
#[tokio::test]
async fn a_late_yes_under_the_name_of_another_row_is_that_row() {
    let rig = Rig::new();
    let release = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.pipeline("sleeper");
    let sender = tokio::spawn(async move { pipeline.process(posting("1")).await });
    rig.market.wait_for(1).await;
    rig.time.advance(TTL * 2);
    rig.ledger.sweep(10).await.unwrap();
    let word = Move::ResolveNotSubmitted { allow_new_bid: true };
    let change = Change::new(rig.row("1").await.claim_ref(), Actor::operator("o"), word).because("not there");
    rig.ledger.apply(&[change]).await.unwrap();
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
    let outcome = rig::soon(sender).await.unwrap().unwrap();
    assert_eq!(outcome.name(), "submitted", "{outcome:?}");
    assert_eq!(outcome.bid().unwrap().id, later.id, "{outcome:?}");
    let rows: Vec<_> = rig.rows("1").await.into_iter().map(|row| (row.state, row.external_ref)).collect();
    assert_eq!(rows, [(BidState::NotSubmitted, None), (BidState::Submitted, Some("x1".to_owned()))]);
}

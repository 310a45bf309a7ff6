//! Every move is an event, recorded once, in a chain that holds.

use serde_json::json;

use super::{Rig, fixtures::*};
use crate::{Action, Actor, Applied, BidState, Change, Move, chain};

/// A life with every kind of actor: the events tell it in order, and verify.
pub async fn every_move_is_in_the_history_and_the_chain_holds(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    granted(&*ledger, &job, "first").await;
    rig.advance(TTL);
    let bid = granted(&*ledger, &job, "second").await.bid;
    let bid = moved(&*ledger, bid.claim_ref(), door()).await;
    rig.advance(TTL);
    ledger.sweep(10).await.unwrap();
    let evidence = json!({"seen": [0.1, 1e300, -7, null, "ä\u{1F980}"], "amount": {"minor": 5}});
    let resolve = Move::ResolveSubmitted { external_ref: Some("remote-9".to_owned()) };
    let change = Change::new(bid.claim_ref(), Actor::operator("mara"), resolve)
        .because("the page shows it")
        .with_detail(evidence.clone());
    let Applied::Moved { bid, .. } = apply(&*ledger, change).await else { panic!("not settled") };

    let events = ledger.history(bid.id).await.unwrap();
    chain::verify(&events, bid.events).unwrap();
    let told: Vec<_> = events.iter().map(|e| (e.action, e.from, e.to)).collect();
    use BidState::*;
    assert_eq!(
        told,
        [
            (None, None, Claimed),
            (Some(Action::TakeOver), Some(Claimed), Claimed),
            (Some(Action::EnterSubmitting), Some(Claimed), Submitting),
            (Some(Action::SweepSubmitting), Some(Submitting), Unknown),
            (Some(Action::ResolveSubmitted), Some(Unknown), Submitted),
        ]
    );
    let actors: Vec<_> = events.iter().map(|e| e.actor.as_str()).collect();
    assert_eq!(actors, ["first", "second", "here", "sweeper", "operator:mara"]);
    let last = &events[4];
    assert_eq!(last.reason.as_deref(), Some("the page shows it"));
    assert_eq!((&last.detail["seen"], &last.detail["external_ref"]), (&evidence["seen"], &json!("remote-9")));
}

/// A request with an event key is recorded once, however often and from wherever it comes.
pub async fn a_repeated_request_is_recorded_once(rig: &impl Rig) {
    let openings = [rig.open().await, rig.open().await];
    let bid = bid_in(&*openings[0], &posting("1"), BidState::Submitted).await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let ledger = openings[n % 2].clone();
            let change =
                Change::new(bid.claim_ref(), Actor::operator("mara"), Move::Withdraw).keyed("request-1");
            tokio::spawn(async move { apply(&*ledger, change).await })
        })
        .collect();
    let (mut moved, mut already) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Applied::Moved { .. } => moved += 1,
            Applied::Already(row) => {
                assert_eq!(row.state, BidState::Withdrawing);
                already += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((moved, already), (1, 7));
    let row = read(&*openings[1], &bid).await;
    let events = openings[1].history(bid.id).await.unwrap();
    assert_eq!(events.len(), 4, "made, sent, accepted, withdrawn once");
    chain::verify(&events, row.events).unwrap();

    // The key is the bid's own: another bid may use the same one.
    let other = bid_in(&*openings[0], &posting("2"), BidState::Submitted).await;
    let change = Change::new(other.claim_ref(), Actor::operator("mara"), Move::Withdraw).keyed("request-1");
    assert!(matches!(apply(&*openings[0], change).await, Applied::Moved { .. }));

    // A move that would be possible once more is not made once more: the answer to a door was lost, and it is asked again.
    let sending = granted(&*openings[0], &posting("3"), "here").await.bid;
    let change = || Change::new(sending.claim_ref(), Actor::scanner("here"), door()).keyed("send-1");
    assert!(matches!(apply(&*openings[0], change()).await, Applied::Moved { .. }));
    let again = apply(&*openings[1], change()).await;
    assert!(matches!(&again, Applied::Already(row) if row.attempts == 1), "{again:?}");
}

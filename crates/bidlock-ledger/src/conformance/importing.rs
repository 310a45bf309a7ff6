//! Bids of the replaced system.

use serde_json::json;

use super::{Rig, fixtures::*};
use crate::{
    Actor, Applied, Bid, BidState, ErrorKind, ImportOutcome, LedgerStore, Move, NewImport, PostingId,
    Standing, UnknownCause, WallTime, chain,
    state::{Action, IMPORTED},
};

fn wanted(posting: &PostingId, state: BidState) -> NewImport {
    NewImport {
        posting: posting.clone(),
        state,
        payload: payload("an old proposal"),
        sent_at: Some(WallTime(1_700_000_000_000)),
        actor: Actor::operator("mara"),
        reason: "imported from a replaced system".to_owned(),
        detail: json!({ "status": "SUBMITTED", "rows": 2 }),
    }
}

async fn import(ledger: &dyn LedgerStore, posting: &PostingId, state: BidState) -> ImportOutcome {
    ledger.import(&[wanted(posting, state)]).await.unwrap().remove(0)
}

async fn imported(ledger: &dyn LedgerStore, posting: &PostingId, state: BidState) -> Bid {
    match import(ledger, posting, state).await {
        ImportOutcome::Imported(bid) => *bid,
        ImportOutcome::Existing(bid) => panic!("{posting} should have been free: {bid:?}"),
    }
}

/// Whatever its state, an imported bid takes its posting: no claim, no take-over, not after any time; and its history
/// says where it comes from.
pub async fn s1_an_imported_posting_is_never_claimed(rig: &impl Rig) {
    let ledger = rig.open().await;
    for &state in IMPORTED {
        let posting = posting(state.as_str());
        let bid = imported(&*ledger, &posting, state).await;
        assert_eq!((bid.state, bid.attempts, bid.epoch.0), (state, 0, 1));
        assert_eq!(bid.unknown_cause, (state == BidState::Unknown).then_some(UnknownCause::Legacy));
        assert_eq!(read(&*ledger, &bid).await, bid, "what is answered is what is kept");
        rig.advance(TTL * 10);
        ledger.sweep(100).await.unwrap();
        assert_eq!(existing(&*ledger, &posting, "here").await, bid);
        let standing = ledger.standing(std::slice::from_ref(&posting)).await.unwrap().remove(0);
        assert_eq!(standing, Standing::Taken(bid.brief()));
        let history = ledger.history(bid.id).await.unwrap();
        chain::verify(&history, bid.events).unwrap();
        let event = &history[0];
        assert_eq!((event.action, event.from, event.to), (Some(Action::Import), None, state));
        assert_eq!(event.actor, "operator:mara");
        assert_eq!(event.detail, json!({ "status": "SUBMITTED", "rows": 2 }));
    }
}

/// An import that is asked again, or twice in one call, makes nothing new.
pub async fn an_import_is_made_once(rig: &impl Rig) {
    let ledger = rig.open().await;
    let (a, b) = (posting("a"), posting("b"));
    let asked = [wanted(&a, BidState::Submitted), wanted(&a, BidState::Won), wanted(&b, BidState::Unknown)];
    let answers = ledger.import(&asked).await.unwrap();
    let made: Vec<bool> = answers.iter().map(|a| matches!(a, ImportOutcome::Imported(_))).collect();
    assert_eq!(made, [true, false, true]);
    let again = ledger.import(&asked).await.unwrap();
    assert!(again.iter().all(|answer| matches!(answer, ImportOutcome::Existing(_))), "{again:?}");
    let rows: u64 = ledger.count(&Default::default()).await.unwrap().iter().map(|(_, n)| n).sum();
    assert_eq!(rows, 2);
}

/// A state that could still be sent is refused: an old PENDING is no claim.
pub async fn s2_an_import_never_begins_a_bid_that_could_be_sent(rig: &impl Rig) {
    let ledger = rig.open().await;
    for state in BidState::ALL.into_iter().filter(|state| !IMPORTED.contains(state)) {
        let error = ledger.import(&[wanted(&posting("x"), state)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{state}");
    }
    granted(&*ledger, &posting("x"), "here").await;
}

/// A row of ours that could still be sent is shut by what the replaced system knows; its claimant finds the door shut,
/// and handing back opens it for nobody: that nothing of ours was accepted is no proof about the replaced system's bid.
pub async fn s1_an_import_shuts_a_row_that_could_be_sent(rig: &impl Rig) {
    let ledger = rig.open().await;
    for state in [BidState::Claimed, BidState::AwaitingApproval, BidState::Approved, BidState::Abandoned] {
        let posting = posting(state.as_str());
        let ours = bid_in(&*ledger, &posting, state).await;
        let answer = import(&*ledger, &posting, BidState::Submitted).await;
        assert_eq!(answer, ImportOutcome::Existing(Box::new(ours.clone())));
        let shut = moved(&*ledger, ours.claim_ref(), Move::Import).await;
        assert_eq!((shut.state, shut.unknown_cause), (BidState::Unknown, Some(UnknownCause::Legacy)));
        let taken = Move::TakeSending { claimant: claimant("late"), ttl: TTL, cap: None };
        for way in [door(), taken, Move::HandBack] {
            let answer = attempt(&*ledger, ours.claim_ref(), way).await;
            assert!(matches!(answer, Applied::Not(_)), "{state}: {answer:?}");
        }
        assert_eq!(existing(&*ledger, &posting, "another").await.id, ours.id);
    }
}

/// A posting that may be bid on again gets its import as a further row, which follows the earlier one.
pub async fn an_import_follows_earlier_bids(rig: &impl Rig) {
    let ledger = rig.open().await;
    let posting = posting("again");
    let first = granted(&*ledger, &posting, "here").await.bid;
    let way = vec![door(), accept(), Move::Withdraw, Move::ConfirmWithdrawn { rebid_allowed: true }];
    let first = walk(&*ledger, first, way).await;
    let second = imported(&*ledger, &posting, BidState::Submitted).await;
    assert!(second.epoch > first.epoch, "{second:?}");
    assert_ne!(second.idempotency_key, first.idempotency_key);
    assert_eq!(existing(&*ledger, &posting, "another").await.id, second.id);
}

/// A bid of the replaced system that was never there leaves nothing to be recognised: the new one is its scanner's own.
pub async fn a_new_bid_after_an_imported_one_has_its_own_payload(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let legacy = imported(&*ledger, &job, BidState::Unknown).await;
    assert!(legacy.unknown_cause.is_some() && legacy.attempts == 0);
    moved(&*ledger, legacy.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let next = granted(&*ledger, &job, "other").await.bid;
    assert_eq!(next.payload.proposal, "proposal of other");
}

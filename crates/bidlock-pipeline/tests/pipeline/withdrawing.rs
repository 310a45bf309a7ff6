//! Taking a submitted bid back: asked for, answered, refused, lost, and by several at once.

use std::sync::Arc;

use bidlock_ledger::{Action, Actor, Applied, Bid, BidState, Change, Move};
use bidlock_market::{LostCause, WithdrawAnswer};
use bidlock_pipeline::{PipelineError, Withdrawal, withdraw};

use crate::rig::{
    Rig,
    market::{Market, lost, remote},
    one, posting_id,
};

async fn take_back(rig: &Rig, bid: &Bid, event: Option<&str>, rebid: bool) -> Withdrawal {
    let actor = Actor::operator("o");
    withdraw(&*rig.ledger, &*rig.market, bid, &actor, "the brief changed", event, rebid).await.unwrap()
}

/// A submitted bid on posting 1.
async fn submitted() -> (Rig, Bid) {
    let rig = Rig::new();
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    let bid = rig.row("1").await;
    (rig, bid)
}

#[tokio::test]
async fn a_confirmed_withdrawal_keeps_the_posting_used_unless_the_owner_allows_a_new_bid() {
    let (rig, bid) = submitted().await;
    assert!(matches!(take_back(&rig, &bid, None, false).await, Withdrawal::Withdrawn(_)));
    assert_eq!(rig.market.withdrawn(), ["x1"]);
    let row = rig.row("1").await;
    assert_eq!((row.state, row.rebid_allowed), (BidState::Withdrawn, false));
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
    assert_eq!(rig.market.seen().len(), 1);

    let (rig, bid) = submitted().await;
    assert!(matches!(take_back(&rig, &bid, None, true).await, Withdrawal::Withdrawn(_)));
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
    let rows = rig.rows("1").await;
    assert_eq!(rows.len(), 2);
    assert_ne!(rows[0].idempotency_key, rows[1].idempotency_key, "a new bid has a new key");
    assert_eq!(rows[1].epoch.0, 2, "epochs go on over rows");
    assert_eq!(one(&rig.pipeline("c"), "1").await.name(), "already_bid", "and is one bid again");
    assert_eq!(rig.market.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_withdrawal_leaves_the_bid_as_the_marketplace_says() {
    for (status, state) in
        [(None, BidState::Submitted), (Some("won"), BidState::Won), (Some("lost"), BidState::Lost)]
    {
        let (rig, bid) = submitted().await;
        rig.market.next_withdrawal(WithdrawAnswer::Refused {
            code: "late".to_owned(),
            detail: "too late".to_owned(),
            status: status.map(str::to_owned),
        });
        let Withdrawal::Refused { bid, detail } = take_back(&rig, &bid, None, true).await else { panic!() };
        assert_eq!((bid.state, rig.row("1").await.state), (state, state));
        assert!(detail.contains("too late"), "{detail}");
    }
}

#[tokio::test]
async fn two_withdrawals_at_once_that_are_refused_both_say_so() {
    let (rig, bid) = submitted().await;
    let refused = || WithdrawAnswer::Refused { code: "late".to_owned(), detail: String::new(), status: None };
    rig.market.next_withdrawal(refused());
    // The first is asked for and not answered; then two ask again, and both get a no.
    let change = Change::new(bid.claim_ref(), Actor::operator("o"), Move::Withdraw).because("first");
    rig.ledger.apply(&[change]).await.unwrap();
    let withdrawing = rig.row("1").await;
    let change = Change::new(withdrawing.claim_ref(), Actor::operator("o"), Move::RefuseWithdrawal);
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(bidlock_ledger::Action::RefuseWithdrawal);
    let market = rig.market.clone();
    let second = tokio::spawn(async move {
        withdraw(&*faulty, &*market, &withdrawing, &Actor::operator("p"), "second", None, false).await
    });
    crate::rig::soon(reached).await.unwrap();
    rig.ledger.apply(&[change]).await.unwrap();
    go.send(()).unwrap();
    let answer = crate::rig::soon(second).await.unwrap().unwrap();
    assert!(
        matches!(&answer, Withdrawal::Refused { bid, .. } if bid.state == BidState::Submitted),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_withdrawal_whose_answer_is_lost_is_pending_and_asked_for_again_by_the_reconciler() {
    let (rig, bid) = submitted().await;
    let answer = WithdrawAnswer::Lost { cause: LostCause::Timeout, detail: "silence".to_owned() };
    rig.market.next_withdrawal(answer);
    let Withdrawal::Pending { bid, detail } = take_back(&rig, &bid, None, true).await else { panic!() };
    assert_eq!(bid.state, BidState::Withdrawing);
    assert!(detail.contains("silence"), "{detail}");
    assert!(!bid.rebid_allowed, "nothing is free while it is not confirmed");
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
    let dry = rig.reconciler().dry_run(true).run().await.unwrap();
    assert_eq!((dry.open, rig.market.withdrawn().len()), (1, 1), "a dry run asks for nothing");
    let report = rig.reconciler().run().await.unwrap();
    assert_eq!((report.settled, report.bids[0].now), (1, BidState::Withdrawn));
    assert_eq!(rig.market.withdrawn(), ["x1", "x1"]);
    assert!(!rig.row("1").await.rebid_allowed, "this reconciler has no such policy");
}

#[tokio::test]
async fn a_pending_withdrawal_is_asked_for_again_also_where_nothing_can_be_looked_up() {
    let mut rig = Rig::new();
    Arc::get_mut(&mut rig.market).unwrap().capabilities.looks_up = false;
    one(&rig.pipeline("a"), "1").await;
    let bid = rig.row("1").await;
    rig.market
        .next_withdrawal(WithdrawAnswer::Lost { cause: LostCause::Timeout, detail: "silence".to_owned() });
    assert!(matches!(take_back(&rig, &bid, None, false).await, Withdrawal::Pending { .. }));
    let report = rig.reconciler().run().await.unwrap();
    assert_eq!((report.settled, report.bids[0].now), (1, BidState::Withdrawn));
}

#[tokio::test]
async fn a_withdrawal_is_recorded_once_for_its_event_id() {
    let (rig, bid) = submitted().await;
    for _ in 0..3 {
        assert!(matches!(take_back(&rig, &bid, Some("e1"), false).await, Withdrawal::Withdrawn(_)));
    }
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create enter_submitting accept withdraw confirm_withdrawn");
    assert_eq!(rig.market.withdrawn().len(), 1);
}

#[tokio::test]
async fn only_a_submitted_bid_can_be_withdrawn() {
    let rig = Rig::unknown(true).await;
    let bid = rig.row("1").await;
    assert!(matches!(take_back(&rig, &bid, None, false).await, Withdrawal::NotPossible(_)));
    assert!(rig.market.withdrawn().is_empty());
}

#[tokio::test]
async fn a_withdrawn_bid_is_not_taken_for_its_successor() {
    let (rig, bid) = submitted().await;
    take_back(&rig, &bid, None, true).await;
    rig.market.say("1", lost(LostCause::Timeout));
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "unknown");
    let second = rig.rows("1").await.pop().unwrap();
    // This marketplace echoes no keys, and still lists the withdrawn bid, dated after our second sending.
    let listed = |refs: &[&str]| Ok(refs.iter().map(|r| remote(r, None)).collect());
    rig.market.next_look_up(listed(&["x1"]));
    assert_eq!(rig.reconciler().run().await.unwrap().open, 1);
    assert_eq!(rig.ledger.bid(second.id).await.unwrap().unwrap().state, BidState::Unknown);
    rig.market.next_look_up(listed(&["x1", "x2"]));
    assert_eq!(rig.reconciler().run().await.unwrap().settled, 1);
    let second = rig.ledger.bid(second.id).await.unwrap().unwrap();
    assert_eq!((second.state, second.external_ref.as_deref()), (BidState::Submitted, Some("x2")));
    assert_eq!(second.posting, posting_id("m", "1"));
}

/// Under another address an id of ours may name a stranger's bid: nothing is withdrawn there, and only a bid
/// that shows our key is taken for ours.
#[tokio::test]
async fn at_another_address_nothing_is_withdrawn_and_only_a_key_proves() {
    let (rig, bid) = submitted().await;
    let answer = WithdrawAnswer::Lost { cause: LostCause::Timeout, detail: "silence".to_owned() };
    rig.market.next_withdrawal(answer);
    assert!(matches!(take_back(&rig, &bid, None, false).await, Withdrawal::Pending { .. }));
    let mut other = Market::default();
    other.via = "test:other".to_owned();
    let other = Arc::new(other);
    let at_other = || {
        let market: Arc<dyn bidlock_market::Marketplace> = other.clone();
        bidlock_pipeline::Reconciler::new(rig.ledger.clone(), Box::new(move |_| Ok(market.clone())), "r")
    };
    let report = at_other().run().await.unwrap();
    assert_eq!((report.failed, report.bids[0].now), (1, BidState::Withdrawing));
    assert!(other.withdrawn().is_empty());

    let rig = Rig::unknown(false).await;
    let key = rig.row("1").await.idempotency_key.to_string();
    let at_other = || {
        let market: Arc<dyn bidlock_market::Marketplace> = other.clone();
        bidlock_pipeline::Reconciler::new(rig.ledger.clone(), Box::new(move |_| Ok(market.clone())), "r")
    };
    other.next_look_up(Ok(vec![remote("stranger", None)]));
    assert_eq!(at_other().run().await.unwrap().bids[0].now, BidState::Unknown);
    other.next_look_up(Ok(vec![remote("ours", Some(key))]));
    assert_eq!(at_other().run().await.unwrap().bids[0].now, BidState::Submitted);
}

/// Asks the marketplace to take a bid back while somebody else gets another answer to the same: recorded after it.
async fn race(answer: WithdrawAnswer, ours: Action, theirs: Move) -> Result<Withdrawal, PipelineError> {
    let (rig, bid) = submitted().await;
    rig.market.next_withdrawal(answer);
    let faulty = crate::rig::faulty::Faulty::over(&rig.ledger);
    let (reached, go) = faulty.hold_before(ours);
    let market = rig.market.clone();
    let asking = tokio::spawn(async move {
        withdraw(&*faulty, &*market, &bid, &Actor::operator("p"), "ours", None, false).await
    });
    crate::rig::soon(reached).await.unwrap();
    let withdrawing = rig.row("1").await;
    let change = Change::new(withdrawing.claim_ref(), Actor::reconciler("r"), theirs);
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
    go.send(()).unwrap();
    crate::rig::soon(asking).await.unwrap()
}

fn no() -> WithdrawAnswer {
    WithdrawAnswer::Refused { code: "late".to_owned(), detail: String::new(), status: None }
}

#[tokio::test]
async fn what_is_withdrawn_by_one_of_two_answers_is_withdrawn() {
    let confirmed = || Move::ConfirmWithdrawn { rebid_allowed: false };
    for (answer, ours) in
        [(WithdrawAnswer::Withdrawn, Action::ConfirmWithdrawn), (no(), Action::RefuseWithdrawal)]
    {
        let said = race(answer, ours, confirmed()).await.unwrap();
        assert!(matches!(&said, Withdrawal::Withdrawn(bid) if bid.state == BidState::Withdrawn), "{said:?}");
    }
}

/// The client cannot have chosen a bid that was withdrawn.
#[tokio::test]
async fn a_confirmed_withdrawal_of_a_bid_that_was_won_meanwhile_is_a_contradiction() {
    for theirs in [Move::Win, Move::Lose] {
        let said = race(WithdrawAnswer::Withdrawn, Action::ConfirmWithdrawn, theirs).await;
        assert!(
            matches!(&said, Err(PipelineError::Invariant(why)) if why.contains("would not record")),
            "{said:?}"
        );
    }
    let said = race(no(), Action::RefuseWithdrawal, Move::Win).await.unwrap();
    assert!(matches!(&said, Withdrawal::Refused { bid, .. } if bid.state == BidState::Won), "{said:?}");
}

#[tokio::test]
async fn an_answer_that_settles_nothing_leaves_the_withdrawal_open_in_its_words() {
    for (answer, words) in [
        (WithdrawAnswer::NotFound { detail: "no bid x1".to_owned() }, "knows no such bid: no bid x1"),
        (WithdrawAnswer::TryLater { after: None, detail: "busy".to_owned() }, "not for now: busy"),
        (WithdrawAnswer::Unsupported, "do it there by hand"),
    ] {
        let (rig, bid) = submitted().await;
        rig.market.next_withdrawal(answer);
        let Withdrawal::Pending { bid, detail } = take_back(&rig, &bid, None, true).await else { panic!() };
        assert!(bid.state == BidState::Withdrawing && detail.contains(words), "{detail}");
    }
}

//! S2: the one-way door.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Rig, fixtures::*};
use crate::{
    Applied, BidState, ClaimId, ClaimRef, LedgerStore, Move, NotMoved, PostingId, WallTime, store::Cap,
};

/// A made-up claim id is refused, in every state.
pub async fn s2_nobody_but_the_claimant_passes_the_door(rig: &impl Rig) {
    let ledger = rig.open().await;
    for state in BidState::ALL {
        let bid = bid_in(&*ledger, &posting(state.as_str()), state).await;
        let forged = ClaimRef { bid: bid.id, claim: ClaimId(Uuid::new_v4()) };
        let taker = Move::TakeSending { claimant: claimant("thief"), ttl: TTL, cap: None };
        for action in [door(), taker] {
            let answer = attempt(&*ledger, forged, action).await;
            assert!(matches!(answer, Applied::Not(NotMoved::StaleClaim(_))), "{state}: {answer:?}");
        }
        assert_eq!(read(&*ledger, &bid).await, bid);
    }
}

/// Whoever slept too long is refused, before the first send and before a further one.
pub async fn s2_an_expired_claim_is_refused_the_door(rig: &impl Rig) {
    let ledger = rig.open().await;
    let unsent = granted(&*ledger, &posting("unsent"), "here").await.bid;
    let sent = bid_in(&*ledger, &posting("sent"), BidState::Submitting).await;
    rig.advance(TTL);
    for bid in [unsent, sent] {
        let answer = attempt(&*ledger, bid.claim_ref(), door()).await;
        let Applied::Not(NotMoved::Expired(row)) = answer else { panic!("{answer:?}") };
        assert_eq!((row.state, row.attempts), (bid.state, bid.attempts));
        assert_eq!(row.claim_remaining, Some(Duration::ZERO));
    }
}

/// Every send follows its own passage: attempts count, the claim is renewed, the first time is kept.
pub async fn each_send_is_counted_and_renews_the_claim(rig: &impl Rig) {
    let ledger = rig.open().await;
    let bid = granted(&*ledger, &posting("1"), "here").await.bid;
    let first = moved(&*ledger, bid.claim_ref(), door()).await;
    assert_eq!((first.state, first.attempts, first.claim_remaining), (BidState::Submitting, 1, Some(TTL)));
    rig.advance(Duration::from_secs(50));
    let longer = Move::EnterSubmitting { ttl: 2 * TTL, cap: None };
    let second = moved(&*ledger, bid.claim_ref(), longer).await;
    assert_eq!((second.attempts, second.claim_remaining), (2, Some(2 * TTL)));
    assert_eq!(second.first_sent_at, first.first_sent_at);
    assert_eq!(first.last_sent_at, first.first_sent_at);
    assert_eq!(second.last_sent_at.unwrap().0, first.first_sent_at.unwrap().0 + 50_000);
    assert_eq!((second.claim_id, second.epoch), (bid.claim_id, bid.epoch));
    assert_eq!(second.payload, bid.payload);
}

fn capped(limit: u64) -> Move {
    Move::EnterSubmitting { ttl: TTL, cap: Some(Cap { limit, since: WallTime(0) }) }
}

/// A further attempt of a bid and another marketplace's bids are not counted; refused bids may go on later.
pub async fn a_cap_counts_first_sends_of_its_marketplace(rig: &impl Rig) {
    let ledger = rig.open().await;
    let elsewhere = PostingId::new("otherwork", "1").unwrap();
    let other = granted(&*ledger, &elsewhere, "here").await.bid;
    moved(&*ledger, other.claim_ref(), door()).await;
    let bid = async |name: &str| granted(&*ledger, &posting(name), "here").await.bid.claim_ref();
    let (a, b, c) = (bid("a").await, bid("b").await, bid("c").await);
    moved(&*ledger, a, capped(2)).await;
    moved(&*ledger, a, capped(2)).await;
    moved(&*ledger, b, capped(2)).await;
    let answer = attempt(&*ledger, c, capped(2)).await;
    let Applied::Not(NotMoved::CapReached(row)) = answer else { panic!("{answer:?}") };
    assert_eq!((row.state, row.attempts), (BidState::Claimed, 0));
    moved(&*ledger, b, capped(2)).await;
    moved(&*ledger, c, capped(3)).await;
}

/// What was handed back, and is sent again on another day, takes its place in that day's cap; and it leaves the
/// place of the day when nothing was accepted.
pub async fn a_cap_counts_what_came_back_when_it_is_sent_again(rig: &impl Rig) {
    let ledger = rig.open().await;
    let take = |cap| Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap };
    let mut back = Vec::new();
    for name in ["a", "b", "c"] {
        let bid = bid_in(&*ledger, &posting(name), BidState::Submitting).await;
        moved(&*ledger, bid.claim_ref(), Move::HandBack).await;
        back.push(posting(name));
    }
    let approved = bid_in(&*ledger, &posting("approved"), BidState::Approved).await;
    let sent = moved(&*ledger, approved.claim_ref(), take(None)).await;
    let approved = moved(&*ledger, sent.claim_ref(), Move::HandBack).await;
    // Four came back on the first day: its one place is free.
    let other = granted(&*ledger, &posting("other"), "here").await.bid;
    moved(&*ledger, other.claim_ref(), capped(1)).await;
    rig.advance(Duration::from_secs(600));
    let day = WallTime(sent.last_sent_at.unwrap().0 + 1);
    for (n, job) in back.iter().enumerate() {
        let again = granted(&*ledger, job, "here").await;
        assert!(again.taken_over);
        let cap = Some(Cap { limit: 2, since: day });
        let answer = attempt(&*ledger, again.bid.claim_ref(), Move::EnterSubmitting { ttl: TTL, cap }).await;
        let passed = matches!(answer, Applied::Moved { .. });
        assert_eq!(passed, n < 2, "{answer:?}");
    }
    let answer = attempt(&*ledger, approved.claim_ref(), take(Some(Cap { limit: 2, since: day }))).await;
    assert!(matches!(answer, Applied::Not(NotMoved::CapReached(_))), "{answer:?}");
}

/// The count and the passage are one step: concurrent passages do not slip through together.
pub async fn a_cap_holds_when_many_pass_at_once(rig: &impl Rig) {
    let openings = [rig.open().await, rig.open().await];
    let mut tasks = Vec::new();
    for n in 0..16 {
        let ledger: Arc<dyn LedgerStore> = openings[n % 2].clone();
        let bid = granted(&*ledger, &posting(&n.to_string()), "here").await.bid;
        tasks.push(tokio::spawn(async move { attempt(&*ledger, bid.claim_ref(), capped(5)).await }));
    }
    let mut passed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Applied::Moved { .. } => passed += 1,
            Applied::Not(NotMoved::CapReached(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(passed, 5);
}

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

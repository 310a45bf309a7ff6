//! Bids that a person decides on.

use std::time::Duration;

use super::{Rig, fixtures::*};
use crate::{Applied, BidState, Move, NotMoved, Standing};

fn take_sending(holder: &str) -> Move {
    Move::TakeSending { claimant: claimant(holder), ttl: TTL, cap: None }
}

/// Of many scanners that saw the approval, one takes the sending.
pub async fn of_many_senders_of_an_approved_bid_one_wins(rig: &impl Rig) {
    let openings = [rig.open().await, rig.open().await];
    let approved = bid_in(&*openings[0], &posting("1"), BidState::Approved).await;
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let (ledger, at) = (openings[n % 2].clone(), approved.claim_ref());
            tokio::spawn(async move { attempt(&*ledger, at, take_sending(&format!("sender-{n}"))).await })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Applied::Moved { bid, .. } => winners.push(bid),
            Applied::Not(NotMoved::StaleClaim(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let [winner] = &winners[..] else { panic!("{winners:?}") };
    assert_eq!((winner.state, winner.attempts), (BidState::Submitting, 1));
    assert!(winner.epoch > approved.epoch);
}

/// An approval that expired lets nobody through the door, and goes back to the person.
pub async fn an_expired_approval_is_refused_and_swept_back(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let approved = bid_in(&*ledger, &job, BidState::Approved).await;
    rig.advance(Duration::from_secs(3_599));
    assert_eq!(
        ledger.standing(std::slice::from_ref(&job)).await.unwrap(),
        [Standing::Approved(approved.brief())]
    );
    assert_eq!(ledger.sweep(10).await.unwrap().approvals_expired, 0);
    rig.advance(Duration::from_secs(1));
    let answer = attempt(&*ledger, approved.claim_ref(), take_sending("late")).await;
    assert!(matches!(answer, Applied::Not(NotMoved::Expired(_))), "{answer:?}");
    assert_eq!(
        ledger.standing(std::slice::from_ref(&job)).await.unwrap(),
        [Standing::Taken(approved.brief())]
    );
    assert_eq!(ledger.sweep(10).await.unwrap().approvals_expired, 1);
    let back = read(&*ledger, &approved).await;
    assert_eq!(back.state, BidState::AwaitingApproval);
    let again = walk(&*ledger, back, vec![approve(), take_sending("in time")]).await;
    assert_eq!(again.state, BidState::Submitting);
}

//! What expired is moved on: once, with a reason, and nothing else.

use super::{Rig, fixtures::*};
use crate::{Action, BidState, Swept, UnknownCause};

/// A silent submission becomes unknown, and says who went silent; a silent claim is abandoned.
pub async fn a_silent_claimant_is_swept_with_its_name(rig: &impl Rig) {
    let ledger = rig.open().await;
    let claimed = granted(&*ledger, &posting("claimed"), "host-a:1:0badcafe").await.bid;
    let sent = granted(&*ledger, &posting("sent"), "host-b:2:0badcafe").await.bid;
    moved(&*ledger, sent.claim_ref(), door()).await;
    rig.advance(2 * TTL);
    let swept = ledger.sweep(10).await.unwrap();
    assert_eq!(swept, Swept { abandoned: 1, unknown: 1, approvals_expired: 0 });
    let (claimed, sent) = (read(&*ledger, &claimed).await, read(&*ledger, &sent).await);
    assert_eq!(claimed.state, BidState::Abandoned);
    assert_eq!((sent.state, sent.unknown_cause), (BidState::Unknown, Some(UnknownCause::ClaimantSilent)));
    let reason = sent.reason.unwrap();
    assert!(reason.contains("host-b:2:0badcafe") && reason.contains("since 20"), "{reason}");
    assert!(reason.contains("after the one-way door"), "{reason}");
    assert!(reason.ends_with(&format!("its claim expired {} s ago", TTL.as_secs())), "{reason}");
    assert!(claimed.reason.is_some_and(|reason| reason.contains("before the one-way door")));
    let last = ledger.history(sent.id).await.unwrap().pop().unwrap();
    assert_eq!((last.action, &*last.actor), (Some(Action::SweepSubmitting), "sweeper"));
    assert_eq!(ledger.sweep(10).await.unwrap(), Swept::default());
}

/// A sweep changes no row that has not expired.
pub async fn what_has_not_expired_is_left_alone(rig: &impl Rig) {
    let ledger = rig.open().await;
    let mut bids = Vec::new();
    for state in BidState::ALL {
        bids.push(bid_in(&*ledger, &posting(state.as_str()), state).await);
    }
    assert_eq!(ledger.sweep(100).await.unwrap(), Swept::default());
    for bid in bids {
        assert_eq!(read(&*ledger, &bid).await, bid);
    }
}

/// The limit bounds one sweep over all kinds.
pub async fn a_sweep_moves_no_more_than_its_limit(rig: &impl Rig) {
    let ledger = rig.open().await;
    for n in 0..3 {
        bid_in(&*ledger, &posting(&format!("sent-{n}")), BidState::Submitting).await;
        granted(&*ledger, &posting(&format!("claimed-{n}")), "here").await;
    }
    rig.advance(TTL);
    let (mut unknown, mut abandoned) = (0, 0);
    for _ in 0..3 {
        let swept = ledger.sweep(2).await.unwrap();
        assert_eq!((swept.unknown + swept.abandoned, swept.total()), (2, 2));
        (unknown, abandoned) = (unknown + swept.unknown, abandoned + swept.abandoned);
    }
    assert_eq!((unknown, abandoned), (3, 3));
    let all = Swept { abandoned: 4, unknown: 3, approvals_expired: 2 };
    assert_eq!(all.total(), 9);
}

/// Sweepers of several instances do not count, or record, a row twice.
pub async fn of_many_sweepers_each_row_is_moved_once(rig: &impl Rig) {
    let openings = [rig.open().await, rig.open().await, rig.open().await];
    let mut bids = Vec::new();
    for n in 0..10 {
        bids.push(bid_in(&*openings[0], &posting(&n.to_string()), BidState::Submitting).await);
    }
    rig.advance(TTL);
    let tasks: Vec<_> = openings
        .iter()
        .cloned()
        .map(|ledger| tokio::spawn(async move { ledger.sweep(100).await.unwrap().unknown }))
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    assert_eq!(total, 10);
    for bid in bids {
        assert_eq!(openings[0].history(bid.id).await.unwrap().len(), 3, "made, sent, swept");
    }
}

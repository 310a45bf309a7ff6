//! S1: one live bid per posting, and who may free a posting.

use super::{Rig, fixtures::*};
use crate::{Applied, Bid, BidFilter, BidState, ClaimOutcome, LedgerStore, Move, NotMoved, Page, PostingId};

/// Of many claims at once, through several openings, one is granted; the others get that bid.
pub async fn s1_one_live_bid_per_posting(rig: &impl Rig) {
    let mut openings = Vec::new();
    for _ in 0..4 {
        openings.push(rig.open().await);
    }
    let job = posting("1");
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let (ledger, job) = (openings[n % 4].clone(), job.clone());
            tokio::spawn(async move { claim(&*ledger, &job, &format!("scanner-{n}")).await })
        })
        .collect();
    let (mut winners, mut seen) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            ClaimOutcome::Granted(claim) => winners.push(claim.bid),
            ClaimOutcome::Existing(bid) => seen.push(bid.id),
        }
    }
    assert_eq!(winners.len(), 1, "granted more than once: {winners:?}");
    assert!(seen.iter().all(|id| *id == winners[0].id));
    let rows = openings[0].list(&BidFilter::default(), &Page::default()).await.unwrap();
    assert_eq!(rows.len(), 1);
}

/// The first request of a call wins, the second gets the first one's bid.
pub async fn s1_a_posting_twice_in_one_call_is_claimed_once(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let outcomes = ledger.claim(&[request(&job, "first"), request(&job, "second")]).await.unwrap();
    let [ClaimOutcome::Granted(claim), ClaimOutcome::Existing(bid)] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!((bid.id, &*bid.claimant.holder), (claim.bid.id, "first"));
}

/// A bid in any state but `abandoned` keeps its posting.
pub async fn s1_a_settled_posting_stays_taken(rig: &impl Rig) {
    let ledger = rig.open().await;
    for state in BidState::ALL.into_iter().filter(|state| *state != BidState::Abandoned) {
        let job = posting(state.as_str());
        let bid = bid_in(&*ledger, &job, state).await;
        assert_eq!(existing(&*ledger, &job, "other").await, bid, "{state}");
    }
}

/// The same id at two marketplaces is two postings.
pub async fn marketplaces_are_independent(rig: &impl Rig) {
    let ledger = rig.open().await;
    let elsewhere = PostingId::new("otherwork", "1").unwrap();
    let a = granted(&*ledger, &posting("1"), "here").await.bid;
    let b = granted(&*ledger, &elsewhere, "here").await.bid;
    assert_ne!((a.id, a.idempotency_key), (b.id, b.idempotency_key));
}

/// A withdrawal keeps the posting used, unless the owner's policy permits another bid; and the flag is set
/// at the confirmation, not before.
pub async fn a_withdrawal_frees_the_posting_only_with_permission(rig: &impl Rig) {
    let ledger = rig.open().await;
    let kept = bid_in(&*ledger, &posting("kept"), BidState::Withdrawn).await;
    assert_eq!(existing(&*ledger, &posting("kept"), "other").await.id, kept.id);

    let freed = bid_in(&*ledger, &posting("freed"), BidState::Withdrawing).await;
    assert_eq!(existing(&*ledger, &posting("freed"), "other").await.id, freed.id);
    let freed = moved(&*ledger, freed.claim_ref(), Move::ConfirmWithdrawn { rebid_allowed: true }).await;
    assert!(freed.rebid_allowed);
    let next = granted(&*ledger, &posting("freed"), "other").await;
    assert!(!next.taken_over);
    assert_ne!(next.bid.id, freed.id);
}

/// Only a confirmed withdrawal changes the idempotency key, and the payload is the new one.
pub async fn a_new_bid_after_a_withdrawal_has_a_new_key(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let mut keys = Vec::new();
    for round in 0..3 {
        let bid = granted(&*ledger, &job, &format!("round-{round}")).await.bid;
        assert_eq!(bid.payload.proposal, format!("proposal of round-{round}"));
        assert!(!keys.contains(&bid.idempotency_key), "round {round} repeats a key");
        keys.push(bid.idempotency_key);
        let accepted = Move::Accept { external_ref: format!("remote-{round}") };
        let bid = walk(&*ledger, bid, vec![door(), accepted, Move::Withdraw]).await;
        moved(&*ledger, bid.claim_ref(), Move::ConfirmWithdrawn { rebid_allowed: true }).await;
    }
}

/// After "not submitted, allow a new bid" the new one can be recognised as the old one.
pub async fn a_new_bid_after_not_submitted_repeats_key_and_payload(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let second = granted(&*ledger, &job, "other").await.bid;
    assert_ne!(second.id, first.id);
    assert_eq!(second.idempotency_key, first.idempotency_key);
    assert_eq!(second.payload, first.payload);
    assert_eq!(second.attempts, 0);
}

/// A wrong refusal has a way out by a person; the new bid is not the one that was refused.
pub async fn a_refused_posting_is_freed_by_a_person_alone(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let refused = bid_in(&*ledger, &job, BidState::Rejected).await;
    assert_eq!(existing(&*ledger, &job, "other").await.id, refused.id);
    let settled =
        moved(&*ledger, refused.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    assert_eq!((settled.state, settled.rebid_allowed), (BidState::NotSubmitted, true));
    let next = granted(&*ledger, &job, "other").await.bid;
    assert_eq!(next.payload.proposal, "proposal of other");
    assert_eq!(next.idempotency_key, refused.idempotency_key);
}

/// A bid beside a later one of its posting goes through a second withdrawal without breaking either.
pub async fn flags_that_free_a_posting_never_clear_under_a_later_bid(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let second = granted(&*ledger, &job, "other").await.bid;
    attempt(&*ledger, first.claim_ref(), Move::Find { external_ref: "remote-1".to_owned() }).await;
    moved(&*ledger, first.claim_ref(), Move::Withdraw).await;
    let withdrawn = moved(&*ledger, first.claim_ref(), Move::ConfirmWithdrawn { rebid_allowed: false }).await;
    assert!(withdrawn.rebid_allowed, "cleared, it would be a second live bid");
    assert_eq!(existing(&*ledger, &job, "third").await.id, second.id);
}

/// A first bid, settled as not submitted with a new bid allowed, and that new bid in a state.
async fn second_bid(ledger: &dyn LedgerStore, job: &PostingId, state: BidState) -> (Bid, Bid) {
    let first = bid_in(ledger, job, BidState::Unknown).await;
    moved(ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let second = bid_in(ledger, job, state).await;
    (first, second)
}

/// The marketplace turns out to have an earlier bid: the posting is taken, also where every later bid had been
/// settled as not submitted with a new bid allowed.
pub async fn s1_a_reopened_bid_takes_its_posting_whatever_came_later(rig: &impl Rig) {
    let ledger = rig.open().await;
    for (name, action) in [("found", find("remote-1")), ("told", accept())] {
        let job = posting(name);
        let (first, second) = second_bid(&*ledger, &job, BidState::Unknown).await;
        moved(&*ledger, second.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
        let answer = attempt(&*ledger, first.claim_ref(), action).await;
        let Applied::Moved { bid: reopened, alarm: Some(_) } = answer else { panic!("{answer:?}") };
        assert!(!reopened.rebid_allowed, "{name}");
        assert_eq!(existing(&*ledger, &job, "third").await.id, first.id, "{name}");
        // The later one turns out to be there too: both stand, and the posting has one live row.
        let answer = attempt(&*ledger, second.claim_ref(), find("remote-2")).await;
        let Applied::Moved { alarm: Some(alarm), .. } = answer else { panic!("{answer:?}") };
        assert!(alarm.contains("duplicate"), "{alarm}");
        assert_eq!(existing(&*ledger, &job, "third").await.id, first.id, "{name}");
    }
}

/// Beside a bid that the marketplace has, neither a withdrawal nor a person frees the posting.
pub async fn s1_a_posting_with_another_bid_is_not_freed(rig: &impl Rig) {
    let ledger = rig.open().await;
    let free = [
        (BidState::Withdrawing, Move::ConfirmWithdrawn { rebid_allowed: true }),
        (BidState::Unknown, Move::ResolveNotSubmitted { allow_new_bid: true }),
    ];
    for (state, action) in free {
        let job = posting(state.as_str());
        let (first, second) = second_bid(&*ledger, &job, state).await;
        attempt(&*ledger, first.claim_ref(), Move::Accept { external_ref: "remote-2".to_owned() }).await;
        let after = moved(&*ledger, second.claim_ref(), action).await;
        assert!(!after.rebid_allowed, "{state}: bid {} is still there", first.id);
        assert_eq!(existing(&*ledger, &job, "third").await.id, second.id, "{state}");
        // Once the other one is withdrawn, nothing stands in the way; but the choice has to be made anew.
        moved(&*ledger, first.claim_ref(), Move::Withdraw).await;
        moved(&*ledger, first.claim_ref(), Move::ConfirmWithdrawn { rebid_allowed: true }).await;
        assert_eq!(existing(&*ledger, &job, "third").await.id, second.id, "{state}");
    }
}

/// A bid that was under way while an earlier one turned out to be submitted, and comes back unsent, is neither
/// taken over nor sent again.
pub async fn s1_what_is_handed_back_beside_another_bid_is_not_sent(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("again");
    let (first, second) = second_bid(&*ledger, &job, BidState::Submitting).await;
    attempt(&*ledger, first.claim_ref(), accept()).await;
    let answer = attempt(&*ledger, second.claim_ref(), door()).await;
    assert!(matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if row.id == first.id), "{answer:?}");
    moved(&*ledger, second.claim_ref(), Move::HandBack).await;
    assert_eq!(existing(&*ledger, &job, "third").await.id, first.id);

    let job = posting("approved");
    let (first, second) = second_bid(&*ledger, &job, BidState::Approved).await;
    let take = Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap: None };
    let sent = moved(&*ledger, second.claim_ref(), take.clone()).await;
    attempt(&*ledger, first.claim_ref(), accept()).await;
    let back = moved(&*ledger, sent.claim_ref(), Move::HandBack).await;
    assert_eq!(back.state, BidState::Approved);
    let answer = attempt(&*ledger, back.claim_ref(), take).await;
    assert!(matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if row.id == first.id), "{answer:?}");
}

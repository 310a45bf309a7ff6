//! Claims: take-over, staleness, frozen payloads, epochs, expiry.

use std::time::Duration;

use super::{Rig, fixtures::*};
use crate::{Applied, BidState, ClaimOutcome, Move, NotMoved};

const BEFORE_EXPIRY: Duration = Duration::from_secs(59);

/// A take-over gets the same row with a new claim and its own payload; a live claim is left alone.
pub async fn an_expired_claim_is_taken_over_and_a_live_one_is_not(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = granted(&*ledger, &job, "first").await.bid;
    rig.advance(BEFORE_EXPIRY);
    let seen = existing(&*ledger, &job, "second").await;
    assert_eq!(seen.claim_remaining, Some(TTL - BEFORE_EXPIRY));
    rig.advance(TTL - BEFORE_EXPIRY);
    let second = granted(&*ledger, &job, "second").await;
    assert!(second.taken_over);
    let second = second.bid;
    assert_eq!((second.id, second.state), (first.id, BidState::Claimed));
    assert_ne!(second.claim_id, first.claim_id);
    assert_eq!(second.claimant, claimant("second"));
    assert_eq!(second.payload, payload("proposal of second"));
    assert_eq!(second.idempotency_key, first.idempotency_key);
    assert_eq!(second.claim_remaining, Some(TTL));
}

/// Of many that want an expired claim at once, one gets it.
pub async fn of_many_take_overs_one_wins(rig: &impl Rig) {
    let (a, b) = (rig.open().await, rig.open().await);
    let job = posting("1");
    granted(&*a, &job, "first").await;
    rig.advance(TTL);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (ledger, job) = (if n % 2 == 0 { a.clone() } else { b.clone() }, job.clone());
            tokio::spawn(async move { claim(&*ledger, &job, &format!("scanner-{n}")).await })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(matches!(task.await.unwrap(), ClaimOutcome::Granted(_)));
    }
    assert_eq!(winners, 1);
}

/// All expired claims that one call wants are taken over in it; of two requests for one of them, the first has it.
pub async fn one_call_takes_over_many_expired_claims(rig: &impl Rig) {
    let ledger = rig.open().await;
    let jobs: Vec<_> = (0..12).map(|n| posting(&n.to_string())).collect();
    for job in &jobs {
        granted(&*ledger, job, "before").await;
    }
    rig.advance(TTL);
    let twice = ["first", "second"].map(|holder| jobs.iter().map(move |job| request(job, holder)));
    let outcomes = ledger.claim(&twice.into_iter().flatten().collect::<Vec<_>>()).await.unwrap();
    let (first, second) = outcomes.split_at(jobs.len());
    for (first, second) in first.iter().zip(second) {
        let (ClaimOutcome::Granted(claim), ClaimOutcome::Existing(bid)) = (first, second) else {
            panic!("{first:?}, {second:?}")
        };
        assert!(claim.taken_over && claim.bid.claimant == claimant("first"));
        assert_eq!((bid.id, bid.claim_id), (claim.bid.id, claim.bid.claim_id));
    }
}

/// S4: whoever was taken over from can do nothing, and is told so.
pub async fn s4_after_a_take_over_the_old_claim_changes_nothing(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let old = granted(&*ledger, &job, "old").await.bid;
    rig.advance(TTL);
    let new = granted(&*ledger, &job, "new").await.bid;
    for action in [door(), Move::HandBack, Move::Decline, Move::AwaitApproval, accept()] {
        let answer = attempt(&*ledger, old.claim_ref(), action.clone()).await;
        assert_eq!(answer, Applied::Not(NotMoved::StaleClaim(Box::new(new.clone()))), "{action:?}");
    }
    assert_eq!(read(&*ledger, &new).await, new);
    let sent = moved(&*ledger, new.claim_ref(), door()).await;
    let answer = attempt(&*ledger, old.claim_ref(), accept()).await;
    assert_eq!(answer, Applied::Not(NotMoved::StaleClaim(Box::new(sent))));
}

/// What was handed back before the door is anybody's, at once.
pub async fn an_abandoned_bid_is_taken_over_at_once(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = bid_in(&*ledger, &job, BidState::Abandoned).await;
    let second = granted(&*ledger, &job, "second").await;
    assert!(second.taken_over);
    assert_eq!((second.bid.id, second.bid.state), (first.id, BidState::Claimed));
    assert_eq!(
        second.bid.payload,
        payload("proposal of second"),
        "never sent, so the payload is the new one"
    );
}

/// A row that passed the door once keeps its payload, whoever takes it over.
pub async fn a_payload_that_was_sent_is_kept(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = granted(&*ledger, &job, "first").await.bid;
    walk(&*ledger, first.clone(), vec![door(), Move::HandBack]).await;
    let second = granted(&*ledger, &job, "second").await.bid;
    assert_eq!(second.payload, first.payload);
    assert_eq!(second.idempotency_key, first.idempotency_key);
}

/// A row that a person approved keeps the payload that the person saw.
pub async fn a_payload_that_was_approved_is_kept(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let approved = bid_in(&*ledger, &job, BidState::Approved).await;
    let taker = Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap: None };
    let sent = moved(&*ledger, approved.claim_ref(), taker).await;
    let back = walk(&*ledger, sent, vec![lose_answer(), Move::HandBack]).await;
    assert_eq!(existing(&*ledger, &job, "second").await.state, BidState::Approved);
    let taker = Move::TakeSending { claimant: claimant("second"), ttl: TTL, cap: None };
    let taken = moved(&*ledger, back.claim_ref(), taker).await;
    assert_eq!(taken.payload, approved.payload);
}

/// Where a bid goes is the new claimant's to say once nothing was accepted; amount, text and key stay.
pub async fn a_taken_over_bid_goes_where_its_new_claimant_sends_it(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = granted(&*ledger, &job, "first").await.bid;
    walk(&*ledger, first.clone(), vec![door(), Move::HandBack]).await;
    let mut moved_house = request(&job, "second");
    moved_house.payload.via = "http:http://new.example".to_owned();
    let answer = ledger.claim(&[moved_house]).await.unwrap().remove(0);
    let ClaimOutcome::Granted(claim) = answer else { panic!("{answer:?}") };
    assert_eq!(claim.bid.payload.via, "http:http://new.example");
    assert_eq!(claim.bid.payload.proposal, first.payload.proposal);
    assert_eq!(claim.bid.idempotency_key, first.idempotency_key);
}

/// S5: every new claim id of a posting has a higher epoch, on whatever path and row.
pub async fn s5_epochs_increase_across_paths_and_rows(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let mut claims = vec![granted(&*ledger, &job, "first").await.bid];
    rig.advance(TTL);
    let expired = granted(&*ledger, &job, "after expiry").await.bid;
    claims.push(expired.clone());
    moved(&*ledger, expired.claim_ref(), Move::HandBack).await;
    let abandoned = granted(&*ledger, &job, "after hand-back").await.bid;
    claims.push(abandoned.clone());
    let approved = walk(&*ledger, abandoned, vec![Move::AwaitApproval, approve()]).await;
    let taker = Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap: None };
    let sent = moved(&*ledger, approved.claim_ref(), taker.clone()).await;
    claims.push(sent.clone());
    let back = moved(&*ledger, sent.claim_ref(), Move::HandBack).await;
    let sent = moved(&*ledger, back.claim_ref(), taker).await;
    claims.push(sent.clone());
    let bid = walk(&*ledger, sent, vec![accept(), Move::Withdraw]).await;
    moved(&*ledger, bid.claim_ref(), Move::ConfirmWithdrawn { rebid_allowed: true }).await;
    claims.push(granted(&*ledger, &job, "another row").await.bid);
    rig.advance(TTL);
    claims.push(granted(&*ledger, &job, "taken over there").await.bid);
    for pair in claims.windows(2) {
        assert!(pair[0].epoch < pair[1].epoch, "{:?} then {:?}", pair[0], pair[1]);
        assert_ne!(pair[0].claim_id, pair[1].claim_id);
    }
}

/// What another boot claimed has expired, however early in that boot's clock.
pub async fn a_claim_of_another_boot_has_expired(rig: &impl Rig) {
    let ledger = rig.open().await;
    let (job, sent) = (posting("1"), posting("sent"));
    let old = granted(&*ledger, &job, "before").await.bid;
    let submitting = bid_in(&*ledger, &sent, BidState::Submitting).await;
    if !rig.reboot() {
        println!("SKIPPED (the store's clock knows no restarts): a_claim_of_another_boot_has_expired");
        return;
    }
    assert!(matches!(attempt(&*ledger, old.claim_ref(), door()).await, Applied::Not(NotMoved::Expired(_))));
    assert!(matches!(
        attempt(&*ledger, submitting.claim_ref(), door()).await,
        Applied::Not(NotMoved::Expired(_))
    ));
    assert!(granted(&*ledger, &job, "after").await.taken_over);
    assert_eq!(ledger.sweep(10).await.unwrap().unknown, 1);
}

/// NTP may step the wall clock by a day in either direction: claims live on.
pub async fn a_step_of_the_wall_clock_expires_no_claim(rig: &impl Rig) {
    const DAY_MS: i64 = 86_400_000;
    let ledger = rig.open().await;
    let bid = granted(&*ledger, &posting("1"), "here").await.bid;
    for step in [DAY_MS, -2 * DAY_MS] {
        if !rig.step_wall(step) {
            println!("SKIPPED (the store has one clock): a_step_of_the_wall_clock_expires_no_claim");
            return;
        }
        assert_eq!(existing(&*ledger, &posting("1"), "other").await.claim_remaining, Some(TTL));
    }
    moved(&*ledger, bid.claim_ref(), door()).await;
}

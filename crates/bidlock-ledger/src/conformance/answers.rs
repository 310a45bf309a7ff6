//! What the marketplace said, in time, late, or never; and what a person said instead.

use uuid::Uuid;

use super::{Rig, fixtures::*};
use crate::{
    Action, Actor, Applied, Bid, BidId, BidState, Change, ClaimId, ClaimRef, LedgerStore, Move, NotMoved,
    PostingId, UnknownCause,
};

/// A late "yes" by the same claimant turns `unknown` into `submitted`.
pub async fn a_late_yes_of_the_claimant_settles_the_unknown(rig: &impl Rig) {
    let ledger = rig.open().await;
    let bid = bid_in(&*ledger, &posting("1"), BidState::Unknown).await;
    let settled = moved(&*ledger, bid.claim_ref(), accept()).await;
    assert_eq!((settled.state, settled.external_ref.as_deref()), (BidState::Submitted, Some("remote-1")));
    assert_eq!(settled.unknown_cause, Some(UnknownCause::Timeout), "why it was unknown is kept");
}

/// A late "no" for good turns `unknown` into `rejected`.
pub async fn a_late_no_of_the_claimant_settles_the_unknown(rig: &impl Rig) {
    let ledger = rig.open().await;
    let bid = bid_in(&*ledger, &posting("1"), BidState::Unknown).await;
    assert_eq!(moved(&*ledger, bid.claim_ref(), Move::Refuse).await.state, BidState::Rejected);
}

/// A claimant that slept through its expiry and the sweep still reports what it was told.
pub async fn a_late_yes_after_the_sweep_counts(rig: &impl Rig) {
    let ledger = rig.open().await;
    let bid = bid_in(&*ledger, &posting("1"), BidState::Submitting).await;
    rig.advance(2 * TTL);
    assert_eq!(ledger.sweep(10).await.unwrap().unknown, 1);
    assert_eq!(moved(&*ledger, bid.claim_ref(), accept()).await.state, BidState::Submitted);
}

/// Every cause is kept on the row, with the reason.
pub async fn an_unknown_names_its_cause(rig: &impl Rig) {
    let ledger = rig.open().await;
    for cause in UnknownCause::ALL {
        let bid = bid_in(&*ledger, &posting(cause.as_str()), BidState::Submitting).await;
        let change = Change::new(bid.claim_ref(), Actor::scanner("here"), Move::LoseAnswer { cause });
        apply(&*ledger, change.because("no answer")).await;
        let row = read(&*ledger, &bid).await;
        assert_eq!((row.state, row.unknown_cause), (BidState::Unknown, Some(cause)));
        assert_eq!(row.reason.as_deref(), Some("no answer"));
    }
}

/// With proof that nothing was accepted: to approved if a person had approved it, else to abandoned.
pub async fn a_hand_back_with_proof_abandons_or_returns_to_approved(rig: &impl Rig) {
    let ledger = rig.open().await;
    let plain = bid_in(&*ledger, &posting("plain"), BidState::Submitting).await;
    assert_eq!(moved(&*ledger, plain.claim_ref(), Move::HandBack).await.state, BidState::Abandoned);

    let approved = bid_in(&*ledger, &posting("approved"), BidState::Approved).await;
    let taker = Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap: None };
    let sent = moved(&*ledger, approved.claim_ref(), taker.clone()).await;
    let back = moved(&*ledger, sent.claim_ref(), Move::HandBack).await;
    assert_eq!((back.state, back.approved_until), (BidState::Approved, approved.approved_until));
    assert_eq!(back.payload, approved.payload);
    assert_eq!(moved(&*ledger, back.claim_ref(), taker).await.attempts, 2);
}

/// A late proof of non-acceptance moves the claimant's own unknown to abandoned.
pub async fn a_late_proof_of_non_acceptance_abandons_the_unknown(rig: &impl Rig) {
    let ledger = rig.open().await;
    let bid = bid_in(&*ledger, &posting("1"), BidState::Unknown).await;
    let forged = ClaimRef { bid: bid.id, claim: ClaimId(Uuid::new_v4()) };
    let answer = attempt(&*ledger, forged, Move::HandBack).await;
    assert!(matches!(answer, Applied::Not(NotMoved::StaleClaim(_))), "{answer:?}");
    assert_eq!(moved(&*ledger, bid.claim_ref(), Move::HandBack).await.state, BidState::Abandoned);
}

/// The marketplace has a bid that a person settled as not submitted: reopened, the posting taken again.
pub async fn s9_a_wrong_not_submitted_is_reopened_with_an_alarm(rig: &impl Rig) {
    let ledger = rig.open().await;
    let find = Move::Find { external_ref: "remote-1".to_owned() };
    let resolve = Move::ResolveSubmitted { external_ref: None };
    for (name, allow_new_bid, action) in
        [("a", false, find.clone()), ("b", true, find), ("c", true, accept()), ("d", true, resolve)]
    {
        let job = posting(name);
        let bid = bid_in(&*ledger, &job, BidState::Unknown).await;
        let settled = moved(&*ledger, bid.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid }).await;
        assert_eq!(settled.rebid_allowed, allow_new_bid);
        let answer = attempt(&*ledger, bid.claim_ref(), action).await;
        let Applied::Moved { bid: reopened, alarm: Some(alarm) } = answer else { panic!("{answer:?}") };
        assert_eq!((reopened.state, reopened.rebid_allowed), (BidState::Submitted, false));
        assert!(!alarm.contains("duplicate"), "{alarm}");
        assert_eq!(existing(&*ledger, &job, "other").await.id, bid.id);
    }
}

/// A later bid that has passed the door: the flag stays set and the alarm says duplicate.
pub async fn s9_reopening_beside_a_later_bid_is_a_duplicate_alarm(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let later = granted(&*ledger, &job, "other").await.bid;
    moved(&*ledger, later.claim_ref(), door()).await;
    let answer = attempt(&*ledger, first.claim_ref(), accept()).await;
    let Applied::Moved { bid: reopened, alarm: Some(alarm) } = answer else { panic!("{answer:?}") };
    assert_eq!((reopened.state, reopened.rebid_allowed), (BidState::Submitted, true));
    assert!(alarm.contains("duplicate"), "{alarm}");
    assert_eq!(existing(&*ledger, &job, "third").await.id, later.id);

    // One that a person saw there, and by no name, may be this very one.
    let job = posting("2");
    let first = freed(&*ledger, &job).await;
    let later = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, later.claim_ref(), Move::ResolveSubmitted { external_ref: None }).await;
    let answer = attempt(&*ledger, first.claim_ref(), accept()).await;
    let Applied::Moved { alarm: Some(alarm), .. } = answer else { panic!("{answer:?}") };
    assert!(alarm.contains("duplicate") && alarm.contains("withdraw neither"), "{alarm}");
}

/// What a look-up finds under one key, while a later bid with that key is being sent, may be that later one; and
/// what one row bears as the marketplace's name is not found for another.
pub async fn s8_one_bid_at_the_marketplace_is_found_for_one_row(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let later = bid_in(&*ledger, &job, BidState::Submitting).await;
    let in_the_way = async |name: &str| {
        let answer = attempt(&*ledger, first.claim_ref(), find(name)).await;
        matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if row.id == later.id)
    };
    assert!(in_the_way("remote-1").await, "it may be the one that is being sent");
    moved(&*ledger, later.claim_ref(), accept()).await;
    assert!(in_the_way("remote-1").await, "it is the later one");
    let answer = attempt(&*ledger, first.claim_ref(), find("remote-2")).await;
    let Applied::Moved { alarm: Some(alarm), .. } = answer else { panic!("{answer:?}") };
    assert!(alarm.contains("duplicate"), "{alarm}");
    assert!(!alarm.contains("withdraw neither"), "both names are known: {alarm}");

    let job = posting("2");
    let first = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let later = bid_in(&*ledger, &job, BidState::Unknown).await;
    attempt(&*ledger, first.claim_ref(), find("remote-1")).await;
    let answer = attempt(&*ledger, later.claim_ref(), find("remote-1")).await;
    assert!(matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if row.id == first.id), "{answer:?}");
}

/// A look-up gave the marketplace's one bid to one row; then the other one's claimant wakes up with its "yes", or a person
/// says so. The ledger has that bid already, and does not count it twice.
pub async fn s8_a_late_yes_under_the_name_of_another_row_does_not_count_twice(rig: &impl Rig) {
    let ledger = rig.open().await;
    let named = || Move::ResolveSubmitted { external_ref: Some("remote-1".to_owned()) };
    for (name, action, withdrawn) in
        [("told", accept(), false), ("resolved", named(), false), ("withdrawn", accept(), true)]
    {
        let job = posting(name);
        let first = bid_in(&*ledger, &job, BidState::Unknown).await;
        moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
        let mut later = bid_in(&*ledger, &job, BidState::Unknown).await;
        later = moved(&*ledger, later.claim_ref(), find("remote-1")).await;
        if withdrawn {
            moved(&*ledger, later.claim_ref(), Move::Withdraw).await;
            // Freed, it is looked for under the other index.
            later = moved(&*ledger, later.claim_ref(), Move::ConfirmWithdrawn { rebid_allowed: true }).await;
        }
        let before = read(&*ledger, &first).await;
        let answer = attempt(&*ledger, first.claim_ref(), action).await;
        assert!(
            matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if **row == later),
            "{name}: {answer:?}"
        );
        assert_eq!(read(&*ledger, &first).await, before, "{name}");
        let other = Move::Accept { external_ref: "remote-2".to_owned() };
        let answer = attempt(&*ledger, first.claim_ref(), other).await;
        assert!(matches!(&answer, Applied::Moved { alarm: Some(_), .. }), "{name}: {answer:?}");
    }
    let job = posting("unknown");
    let first = bid_in(&*ledger, &job, BidState::Unknown).await;
    moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
    let later = bid_in(&*ledger, &job, BidState::Unknown).await;
    attempt(&*ledger, first.claim_ref(), find("remote-1")).await;
    for action in [accept(), named()] {
        let answer = attempt(&*ledger, later.claim_ref(), action).await;
        assert!(
            matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if row.id == first.id),
            "{answer:?}"
        );
    }
    let nameless = Move::ResolveSubmitted { external_ref: None };
    assert_eq!(moved(&*ledger, later.claim_ref(), nameless).await.state, BidState::Submitted);
}

/// A marketplace that recognises keys answers the later bid's request with the name of the earlier one, whose claimant was
/// told it a moment before. That is one bid: the later row stays as it is, until its claimant says why it is unknown.
pub async fn s8_a_repeated_yes_under_the_name_of_another_row_does_not_count_twice(rig: &impl Rig) {
    let ledger = rig.open().await;
    let job = posting("1");
    let first = freed(&*ledger, &job).await;
    let later = bid_in(&*ledger, &job, BidState::Submitting).await;
    assert_eq!(first.idempotency_key, later.idempotency_key);
    let answer = attempt(&*ledger, first.claim_ref(), accept()).await;
    let Applied::Moved { alarm: Some(alarm), .. } = &answer else { panic!("{answer:?}") };
    assert!(alarm.contains("duplicate") && alarm.contains("withdraw neither"), "{alarm}");
    let before = read(&*ledger, &later).await;
    let answer = attempt(&*ledger, later.claim_ref(), accept()).await;
    assert!(matches!(&answer, Applied::Not(NotMoved::WrongState(row)) if row.id == first.id), "{answer:?}");
    assert_eq!(read(&*ledger, &later).await.state, before.state);
    assert_eq!(ledger.history(later.id).await.unwrap().len() as u32, before.events);

    let unknown =
        moved(&*ledger, later.claim_ref(), Move::LoseAnswer { cause: UnknownCause::Duplicate }).await;
    assert_eq!((unknown.state, unknown.external_ref), (BidState::Unknown, None));
    let second = Move::Accept { external_ref: "remote-2".to_owned() };
    assert_eq!(
        moved(&*ledger, later.claim_ref(), second).await.state,
        BidState::Submitted,
        "a bid of its own"
    );
}

/// What is said of two bids on one posting in one call counts in its order, as if it had been two: the second one sees what
/// the first has done.
pub async fn s8_siblings_in_one_batch_get_one_name_once(rig: &impl Rig) {
    let ledger = rig.open().await;
    let named = || Move::ResolveSubmitted { external_ref: Some("remote-1".to_owned()) };
    let found = || find("remote-1");
    for (name, state, actions) in [
        ("told in time", BidState::Submitting, [accept(), accept()]),
        ("told late", BidState::Unknown, [accept(), accept()]),
        ("found", BidState::Unknown, [found(), found()]),
        ("told and found", BidState::Unknown, [accept(), found()]),
        ("found and told", BidState::Unknown, [found(), accept()]),
        ("resolved and told", BidState::Submitting, [named(), accept()]),
    ] {
        let job = posting(name);
        let (first, later) = (freed(&*ledger, &job).await, bid_in(&*ledger, &job, state).await);
        let answers = together(&*ledger, [&first, &later], actions).await;
        let [Applied::Moved { bid, .. }, Applied::Not(NotMoved::WrongState(row))] = &answers[..] else {
            panic!("{name}: {answers:?}")
        };
        assert_eq!((bid.id, row.id), (first.id, first.id), "{name}");
        assert_eq!(read(&*ledger, &later).await, later, "{name}");
    }
}

/// Two bids that were settled as not submitted turn out to be there, in one call: the posting is taken by one of them, and
/// the other shows as the duplicate.
pub async fn s1_siblings_in_one_batch_take_their_posting_once(rig: &impl Rig) {
    let ledger = rig.open().await;
    let told = |name: &str| Move::Accept { external_ref: name.to_owned() };
    for (name, actions) in
        [("told", [told("remote-1"), told("remote-2")]), ("found", [find("remote-1"), find("remote-2")])]
    {
        let job = posting(name);
        let (first, later) = (freed(&*ledger, &job).await, freed(&*ledger, &job).await);
        let answers = together(&*ledger, [&first, &later], actions).await;
        let [Applied::Moved { bid: a, .. }, Applied::Moved { bid: b, alarm: Some(alarm) }] = &answers[..]
        else {
            panic!("{name}: {answers:?}")
        };
        assert_eq!((a.rebid_allowed, b.rebid_allowed), (false, true), "{name}");
        assert!(alarm.contains("duplicate"), "{alarm}");
    }
}

/// A bid that a person settled as not submitted, with its posting free for another.
async fn freed(ledger: &dyn LedgerStore, posting: &PostingId) -> Bid {
    let bid = bid_in(ledger, posting, BidState::Unknown).await;
    moved(ledger, bid.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await
}

/// One move of each bid, in one call, behind one of another posting.
async fn together(ledger: &dyn LedgerStore, bids: [&Bid; 2], actions: [Move; 2]) -> Vec<Applied> {
    let beside = posting(&format!("beside {}", bids[0].id));
    let beside = bid_in(ledger, &beside, BidState::Submitting).await;
    let changes = std::iter::once((&beside, accept())).chain(bids.into_iter().zip(actions));
    let changes: Vec<Change> =
        changes.map(|(bid, action)| Change::new(bid.claim_ref(), Actor::scanner("here"), action)).collect();
    let mut answers = ledger.apply(&changes).await.unwrap();
    assert!(matches!(answers.remove(0), Applied::Moved { alarm: None, .. }));
    answers
}

/// Two ask for one withdrawal; the marketplace refuses it to one and grants it to the other. Whichever is recorded first,
/// the bid is withdrawn; and it frees the posting as the owner's policy says.
pub async fn s8_a_withdrawal_granted_to_one_counts_whoever_was_refused(rig: &impl Rig) {
    let ledger = rig.open().await;
    for rebid_allowed in [false, true] {
        let bid = bid_in(&*ledger, &posting(&rebid_allowed.to_string()), BidState::Withdrawing).await;
        assert_eq!(moved(&*ledger, bid.claim_ref(), Move::RefuseWithdrawal).await.state, BidState::Submitted);
        let forged = ClaimRef { bid: bid.id, claim: ClaimId(Uuid::new_v4()) };
        let confirm = Move::ConfirmWithdrawn { rebid_allowed };
        let answer = attempt(&*ledger, forged, confirm.clone()).await;
        assert!(matches!(answer, Applied::Not(NotMoved::StaleClaim(_))), "{answer:?}");
        let withdrawn = moved(&*ledger, bid.claim_ref(), confirm).await;
        assert_eq!((withdrawn.state, withdrawn.rebid_allowed), (BidState::Withdrawn, rebid_allowed));
        let answer = attempt(&*ledger, bid.claim_ref(), Move::RefuseWithdrawal).await;
        assert!(matches!(answer, Applied::Not(NotMoved::WrongState(_))), "{answer:?}");
    }
}

/// A later bid that has not passed the door never will: reopening the earlier one declines it.
pub async fn s1_reopening_declines_a_later_bid_that_was_not_sent(rig: &impl Rig) {
    let ledger = rig.open().await;
    for state in [BidState::Claimed, BidState::AwaitingApproval, BidState::Approved, BidState::Abandoned] {
        let job = posting(state.as_str());
        let first = bid_in(&*ledger, &job, BidState::Unknown).await;
        moved(&*ledger, first.claim_ref(), Move::ResolveNotSubmitted { allow_new_bid: true }).await;
        let later = bid_in(&*ledger, &job, state).await;
        let found = Change::new(first.claim_ref(), Actor::scanner("here"), find("remote-1"))
            .keyed(format!("{state}"));
        let answer = apply(&*ledger, found).await;
        let Applied::Moved { bid: reopened, alarm: Some(alarm) } = answer else { panic!("{answer:?}") };
        assert_eq!(reopened.state, BidState::Submitted, "{state}");
        assert!(!alarm.contains("duplicate"), "{alarm}");
        assert_eq!(read(&*ledger, &later).await.state, BidState::Declined, "{state}");
        // It says why, and is an event of its own: the key is that of the look-up.
        let declined = ledger.history(later.id).await.unwrap().pop().unwrap();
        assert_eq!((declined.action, declined.event_key), (Some(Action::Decline), None), "{state}");
        assert!(declined.reason.is_some_and(|reason| reason.contains(&first.id.to_string())), "{state}");
        let late = attempt(&*ledger, later.claim_ref(), door()).await;
        assert!(matches!(late, Applied::Not(_)), "{state}: {late:?}");
        assert_eq!(existing(&*ledger, &job, "third").await.id, later.id, "the posting stays used");
    }
}

/// A late proof that nothing was accepted leaves a person's approval as it is, with its time.
pub async fn a_late_proof_gives_an_approved_bid_back_to_its_approval(rig: &impl Rig) {
    let ledger = rig.open().await;
    let approved = bid_in(&*ledger, &posting("1"), BidState::Approved).await;
    let take = Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap: None };
    let sent = moved(&*ledger, approved.claim_ref(), take).await;
    moved(&*ledger, sent.claim_ref(), Move::LoseAnswer { cause: UnknownCause::Timeout }).await;
    let back = moved(&*ledger, sent.claim_ref(), Move::HandBack).await;
    assert_eq!((back.state, back.approved_until), (BidState::Approved, approved.approved_until));
}

/// A change that names no bid changes none.
pub async fn a_change_of_an_unknown_bid_says_so(rig: &impl Rig) {
    let ledger = rig.open().await;
    let at = ClaimRef { bid: BidId(Uuid::from_u128(1)), claim: ClaimId(Uuid::from_u128(2)) };
    assert_eq!(attempt(&*ledger, at, door()).await, Applied::Not(NotMoved::NoSuchBid(at.bid)));
    assert_eq!(ledger.bid(at.bid).await.unwrap(), None);
    assert_eq!(ledger.history(at.bid).await.unwrap(), []);
}

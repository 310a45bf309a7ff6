//! A person decides first: nothing is sent before, the payload is frozen, any scanner sends it.

use std::{sync::Arc, time::Duration};

use bidlock::layers::chaos::Chaos;
use bidlock_ledger::{Action, Actor, Applied, Bid, BidState, Change, ClaimRef, Claimant, Move, UnknownCause};
use bidlock_market::{Approval, Budget, Posting};
use bidlock_pipeline::{ApprovalPolicy, DeferReason, Outcome, Pipeline, Scan, ScanOptions, Stop};

use crate::rig::{
    Rig, TTL, approved, batch,
    faulty::Faulty,
    market::{Market, Step, accepted, not_sent, refused},
    one, posting, soon, usd,
};

const VALID: Duration = Duration::from_secs(3_600);

fn asking(rig: &Rig, holder: &str) -> Arc<Pipeline> {
    rig.scanner(holder).options(|o| o.approval = ApprovalPolicy::Always).build()
}

async fn approve(rig: &Rig, id: &str) -> Bid {
    moved(rig, rig.row(id).await.claim_ref(), Move::Approve { valid_for: VALID }).await
}

async fn moved(rig: &Rig, at: ClaimRef, action: Move) -> Bid {
    match rig.ledger.apply(&[Change::new(at, Actor::operator("o"), action)]).await.unwrap().pop() {
        Some(Applied::Moved { bid, .. }) => *bid,
        other => panic!("{other:?}"),
    }
}

/// The posting as the feed shows it later: the client offers less.
fn cheaper(id: &str) -> Posting {
    Posting {
        title: "Changed".to_owned(),
        budget: Budget::from_amounts(Some(usd(100)), None, None),
        ..posting(id)
    }
}

#[tokio::test]
async fn nothing_is_sent_before_a_person_says_yes_and_then_by_any_scanner() {
    let rig = Rig::new();
    let Outcome::AwaitingApproval(bid) = one(&asking(&rig, "a"), "1").await else { panic!() };
    assert_eq!(bid.state, BidState::AwaitingApproval);
    // Other sightings find it, however often and by whomever, and however long it takes.
    rig.time.advance(TTL * 100);
    rig.ledger.sweep(10).await.unwrap();
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
    assert!(rig.market.seen().is_empty());
    approve(&rig, "1").await;
    // The payload is the one that the person saw; the door is passed with a new claim.
    let outcome = rig.pipeline("b").process(cheaper("1")).await.unwrap();
    assert_eq!(outcome.name(), "submitted");
    let seen = rig.market.seen();
    assert_eq!((seen.len(), seen[0].amount), (1, Some(usd(25_000))));
    assert_eq!(seen[0].proposal, "I can do Posting 1");
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create await_approval approve take_sending accept");
    assert_eq!((row.epoch.0, row.claimant.holder.as_str()), (2, "b"));
}

#[tokio::test]
async fn the_marketplaces_rules_ask_for_it_unless_the_owner_says_otherwise() {
    for (by_market, policy, expected) in [
        (Approval::ByDefault, ApprovalPolicy::ByMarketplace, "awaiting_approval"),
        (Approval::ByDefault, ApprovalPolicy::Never, "submitted"),
        (Approval::NotNeeded, ApprovalPolicy::ByMarketplace, "submitted"),
        (Approval::NotNeeded, ApprovalPolicy::Always, "awaiting_approval"),
    ] {
        let rig = Rig::new();
        let mut market = Market::default();
        market.capabilities.approval = by_market;
        let scanner = rig.scanner("a").market(Arc::new(market)).options(|o| o.approval = policy);
        assert_eq!(one(&scanner.build(), "1").await.name(), expected, "{by_market:?} {policy:?}");
    }
}

#[tokio::test]
async fn approved_bids_are_sent_without_a_feed_that_shows_them() {
    let rig = Rig::new();
    batch(&asking(&rig, "a"), &["1", "2", "3"].map(posting)).await;
    approve(&rig, "1").await;
    approve(&rig, "3").await;
    let (sent, ended) = approved(&rig.pipeline("b")).await;
    ended.unwrap();
    let sent: Vec<_> = sent.iter().map(|(p, o)| (p.posting(), o.name())).collect();
    assert_eq!(sent, [("1", "submitted"), ("3", "submitted")]);
    assert_eq!(rig.count(BidState::AwaitingApproval).await, 1);
    assert!(approved(&rig.pipeline("c")).await.0.is_empty());
    assert_eq!(rig.market.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_scanners_send_an_approved_bid_once() {
    let rig = Rig::new();
    let ids: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let postings: Vec<Posting> = ids.iter().map(|id| posting(id)).collect();
    batch(&asking(&rig, "a"), &postings).await;
    for id in &ids {
        approve(&rig, id).await;
    }
    let grant_all = bidlock::backends::open("unsafe-grant-all:").await.unwrap();
    let scans: Vec<_> = (0..6)
        .map(|n| {
            let pipeline = rig.scanner(&format!("s{n}")).locks(grant_all.clone()).build();
            let postings = postings.clone();
            tokio::spawn(async move {
                match n % 2 {
                    0 => approved(&pipeline).await.1.unwrap(),
                    _ => drop(batch(&pipeline, &postings).await),
                }
            })
        })
        .collect();
    for scan in scans {
        soon(scan).await.unwrap();
    }
    for id in &ids {
        assert_eq!(rig.market.seen_for(id), 1, "{id}");
    }
    assert_eq!(rig.count(BidState::Submitted).await, 20);
}

#[tokio::test]
async fn a_hand_back_returns_an_approved_bid_to_approved_with_its_expiry() {
    let rig = Rig::new();
    one(&asking(&rig, "a"), "1").await;
    let until = approve(&rig, "1").await.approved_until;
    for _ in 0..3 {
        rig.market.say("1", not_sent());
    }
    assert!(matches!(one(&rig.pipeline("b"), "1").await, Outcome::Deferred(DeferReason::NotSent { .. })));
    let row = rig.row("1").await;
    assert_eq!((row.state, row.approved_until), (BidState::Approved, until));
    assert_eq!(one(&rig.pipeline("c"), "1").await.name(), "submitted");
    let keys: Vec<_> = rig.market.seen().iter().map(|s| s.idempotency_key).collect();
    assert_eq!(keys, [row.idempotency_key; 4]);
}

#[tokio::test]
async fn an_approval_that_expires_goes_back_to_the_person() {
    let rig = Rig::new();
    one(&asking(&rig, "a"), "1").await;
    approve(&rig, "1").await;
    rig.time.advance(VALID);
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "already_bid");
    assert!(approved(&rig.pipeline("b")).await.0.iter().all(|(_, o)| o.name() != "submitted"));
    assert_eq!(rig.ledger.sweep(10).await.unwrap().approvals_expired, 1);
    assert_eq!(rig.row("1").await.state, BidState::AwaitingApproval);
    assert!(rig.market.seen().is_empty());
    approve(&rig, "1").await;
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
}

#[tokio::test]
async fn an_approval_that_expires_at_the_door_sends_nothing() {
    let rig = Rig::new();
    one(&asking(&rig, "a"), "1").await;
    approve(&rig, "1").await;
    let faulty = Faulty::over(&rig.ledger);
    let (at_the_door, go) = faulty.hold_before(Action::TakeSending);
    let pipeline = rig.scanner("b").ledger(faulty).build();
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    soon(at_the_door).await.unwrap();
    rig.time.advance(VALID);
    go.send(()).unwrap();
    assert_ne!(soon(sending).await.unwrap().name(), "submitted");
    assert!(rig.market.seen().is_empty());
}

#[tokio::test]
async fn a_no_in_the_last_moment_wins_at_the_door() {
    let rig = Rig::new();
    one(&asking(&rig, "a"), "1").await;
    approve(&rig, "1").await;
    let faulty = Faulty::over(&rig.ledger);
    let (at_the_door, go) = faulty.hold_before(Action::TakeSending);
    let pipeline = rig.scanner("b").ledger(faulty).build();
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    soon(at_the_door).await.unwrap();
    let at = rig.row("1").await.claim_ref();
    let change = Change::new(at, Actor::operator("o"), Move::Decline).because("changed my mind");
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
    go.send(()).unwrap();
    let outcome = soon(sending).await.unwrap();
    assert_eq!((outcome.name(), outcome.bid().unwrap().state), ("already_bid", BidState::Declined));
    assert!(rig.market.seen().is_empty());
}

/// Seen as approved, and another's by the time that it is read under the lock, as a lock may be lost: the claim that is
/// read then is the other one's, under which nothing may be sent or handed back.
#[tokio::test]
async fn a_bid_that_is_no_longer_approved_under_the_lock_is_left_to_whoever_has_it() {
    let mut elsewhere = Market::default();
    elsewhere.via = "elsewhere".to_owned();
    let elsewhere = Arc::new(elsewhere);
    for answer_is_lost in [false, true] {
        for is_here in [true, false] {
            let rig = Rig::new();
            one(&asking(&rig, "a"), "1").await;
            let at = approve(&rig, "1").await.claim_ref();
            let faulty = Faulty::over(&rig.ledger);
            let (looks, go) = faulty.hold_look();
            let late = rig.scanner("late").ledger(faulty);
            let late = if is_here { late } else { late.market(elsewhere.clone()) }.build();
            let late = tokio::spawn(async move { one(&late, "1").await });
            soon(looks).await.unwrap();
            let claimant = Claimant { holder: "other".to_owned(), instance: None };
            let taking = Move::TakeSending { claimant, ttl: TTL, cap: None };
            let sending = moved(&rig, at, taking).await;
            let before = match answer_is_lost {
                true => {
                    moved(&rig, sending.claim_ref(), Move::LoseAnswer { cause: UnknownCause::Timeout }).await
                }
                false => sending,
            };
            go.send(()).unwrap();
            let outcome = soon(late).await.unwrap();
            assert!(!matches!(outcome, Outcome::Submitted(_) | Outcome::Deferred(_)), "{outcome:?}");
            assert_eq!(rig.row("1").await, before, "lost {answer_is_lost}, here {is_here}");
            assert!(rig.market.seen().is_empty() && elsewhere.seen().is_empty());
        }
    }
}

#[tokio::test]
async fn the_lost_reply_of_a_commit_at_the_door_of_an_approved_bid_is_resolved_by_its_nonce() {
    // Without the nonce the claim that was taken is nobody's: the sender finds another claim than it saw.
    for (forget, expected) in [(false, ("submitted", 1)), (true, ("held_elsewhere", 0))] {
        let rig = Rig::new();
        one(&asking(&rig, "a"), "1").await;
        approve(&rig, "1").await;
        let faulty = Faulty::over(&rig.ledger);
        faulty.lose_replies(Action::TakeSending, 1);
        if forget {
            faulty.forget_nonces();
        }
        let outcome = one(&rig.scanner("b").ledger(faulty).build(), "1").await;
        assert_eq!((outcome.name(), rig.market.seen().len()), expected, "nonces forgotten: {forget}");
        assert_eq!(rig.row("1").await.attempts, 1);
    }
}

#[tokio::test]
async fn a_payload_frozen_for_another_marketplace_is_left_to_that_one() {
    let rig = Rig::new();
    one(&asking(&rig, "a"), "1").await;
    approve(&rig, "1").await;
    let mut other = Market::default();
    other.via = "other".to_owned();
    let other = Arc::new(other);
    let pipeline = rig.scanner("b").market(other.clone()).build();
    let Outcome::Deferred(DeferReason::OtherMarketplace { via }) = one(&pipeline, "1").await else {
        panic!()
    };
    assert_eq!(via, "scripted");
    assert!(approved(&pipeline).await.0.is_empty());
    assert_eq!((rig.row("1").await.state, other.seen().len()), (BidState::Approved, 0));
    assert_eq!(one(&rig.pipeline("c"), "1").await.name(), "submitted");
}

#[tokio::test]
async fn a_drain_leaves_approved_bids_as_they_are() {
    let rig = Rig::new();
    batch(&asking(&rig, "a"), &["1", "2"].map(posting)).await;
    approve(&rig, "1").await;
    approve(&rig, "2").await;
    let stop = Stop::default();
    let release = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = rig.scanner("b").stop(&stop).build();
    let sending = tokio::spawn(async move { approved(&pipeline).await.0 });
    rig.market.wait_for(1).await;
    stop.drain();
    drop(release);
    let sent = soon(sending).await.unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(rig.row("2").await.state, BidState::Approved);
}

#[tokio::test]
async fn a_ledger_that_is_away_for_a_moment_costs_no_approved_bid() {
    let rig = Rig::new();
    batch(&asking(&rig, "a"), &["1", "2"].map(posting)).await;
    approve(&rig, "1").await;
    approve(&rig, "2").await;
    let faulty = Faulty::over(&rig.ledger);
    let pipeline = rig.scanner("b").ledger(faulty.clone()).build();
    let mut scan = Scan::new(pipeline, ScanOptions::default());
    faulty.go_away(1);
    let mut sent = Vec::new();
    soon(scan.send_approved(|posting, outcome| sent.push((posting.clone(), outcome.clone())))).await.unwrap();
    assert!(sent.iter().all(|(_, o)| o.name() == "submitted"), "{sent:?}");
    assert_eq!((sent.len(), rig.market.seen().len()), (2, 2));
    // One that stays away is an error in the end, and nothing was sent.
    faulty.go_away(usize::MAX);
    let options = ScanOptions { patience: Duration::ZERO, ..ScanOptions::default() };
    let mut scan = Scan::new(rig.scanner("c").ledger(faulty).build(), options);
    assert!(soon(scan.send_approved(|_, _| {})).await.unwrap_err().is_retryable());
}

/// A limit is for bids: an approved one that another scanner holds costs none of it.
#[tokio::test]
async fn an_approved_bid_that_another_holds_does_not_count_against_the_run_limit() {
    let rig = Rig::new();
    batch(&asking(&rig, "a"), &["1", "2"].map(posting)).await;
    approve(&rig, "1").await;
    approve(&rig, "2").await;
    let other = bidlock::LockManager::new(rig.locks.clone());
    let key = bidlock::LockKey::posting("m", "1").unwrap();
    let _held = other.try_lock(&key).await.unwrap().acquired().unwrap();
    let pipeline = rig.scanner("b").options(|o| o.run_limit = Some(1)).build();
    let (sent, _) = approved(&pipeline).await;
    assert_eq!(sent.iter().map(|(p, _)| p.posting()).collect::<Vec<_>>(), ["2"]);
}

/// Nobody asks for the locks of bids that do not wait to be sent.
#[tokio::test]
async fn only_approved_bids_are_taken_up() {
    let rig = Rig::new();
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    batch(&asking(&rig, "a"), &[posting("2")]).await;
    approve(&rig, "2").await;
    let locks = Chaos::calm(rig.locks.clone());
    let (sent, _) = approved(&rig.scanner("b").locks(Arc::new(locks.clone())).build()).await;
    assert_eq!(sent.iter().map(|(p, o)| (p.posting(), o.name())).collect::<Vec<_>>(), [("2", "submitted")]);
    assert_eq!(locks.calls(), 2, "one lock is taken and given back");
}

/// The next pass goes on where the engine of the locks was away.
#[tokio::test]
async fn locks_that_are_away_leave_an_approved_bid_as_it_is() {
    let rig = Rig::new();
    batch(&asking(&rig, "a"), &[posting("1")]).await;
    approve(&rig, "1").await;
    let locks = Chaos::calm(rig.locks.clone());
    let pipeline = rig.scanner("b").locks(Arc::new(locks.clone())).build();
    locks.away(Some(bidlock::ErrorKind::Unavailable));
    let (sent, ended) = approved(&pipeline).await;
    ended.unwrap();
    assert!(sent.is_empty() && rig.row("1").await.state == BidState::Approved, "{sent:?}");
    locks.away(None);
    assert_eq!(approved(&pipeline).await.0.len(), 1);
}

/// What was sent is told, whatever becomes of a later one.
#[tokio::test]
async fn what_was_sent_is_told_although_a_later_one_breaks() {
    let rig = Rig::new();
    batch(&asking(&rig, "a"), &["1", "2", "3"].map(posting)).await;
    for id in ["1", "2", "3"] {
        approve(&rig, id).await;
    }
    rig.market.say("2", refused());
    let faulty = Faulty::over(&rig.ledger);
    faulty.break_at(Action::Refuse);
    let mut scan = Scan::new(rig.scanner("b").ledger(faulty).build(), ScanOptions::default());
    let mut told = Vec::new();
    let ended = scan.send_approved(|posting, outcome| told.push((posting.clone(), outcome.name()))).await;
    assert!(!ended.unwrap_err().is_retryable());
    assert_eq!(told, [(posting("1").id, "submitted")]);
    assert_eq!((rig.market.seen().len(), rig.row("3").await.state), (2, BidState::Approved));
}

//! Many sightings: duplicates, what needs no asking, standings, limits, dry runs.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use bidlock_ledger::{BidState, ClaimOutcome, Claimant};
use bidlock_market::{Ambiguity, DryRun, Posting};
use bidlock_pipeline::{
    Caps, Decision, DeclineReason, DeferReason, Evaluator, Outcome, Pipeline, Scan, ScanOptions,
};
use futures::stream;

use crate::rig::{Rig, SleptThrough, TTL, batch, claim_of, market::refused, now, one, posting, told::Told};

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::name).collect()
}

fn ambiguous(id: &str) -> Posting {
    let ambiguity = Ambiguity::ImpossibleId { text: id.to_owned(), cause: "test".to_owned() };
    Posting { ambiguity: Some(ambiguity), ..posting(id) }
}

#[tokio::test]
async fn sightings_of_one_posting_in_a_batch_give_one_bid() {
    let rig = Rig::new();
    let pipeline = rig.pipeline("a");
    let postings = ["1", "1", "2", "1", "2"].map(posting);
    let outcomes = batch(&pipeline, &postings).await;
    assert_eq!(names(&outcomes), ["submitted", "already_bid", "submitted", "already_bid", "already_bid"]);
    // Followers name the bid of their leader.
    assert_eq!(outcomes[1].bid(), outcomes[0].bid());
    assert_eq!(rig.market.seen().len(), 2);
    // What the leader could not do, the follower did not either.
    rig.market.say("3", refused());
    let outcomes = batch(&pipeline, &["3", "3"].map(posting)).await;
    assert_eq!(names(&outcomes), ["refused", "already_bid"]);
    assert_eq!(rig.market.seen_for("3"), 1);
}

#[tokio::test]
async fn the_same_id_on_two_marketplaces_is_two_postings() {
    let rig = Rig::new();
    let postings = [crate::rig::posting_on("m", "1"), crate::rig::posting_on("n", "1")];
    assert_eq!(names(&batch(&rig.pipeline("a"), &postings).await), ["submitted", "submitted"]);
    let seen = rig.market.seen();
    assert_ne!(seen[0].idempotency_key, seen[1].idempotency_key);
}

#[tokio::test]
async fn an_ambiguous_sighting_is_never_bid_on_and_speaks_for_itself_alone() {
    let rig = Rig::new();
    let outcomes = batch(&rig.pipeline("a"), &[ambiguous("1"), posting("1"), ambiguous("2")]).await;
    assert_eq!(names(&outcomes), ["ambiguous_identity", "submitted", "ambiguous_identity"]);
    assert!(rig.rows("2").await.is_empty());
    assert_eq!(rig.market.seen().len(), 1);
}

#[tokio::test]
async fn what_was_fetched_too_long_ago_is_declined_without_a_row() {
    let rig = Rig::new();
    let pipeline = rig.scanner("a").options(|o| o.max_age = Duration::from_secs(60)).build();
    let old = Posting { fetched_at: now() - Duration::from_secs(120), ..posting("1") };
    let outcome = pipeline.process(old).await.unwrap();
    assert!(
        matches!(outcome, Outcome::Declined(DeclineReason::Stale { max_age_s: 60, age_s: 120.. })),
        "{outcome:?}"
    );
    assert!(rig.rows("1").await.is_empty() && rig.market.seen().is_empty());
    // A stale sighting speaks for itself: a fresh one of the same posting beside it still counts.
    let old = || Posting { fetched_at: now() - Duration::from_secs(120), ..posting("2") };
    let outcomes = batch(&pipeline, &[old(), posting("2"), old()]).await;
    assert_eq!(names(&outcomes), ["declined", "submitted", "declined"]);
    let fresh = Posting { fetched_at: now() - Duration::from_secs(30), ..posting("1") };
    assert_eq!(pipeline.process(fresh).await.unwrap().name(), "submitted");
}

/// Somebody else's claim, as another process would make it.
async fn claim(rig: &Rig, id: &str, holder: &str) {
    let claimed = rig.ledger.claim(&[claim_of(id, holder)]).await.unwrap();
    assert!(matches!(claimed[0], ClaimOutcome::Granted(_)));
}

#[tokio::test]
async fn a_claim_of_another_is_held_elsewhere_until_it_expires_and_is_then_taken_over() {
    let rig = Rig::new();
    let pipeline = rig.pipeline("a");
    claim(&rig, "1", "other").await;
    let Outcome::HeldElsewhere { holder, remaining } = one(&pipeline, "1").await else { panic!() };
    assert_eq!((holder.as_str(), remaining), ("other", TTL));
    rig.time.advance(TTL);
    assert_eq!(one(&pipeline, "1").await.name(), "submitted");
    let row = rig.row("1").await;
    assert_eq!((row.epoch.0, row.claimant.holder.as_str()), (2, "a"));
    // Nothing was sent before, so that the new claimant's payload counts.
    assert_eq!(rig.market.seen()[0].proposal, "I can do Posting 1");
    assert_eq!(rig.story(&row).await, "create take_over enter_submitting accept");
}

#[tokio::test]
async fn a_claim_of_an_earlier_boot_has_expired() {
    let rig = Rig::new();
    claim(&rig, "1", "before the reboot").await;
    rig.time.reboot();
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
}

#[tokio::test]
async fn a_posting_that_another_scanner_has_locked_is_held_elsewhere_and_not_evaluated() {
    let rig = Rig::new();
    let other = bidlock::LockManager::builder(rig.locks.clone())
        .holder(bidlock::HolderId::named("other").unwrap())
        .build()
        .unwrap();
    let key = bidlock::LockKey::posting("m", "1").unwrap();
    let lease = other.try_lock(&key).await.unwrap().acquired().unwrap();
    let pipeline = rig.pipeline("a");
    let Outcome::HeldElsewhere { holder, .. } = one(&pipeline, "1").await else { panic!() };
    assert_eq!(holder, "other");
    assert!(rig.rows("1").await.is_empty());
    lease.release().await.unwrap();
    assert_eq!(one(&pipeline, "1").await.name(), "submitted");
}

#[tokio::test]
async fn a_scan_tries_held_postings_again_until_they_are_settled() {
    let rig = Rig::new();
    // Another scanner has posting 1 and is waiting for its answer.
    let release = rig.market.hold("1", crate::rig::market::Step::Say(crate::rig::market::accepted()));
    let other = rig.pipeline("other");
    let sending = tokio::spawn(async move { one(&other, "1").await });
    rig.market.wait_for(1).await;
    let mut scan = Scan::new(rig.pipeline("a"), ScanOptions::default());
    let mut release = Some(release);
    let sightings = stream::iter(["1", "2", "1"].map(posting));
    let summary = crate::rig::soon(scan.run(sightings, |p, _| {
        // Its own posting is answered first, the held one only once the other has its answer.
        if p.id.posting() == "2" {
            release.take();
        }
    }))
    .await
    .unwrap();
    assert_eq!((summary.sightings, summary.of("submitted"), summary.of("already_bid")), (3, 1, 2));
    assert_eq!(sending.await.unwrap().name(), "submitted");
    assert_eq!(rig.market.seen().len(), 2);
}

#[tokio::test]
async fn a_scan_gives_up_on_a_held_posting_at_its_time_limit() {
    let rig = Rig::new();
    claim(&rig, "1", "other").await;
    let options = ScanOptions { wait: Duration::from_millis(100), ..ScanOptions::default() };
    let mut answers = Vec::new();
    let mut scan = Scan::new(rig.pipeline("a"), options);
    let sightings = stream::iter([posting("1"), posting("2")]);
    crate::rig::soon(scan.run(sightings, |_, o| answers.push(o.name()))).await.unwrap();
    assert_eq!(answers, ["submitted", "held_elsewhere"]);
}

#[tokio::test]
async fn a_scan_answers_each_sighting_once_whatever_the_batch() {
    for size in [1, 3, 1_000] {
        let rig = Rig::new();
        let postings: Vec<Posting> = (0..50).map(|n| posting(&(n % 20).to_string())).collect();
        let options = ScanOptions { batch: size, ..ScanOptions::default() };
        let mut scan = Scan::new(rig.pipeline("a"), options);
        let summary = scan.run(stream::iter(postings), |_, _| {}).await.unwrap();
        assert_eq!((summary.sightings, summary.of("submitted"), summary.of("already_bid")), (50, 20, 30));
        assert_eq!(rig.market.seen().len(), 20);
    }
}

#[derive(Debug)]
struct Picky;

impl Evaluator for Picky {
    fn evaluate(&self, posting: &Posting, _: jiff::Timestamp) -> Decision {
        match posting.title.ends_with('1') {
            true => Decision::Declined(DeclineReason::Rule { rule: "test", why: "no".to_owned() }),
            false => Decision::Suitable { amount: None, proposal: "p".to_owned(), explanation: None },
        }
    }
}

#[tokio::test]
async fn what_the_rules_decline_writes_no_row_and_stays_free() {
    let rig = Rig::new();
    let picky = rig.scanner("a").evaluator(Arc::new(Picky)).build();
    assert_eq!(names(&batch(&picky, &["1", "2"].map(posting)).await), ["declined", "submitted"]);
    assert!(rig.rows("1").await.is_empty());
    assert_eq!(one(&rig.pipeline("b"), "1").await.name(), "submitted");
}

#[tokio::test]
async fn a_dry_run_asks_writes_and_sends_nothing() {
    let rig = Rig::new();
    assert_eq!(one(&rig.pipeline("a"), "1").await.name(), "submitted");
    let dry = rig.scanner("dry").market(Arc::new(DryRun)).build();
    let outcomes = batch(&dry, &["1", "2", "2"].map(posting)).await;
    assert_eq!(names(&outcomes), ["already_bid", "submitted", "already_bid"]);
    assert!(
        matches!(outcomes[1], Outcome::WouldSubmit { again: false, amount: Some(_) }),
        "{:?}",
        outcomes[1]
    );
    assert!(matches!(outcomes[2], Outcome::WouldSubmit { again: true, .. }));
    assert!(rig.rows("2").await.is_empty());
    // Not even a sweep.
    claim(&rig, "3", "gone").await;
    rig.time.advance(TTL);
    let mut scan = Scan::new(dry.clone(), ScanOptions::default());
    let summary = scan.run(stream::iter([posting("4")]), |_, _| {}).await.unwrap();
    assert_eq!((summary.of("submitted"), summary.swept), (1, 0));
    assert_eq!(rig.row("3").await.state, BidState::Claimed);
    assert!(crate::rig::approved(&dry).await.0.is_empty());
    assert_eq!(rig.market.seen().len(), 1);
}

#[tokio::test]
async fn the_run_limit_counts_what_may_have_reached_the_marketplace() {
    let rig = Rig::new();
    rig.market.say("1", refused());
    rig.market.say("2", crate::rig::market::lost(bidlock_market::LostCause::Timeout));
    let pipeline = rig.scanner("a").options(|o| (o.run_limit, o.concurrency) = (Some(2), 1)).build();
    let outcomes = batch(&pipeline, &["1", "2", "3", "4", "5"].map(posting)).await;
    // The refused one does not count, the unknown one does.
    assert_eq!(names(&outcomes), ["refused", "unknown", "submitted", "deferred", "deferred"]);
    assert!(matches!(outcomes[4], Outcome::Deferred(DeferReason::RunLimit { limit: 2 })));
    assert!(rig.rows("4").await.is_empty(), "no row beyond the limit");
    // What has its bid already costs nothing, also when another has it in the last moment.
    assert_eq!(one(&rig.pipeline("b"), "4").await.name(), "submitted");
}

fn capped(rig: &Rig, holder: &str, limit: u64) -> Arc<Pipeline> {
    let caps = Caps { per_day: [("m".to_owned(), limit)].into(), default: None };
    rig.scanner(holder).options(|o| o.caps = caps).build()
}

/// A mistyped name limits nobody: it is told, once, and not where others are meant to be free of limits or share one.
#[tokio::test]
async fn a_marketplace_without_a_cap_beside_others_is_told_once() {
    let cap = |name: &str| Caps { per_day: [(name.to_owned(), 1)].into(), default: None };
    let with_default = Caps { default: Some(9), ..cap("n") };
    for (caps, times) in [(cap("n"), 1), (cap("m"), 0), (with_default, 0), (Caps::default(), 0)] {
        let rig = Rig::on_host_time();
        let pipeline = rig.scanner("a").options(|o| o.caps = caps.clone()).build();
        let told = Told::default();
        let listening = tracing::subscriber::set_default(told.clone());
        batch(&pipeline, &["1", "2"].map(posting)).await;
        batch(&pipeline, &["3"].map(posting)).await;
        drop(listening);
        let lines = told.lines();
        assert_eq!(lines.iter().filter(|line| line.contains("not limited")).count(), times, "{caps:?}");
        assert_eq!(lines.iter().filter(|line| *line == "capped=\"n\"").count(), times, "{lines:?}");
    }
}

#[tokio::test]
async fn the_daily_cap_defers_without_a_row_and_is_per_marketplace() {
    let rig = Rig::on_host_time();
    let pipeline = capped(&rig, "a", 2);
    let outcomes = batch(&pipeline, &["1", "2", "3"].map(posting)).await;
    assert_eq!(names(&outcomes), ["submitted", "submitted", "deferred"]);
    let Outcome::Deferred(DeferReason::DailyCap { limit, until, .. }) = &outcomes[2] else { panic!() };
    assert_eq!(*limit, 2);
    assert!(*until > now() && until.duration_since(now()).as_hours() < 24);
    assert!(rig.rows("3").await.is_empty());
    // Also for a new process; not for another marketplace.
    let again = capped(&rig, "b", 2);
    let postings = [posting("4"), crate::rig::posting_on("n", "4")];
    assert_eq!(names(&batch(&again, &postings).await), ["deferred", "submitted"]);
    assert_eq!(rig.market.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_scanners_that_race_for_the_cap_never_pass_it() {
    let rig = Rig::on_host_time();
    let scans = ["a", "b"].map(|holder| {
        let pipeline = capped(&rig, holder, 5);
        let postings: Vec<Posting> = (0..20).map(|n| posting(&format!("{holder}{n}"))).collect();
        tokio::spawn(async move { batch(&pipeline, &postings).await })
    });
    let mut submitted = 0;
    for scan in scans {
        let outcomes = crate::rig::soon(scan).await.unwrap();
        assert!(outcomes.iter().all(|o| matches!(o.name(), "submitted" | "deferred")), "{outcomes:?}");
        submitted += outcomes.iter().filter(|o| o.name() == "submitted").count();
    }
    assert_eq!((submitted, rig.market.seen().len()), (5, 5));
    assert_eq!(rig.count(BidState::Claimed).await + rig.count(BidState::Submitting).await, 0);
}

#[tokio::test]
async fn a_time_limit_that_a_claim_may_not_outlive_is_refused() {
    let rig = Rig::new();
    let parts = |market: crate::rig::market::Market| bidlock_pipeline::Parts {
        ledger: rig.ledger.clone(),
        locks: bidlock::LockManager::new(rig.locks.clone()),
        marketplace: Arc::new(market),
        evaluator: Arc::new(Picky),
        clock: Arc::new(bidlock::SystemClock),
        claimant: Claimant { holder: "a".to_owned(), instance: None },
    };
    let options = || bidlock_pipeline::PipelineOptions { ttl: TTL, ..Default::default() };
    let new = |limit| {
        let market = crate::rig::market::Market::with_time_limit(limit);
        Pipeline::new(parts(market), options(), Default::default())
    };
    let error = new(TTL).unwrap_err().to_string();
    assert!(error.contains("60s") && error.contains("TTL"), "{error}");
    assert!(new(TTL - Duration::from_millis(1)).is_ok());
}

/// One row that breaks the scan must not take with it what the others became.
#[tokio::test]
async fn a_broken_row_ends_the_scan_after_the_others_were_told() {
    let rig = Rig::new();
    let file = rusqlite::Connection::open(rig.dir.path().join("ledger.db")).unwrap();
    let broken =
        "CREATE TRIGGER broken BEFORE UPDATE ON bids WHEN NEW.posting = '3' AND NEW.state = 'submitted'
        BEGIN SELECT RAISE(ABORT, 'broken'); END";
    file.execute_batch(broken).unwrap();
    let mut scan = Scan::new(rig.pipeline("a"), ScanOptions::default());
    let mut told = Vec::new();
    let sightings = stream::iter(["1", "2", "3", "4", "5", "6"].map(posting));
    let error =
        crate::rig::soon(scan.run(sightings, |p, o| told.push((p.id.posting().to_owned(), o.name()))))
            .await
            .unwrap_err();
    assert!(error.to_string().contains("broken"), "{error}");
    told.sort();
    let others = ["1", "2", "4", "5", "6"].map(|id| (id.to_owned(), "submitted"));
    assert_eq!(told, others);
}

/// Before the door nothing is known of a bid that must not be forgotten: a ledger that can't be told, for good or for
/// longer than anybody waits, ends the scan, and no outcome is called unknown.
#[tokio::test]
async fn a_bid_over_its_cap_that_can_not_be_handed_back_ends_the_scan() {
    for is_damaged in [true, false] {
        let rig = Rig::on_host_time();
        let (faulty, own_time) =
            (crate::rig::faulty::Faulty::over(&rig.ledger), Arc::new(SleptThrough::default()));
        let (at_the_door, go) = faulty.hold_before(bidlock_ledger::Action::EnterSubmitting);
        let caps = Caps { per_day: [("m".to_owned(), 1)].into(), default: None };
        let late =
            rig.scanner("late").ledger(faulty.clone()).clock(own_time.clone()).options(|o| o.caps = caps);
        let late = late.build();
        let late = tokio::spawn(async move { late.process(posting("1")).await });
        crate::rig::soon(at_the_door).await.unwrap();
        assert_eq!(one(&capped(&rig, "b", 1), "2").await.name(), "submitted");
        if is_damaged {
            faulty.break_at(bidlock_ledger::Action::HandBack);
            go.send(()).unwrap();
        } else {
            faulty.go_away(usize::MAX);
            go.send(()).unwrap();
            while faulty.failures.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            own_time.advance(Duration::from_secs(30));
        }
        let ended = crate::rig::soon(late).await.unwrap();
        assert_eq!(ended.unwrap_err().is_retryable(), !is_damaged);
        assert_eq!((rig.row("1").await.state, rig.market.seen().len()), (BidState::Claimed, 1));
    }
}

//! What the pipeline and the ledger's layer count: outcomes by marketplace, claims that came too late, what must never
//! be, and whether the ledger answers.

use std::sync::Arc;

use bidlock::backends::memory::MemoryBackend;
use bidlock_ledger::{
    Action, Actor, Applied, BidFilter, BidState, Change, LedgerStore, Move, NewNote, Page,
    layers::metrics::Metered,
};
use bidlock_market::LostCause;
use bidlock_metrics::Marketplaces;
use bidlock_pipeline::{BidMetrics, Pipeline};
use bidlock_testkit::Scrape;

use crate::rig::{
    Rig,
    faulty::Faulty,
    market::{Step, accepted, lost, refused},
    one, posting_on,
};

/// A scanner whose metrics and ledger are counted, with one marketplace of a name of its own.
fn counted(rig: &Rig, scrape: &Scrape, ledger: Arc<dyn LedgerStore>) -> Arc<Pipeline> {
    scrape.within(|| {
        let metrics = Arc::new(BidMetrics::new(&Marketplaces::new(["m"])));
        let ledger = Arc::new(Metered::new(ledger));
        rig.scanner("a").ledger(ledger).options(|options| options.metrics = Some(metrics)).build()
    })
}

fn bids(scrape: &Scrape, marketplace: &str, outcome: &str) -> f64 {
    scrape.value(&format!("bidlock_bids_total{{marketplace=\"{marketplace}\",outcome=\"{outcome}\"}}"))
}

#[tokio::test]
async fn answers_are_counted_by_outcome_and_marketplace() {
    let (rig, scrape) = (Rig::new(), Scrape::new());
    let pipeline = counted(&rig, &scrape, rig.ledger.clone());
    for outcome in bidlock_pipeline::Outcome::NAMES {
        assert_eq!(bids(&scrape, "m", outcome), 0.0, "from the start");
    }
    rig.market.say("2", refused());
    rig.market.say("3", lost(LostCause::Timeout));
    for (posting, outcome) in [("1", "submitted"), ("1", "already_bid"), ("2", "refused"), ("3", "unknown")] {
        assert_eq!(one(&pipeline, posting).await.name(), outcome);
        assert_eq!(bids(&scrape, "m", outcome), 1.0);
    }
    // A marketplace that is not named in a label counts with the others.
    assert_eq!(pipeline.process(posting_on("elsewhere", "1")).await.unwrap().name(), "submitted");
    assert_eq!((bids(&scrape, "other", "submitted"), bids(&scrape, "m", "submitted")), (1.0, 1.0));
    // Each asked the ledger for a claim, but the one whose bid was seen before.
    assert_eq!(scrape.value("bidlock_bid_create_duration_seconds_count{marketplace=\"m\"}"), 3.0);
}

#[tokio::test]
async fn a_claim_that_comes_too_late_at_the_door_is_counted() {
    let (rig, scrape) = (Rig::new(), Scrape::new());
    let faulty = Faulty::over(&rig.ledger);
    let (reached, release) = faulty.hold_before(Action::EnterSubmitting);
    let pipeline = counted(&rig, &scrape, faulty);
    let late = tokio::spawn(async move { one(&pipeline, "1").await });
    reached.await.unwrap();
    rig.time.advance(crate::rig::TTL);
    let other = rig.scanner("b").locks(Arc::new(MemoryBackend::new())).build();
    assert_eq!(one(&other, "1").await.name(), "submitted");
    release.send(()).unwrap();
    late.await.unwrap();
    assert_eq!(scrape.value("bidlock_stale_claim_rejections_total{marketplace=\"m\"}"), 1.0);
}

/// A person settles a bid while its claimant sleeps on the request, which is accepted as x1 at last.
async fn settled_by_a_person_and_then_accepted(word: Move, violation: &str) {
    let (rig, scrape) = (Rig::new(), Scrape::new());
    let violations =
        |reason| scrape.value(&format!("bidlock_invariant_violations_total{{reason=\"{reason}\"}}"));
    let held = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = counted(&rig, &scrape, rig.ledger.clone());
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    rig.time.advance(crate::rig::TTL);
    rig.ledger.sweep(10).await.unwrap();
    let row = rig.row("1").await;
    assert_eq!(row.state, BidState::Unknown);
    let change = Change::new(row.claim_ref(), Actor::operator("p"), word);
    assert!(matches!(rig.ledger.apply(&[change]).await.unwrap()[0], Applied::Moved { .. }));
    held.send(()).unwrap();
    sending.await.unwrap();
    assert_eq!(rig.row("1").await.state, BidState::Submitted);
    for reason in ["reopened", "unmatched", "contradiction"] {
        assert_eq!(violations(reason), f64::from(u8::from(reason == violation)), "{reason}");
    }
}

#[tokio::test]
async fn a_wrong_word_of_a_person_counts_as_what_must_never_be() {
    let word = Move::ResolveNotSubmitted { allow_new_bid: false };
    settled_by_a_person_and_then_accepted(word, "reopened").await;
}

#[tokio::test]
async fn a_second_bid_at_the_marketplace_counts_as_what_must_never_be() {
    let word = |name: &str| Move::ResolveSubmitted { external_ref: Some(name.to_owned()) };
    settled_by_a_person_and_then_accepted(word("x7"), "unmatched").await;
    settled_by_a_person_and_then_accepted(word("x1"), "none").await;
}

#[tokio::test]
async fn every_question_to_a_ledger_says_whether_it_is_up() {
    let (rig, scrape) = (Rig::new(), Scrape::new());
    let faulty = Faulty::over(&rig.ledger);
    let ledger = scrape.within(|| Metered::new(faulty.clone()));
    let up = || scrape.value("bidlock_backend_up{backend=\"ledger\"}");
    let errors = |reason| {
        scrape.value(&format!("bidlock_backend_errors_total{{backend=\"ledger\",reason=\"{reason}\"}}"))
    };
    assert_eq!((up(), errors("unavailable")), (1.0, 0.0));
    faulty.go_away(1);
    ledger.sweep(10).await.unwrap_err();
    assert_eq!((up(), errors("unavailable")), (0.0, 1.0));
    // Each of these passes on what the ledger says.
    assert_eq!((ledger.ledger_id(), ledger.instance()), (rig.ledger.ledger_id(), rig.ledger.instance()));
    ledger.still_admits().await.unwrap();
    assert_eq!(up(), 1.0, "it answered");
    one(&rig.pipeline("a"), "1").await;
    let row = rig.row("1").await;
    assert_eq!(ledger.bid(row.id).await.unwrap().unwrap().id, row.id);
    assert_eq!(ledger.history(row.id).await.unwrap().len() as u64, u64::from(row.events));
    assert_eq!(ledger.list(&BidFilter::default(), &Page::default()).await.unwrap().len(), 1);
    assert_eq!(
        ledger.count(&BidFilter::default()).await.unwrap(),
        rig.ledger.count(&BidFilter::default()).await.unwrap()
    );
    assert_eq!(ledger.sent_since("m", row.created_at).await.unwrap(), 1);
    assert_eq!(ledger.standing(std::slice::from_ref(&row.posting)).await.unwrap().len(), 1);
    assert_eq!(
        ledger.liveness(&row.claimant).await.unwrap(),
        rig.ledger.liveness(&row.claimant).await.unwrap()
    );
    let note = NewNote { name: "n".to_owned(), after: 0, value: "v".to_owned(), actor: Actor::operator("p") };
    assert!(ledger.write_note(&note).await.unwrap());
    assert_eq!(ledger.note("n").await.unwrap().unwrap().value, "v");
    ledger.check().await.unwrap();
    // What is asked wrongly is an answer of a ledger that is there.
    let too_many = vec![crate::rig::claim_of("1", "x"); bidlock_ledger::store::MAX_BATCH + 1];
    ledger.claim(&too_many).await.unwrap_err();
    assert_eq!((up(), errors("invalid")), (1.0, 1.0));
}

//! A scan beside instances of the replaced system: their table is read under the lock, every key of theirs is locked,
//! ours stands there before the door, and where it can't, nothing is sent.
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bidlock::{Acquire, Acquired, Grant, HolderId, LockBackend, LockKey, Nonce};
use bidlock_ledger::{
    Actor, Bid, BidEvent, BidState, ClaimId, Move, NewImport, Payload, PostingId, UnknownCause,
};
use bidlock_market::Posting;
use bidlock_pipeline::{DeferReason, LegacyBids, LegacyError, LegacyName, Mirrored, Outcome, PipelineError};

use serde_json::json;

use crate::rig::{
    Rig, batch,
    market::{Step, accepted, stop},
    one, posting,
    told::Told,
};

/// The old table: rows by job id, and what was done to them.
#[derive(Debug, Default)]
struct Table {
    /// Bids of old instances.
    foreign: Mutex<Vec<String>>,
    /// Ours: job id, claim, status.
    ours: Mutex<Vec<(String, ClaimId, &'static str)>>,
    /// What the rows of old instances say.
    says: Mutex<&'static str>,
    away: Mutex<bool>,
    /// The keys that are locked at the times at which the table is asked.
    locks: Mutex<Option<Arc<dyn LockBackend>>>,
    locked: Mutex<Vec<usize>>,
    /// Rows that an old instance writes right after we looked.
    in_between: Mutex<Vec<String>>,
    /// How it writes marketplaces by now, and when we last looked.
    writes: Mutex<[&'static str; 2]>,
    /// A lock that its holder loses while ours is being written.
    breaks: Mutex<Option<(Arc<dyn LockBackend>, LockKey)>>,
    /// A ledger that does not answer the next call after a row of theirs was found in between.
    fails_then: Mutex<Option<Arc<crate::rig::faulty::Faulty>>>,
}

impl Table {
    fn reach(&self) -> Result<(), LegacyError> {
        match *self.away.lock().unwrap() {
            true => {
                Err(LegacyError { message: "the old table is away".to_owned(), hint: None, retryable: true })
            }
            false => Ok(()),
        }
    }

    fn of(&self, posting: &PostingId, names: &[LegacyName]) -> Option<NewImport> {
        let foreign = self.foreign.lock().unwrap();
        let found = names.iter().any(|name| foreign.contains(&name.job_id)).then(|| import(posting))?;
        Some(NewImport { detail: json!({ "row": *self.says.lock().unwrap() }), ..found })
    }

    fn statuses(&self) -> Vec<&'static str> {
        self.ours.lock().unwrap().iter().map(|(_, _, status)| *status).collect()
    }
}

fn import(posting: &PostingId) -> NewImport {
    NewImport {
        posting: posting.clone(),
        state: BidState::Unknown,
        payload: Payload {
            amount: None,
            proposal: String::new(),
            posting_url: None,
            via: "legacy".to_owned(),
            evaluation: None,
        },
        sent_at: None,
        actor: Actor::scanner("here"),
        reason: "legacy: PENDING in the replaced system".to_owned(),
        detail: serde_json::Value::Null,
    }
}

#[async_trait]
impl LegacyBids for Table {
    async fn refresh(&self) -> Result<(), LegacyError> {
        self.reach()?;
        let mut writes = self.writes.lock().unwrap();
        writes[1] = writes[0];
        Ok(())
    }

    fn names(&self, posting: &PostingId, written: &[String]) -> Vec<LegacyName> {
        let ids = std::iter::once(posting.posting().to_owned()).chain(written.iter().cloned());
        let marketplace = format!("Old{}", self.writes.lock().unwrap()[1]);
        ids.map(|job_id| LegacyName { marketplace: marketplace.clone(), job_id }).collect()
    }

    async fn find(
        &self,
        postings: &[(PostingId, Vec<LegacyName>)],
    ) -> Result<Vec<Option<NewImport>>, LegacyError> {
        self.reach()?;
        let locks = self.locks.lock().unwrap().clone();
        if let Some(locks) = locks {
            let page = bidlock::Page { after: None, limit: 1_000 };
            let held = locks.inspect(&bidlock::KeyFilter::default(), page).await.unwrap().len();
            self.locked.lock().unwrap().push(held);
        }
        let found = postings.iter().map(|(posting, names)| self.of(posting, names)).collect();
        self.foreign.lock().unwrap().append(&mut self.in_between.lock().unwrap());
        Ok(found)
    }

    fn says_anything_new(&self, found: &NewImport, events: &[BidEvent]) -> bool {
        events.iter().all(|event| event.detail != found.detail)
    }

    async fn mirror(
        &self,
        bid: &Bid,
        names: &[LegacyName],
        overruled: Option<&NewImport>,
    ) -> Result<Mirrored, LegacyError> {
        self.reach()?;
        match (self.of(&bid.posting, names), overruled) {
            (Some(found), Some(known)) => assert_eq!(found.detail, known.detail),
            (Some(found), None) => {
                self.fails_then.lock().unwrap().iter().for_each(|ledger| ledger.go_away(1));
                return Ok(Mirrored::Taken(Box::new(found)));
            }
            (None, _) => {}
        }
        let breaks = self.breaks.lock().unwrap().take();
        if let Some((locks, key)) = breaks {
            locks.force_release(&key, &bidlock::Actor::new("somebody", "a test").unwrap()).await.unwrap();
        }
        let mut ours = self.ours.lock().unwrap();
        ours.extend(names.iter().map(|name| (name.job_id.clone(), bid.claim_id, "PENDING")));
        Ok(Mirrored::Done)
    }

    async fn missing(&self, postings: &[Vec<LegacyName>]) -> Result<Vec<bool>, LegacyError> {
        self.reach()?;
        let ours = self.ours.lock().unwrap();
        let stands = |name: &LegacyName| ours.iter().any(|(id, _, _)| *id == name.job_id);
        Ok(postings.iter().map(|names| !names.iter().all(stands)).collect())
    }

    async fn show(&self, bids: Vec<(Bid, Vec<LegacyName>)>) -> Result<(), LegacyError> {
        self.reach()?;
        let mut ours = self.ours.lock().unwrap();
        for (bid, names) in bids {
            for name in names {
                if ours.iter().all(|(id, _, _)| *id != name.job_id) {
                    ours.push((name.job_id, bid.claim_id, bid.state.as_str()));
                }
            }
        }
        Ok(())
    }

    async fn settle(&self, claim: ClaimId, became: Option<BidState>) -> Result<(), LegacyError> {
        self.reach()?;
        let mut ours = self.ours.lock().unwrap();
        match became {
            None => ours.retain(|(_, of, _)| *of != claim),
            Some(state) => {
                ours.iter_mut().filter(|(_, of, _)| *of == claim).for_each(|row| row.2 = state.as_str())
            }
        }
        Ok(())
    }
}

fn beside(rig: &Rig, table: &Arc<Table>) -> Arc<bidlock_pipeline::Pipeline> {
    let table: Arc<dyn LegacyBids> = table.clone();
    rig.scanner("here").options(|options| options.legacy = Some(table)).build()
}

fn written(id: &str, as_written: &str) -> Posting {
    Posting { written: vec![as_written.to_owned()], ..posting(id) }
}

/// Found under any of the names, it is a bid already; the ledger has it from then on, also for scanners without the
/// old table.
#[tokio::test]
async fn a_posting_of_the_old_table_is_a_bid_already() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    table.foreign.lock().unwrap().push("as-written-1".to_owned());
    let pipeline = beside(&rig, &table);
    let outcomes = batch(&pipeline, &[written("1", "as-written-1"), written("2", "as-written-2")]).await;
    assert!(
        matches!(&outcomes[0], Outcome::AlreadyBid(bid) if bid.state == BidState::Unknown),
        "{outcomes:?}"
    );
    assert!(matches!(outcomes[1], Outcome::Submitted(_)), "{outcomes:?}");
    let row = rig.row("1").await;
    assert_eq!((row.state, row.unknown_cause), (BidState::Unknown, Some(UnknownCause::Legacy)));
    assert_eq!(rig.story(&row).await, "import");
    assert!(matches!(one(&rig.pipeline("another"), "1").await, Outcome::AlreadyBid(_)));
    assert_eq!(rig.market.seen().len(), 1);
}

/// Before the request leaves, our bid stands in the old table; afterwards it says what became of it.
#[tokio::test]
async fn ours_stands_in_the_old_table_before_it_is_sent() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let release = rig.market.hold("1", Step::Say(accepted()));
    let pipeline = beside(&rig, &table);
    let sending = tokio::spawn(async move { pipeline.process(written("1", "as-written")).await });
    rig.market.wait_for(1).await;
    assert_eq!(table.statuses(), ["PENDING", "PENDING"], "under both names, and before the request");
    drop(release);
    let outcome = sending.await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Submitted(_)), "{outcome:?}");
    assert_eq!(table.statuses(), ["submitted", "submitted"]);
}

/// An old instance that bids between our look and our row: its row keeps ours out, and the ledger learns of it.
#[tokio::test]
async fn a_row_that_comes_in_between_keeps_ours_from_being_sent() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    table.in_between.lock().unwrap().push("1".to_owned());
    let told = Told::default();
    let listening = tracing::subscriber::set_default(told.clone());
    let outcome = one(&beside(&rig, &table), "1").await;
    drop(listening);
    assert!(matches!(outcome, Outcome::AlreadyBid(_)), "{outcome:?}");
    // It held no lock of the posting, for they were ours.
    let told = told.lines();
    assert!(told.iter().any(|line| line.contains("same server and database number")), "{told:?}");
    assert!(rig.market.seen().is_empty());
    let row = rig.row("1").await;
    assert_eq!(rig.story(&row).await, "create import");
    assert_eq!((row.state, row.unknown_cause), (BidState::Unknown, Some(UnknownCause::Legacy)));
}

/// The ledger fails when it is asked about such a row: the claim is handed back all the same, and nobody waits for it.
#[tokio::test]
async fn a_claim_is_handed_back_whatever_fails_before_the_door() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    table.in_between.lock().unwrap().push("1".to_owned());
    let ledger = crate::rig::faulty::Faulty::over(&rig.ledger);
    *table.fails_then.lock().unwrap() = Some(ledger.clone());
    let shared: Arc<dyn LegacyBids> = table.clone();
    let scanner = rig.scanner("here").ledger(ledger).options(|options| options.legacy = Some(shared));
    let error = scanner.build().process(posting("1")).await.unwrap_err();
    assert!(matches!(error, PipelineError::Ledger(_)), "{error}");
    assert_eq!(rig.row("1").await.state, BidState::Abandoned);
    assert!(rig.market.seen().is_empty());
}

/// What the marketplace took no notice of leaves nothing in the old table.
#[tokio::test]
async fn what_was_not_accepted_leaves_the_old_table() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    rig.market.say("1", stop());
    let outcome = one(&beside(&rig, &table), "1").await;
    assert!(matches!(outcome, Outcome::Deferred(_)), "{outcome:?}");
    assert!(table.statuses().is_empty(), "{:?}", table.statuses());
}

/// Away before the look, or after it: nothing is sent, and it can be tried again.
#[tokio::test]
async fn while_the_old_table_is_away_nothing_is_sent() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    *table.away.lock().unwrap() = true;
    let pipeline = beside(&rig, &table);
    let error = pipeline.process(posting("1")).await.unwrap_err();
    assert!(matches!(error, PipelineError::Legacy(_)) && error.is_retryable(), "{error}");
    assert!(rig.rows("1").await.is_empty(), "not even a claim is made");
    *table.away.lock().unwrap() = false;
    let table_again: Arc<dyn LegacyBids> = table.clone();
    let with_approval = rig.scanner("b").options(|options| {
        options.legacy = Some(table_again);
        options.approval = bidlock_pipeline::ApprovalPolicy::Always;
    });
    let with_approval = with_approval.build();
    one(&with_approval, "1").await;
    let row = rig.row("1").await;
    let valid_for = std::time::Duration::from_secs(60);
    let change =
        bidlock_ledger::Change::new(row.claim_ref(), Actor::operator("o"), Move::Approve { valid_for });
    rig.ledger.apply(&[change]).await.unwrap();
    *table.away.lock().unwrap() = true;
    assert!(with_approval.process(posting("1")).await.is_err());
    assert_eq!(rig.row("1").await.state, BidState::Approved);
    *table.away.lock().unwrap() = false;
    // Without a sighting nobody knows how the source writes the id, and so which keys old instances lock.
    let (left, _) = crate::rig::approved(&with_approval).await;
    assert!(matches!(left[..], [(_, Outcome::Deferred(DeferReason::NotInSight))]), "{left:?}");
    assert!(rig.market.seen().is_empty());
    assert!(matches!(one(&with_approval, "1").await, Outcome::Submitted(_)));
    assert_eq!(rig.market.seen().len(), 1);
}

/// Whoever has one of the posting's locks by now looked before our bid stood in the table, and may be bidding.
#[tokio::test]
async fn a_bid_whose_lock_was_lost_is_not_sent() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let pipeline = beside(&rig, &table);
    for key in [LockKey::posting("m", "1").unwrap(), LockKey::verbatim("Old", "as-written").unwrap()] {
        *table.breaks.lock().unwrap() = Some((rig.locks.clone(), key.clone()));
        let outcome = pipeline.process(written("1", "as-written")).await.unwrap();
        let Outcome::Deferred(DeferReason::LockLost { key: lost }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(lost, key.to_string());
        assert_eq!(rig.row("1").await.state, BidState::Abandoned);
        assert!(table.statuses().is_empty(), "nothing was sent: {:?}", table.statuses());
    }
    assert!(rig.market.seen().is_empty());
    assert!(matches!(pipeline.process(written("1", "as-written")).await.unwrap(), Outcome::Submitted(_)));
}

/// A person has settled the bid as sent before its sender would hand it back: what the table shows stays.
#[tokio::test]
async fn a_hand_back_that_the_ledger_refuses_takes_nothing_out_of_the_old_table() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let release = rig.market.hold("1", Step::Say(stop()));
    let pipeline = beside(&rig, &table);
    let sending = tokio::spawn(async move { one(&pipeline, "1").await });
    rig.market.wait_for(1).await;
    rig.time.advance(crate::rig::TTL * 2);
    rig.ledger.sweep(10).await.unwrap();
    let row = rig.row("1").await;
    let action = Move::ResolveSubmitted { external_ref: None };
    let change =
        bidlock_ledger::Change::new(row.claim_ref(), Actor::operator("o"), action).because("seen there");
    rig.ledger.apply(&[change]).await.unwrap();
    drop(release);
    let outcome = sending.await.unwrap();
    assert!(matches!(outcome, Outcome::Deferred(_)), "{outcome:?}");
    assert_eq!(rig.row("1").await.state, BidState::Submitted);
    assert_eq!(table.statuses(), ["submitted"]);
}

/// As an old instance takes it.
async fn held_by_an_old_instance(rig: &Rig, marketplace: &str, job_id: &str) -> Grant {
    let request = Acquire {
        key: LockKey::verbatim(marketplace, job_id).unwrap(),
        holder: HolderId::named("an old instance").unwrap(),
        nonce: Nonce::from_bytes([7; 16]),
        ttl: std::time::Duration::from_secs(60),
    };
    let held = rig.locks.try_acquire(&[request]).await.unwrap().remove(0);
    let Acquired::Granted(grant) = held else { panic!("the lock was free") };
    grant
}

/// An instance that begins to write the marketplace in another way is seen by the next batch, not by the next start.
#[tokio::test]
async fn how_the_old_table_writes_marketplaces_is_read_again_for_each_batch() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let pipeline = beside(&rig, &table);
    assert!(matches!(one(&pipeline, "1").await, Outcome::Submitted(_)));
    table.writes.lock().unwrap()[0] = "er";
    held_by_an_old_instance(&rig, "Older", "2").await;
    let outcome = one(&pipeline, "2").await;
    assert!(matches!(outcome, Outcome::HeldElsewhere { .. }), "{outcome:?}");
}

/// An old instance holds the key as its source writes it, which is not the posting's own.
#[tokio::test]
async fn the_key_of_an_old_instance_keeps_ours_away() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let grant = held_by_an_old_instance(&rig, "Old", "http://as/written").await;
    let pipeline = beside(&rig, &table);
    let outcome = pipeline.process(written("1", "http://as/written")).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::HeldElsewhere { holder, .. } if holder == "an old instance"),
        "{outcome:?}"
    );
    assert!(rig.market.seen().is_empty());
    rig.locks.release(&[grant]).await.unwrap();
    // Neither key was kept: the posting's own is free for the next try.
    let outcome = pipeline.process(written("1", "http://as/written")).await.unwrap();
    assert!(matches!(outcome, Outcome::Submitted(_)), "{outcome:?}");
}

/// Several sightings of one posting in one batch, each with its own text: all of them are locked, looked for and shown.
#[tokio::test]
async fn what_each_sighting_of_a_posting_writes_counts() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let pipeline = beside(&rig, &table);
    let grant = held_by_an_old_instance(&rig, "Old", "second").await;
    let outcomes = batch(&pipeline, &[written("1", "first"), written("1", "second")]).await;
    assert!(matches!(outcomes[0], Outcome::HeldElsewhere { .. }), "{outcomes:?}");
    rig.locks.release(&[grant]).await.unwrap();
    table.foreign.lock().unwrap().push("b".to_owned());
    let outcomes = batch(&pipeline, &[written("2", "a"), written("2", "b")]).await;
    assert!(matches!(outcomes[0], Outcome::AlreadyBid(_)), "{outcomes:?}");
    let outcomes = batch(&pipeline, &[written("1", "first"), written("1", "second")]).await;
    assert!(matches!(outcomes[0], Outcome::Submitted(_)), "{outcomes:?}");
    let shown = || table.ours.lock().unwrap().iter().map(|(id, _, _)| id.clone()).collect::<Vec<_>>();
    assert_eq!(shown(), ["1", "first", "second"]);
    // More than can be locked together: nothing is sent.
    let many: Vec<Posting> = (0..20).map(|n| written("3", &format!("text-{n}"))).collect();
    let outcomes = batch(&pipeline, &many).await;
    assert!(matches!(outcomes[0], Outcome::Deferred(DeferReason::LegacyAway { .. })), "{outcomes:?}");
    assert_eq!(rig.market.seen().len(), 1);
}

/// A bid of ours is met under a text that its own sighting did not have: it is shown under that, too.
#[tokio::test]
async fn a_bid_of_ours_is_shown_under_a_text_that_comes_later() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    let pipeline = beside(&rig, &table);
    assert!(matches!(one(&pipeline, "1").await, Outcome::Submitted(_)));
    let outcome = pipeline.process(written("1", "later")).await.unwrap();
    assert!(matches!(outcome, Outcome::AlreadyBid(_)), "{outcome:?}");
    // Another scanner, which has to ask the ledger for it.
    let outcome = beside(&rig, &table).process(written("1", "later still")).await.unwrap();
    assert!(matches!(outcome, Outcome::AlreadyBid(_)), "{outcome:?}");
    let shown: Vec<String> = table.ours.lock().unwrap().iter().map(|(id, _, _)| id.clone()).collect();
    assert_eq!(shown, ["1", "later", "later still"]);
    assert_eq!(table.statuses(), ["submitted"; 3]);
}

/// A person has freed an imported bid's posting: the row that the person knew does not shut it again, and ours is sent
/// beside it. A row that says something else by now does.
#[tokio::test]
async fn a_persons_word_stands_until_the_old_row_says_something_else() {
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    table.foreign.lock().unwrap().extend(["1".to_owned(), "2".to_owned()]);
    let pipeline = beside(&rig, &table);
    for id in ["1", "2"] {
        assert!(matches!(one(&pipeline, id).await, Outcome::AlreadyBid(_)));
        let row = rig.row(id).await;
        let free = Move::ResolveNotSubmitted { allow_new_bid: true };
        let change =
            bidlock_ledger::Change::new(row.claim_ref(), Actor::operator("o"), free).because("not there");
        rig.ledger.apply(&[change]).await.unwrap();
    }
    let fresh = beside(&rig, &table);
    let outcome = one(&fresh, "1").await;
    assert!(matches!(outcome, Outcome::Submitted(_)), "{outcome:?}");
    assert_eq!(table.statuses(), ["submitted"]);
    *table.says.lock().unwrap() = "something else";
    let outcome = one(&fresh, "2").await;
    assert!(matches!(&outcome, Outcome::AlreadyBid(bid) if bid.state == BidState::Unknown), "{outcome:?}");
    assert_eq!(rig.market.seen().len(), 1);
}

/// Old instances find free what is not being sent: a batch's locks are taken and given back in parts.
#[tokio::test]
async fn no_more_is_locked_than_is_sent_at_once() {
    const AT_ONCE: usize = 3;
    let (rig, table) = (Rig::new(), Arc::new(Table::default()));
    *table.locks.lock().unwrap() = Some(rig.locks.clone());
    let shared: Arc<dyn LegacyBids> = table.clone();
    let scanner = rig.scanner("here").options(|options| {
        options.legacy = Some(shared);
        options.concurrency = AT_ONCE;
    });
    let postings: Vec<Posting> = (0..10).map(|n| posting(&n.to_string())).collect();
    let outcomes = batch(&scanner.build(), &postings).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Submitted(_))), "{outcomes:?}");
    // Each posting has two keys: its own, and that of old instances.
    assert_eq!(*table.locked.lock().unwrap(), [6, 6, 6, 2]);
}

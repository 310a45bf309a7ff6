//! Bids that were made without the old table, shown there; and beside which systems a ledger is kept.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by them")]

mod old;

use std::{sync::Arc, time::Duration};

use bidlock_ledger::{
    Actor, Applied, Bid, BidState, Change, ClaimOutcome, LedgerStore, Move, UnknownCause, WallTime,
};
use bidlock_legacy::{Coexistence, Earlier, Instances, coexistence};

use old::{Old, actor, bids, posting, request};

type Ledger = Arc<dyn LedgerStore>;

async fn claimed(ledger: &Ledger, id: &str) -> Bid {
    match ledger.claim(&[request(&posting("upwork", id))]).await.unwrap().remove(0) {
        ClaimOutcome::Granted(claim) => claim.bid,
        ClaimOutcome::Existing(bid) => panic!("{bid:?}"),
    }
}

async fn walk(ledger: &Ledger, mut bid: Bid, moves: impl IntoIterator<Item = Move>) -> Bid {
    for action in moves {
        let change = Change::new(bid.claim_ref(), Actor::operator("mara"), action).because("a test");
        let Applied::Moved { bid: moved, .. } = ledger.apply(&[change]).await.unwrap().remove(0) else {
            panic!("{bid:?} did not move")
        };
        bid = *moved;
    }
    bid
}

fn door() -> Move {
    Move::EnterSubmitting { ttl: Duration::from_secs(60), cap: None }
}

fn accept() -> Move {
    Move::Accept { external_ref: "theirs".to_owned() }
}

const NUMBERS: &str = "190000000000000";

/// One bid in each state that a scanner's life can bring about; those that are over come last.
async fn one_in_each_state(ledger: &Ledger) -> Vec<(Bid, Option<&'static str>)> {
    let lost = || Move::LoseAnswer { cause: UnknownCause::Timeout };
    let ways: Vec<(Vec<Move>, Option<&str>)> = vec![
        (vec![], Some("PENDING")),
        (vec![Move::AwaitApproval], Some("PENDING")),
        (vec![door()], Some("PENDING")),
        (vec![door(), accept()], Some("SUBMITTED")),
        (vec![door(), lost()], Some("SUBMITTED")),
        (vec![door(), Move::Refuse], Some("REJECTED")),
        (vec![door(), accept(), Move::Win], Some("WON")),
        (vec![door(), accept(), Move::Lose], Some("LOST")),
        (
            vec![door(), accept(), Move::Withdraw, Move::ConfirmWithdrawn { rebid_allowed: false }],
            Some("WITHDRAWN"),
        ),
        (vec![Move::Decline], None),
        (vec![Move::HandBack], None),
        (vec![door(), lost(), Move::ResolveNotSubmitted { allow_new_bid: false }], None),
        (vec![door(), lost(), Move::ResolveNotSubmitted { allow_new_bid: true }], None),
        (vec![door(), accept(), Move::Withdraw, Move::ConfirmWithdrawn { rebid_allowed: true }], None),
    ];
    let mut all = Vec::new();
    for (at, (way, shown)) in ways.into_iter().enumerate() {
        let bid = claimed(ledger, &format!("{NUMBERS}{:04}", at * 10 + 7)).await;
        all.push((walk(ledger, bid, way).await, shown));
    }
    all
}

/// Whatever was sent, may have been, or may yet be stands in the old table, under each name that follows from its posting,
/// and says what became of it; the rest does not. Twice is as good as once.
#[tokio::test]
async fn every_bid_that_old_instances_must_not_repeat_is_shown_to_them() {
    for old in Old::each() {
        old.add("Upwork", "of-somebody", "SUBMITTED");
        let ledger = old.ledger();
        let all = one_in_each_state(&ledger).await;
        let shown: Vec<&(Bid, Option<&str>)> = all.iter().filter(|(_, status)| status.is_some()).collect();
        let legacy = old.beside().await;
        let earlier = legacy.show_earlier(&*ledger, None).await.unwrap();
        assert_eq!((earlier.shown, earlier.bid_on_by_both), (shown.len() as u64, 0));
        for (bid, status) in &all {
            let id = bid.posting.posting();
            let rows = old.ask(&format!(
                "SELECT marketplace, job_id, status FROM bids WHERE job_id IN ('{id}', '~02{id}') ORDER BY 1, 2"
            ));
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.sort_unstable();
            let mut expected: Vec<String> = Vec::new();
            for (marketplace, form) in status.iter().flat_map(|_| {
                ["Upwork", "upwork"]
                    .into_iter()
                    .flat_map(|m| [id.to_owned(), format!("~02{id}")].map(|f| (m, f)))
            }) {
                expected.push(format!("{marketplace}|{form}|{}", status.unwrap()));
            }
            expected.sort();
            assert_eq!(rows, expected, "{}", bid.state);
        }
        let again = legacy.show_earlier(&*ledger, None).await.unwrap();
        assert_eq!((again.shown, again.looked_for), (0, earlier.looked_for));
        // They are known as ours, and follow what becomes of them.
        assert_eq!(old.import(&ledger).await.mirrored, 4 * shown.len() as u64);
        legacy_settles(&old, &all[2].0).await;
    }
}

async fn legacy_settles(old: &Old, sent: &Bid) {
    use bidlock_pipeline::LegacyBids;
    old.beside().await.settle(sent.claim_id, Some(BidState::Rejected)).await.unwrap();
    let count = format!(
        "SELECT count(*) FROM bids WHERE job_id = '{}' AND status = 'REJECTED'",
        sent.posting.posting()
    );
    assert_eq!(old.ask(&count), "2");
}

/// What the old table had first stays as it is: imported bids, and those of an old instance that bid on ours as well.
#[tokio::test]
async fn rows_of_old_instances_stay_and_postings_with_a_bid_of_both_are_told() {
    for old in Old::each() {
        let ledger = old.ledger();
        for (at, status) in ["SUBMITTED", "PENDING"].into_iter().enumerate() {
            let bid = claimed(&ledger, &format!("{NUMBERS}000{at}")).await;
            walk(&ledger, bid, [door(), accept()]).await;
            old.add("upwork", &format!("~02{NUMBERS}000{at}"), status);
        }
        old.add("upwork", "1900000000000000999", "SUBMITTED");
        old.import(&ledger).await;
        let theirs =
            "SELECT job_id, status FROM bids WHERE job_id LIKE '~%' OR job_id LIKE '%999' ORDER BY 1";
        let before = old.ask(theirs);
        let legacy = old.beside().await;
        let earlier = legacy.show_earlier(&*ledger, None).await.unwrap();
        let named: Vec<&str> = earlier.named.iter().map(|posting| posting.posting()).collect();
        assert_eq!((earlier.shown, earlier.bid_on_by_both), (2, 2), "under the names that they leave free");
        assert_eq!(named, [format!("{NUMBERS}0000"), format!("{NUMBERS}0001")]);
        assert_eq!(old.ask(theirs), before);
        assert_eq!(old.ask("SELECT count(*) FROM bids"), "5");
    }
}

/// A row of theirs under one name speaks for that name alone: what was sent is shown under the free ones too; what was
/// not sent is not, and neither is what was made before the time that is asked about.
#[tokio::test]
async fn what_was_sent_is_shown_under_the_names_that_a_row_of_theirs_leaves_free() {
    for old in Old::each() {
        let ledger = old.ledger();
        let sent = claimed(&ledger, &format!("{NUMBERS}0007")).await;
        let sent = walk(&ledger, sent, [door(), accept()]).await;
        claimed(&ledger, &format!("{NUMBERS}0017")).await;
        for id in ["0007", "0017"] {
            old.add("upwork", &format!("~02{NUMBERS}{id}"), "PENDING");
        }
        let legacy = old.beside().await;
        let after = WallTime(sent.created_at.0 + 3_600_000);
        assert_eq!(legacy.show_earlier(&*ledger, Some(after)).await.unwrap(), Earlier::default());
        let lately = legacy.show_earlier(&*ledger, Some(sent.created_at)).await.unwrap();
        assert_eq!((lately.shown, lately.bid_on_by_both), (1, 1));
        let rows = old.ask("SELECT job_id, status FROM bids ORDER BY 1");
        let mut rows: Vec<&str> = rows.lines().collect();
        rows.sort_unstable();
        let expected = [
            format!("{NUMBERS}0007|SUBMITTED"),
            format!("~02{NUMBERS}0007|PENDING"),
            format!("~02{NUMBERS}0017|PENDING"),
        ];
        assert_eq!(rows, expected);
        assert_eq!(legacy.show_earlier(&*ledger, None).await.unwrap().shown, 0);
    }
}

/// A batch with one that the table refuses: the others stand there, and the one is named.
#[tokio::test]
async fn a_bid_that_cant_be_shown_is_named() {
    let Some(old) = Old::postgres() else { return };
    old.sql(
        "CREATE TABLE bids (job_id VARCHAR(22) NOT NULL, marketplace VARCHAR(8) NOT NULL, \
         status VARCHAR(9) NOT NULL CHECK (status <> 'WON'), UNIQUE (marketplace, job_id, status))",
    );
    let ledger = old.ledger();
    let sent = claimed(&ledger, &format!("{NUMBERS}0007")).await;
    walk(&ledger, sent, [door(), accept()]).await;
    let won = claimed(&ledger, &format!("{NUMBERS}0017")).await;
    let won = walk(&ledger, won, [door(), accept(), Move::Win]).await;
    let error = old.beside().await.show_earlier(&*ledger, None).await.unwrap_err().to_string();
    assert!(error.contains(&won.id.to_string()) && error.contains("check constraint"), "{error}");
    assert_eq!(old.ask("SELECT DISTINCT status FROM bids"), "SUBMITTED");
    old.sql("ALTER TABLE bids ALTER job_id TYPE VARCHAR(4)  USING left(job_id, 4)");
    let error = old.beside().await.show_earlier(&*ledger, None).await.unwrap_err().to_string();
    assert!(error.contains("too short for upwork"), "{error}");
}

/// What a person has freed stays free for as long as the old rows say the same, whatever the zone of the session that
/// reads them.
#[tokio::test]
async fn an_import_leaves_free_what_a_person_has_freed_until_the_old_row_changes() {
    for old in Old::each() {
        old.add("example", "a", "PENDING");
        old.add("example", "b", "PENDING");
        let ledger = old.ledger();
        old.import(&ledger).await;
        for bid in bids(&ledger).await {
            walk(&ledger, bid, [Move::ResolveNotSubmitted { allow_new_bid: true }]).await;
        }
        let again = old.import(&ledger).await;
        assert_eq!((again.overruled, again.imported.len(), again.already_there), (2, 0, 0));
        // Fetched anew is no news.
        old.sql("UPDATE bids SET posting_cached_at = '2026-02-02 02:02:02'");
        assert_eq!(old.import(&ledger).await.overruled, 2);
        old.sql("UPDATE bids SET updated_at = '2026-02-02 02:02:02' WHERE job_id = 'a'");
        old.sql("UPDATE bids SET status = 'SUBMITTED' WHERE job_id = 'b'");
        let changed = old.import(&ledger).await;
        assert_eq!((changed.overruled, changed.imported.len()), (0, 2));
        assert_eq!((changed.imported[&BidState::Unknown], changed.imported[&BidState::Submitted]), (1, 1));
    }
}

/// A new bid on a freed posting is sent although the old row stands there, which stays as it is; another row of theirs
/// keeps ours out as ever.
#[tokio::test]
async fn a_new_bid_stands_beside_the_row_that_a_person_has_overruled() {
    use bidlock_pipeline::{LegacyBids, Mirrored};
    for old in Old::each() {
        old.add("upwork", "~021900000000000000017", "PENDING");
        let ledger = old.ledger();
        old.import(&ledger).await;
        let imported = bids(&ledger).await.remove(0);
        walk(&ledger, imported, [Move::ResolveNotSubmitted { allow_new_bid: true }]).await;
        let legacy = old.beside().await;
        let bid = claimed(&ledger, "1900000000000000017").await;
        let names = legacy.names(&bid.posting, &[]);
        let Mirrored::Taken(found) = legacy.mirror(&bid, &names, None).await.unwrap() else {
            panic!("theirs stands there")
        };
        let mirrored = legacy.mirror(&bid, &names, Some(&found)).await.unwrap();
        assert!(matches!(mirrored, Mirrored::Done), "{mirrored:?}");
        legacy.settle(bid.claim_id, Some(BidState::Submitted)).await.unwrap();
        let rows = || {
            let rows = old.ask("SELECT job_id, status FROM bids ORDER BY job_id DESC");
            let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
            rows.sort();
            rows
        };
        assert_eq!(rows(), ["1900000000000000017|SUBMITTED", "~021900000000000000017|PENDING"]);
        old.sql("UPDATE bids SET status = 'WON' WHERE job_id LIKE '~%'");
        let mirrored = legacy.mirror(&bid, &names, Some(&found)).await.unwrap();
        assert!(matches!(mirrored, Mirrored::Taken(_)), "{mirrored:?}");
    }
}

/// The ledger remembers each system once, by what it is and not by the URL that named it, and a person's word about it.
#[tokio::test]
async fn a_ledger_remembers_beside_which_systems_it_is_kept() {
    for old in Old::each() {
        let (ledger, other) = (old.ledger(), old.ledger());
        let legacy = old.beside().await;
        let known = || async { Coexistence::of(&*ledger).await.unwrap() };
        assert!(known().await.systems().is_empty() && known().await.running_besides(None).is_none());
        let stranger = Old::sqlite();
        stranger.sql("CREATE TABLE bids (marketplace TEXT, job_id TEXT, status TEXT)");
        let stranger = stranger.open().await;
        // Neither of two who write at once is forgotten.
        let who = actor();
        let (a, b) = tokio::join!(
            coexistence::remember(&*ledger, &legacy, &who, WallTime(7)),
            coexistence::remember(&*other, &stranger, &who, WallTime(7)),
        );
        a.unwrap();
        b.unwrap();
        assert_eq!(known().await.systems().len(), 2);
        coexistence::say(&*ledger, stranger.identity(), Instances::Stopped, &who, WallTime(8)).await.unwrap();
        let beside = known().await;
        let system = beside.find(legacy.identity()).unwrap();
        assert_eq!((system.instances, system.by.as_str()), (Instances::Running, "operator:mara"));
        assert!(!format!("{system:?}").contains("secret"), "{system:?}");
        assert!(beside.running_besides(None).is_some());
        assert!(beside.running_besides(Some(&legacy)).is_none());
        assert!(beside.running_besides(Some(&stranger)).is_some(), "another one does not do for it");
        // By another way to the same table.
        let again = match &old.server {
            None => bidlock_legacy::Place::Sqlite(old.folder.path().join("./old.db")),
            Some(server) => bidlock_legacy::Place::Postgres(server.url().replace("127.0.0.1", "localhost")),
        };
        let again = bidlock_legacy::LegacyDatabase::open(&again, actor()).await.unwrap();
        assert!(beside.running_besides(Some(&again)).is_none(), "{} {}", again.identity(), system.id);
        // Another address of one server, or of a copy of it: nobody can tell.
        assert_eq!(beside.first_met_elsewhere(&again).is_some(), old.server.is_some());
        assert!(beside.first_met_elsewhere(&legacy).is_none());
        coexistence::remember(&*ledger, &again, &actor(), WallTime(8)).await.unwrap();
        assert_eq!(known().await, beside);
        coexistence::say(&*ledger, &system.id, Instances::Stopped, &actor(), WallTime(9)).await.unwrap();
        assert!(known().await.running_besides(None).is_none());
        coexistence::remember(&*ledger, &legacy, &actor(), WallTime(10)).await.unwrap();
        let said = known().await.find(legacy.identity()).unwrap().instances;
        assert_eq!(said, Instances::Stopped, "what a person said stays");
    }
}

/// The path is not the file: another host has one of its own there.
#[tokio::test]
async fn a_file_that_was_made_anew_is_another_system() {
    let old = Old::sqlite();
    old.sql("CREATE TABLE bids (marketplace TEXT, job_id TEXT, status TEXT)");
    let ledger = old.ledger();
    let first = old.open().await;
    coexistence::remember(&*ledger, &first, &actor(), WallTime(7)).await.unwrap();
    let known = Coexistence::of(&*ledger).await.unwrap();
    assert!(known.running_besides(Some(&old.open().await)).is_none());
    let copy = old.folder.path().join("copy.db");
    std::fs::copy(old.file(), &copy).unwrap();
    std::fs::rename(&copy, old.file()).unwrap();
    let second = old.open().await;
    assert_eq!(first.place(), second.place());
    assert!(known.running_besides(Some(&second)).is_some(), "{}", second.identity());
}

/// Nothing to show is nothing to do.
#[tokio::test]
async fn a_ledger_without_bids_has_nothing_to_show() {
    for old in Old::each() {
        let shown = old.beside().await.show_earlier(&*old.ledger(), None).await.unwrap();
        assert_eq!(shown, Earlier::default());
    }
}

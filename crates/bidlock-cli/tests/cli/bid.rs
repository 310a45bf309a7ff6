//! `bidlock bid …`: looking at bids, and what a person decides about one.

use bidlock_ledger::{
    Actor, Bid, BidState, Change, ClaimOutcome, LedgerStore, Move, NewClaim, PostingId, SqliteLedger,
};
use serde_json::json;

use crate::kit::{Desk, VIA};

#[test]
fn without_a_ledger_every_bid_command_says_where_it_would_be() {
    let desk = Desk::new();
    for words in [
        "bid list",
        "bid show 0199c3",
        "bid history market/1",
        "bid approve 0199c3",
        "bid decline 0199c3 --reason r",
        "bid withdraw 0199c3 --reason r",
        "bid resolve 0199c3 --as submitted --reason r",
    ] {
        desk.run(words).refused(5, &["there is no ledger at", "data/bidlock/ledger.db", "--database FILE"]);
    }
    assert!(!desk.ledger().exists(), "looking makes nothing");
}

#[test]
fn list_filters_pages_and_prints_json() {
    let desk = Desk::new();
    let first = desk.seed("one", BidState::Submitted, VIA);
    let second = desk.seed("two", BidState::Unknown, VIA);
    desk.run("bid list").code(0).prints(&["market/one", "market/two", "125.50 USD", "timeout"]);
    let of = |words: &str| -> Vec<String> {
        let list = desk.run(words).code(0).json();
        list["bids"].as_array().unwrap().iter().map(|b| b["posting"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("bid list --json"), ["one", "two"]);
    assert_eq!(of("bid list --json --state unknown,won"), ["two"]);
    assert_eq!(of("bid list --json --posting one"), ["one"]);
    assert_eq!(of("bid list --json --marketplace MARKET"), ["one", "two"]);
    assert_eq!(of("bid list --json --marketplace other"), [""; 0]);
    assert_eq!(of("bid list --json --since 1h"), ["one", "two"]);
    assert_eq!(of("bid list --json --until 1h"), [""; 0]);
    assert_eq!(of("bid list --json --until 2020-01-01"), [""; 0]);
    assert_eq!(of("bid list --json --since 2020-01-01T00:00:00Z"), ["one", "two"]);
    let page = desk.run("bid list --json --limit 1").code(0).json();
    assert_eq!(page["next"], json!(first.id));
    assert_eq!(of(&format!("bid list --json --after {}", first.id)), ["two"]);
    desk.run("bid list --since yesterdayish").refused(2, &["--since", "yesterdayish", "24h (ago)"]);
    desk.run("bid list --after ffff").refused(2, &["there is no bid `ffff`"]);
    desk.run("bid list --state won").code(0).says(&["no bids match"]);
    assert!(second.id > first.id);
}

#[test]
fn a_bid_is_named_by_id_beginning_or_posting() {
    let desk = Desk::new();
    let bid = desk.seed("one", BidState::Submitted, VIA);
    let id = bid.id.to_string();
    for name in [id.as_str(), &id[..13], &id.replace('-', "")[..20], "market/one", "MARKET/one"] {
        desk.call("bid show").arg(name).run().code(0).prints(&[&id, "market/one", "submitted"]);
    }
    let other = desk.seed("two", BidState::Submitted, VIA);
    let shared: String =
        id.chars().zip(other.id.to_string().chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    desk.call("bid show")
        .arg(shared.trim_end_matches('-'))
        .run()
        .refused(2, &["several bids begin with", &id]);
    desk.run("bid show 019").refused(2, &["names no bid", "at least 4 digits"]);
    desk.run("bid show zzzz").refused(2, &["`zzzz` names no bid"]);
    desk.run("bid show ffffffff").refused(2, &["there is no bid `ffffffff`", "bid list"]);
    desk.run("bid show market/three").refused(2, &["there is no bid on market/three"]);
}

#[test]
fn history_verifies_the_hash_chain_and_names_the_broken_event() {
    let desk = Desk::new();
    let bid = desk.seed("one", BidState::Submitted, VIA);
    desk.run("bid history market/one").code(0).prints(&[
        "enter_submitting",
        "accept",
        "chain: intact (3 events)",
    ]);
    let history = desk.run("bid history market/one --json").code(0).json();
    assert_eq!(history["chain"], json!({ "intact": true, "events": 3, "broken": null }));
    let file = rusqlite::Connection::open(desk.ledger()).unwrap();
    // The ledger's own triggers, if it has any, do not stop somebody with the file.
    let triggers: Vec<String> = file
        .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for trigger in triggers {
        file.execute_batch(&format!("DROP TRIGGER \"{trigger}\"")).unwrap();
    }
    assert_eq!(file.execute("UPDATE events SET actor = 'nobody' WHERE seq = 2", []).unwrap(), 1);
    drop(file);
    let done = desk.run("bid history market/one").code(7).says(&[
        "chain: broken",
        "2",
        &bid.id.to_string(),
        "hint:",
    ]);
    assert!(!done.out.contains("intact"), "{done:?}");
    assert_eq!(desk.run("bid history market/one --json").code(7).json()["chain"]["intact"], json!(false));
    desk.run("doctor").code(9).prints(&["changed outside of bidlock"]);
}

#[test]
fn approve_and_decline_are_a_persons_and_safe_to_repeat() {
    let desk = Desk::new();
    desk.seed("one", BidState::AwaitingApproval, VIA);
    desk.seed("two", BidState::AwaitingApproval, VIA);
    desk.seed("sent", BidState::Submitted, VIA);
    desk.run("bid approve market/one --valid-for 2h").code(0).prints(&["is approved for 2h"]);
    desk.run("bid approve market/one").code(0).prints(&["approved already"]);
    desk.run("bid history market/one").code(0).prints(&["operator:tester"]);
    desk.call("bid decline market/two --reason").arg("too far").run().code(0).prints(&["is declined"]);
    desk.run("bid decline market/two --reason again").code(0).prints(&["declined already"]);
    desk.run("bid show market/two").code(0).prints(&["declined", "too far"]);
    desk.run("bid approve market/sent")
        .refused(4, &["is submitted", "only what is awaiting_approval can be approved"]);
    desk.run("bid decline market/sent --reason r").refused(4, &["is submitted"]);
    desk.call("bid decline market/one --reason").arg(" ").run().refused(2, &["--reason is empty"]);
    desk.run("bid approve market/one --valid-for soon").refused(2, &["--valid-for", "soon"]);
}

/// As docs/operations.md says it: a wrong word costs no second bid, and can be made good by another recorded one.
#[test]
fn a_wrong_resolution_as_submitted_is_lived_with() {
    let desk = Desk::new();
    desk.seed("one", BidState::Unknown, VIA);
    desk.run("bid resolve market/one --as submitted --reason seen").code(0);
    desk.run("bid resolve market/one --as not-submitted --reason wrong")
        .refused(2, &["is submitted", "A wrong resolution"]);
    let by_hand = |allow| {
        desk.call("bid withdraw market/one --by-hand --reason mistake")
            .env("BIDLOCK_WITHDRAWAL__ALLOW_REBID", allow)
            .run()
    };
    by_hand("true").code(0).prints(&["the posting may be bid on again"]);
    desk.run("bid history market/one").code(0).prints(&["seen", "mistake", "chain: intact"]);
}

#[test]
fn resolve_needs_a_reason_and_states_the_risk_of_a_new_bid() {
    let desk = Desk::new();
    desk.seed("one", BidState::Unknown, VIA);
    desk.seed("two", BidState::Unknown, VIA);
    desk.seed("sent", BidState::Submitted, VIA);
    let proof = desk.file("proof.txt", "support says: no bid");
    desk.run("bid resolve market/one --as submitted --reason seen --external-ref B-9 --evidence @proof.txt")
        .code(0)
        .prints(&["is submitted"]);
    let history = desk.run("bid history market/one --json").code(0).json();
    let last = history["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["detail"]["evidence"]["text"], "support says: no bid", "{last}");
    let evidence = "proof.txt: support says: no bid";
    desk.run("bid history market/one").code(0).prints(&[&format!("seen; evidence: {evidence}")]);
    let shown = desk.run("bid show market/one").code(0);
    shown.prints(&["resolved as", "resolved by", "operator:tester at ", "resolved because  seen", evidence]);
    assert_eq!(desk.run("bid show market/one --json").json()["resolution"]["reason"], "seen");
    assert_eq!(desk.run("bid show market/two --json").json()["resolution"], json!(null));
    assert_eq!(desk.run("bid show market/one --json").json()["external_ref"], "B-9");
    for named in ["--posting one", "--posting market/one", "--marketplace market --posting one"] {
        let listed = desk.run(&format!("bid list {named} --json")).code(0).json();
        assert_eq!(listed["bids"].as_array().unwrap().len(), 1, "{named}: {listed}");
    }
    // The name of another posting's bid, which a withdrawal would take back.
    desk.run("bid resolve market/two --as submitted --reason seen --external-ref B-9")
        .refused(2, &["B-9 is bid", "on market/one in the ledger already", "not counted twice"]);
    assert_eq!(desk.run("bid show market/two --json").json()["state"], "unknown");
    desk.run("bid resolve market/sent --as submitted --reason r").refused(2, &["is submitted", "unknown"]);
    desk.run("bid resolve market/two --as submitted --reason r --allow-new-bid")
        .refused(2, &["--allow-new-bid makes no sense"]);
    desk.run("bid resolve market/two --as not-submitted --reason r --external-ref x")
        .refused(2, &["--external-ref makes no sense"]);
    desk.run("bid resolve market/two --as not-submitted --reason r --evidence @none.txt")
        .refused(2, &["--evidence", "none.txt"]);
    // The name of a file is a mistake for what stands in it.
    desk.run("bid resolve market/two --as not-submitted --reason r --evidence proof.txt")
        .refused(2, &["`proof.txt` is a file", "--evidence @proof.txt"]);
    desk.run("bid resolve market/two --as not-submitted --reason r")
        .code(0)
        .prints(&["the posting stays used"]);
    drop(proof);
}

/// The seeding process (this one) lives: a new bid is refused plainly, and taken with the risk accepted.
#[test]
fn a_new_bid_beside_a_living_sender_is_an_explicit_choice() {
    let desk = Desk::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bid = desk.seed("one", BidState::Unknown, VIA);
    // Takes the claim's instance again, as a living process would hold it.
    let instances = desk.ledger().with_file_name("ledger.db-instances");
    let held: Vec<std::fs::File> = std::fs::read_dir(&instances)
        .unwrap()
        .map(|entry| std::fs::OpenOptions::new().read(true).write(true).open(entry.unwrap().path()).unwrap())
        .collect();
    for file in &held {
        rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    }
    let words = "bid resolve market/one --as not-submitted --reason r --allow-new-bid";
    desk.run(words)
        .refused(2, &["still runs", "a new bid would then be the second one", "--i-accept-the-risk"]);
    assert_eq!(desk.run("bid show market/one --json").json()["state"], "unknown", "nothing was decided");
    desk.run(&format!("{words} --i-accept-the-risk"))
        .code(0)
        .says(&["warning:", "second one"])
        .prints(&["may be bid on again"]);
    drop((held, runtime, bid));
}

#[test]
fn a_new_bid_is_plain_where_the_sender_is_gone() {
    let desk = Desk::new();
    desk.seed("one", BidState::Unknown, VIA);
    desk.run("bid resolve market/one --as not-submitted --reason r --allow-new-bid")
        .code(0)
        .says(&["is gone"])
        .prints(&["may be bid on again"]);
}

#[test]
fn withdraw_records_first_and_says_what_is_not_confirmed() {
    let desk = Desk::new();
    // Nobody listens on port 9: the wish is recorded, the answer is missing.
    desk.seed("one", BidState::Submitted, VIA);
    desk.seed("dry", BidState::Submitted, "dry-run");
    desk.seed("odd", BidState::Submitted, "carrier-pigeon");
    desk.seed("open", BidState::Unknown, VIA);
    desk.run("bid withdraw market/one --reason changed --event-id e1")
        .refused(6, &["is recorded but not confirmed", "reconcile"]);
    assert_eq!(desk.run("bid show market/one --json").json()["state"], "withdrawing");
    desk.run("bid withdraw market/one --reason changed --event-id e1").refused(6, &["not confirmed"]);
    let events = desk.run("bid history market/one --json").code(0).json()["events"].as_array().unwrap().len();
    assert_eq!(events, 4, "the wish stands in the history once");
    desk.run("bid withdraw market/odd --reason r").refused(2, &["carrier-pigeon", "by hand"]);
    desk.run("bid withdraw market/open --reason r").refused(2, &["is unknown", "only what is submitted"]);
    desk.run("bid withdraw market/none --reason r").refused(2, &["there is no bid on market/none"]);
}

/// The marketplace has the first bid after all: the second one, settled as not submitted, frees nothing.
#[test]
fn a_posting_with_another_bid_stays_used_and_the_other_is_named() {
    let desk = Desk::new();
    let first = desk.seed("one", BidState::Unknown, VIA).id;
    let resolve = |id: &str, words: &str| desk.run(&format!("bid resolve {id} --reason r --as {words}"));
    resolve(&first.to_string(), "not-submitted --allow-new-bid").code(0).prints(&["may be bid on again"]);
    let second = desk.seed("one", BidState::Unknown, VIA).id;
    let told =
        resolve(&first.to_string(), "submitted").code(0).says(&["duplicate", "is submitted after all"]);
    assert!(!told.err.contains("the marketplace has"), "a person says so: {told:#?}");
    resolve(&second.to_string(), "not-submitted --allow-new-bid")
        .code(0)
        .prints(&["is not submitted; the posting stays used", &format!("bid {first} on it is submitted")]);
    let shown = desk.call("bid show --json").arg(second.to_string()).run().code(0).json();
    assert_eq!(shown["rebid_allowed"], false, "{shown}");
}

#[test]
fn a_wrong_refusal_has_a_way_out_by_a_person() {
    let desk = Desk::new();
    desk.seed("one", BidState::Rejected, VIA);
    desk.run("bid resolve market/one --as submitted --reason r")
        .refused(2, &["only what is unknown or not_submitted"]);
    desk.run("bid resolve market/one --as not-submitted --reason r --allow-new-bid")
        .code(0)
        .prints(&["is not submitted; the posting may be bid on again"]);
    desk.run("bid history market/one").code(0).prints(&["resolve_not_submitted", "operator:tester"]);
    desk.seed("one", BidState::Submitted, VIA);
}

/// More rows are due than one sweep moves, and the named one is the last of them.
#[test]
fn resolve_looks_at_the_named_bid_however_many_others_are_due() {
    let desk = Desk::new();
    let first = desk.seed("one", BidState::Submitting, VIA);
    let last = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(many_submitting(&desk.ledger(), &first))
    };
    let file = rusqlite::Connection::open(desk.ledger()).unwrap();
    file.execute("UPDATE bids SET claim_until_ms = 0", []).unwrap();
    drop(file);
    desk.call("bid resolve --as submitted --reason seen")
        .arg(last.id.to_string())
        .run()
        .code(0)
        .prints(&["is submitted"]);
}

/// 300 submissions like this one; the last of them.
async fn many_submitting(path: &std::path::Path, like: &Bid) -> Bid {
    let ledger = SqliteLedger::open(path).unwrap();
    let ttl = std::time::Duration::from_secs(300);
    let claims: Vec<NewClaim> = (0..300)
        .map(|n| NewClaim {
            posting: PostingId::new("market", format!("many-{n}")).unwrap(),
            claimant: like.claimant.clone(),
            ttl,
            payload: like.payload.clone(),
        })
        .collect();
    let mut last = None;
    let mut doors = Vec::new();
    for outcome in ledger.claim(&claims).await.unwrap() {
        let ClaimOutcome::Granted(claim) = outcome else { panic!("{outcome:?}") };
        doors.push(Change::new(
            claim.bid.claim_ref(),
            Actor::scanner("host:1:abcd"),
            Move::EnterSubmitting { ttl, cap: None },
        ));
        last = Some(claim.bid);
    }
    ledger.apply(&doors).await.unwrap();
    last.unwrap()
}

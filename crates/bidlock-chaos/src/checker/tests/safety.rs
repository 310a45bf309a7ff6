//! S1 to S10. More of S8 stands in `named`, of S10 in `leaps`.

use bidlock_ledger::{Action, BidState};
use serde_json::json;

use super::made_up::{NOTHING, Row, Run, is_proven, of, posting, violated};
use crate::{
    checker::Invariant,
    fault::{FaultKind, Place, Target},
    history::{LeaseStep, Role},
    plan::Engines,
};

#[test]
fn s1_a_second_bid_needs_a_record_that_it_may_be() {
    let twice = |freed: bool| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        let mut first = Row::claimed(2, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        first.bid.rebid_allowed = true;
        first.bid.external_ref = Some("b2".to_owned());
        run.appears(2);
        run.request(1_020, &posting(2), first.bid.id, Some("b2"), None);
        first = first.accept(1_040, "scanner-1.1", "b2").then(
            2_000,
            Action::Withdraw,
            BidState::Withdrawing,
            "operator:eve",
        );
        run.withdraws(2_050, "b2");
        let detail = if freed { json!({ "rebid_allowed": true }) } else { json!({}) };
        let done = Some(Action::ConfirmWithdrawn);
        run.row(first.event(2_100, done, BidState::Withdrawn, "operator:eve", detail, Some("asked")));
        let second = Row::claimed(2, 2, 3_000, "scanner-2.1").door(3_010, "scanner-2.1");
        run.request(3_020, &posting(2), second.bid.id, Some("b3"), None);
        run.row(second.accept(3_040, "scanner-2.1", "b3"));
        run.check()
    };
    let checked = twice(false);
    assert_eq!(violated(&checked), ["S1"]);
    let violation = &of(&checked, Invariant::S1).violations[0];
    assert_eq!(violation.posting, Some(posting(2)));
    let files: Vec<&str> = violation.shown_by.iter().map(|line| line.file.as_str()).collect();
    assert!(files.contains(&"ledger") && files.contains(&"sandbox"), "{violation:?}");
    assert!(violation.shown_by.is_sorted_by_key(|line| line.at_ms));
    assert_eq!(violated(&twice(true)), NOTHING);
}

#[test]
fn s1_a_posting_that_is_found_to_have_its_bid_is_not_free_any_more() {
    let found = |reopened: bool| {
        let mut run = Run::new();
        run.appears(1);
        let first = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), first.bid.id, Some("b1"), Some("reset-after"));
        let frees = json!({ "rebid_allowed": true });
        let none = Some(Action::ResolveNotSubmitted);
        let first = first.lose(1_040, "scanner-1.1", "connection_lost");
        let first =
            first.event(2_000, none, BidState::NotSubmitted, "operator:eve", frees, Some("none is there"));
        let mut first = first.find(2_500, "b1");
        first.bid.rebid_allowed = !reopened;
        run.row(first);
        let mut second = Row::claimed(1, 2, 3_000, "scanner-2.1").door(3_010, "scanner-2.1");
        run.request(3_020, &posting(1), second.bid.id, Some("b2"), None);
        // Freed too by now, so that no two rows are live.
        second.bid.rebid_allowed = reopened;
        run.row(second.accept(3_040, "scanner-2.1", "b2"));
        violated(&run.check())
    };
    assert_eq!(found(true), ["S1"]);
    assert_eq!(found(false), NOTHING, "another had been made when it was found: it stays free");
}

#[test]
fn s1_a_second_request_that_the_marketplace_turns_away_counts() {
    let again = |freed: bool| {
        let mut run = Run::new();
        run.appears(1);
        let mut first = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), first.bid.id, Some("b1"), Some("reset-after"));
        first.bid.rebid_allowed = freed;
        let detail = json!({ "rebid_allowed": freed });
        let (resolved, to) = (Some(Action::ResolveNotSubmitted), BidState::NotSubmitted);
        let first = first.lose(1_040, "scanner-1.1", "connection_lost");
        run.row(first.event(2_000, resolved, to, "operator:eve", detail, Some("none is there")));
        let second = Row::claimed(1, 2, 3_000, "scanner-2.1").door(3_010, "scanner-2.1");
        run.turned_away_for = Some("b1");
        run.request(3_020, &posting(1), second.bid.id, None, None);
        let mut second = second.lose(3_040, "scanner-2.1", "duplicate");
        second.bid.external_ref = Some("b1".to_owned());
        let found = json!({ "external_ref": "b1" });
        run.row(second.event(3_060, Some(Action::Find), BidState::Submitted, "reconciler", found, None));
        run.check()
    };
    assert_eq!(violated(&again(true)), NOTHING);
    assert_eq!(again(true).unknowns.iter().filter(|unknown| unknown.fault == "earlier_bid").count(), 1);
    let checked = again(false);
    assert_eq!(violated(&checked), ["S1"]);
    let told = &of(&checked, Invariant::S1).violations[0].what;
    assert!(told.contains("was asked to accept again, bid 2") && told.ends_with("b1"), "{told}");
}

#[test]
fn s2_each_request_needs_a_door_of_its_own() {
    let requests = |count: i64| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        for n in 0..count {
            let name = (n == 0).then_some("b1");
            run.request(1_020 + n, &posting(1), row.bid.id, name, None);
        }
        run.row(row.accept(1_040, "scanner-1.1", "b1"));
        run.check()
    };
    assert_eq!(violated(&requests(1)), NOTHING);
    assert_eq!(violated(&requests(2)), ["S2"]);
    // Before its door, beyond what clocks may differ by.
    let mut early = Run::new();
    early.engines = Engines::Sqlite;
    early.appears(1);
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_300, "scanner-1.1");
    early.request(1_020, &posting(1), row.bid.id, Some("b1"), None);
    early.row(row.accept(1_340, "scanner-1.1", "b1"));
    assert_eq!(violated(&early.check()), ["S2"]);
    // A stranger passes the door.
    let mut stranger = Run::new();
    stranger.appears(1);
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-2.1");
    stranger.request(1_020, &posting(1), row.bid.id, Some("b1"), None);
    stranger.row(row.accept(1_040, "scanner-1.1", "b1"));
    assert_eq!(violated(&stranger.check()), ["S2"]);
}

#[test]
fn s2_a_passage_that_was_not_used_is_no_leave_for_two_requests_later() {
    let requests = |times: &[i64]| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        let row = row.then(1_100, Action::HandBack, BidState::Abandoned, "scanner-1.1");
        let row = row.take_over(4_000, "scanner-2.1").door(4_010, "scanner-2.1");
        for (n, at_ms) in times.iter().enumerate() {
            let is_last = n + 1 == times.len();
            let (name, fault) = if is_last { (Some("b1"), None) } else { (None, Some("429")) };
            run.request(*at_ms, &posting(1), row.bid.id, name, fault);
        }
        run.row(row.accept(8_000, "scanner-2.1", "b1"));
        violated(&run.check())
    };
    assert_eq!(requests(&[1_020, 4_020]), NOTHING);
    assert_eq!(requests(&[4_020]), NOTHING, "the first one was not sent");
    assert_eq!(requests(&[7_000, 7_020]), ["S2"]);
}

#[test]
fn s2_a_request_without_a_bid_has_passed_no_door() {
    let mut run = Run::new();
    run.plain(1, 1_000);
    let nobodys = Row::claimed(1, 9, 2_000, "scanner-2.1").bid.id;
    run.request(2_020, &posting(1), nobodys, None, Some("422"));
    assert_eq!(violated(&run.check()), ["S2"]);
}

#[test]
fn s3_no_row_and_no_request_stands_under_another_way_to_write_it() {
    let mut run = Run::new();
    run.plain(1, 1_000);
    let mut row = Row::claimed(1, 7, 2_000, "scanner-2.1").door(2_010, "scanner-2.1");
    row.bid.posting = bidlock_ledger::PostingId::new("meadow", "meadow:MD-1").unwrap();
    run.request(2_020, &row.bid.posting.clone(), row.bid.id, Some("b7"), None);
    run.row(row.accept(2_040, "scanner-2.1", "b7"));
    let checked = run.check();
    assert_eq!(violated(&checked), ["S1", "S3"]);
    let what = &of(&checked, Invariant::S3).violations[0].what;
    assert!(what.contains("which is meadow") && what.contains("MD-1"), "{what}");
}

#[test]
fn s4_a_stranger_changes_neither_claims_nor_locks() {
    let mut run = Run::new();
    run.appears(1);
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
    run.request(1_020, &posting(1), row.bid.id, Some("b1"), None);
    run.row(row.accept(1_040, "scanner-2.1", "b1"));
    assert_eq!(violated(&run.check()), ["S4"]);
    let forged = |release: &str| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        let (release, renewal) = (release.to_owned(), "lost".to_owned());
        run.lease(1_000, "worker-1.1", LeaseStep::Forged { token: 1, release, renewal });
        run.check()
    };
    assert_eq!(violated(&forged("stolen")), NOTHING);
    assert_eq!(violated(&forged("released")), ["S4"]);
}

#[test]
fn s5_a_later_claim_has_a_higher_epoch() {
    let taken = |same: bool| {
        let mut run = Run::new();
        run.appears(1);
        let mut row = Row::claimed(1, 1, 1_000, "scanner-1.1");
        if same {
            row.bid.epoch.0 -= 1;
        }
        let row = row.take_over(4_000, "scanner-2.1").door(4_010, "scanner-2.1");
        run.request(4_020, &posting(1), row.bid.id, Some("b1"), None);
        run.row(row.accept(4_040, "scanner-2.1", "b1"));
        run.check()
    };
    assert_eq!(violated(&taken(false)), NOTHING);
    assert_eq!(violated(&taken(true)), ["S5"]);
}

#[test]
fn s6_nothing_is_sent_while_the_ledger_is_away_but_from_behind_the_door() {
    let sent = |door_ms: i64, at_ms: i64| {
        let mut run = Run::new();
        run.fault(2_000, 6_000, FaultKind::PostgresKill, Target::place(Place::Postgres));
        run.appears(1);
        let mut row = Row::claimed(1, 1, door_ms - 10, "scanner-1.1");
        if door_ms > 0 {
            row = row.door(door_ms, "scanner-1.1");
        }
        run.request(at_ms, &posting(1), row.bid.id, Some("b1"), None);
        run.row(row.accept(6_500, "scanner-1.1", "b1"));
        run.check()
    };
    assert!(is_proven(&sent(1_990, 2_020), Invariant::S6));
    let mut blind = Run::new();
    blind.fault(2_000, 6_000, FaultKind::PostgresKill, Target::place(Place::Postgres));
    blind.appears(1);
    let row = Row::claimed(1, 1, 1_900, "scanner-1.1");
    blind.request(3_000, &posting(1), row.bid.id, Some("b1"), None);
    blind.row(row.then(7_000, Action::SweepClaimed, BidState::Abandoned, "sweeper"));
    let checked = blind.check();
    assert!(violated(&checked).starts_with(&["S2", "S6"]), "{:?}", violated(&checked));
}

#[test]
fn s7_nothing_leads_back_through_the_door() {
    let swept = |to: BidState| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, Some("500-before"));
        run.fault(900, 4_000, FaultKind::Pause, Target::process("scanner-1"));
        run.row(row.then(4_000, Action::SweepSubmitting, to, "sweeper"));
        run.check()
    };
    assert_eq!(violated(&swept(BidState::Unknown)), NOTHING);
    let back = swept(BidState::Abandoned);
    assert!(violated(&back).contains(&"S7"), "{:?}", violated(&back));
}

#[test]
fn s8_submitted_is_what_the_marketplace_has() {
    let named = |name: &str, at_ms: i64| {
        let mut run = Run::new();
        run.engines = Engines::Sqlite;
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, Some("b1"), None);
        run.row(row.accept(at_ms, "scanner-1.1", name));
        run.check()
    };
    assert_eq!(violated(&named("b1", 1_040)), NOTHING);
    assert_eq!(violated(&named("b9", 1_040)), ["S8", "S9"], "a bid that nobody has");
    let mut early = Run::new();
    early.engines = Engines::Sqlite;
    early.appears(1);
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
    early.request(1_200, &posting(1), row.bid.id, Some("b1"), None);
    early.row(row.accept(1_100, "scanner-1.1", "b1"));
    assert_eq!(violated(&early.check()), ["S8"], "before it was");
}

#[test]
fn s9_what_the_marketplace_has_is_not_denied() {
    let settled = |to: BidState, action: Action| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, Some("b1"), Some("reset-after"));
        let row = row.lose(1_040, "scanner-1.1", "connection_lost");
        run.row(match to {
            BidState::Submitted => row.find(21_000, "b1"),
            to => row.event(2_000, Some(action), to, "operator:eve", json!({}), Some("not there")),
        });
        run.check()
    };
    assert_eq!(violated(&settled(BidState::Submitted, Action::Find)), NOTHING);
    assert_eq!(violated(&settled(BidState::NotSubmitted, Action::ResolveNotSubmitted)), ["S9"]);
}

#[test]
fn s10_nobody_works_where_another_was_granted_the_key() {
    let overlap = |also: &dyn Fn(&mut Run)| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.starts(0, "worker-2.1", Role::Worker);
        let granted = |token| LeaseStep::Granted { token, deadline_us: 9_000_000 };
        let worked = |token, began_us| LeaseStep::Worked { token, began_us, read: 1, deadline_us: 9_000_000 };
        run.lease(1_000, "worker-1.1", granted(1));
        run.lease(1_500, "worker-2.1", granted(2));
        run.lease(1_600, "worker-1.1", worked(1, 1_590_000));
        also(&mut run);
        run.check()
    };
    let cut = |process| {
        let target = Target::between(process, Place::Redis);
        overlap(&|run| run.fault(1_400, 1_550, FaultKind::Cut, target.clone()))
    };
    assert_eq!(violated(&cut("worker-3")), ["S10"], "away for neither of the two");
    for process in ["worker-1", "worker-2"] {
        assert_eq!(violated(&cut(process)), NOTHING, "another store stood in for it");
    }
    let checked = overlap(&|_| ());
    assert_eq!(violated(&checked), ["S10"]);
    assert!(of(&checked, Invariant::S10).violations[0].shown_by.len() >= 3);
    let flushed = overlap(&|run| run.fault(1_400, 1_400, FaultKind::RedisFlush, Target::place(Place::Redis)));
    assert_eq!(violated(&flushed), NOTHING, "the store forgot");
}

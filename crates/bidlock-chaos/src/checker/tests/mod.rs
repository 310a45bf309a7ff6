//! For each invariant a small made-up run that breaks it, and one that does not.

mod chance;
mod hindrance;
mod leaps;
mod look_ups;
pub(crate) mod made_up;
mod named;
mod replies;
mod stalls;
mod twins;

use bidlock_ledger::{Action, BidState};
use serde_json::json;

use self::made_up::{LAST_SCAN_MS, QUIET_MS, Row, Run, is_proven, of, posting, violated};
use super::{Invariant, Verdict};
use crate::{
    fault::{FaultKind, Place, Target},
    history::{LeaseStep, Role},
    plan::Engines,
};

const NOTHING: [&str; 0] = [];

#[test]
fn a_run_without_trouble_is_clean_and_says_what_it_did_not_show() {
    let mut run = Run::new();
    run.plain(1, 1_000);
    run.plain(2, 1_500);
    run.ends(45_000, "scanner-1.1", Some(0), None);
    let checked = run.check();
    assert_eq!(violated(&checked), NOTHING);
    assert!(checked.is_clean());
    assert_eq!((checked.postings, checked.submissions, checked.accepted), (2, 2, 2));
    for invariant in
        [Invariant::S1, Invariant::S2, Invariant::S3, Invariant::S7, Invariant::S8, Invariant::S9]
    {
        assert!(is_proven(&checked, invariant), "{:?}", of(&checked, invariant));
    }
    for invariant in [Invariant::S6, Invariant::S10, Invariant::L2, Invariant::L4, Invariant::Unknowns] {
        let finding = of(&checked, invariant);
        assert_eq!(finding.verdict, Verdict::NotExercised, "{finding:?}");
        assert!(finding.why.is_some(), "{finding:?}");
    }
}

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

#[test]
fn l1_everything_comes_to_rest_in_time() {
    let left = |row: fn(Row) -> Row| {
        let mut run = Run::new();
        run.appears(1);
        let claimed = Row::claimed(1, 1, 15_000, "scanner-1.1");
        run.row(row(claimed));
        run.check()
    };
    assert_eq!(violated(&left(|row| row)), ["L1"], "still claimed");
    let at_last = left(|row| row.then(40_500, Action::SweepClaimed, BidState::Abandoned, "sweeper"));
    assert_eq!(violated(&at_last), ["L1"], "abandoned by the last scan, and still so");
    let late = left(|row| {
        let row = row.take_over(40_500, "scanner-2.1");
        row.then(40_510, Action::Decline, BidState::Declined, "scanner-2.1")
    });
    assert_eq!(violated(&late), ["L1"], "only the last scan moved it on");
    let in_time = left(|row| {
        let row = row.take_over(22_000, "scanner-2.1");
        row.then(22_010, Action::Decline, BidState::Declined, "scanner-2.1")
    });
    assert_eq!(violated(&in_time), NOTHING);
}

#[test]
fn l2_the_killed_are_followed_in_time() {
    let followed = |at_ms: i64| {
        let mut run = Run::new();
        run.appears(1);
        run.ends(1_100, "scanner-1.1", None, Some(9));
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").take_over(at_ms, "scanner-2.1");
        run.row(row.then(at_ms + 10, Action::Decline, BidState::Declined, "scanner-2.1"));
        run.check()
    };
    let checked = followed(3_000);
    assert!(is_proven(&checked, Invariant::L2), "{:?}", of(&checked, Invariant::L2));
    assert_eq!(violated(&followed(15_000)), ["L2"]);
}

#[test]
fn l3_a_posting_without_a_bid_needs_an_explanation() {
    let seen = |outcome: Option<&str>| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.appears(2);
        if let Some(outcome) = outcome {
            run.outcome(2_000, &posting(2), outcome);
        }
        run.check()
    };
    assert_eq!(violated(&seen(None)), ["L3"]);
    assert_eq!(violated(&seen(Some("held_elsewhere"))), ["L3"], "held by whom, at the end?");
    assert_eq!(violated(&seen(Some("deferred"))), ["L3"], "and tried again when?");
    assert_eq!(violated(&seen(Some("declined"))), NOTHING);
    let mut put_off = Run::new();
    put_off.appears(1);
    put_off.outcome(LAST_SCAN_MS + 100, &posting(1), "deferred");
    assert_eq!(violated(&put_off.check()), NOTHING, "still, at the end");
}

#[test]
fn l4_bidding_goes_on_without_redis() {
    let bids = |redis: bool| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.plain(2, 5_000);
        if redis {
            run.fault(4_000, 7_000, FaultKind::RedisPause, Target::place(Place::Redis));
        }
        run.check()
    };
    assert!(is_proven(&bids(true), Invariant::L4));
    let early = |redis_goes_ms: u64| {
        let mut run = Run::new();
        run.plain(1, 5_000);
        run.fault(redis_goes_ms, redis_goes_ms + 3_000, FaultKind::RedisPause, Target::place(Place::Redis));
        of(&run.check(), Invariant::L4).verdict
    };
    assert_eq!(early(4_900), Verdict::NotExercised, "it may have been locked before Redis went");
    assert_eq!(early(4_000), Verdict::Proven);
    let nothing_sent = |outages: &[(u64, u64)]| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        for n in 2..60 {
            run.plain(n, 12_000 + i64::from(n));
        }
        for (from_ms, to_ms) in outages {
            run.fault(*from_ms, *to_ms, FaultKind::RedisPause, Target::place(Place::Redis));
        }
        run.plain(60, 4_005);
        violated(&run.check())
    };
    assert_eq!(
        nothing_sent(&[(4_000, 11_000)]),
        ["L4"],
        "seven seconds without Redis, and no bid but a locked one"
    );
    let short = [(2_000, 4_500), (5_000, 8_400), (8_800, 11_500)];
    assert_eq!(nothing_sent(&short), NOTHING, "never so long that one does without");
    assert_eq!(of(&bids(false), Invariant::L4).verdict, Verdict::NotExercised);
}

#[test]
fn an_unknown_needs_a_fault_that_explains_it() {
    let lost = |fault: Option<&str>, cut: bool| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, Some("b1"), fault);
        if cut {
            run.fault(900, 1_500, FaultKind::Cut, Target::between("scanner-1", Place::Market));
        }
        run.row(row.lose(1_040, "scanner-1.1", "connection_lost").find(21_000, "b1"));
        run.check()
    };
    let by_market = lost(Some("reset-after"), false);
    assert_eq!(violated(&by_market), NOTHING);
    assert_eq!(by_market.unknowns[0].fault, "market_reset");
    assert_eq!(lost(None, true).unknowns[0].fault, "cut");
    assert_eq!(violated(&lost(None, false)), ["unknowns"]);
    // An answer was given: no broken way explains a redirect.
    let redirected = |fault: Option<&str>| {
        let mut run = Run::new();
        run.appears(1);
        run.fault(900, 1_500, FaultKind::Cut, Target::between("scanner-1", Place::Market));
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, fault);
        run.row(row.lose(1_040, "scanner-1.1", "redirect"));
        run.check()
    };
    assert_eq!(violated(&redirected(None)), ["unknowns"]);
    assert_eq!(violated(&redirected(Some("500-before"))), ["unknowns"], "another fault than what was seen");
    assert_eq!(violated(&redirected(Some("307"))), NOTHING);
    // A fault of another process, or one that was over long before.
    for (fault, target) in [
        ((900, 1_500), Target::between("scanner-2", Place::Market)),
        ((100, 400), Target::between("scanner-1", Place::Market)),
        ((900, 1_500), Target::between("scanner-1", Place::Redis)),
    ] {
        let mut run = Run::new();
        run.appears(1);
        run.fault(fault.0, fault.1, FaultKind::Cut, target);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, None);
        run.row(row.lose(1_400, "scanner-1.1", "timeout"));
        assert_eq!(violated(&run.check()), ["unknowns"]);
    }
    let silent = |fault: Option<FaultKind>| {
        let mut run = Run::new();
        run.appears(1);
        if let Some(fault) = fault {
            run.fault(1_015, 1_015, fault, Target::process("scanner-1"));
        }
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, None);
        run.row(row.then(4_000, Action::SweepSubmitting, BidState::Unknown, "sweeper"));
        run.check()
    };
    assert_eq!(violated(&silent(None)), ["unknowns"]);
    // Where newer binaries take over, the older one's scanner is killed too: found by an hour's run.
    for killing in [FaultKind::Kill, FaultKind::ProtocolFloor] {
        assert_eq!(silent(Some(killing)).unknowns[0].fault, killing.name());
    }
}

#[test]
fn a_process_that_panics_or_ends_with_7_is_found() {
    let ended = |code: i32| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.ends(QUIET_MS - 1, "scanner-2.1", Some(code), None);
        run.check()
    };
    assert_eq!(violated(&ended(6)), NOTHING);
    assert_eq!(violated(&ended(7)), ["processes"]);
    assert_eq!(violated(&ended(101)), ["processes"]);
    let killed = |at_ms: u64| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.ends(at_ms, "scanner-2.1", None, Some(9));
        violated(&run.check())
    };
    assert_eq!(killed(QUIET_MS - 1), NOTHING, "a fault's work");
    assert_eq!(killed(LAST_SCAN_MS - 10), ["processes"], "it hung when it was asked to end");
}

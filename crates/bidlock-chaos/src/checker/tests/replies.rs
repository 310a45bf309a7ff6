//! Answers that are thrown away explain what became of their own requests; requests that the marketplace turns away count.

use bidlock_ledger::{Action, BidState};
use serde_json::json;

use super::made_up::{PORT, Row, Run, of, posting, violated};
use crate::{
    checker::{Checked, Invariant},
    fault::{FaultKind, Place, Target},
};

const NOTHING: [&str; 0] = [];

/// A request of scanner-1, from 1,010 to 1,400 ms, whose outcome becomes unknown so; beside a fault that loses answers.
fn unknown(also: impl FnOnce(&mut Run), then: fn(Row) -> Row) -> Checked {
    let mut run = Run::new();
    run.appears(1);
    run.fault(900, 1_500, FaultKind::LoseReply, Target::between("scanner-1", Place::Market));
    also(&mut run);
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
    run.request(1_020, &posting(1), row.bid.id, Some("b1"), None);
    run.row(then(row).find(21_000, "b1"));
    run.check()
}

#[test]
fn a_lost_answer_explains_the_request_on_its_own_connection() {
    let lost = |process: &'static str, at_ms, port| {
        unknown(
            |run| run.loses_reply(at_ms, process, Place::Market, port),
            |row| row.lose(1_400, "scanner-1.1", "connection_lost"),
        )
    };
    let explained = lost("scanner-1", 1_040, PORT + 1);
    assert_eq!(violated(&explained), NOTHING);
    assert_eq!(explained.unknowns[0].fault, "lose_reply");
    assert_eq!(explained.faults[&FaultKind::LoseReply], 1);
    assert_eq!(violated(&lost("scanner-1", 1_040, PORT + 2)), ["unknowns"], "another connection");
    assert_eq!(violated(&lost("scanner-2", 1_040, PORT + 1)), ["unknowns"], "another process");
    assert_eq!(violated(&lost("scanner-1", 2_000, PORT + 1)), ["unknowns"], "later");
    let nothing_lost = unknown(|_| (), |row| row.lose(1_400, "scanner-1.1", "connection_lost"));
    assert_eq!(
        violated(&nothing_lost),
        ["unknowns"],
        "a fault that waits for an answer to lose, and lost none"
    );
    assert_eq!(nothing_lost.faults.get(&FaultKind::LoseReply), None);
}

#[test]
fn a_lost_answer_of_the_ledger_explains_a_claimants_silence() {
    let silent = |process: &'static str, place, at_ms| {
        let swept = |row: Row| row.then(2_100, Action::SweepSubmitting, BidState::Unknown, "sweeper");
        violated(&unknown(|run| run.loses_reply(at_ms, process, place, 7), swept))
    };
    assert_eq!(silent("scanner-1", Place::Postgres, 1_060), NOTHING);
    assert_eq!(silent("scanner-1", Place::Redis, 1_060), ["unknowns"]);
    assert_eq!(silent("scanner-2", Place::Postgres, 1_060), ["unknowns"]);
    assert_eq!(silent("scanner-1", Place::Postgres, 600), ["unknowns"], "before the door");
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

//! Answers that are thrown away explain what became of their own requests, and of no others.

use bidlock_ledger::{Action, BidState};

use super::made_up::{NOTHING, PORT, Row, Run, posting, violated};
use crate::{
    checker::Checked,
    fault::{FaultKind, Place, Target},
};

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

//! Where two processes go by one name, nothing but the time tells which of them is meant.

use bidlock_ledger::{Action, BidState};

use super::made_up::{NOTHING, Row, Run, posting, violated};
use crate::{
    checker::Checked,
    fault::{FaultKind, Target},
};

const TWIN: &str = "scanner-twin";

#[test]
fn a_fault_of_either_explains_and_one_of_a_third_does_not() {
    let silent = |process: &str, until_ms| -> Checked {
        let mut run = Run::with_twins();
        run.appears(1);
        run.fault(900, until_ms, FaultKind::Pause, Target::process(process));
        let row = Row::claimed(1, 1, 1_000, TWIN).door(1_010, TWIN);
        run.request(1_020, &posting(1), row.bid.id, None, Some("delay-before"));
        run.row(row.then(4_000, Action::SweepSubmitting, BidState::Unknown, "sweeper"));
        run.check()
    };
    for process in ["scanner-1", "scanner-2"] {
        assert_eq!(silent(process, 4_000).unknowns[0].fault, "pause", "{process}");
    }
    assert_eq!(silent("worker-1", 4_000).unknowns[0].fault, "market_slow");
}

#[test]
fn one_is_followed_where_all_who_may_be_meant_were_killed() {
    let followed = |both: bool, at_ms| {
        let mut run = Run::with_twins();
        run.appears(1);
        run.ends(1_100, "scanner-1.1", None, Some(9));
        if both {
            run.ends(1_200, "scanner-2.1", None, Some(9));
        }
        let row = Row::claimed(1, 1, 1_000, TWIN).take_over(at_ms, TWIN);
        run.row(row.then(at_ms + 10, Action::Decline, BidState::Declined, TWIN));
        violated(&run.check())
    };
    assert_eq!(followed(true, 3_000), NOTHING);
    assert_eq!(followed(true, 15_000), ["L2"]);
    assert_eq!(followed(false, 15_000), NOTHING, "the other may have claimed it, and lives");
}

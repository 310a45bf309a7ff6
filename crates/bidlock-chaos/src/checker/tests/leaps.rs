//! What a leap of the lock store's clock excuses, and what it does not.

use bidlock_ledger::{Action, BidState};

use super::made_up::{NOTHING, Row, Run, violated};
use crate::{
    fault::{FaultKind, Place, Target},
    history::{LeaseStep, Role},
};

/// The clock of Redis is off by so many seconds from one time to another.
fn leaps(run: &mut Run, seconds: i64, (from_ms, to_ms): (u64, u64)) {
    run.fault_of(seconds, from_ms, to_ms, FaultKind::RedisClock, Target::place(Place::Redis));
}

#[test]
fn two_may_have_a_lease_right_after_the_clock_leapt_forward_and_at_no_other_time() {
    let overlap = |seconds, times| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.starts(0, "worker-2.1", Role::Worker);
        let deadline_us = 9_000_000;
        run.lease(5_000, "worker-1.1", LeaseStep::Granted { token: 1, deadline_us });
        run.lease(5_500, "worker-2.1", LeaseStep::Granted { token: 2, deadline_us });
        let worked = LeaseStep::Worked { token: 1, began_us: 5_590_000, read: 1, deadline_us };
        run.lease(5_600, "worker-1.1", worked);
        leaps(&mut run, seconds, times);
        violated(&run.check())
    };
    assert_eq!(overlap(5, (5_400, 8_000)), NOTHING, "it went forward");
    assert_eq!(overlap(-5, (2_000, 5_450)), NOTHING, "it came back from behind");
    assert_eq!(overlap(5, (2_000, 5_450)), ["S10"], "it came back from before: leases last longer");
    assert_eq!(overlap(-5, (5_400, 8_000)), ["S10"], "it went back");
    assert_eq!(overlap(5, (3_000, 9_000)), ["S10"], "it was off all the time, and did not move");
    assert_eq!(overlap(5, (7_000, 9_000)), ["S10"], "afterwards");
}

#[test]
fn the_lease_of_the_dead_lasts_longer_where_the_clock_went_back() {
    let followed = |seconds, times, at_ms| {
        let mut run = Run::new();
        run.appears(1);
        leaps(&mut run, seconds, times);
        run.ends(1_100, "scanner-1.1", None, Some(9));
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").take_over(at_ms, "scanner-2.1");
        run.row(row.then(at_ms + 10, Action::Decline, BidState::Declined, "scanner-2.1"));
        violated(&run.check())
    };
    assert_eq!(followed(6, (500, 1_500), 13_000), NOTHING);
    assert_eq!(followed(6, (500, 1_500), 18_000), ["L2"], "as long as it went back, and no longer");
    assert_eq!(followed(-6, (500, 1_500), 13_000), ["L2"], "it went back first, and forward again");
    assert_eq!(followed(6, (9_000, 10_000), 13_000), ["L2"], "the lease had run out by then");
}

//! L1 to L4. More of L1 stands in `look_ups` and `stalls`, of L2 in `hindrance`, `leaps`, `stalls` and `twins`.

use bidlock_ledger::{Action, BidState};

use super::made_up::{LAST_SCAN_MS, NOTHING, Row, Run, is_proven, of, posting, violated};
use crate::{
    checker::{Invariant, Verdict},
    fault::{FaultKind, Place, Target},
};

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

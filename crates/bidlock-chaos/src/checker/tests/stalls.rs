//! What a host that stands still explains, and what it does not.

use bidlock_ledger::{Action, BidState};

use super::made_up::{NOTHING, QUIET_MS, Row, Run, posting, violated};
use crate::{
    checker::{Checked, HOST_STALLED},
    fault::{FaultKind, Place, Target},
    history::What,
    report::Report,
};

/// A request from 1,010 to 1,400 ms that is lost for this cause, on a host that stalled from and to these times.
fn lost(cause: &str, stall: Option<(u64, u64)>, also: impl FnOnce(&mut Run)) -> Checked {
    let mut run = Run::new();
    run.appears(1);
    stalled(&mut run, stall);
    also(&mut run);
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
    run.request(1_020, &posting(1), row.bid.id, None, None);
    run.row(match cause {
        "claimant_silent" => row.then(1_400, Action::SweepSubmitting, BidState::Unknown, "sweeper"),
        cause => row.lose(1_400, "scanner-1.1", cause),
    });
    run.check()
}

fn stalled(run: &mut Run, stall: Option<(u64, u64)>) {
    if let Some((from_ms, to_ms)) = stall {
        run.add(to_ms, What::HostStalled { ms: to_ms - from_ms });
    }
}

#[test]
fn a_stall_of_the_host_explains_what_it_overlaps_and_nothing_else() {
    for cause in ["timeout", "claimant_silent", "connection_lost"] {
        let calm = lost(cause, None, |_| ());
        // `claimant_silent` within its claim is against the law as well.
        assert!(violated(&calm).contains(&"unknowns"), "{cause} without a stall");
        for stall in [(1_100, 1_350), (500, 1_100), (1_390, 3_000), (500, 3_000)] {
            let checked = lost(cause, Some(stall), |_| ());
            assert!(!violated(&checked).contains(&"unknowns"), "{cause}, {stall:?}");
            assert_eq!(checked.unknowns[0].fault, HOST_STALLED, "{cause}, {stall:?}");
        }
        for elsewhere in [(500, 900), (1_500, 3_000)] {
            let checked = lost(cause, Some(elsewhere), |_| ());
            assert!(violated(&checked).contains(&"unknowns"), "{cause}, {elsewhere:?}");
        }
    }
    // An answer was given: a host that stands still gives none.
    for cause in ["redirect", "server_error", "unreadable_answer", "shutdown"] {
        assert_eq!(violated(&lost(cause, Some((1_100, 1_350)), |_| ())), ["unknowns"], "{cause}");
    }
}

#[test]
fn an_injected_fault_is_named_before_a_stall() {
    let cut = |run: &mut Run| {
        run.fault(900, 1_500, FaultKind::Cut, Target::between("scanner-1", Place::Market));
    };
    assert_eq!(lost("timeout", Some((1_100, 1_350)), cut).unknowns[0].fault, "cut");
}

#[test]
fn where_no_clock_tells_a_requests_time_the_marketplace_does() {
    let jumped = |stall| {
        let mut run = Run::new();
        run.engines = crate::plan::Engines::Sqlite;
        run.appears(1);
        stalled(&mut run, Some(stall));
        run.fault(500, 3_000, FaultKind::ClockJump, Target::process("scanner-1"));
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, None);
        run.row(row.lose(1_400, "scanner-1.1", "timeout"));
        violated(&run.check())
    };
    assert_eq!(jumped((1_100, 1_350)), NOTHING);
    assert_eq!(jumped((2_000, 2_500)), ["unknowns"], "within the claimant's life, and no more");
}

#[test]
fn the_report_tells_stalls_from_faults() {
    let text = |checked: &Checked| Report::of(checked, "again").text();
    let checked = lost("timeout", Some((1_100, 1_350)), |_| ());
    let told = text(&checked);
    assert!(told.contains("stalled 1 time, for 250 ms at most; behind 1 unknown outcome"), "{told}");
    assert!(told.contains("timeout by host_stalled 1") && told.contains("0 faults of 0 types"), "{told}");
    assert!(told.contains("explain 1 of 1 outcomes"), "too large a share: {told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    let page = Report::of(&checked, "again").html();
    assert!(page.contains("The host itself stalled 1 time") && page.contains("explain 1 of 1 outcomes"));
    let elsewhere = text(&lost("timeout", Some((500, 900)), |_| ()));
    assert!(elsewhere.contains("behind 0 unknown") && !elsewhere.contains("quieter host"), "{elsewhere}");
    assert!(!text(&lost("timeout", None, |_| ())).contains("stalled"));
}

#[test]
fn stalls_that_overlap_are_one() {
    let of = |stalls: &[(u64, u64)]| {
        let checked = lost("timeout", None, |run| {
            stalls.iter().for_each(|stall| stalled(run, Some(*stall)));
        });
        let stalls = Report::of(&checked, "again").host_stalls;
        (stalls.count, stalls.longest_ms, violated(&checked).contains(&"unknowns"))
    };
    assert_eq!(of(&[(500, 800), (450, 810), (600, 820)]), (1, 370, true));
    assert_eq!(of(&[(500, 800), (900, 990), (800, 1_100)]), (1, 600, false));
    assert_eq!(of(&[(500, 800), (810, 950)]), (2, 300, true));
}

#[test]
fn nobody_comes_to_rest_or_follows_while_the_host_stands_still() {
    let followed = |stall| {
        let mut run = Run::new();
        run.appears(1);
        stalled(&mut run, stall);
        run.ends(1_100, "scanner-1.1", None, Some(9));
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").take_over(15_000, "scanner-2.1");
        run.row(row.then(15_010, Action::Decline, BidState::Declined, "scanner-2.1"));
        violated(&run.check())
    };
    assert_eq!(followed(None), ["L2"]);
    assert_eq!(followed(Some((2_000, 14_000))), NOTHING);
    assert_eq!(followed(Some((2_000, 3_000))), ["L2"], "one second of fourteen");
    let rested = |stall| {
        let mut run = Run::new();
        run.appears(1);
        stalled(&mut run, stall);
        let row = Row::claimed(1, 1, 15_000, "scanner-1.1").take_over(40_500, "scanner-2.1");
        run.row(row.then(40_510, Action::Decline, BidState::Declined, "scanner-2.1"));
        violated(&run.check())
    };
    assert_eq!(rested(None), ["L1"]);
    assert_eq!(rested(Some((QUIET_MS, 39_000))), NOTHING);
    assert_eq!(rested(Some((QUIET_MS - 5_000, QUIET_MS + 1_000))), ["L1"], "one second of twenty");
}

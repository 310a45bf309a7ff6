//! What naming a fault behind a silence is worth.

use bidlock_ledger::{Action, BidState};

use super::made_up::{QUIET_MS, Row, Run, posting};
use crate::{
    checker::Chance,
    fault::{FaultKind, Target},
    report::Report,
};

/// Both scanners are stopped until this time; some of their claimants fall silent meanwhile.
fn stopped_until(to_ms: u64) -> (Chance, String, String) {
    let mut run = Run::new();
    for process in ["scanner-1", "scanner-2"] {
        run.fault(900, to_ms, FaultKind::Pause, Target::process(process));
    }
    for n in 1..=50 {
        run.appears(n);
        let row = Row::claimed(n, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(n), row.bid.id, None, Some("delay-before"));
        run.row(row.then(2_500, Action::SweepSubmitting, BidState::Unknown, "sweeper"));
    }
    let checked = run.check();
    let report = Report::of(&checked, "again");
    let (text, page) = (report.text(), report.html());
    (checked.silence_by_chance, text, page)
}

#[test]
fn the_report_says_how_often_chance_would_have_named_a_fault_as_well() {
    let (chance, text, page) = stopped_until(QUIET_MS);
    assert_eq!((chance.drawn, chance.explained()), (2_000, 2_000), "everybody is stopped all the time");
    assert_eq!(chance.by_fault[&FaultKind::Pause], 2_000);
    for (form, told) in [("text", &text), ("page", &page)] {
        assert!(
            told.contains("100 %") && told.contains("(pause 100 %)") && told.contains("drawn at random"),
            "{form}: {told}"
        );
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (chance, ..) = stopped_until(3_000);
    assert!(chance.explained() <= 600, "for two seconds of twenty: {chance:?}");
    assert_eq!(chance, stopped_until(3_000).0, "the same files say the same");
}

#[test]
fn each_silence_may_be_drawn_however_many_came_before_it() {
    let mut run = Run::new();
    // For so short a time that hardly any short silence meets it, and about every other long one.
    for process in ["scanner-1", "scanner-2"] {
        run.fault(10_000, 10_010, FaultKind::Pause, Target::process(process));
    }
    for n in 1..=4_000 {
        let swept_ms = if n <= 2_000 { 1_100 } else { 11_100 };
        run.appears(n);
        let row = Row::claimed(n, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.row(row.then(swept_ms, Action::SweepSubmitting, BidState::Unknown, "sweeper"));
    }
    let chance = run.check().silence_by_chance;
    assert_eq!(chance.drawn, 2_000);
    assert!((400..=700).contains(&chance.explained()), "half of the half that are long: {chance:?}");
}

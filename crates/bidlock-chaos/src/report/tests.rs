//! The report of two made-up runs: one that is clean, one in which a posting is bid on twice.

use super::Report;
use crate::{
    checker::{
        Checked,
        tests::made_up::{Row, Run, posting},
    },
    fault::{FaultKind, Place, Target},
    history::Role,
};

const AGAIN: &str = "bidlock chaos replay run";

fn clean() -> Checked {
    let mut run = Run::new();
    for n in 1..40 {
        run.plain(n, 1_000 + i64::from(n) * 50);
    }
    run.fault(2_000, 3_400, FaultKind::Pause, Target::process("scanner-2"));
    run.fault(4_000, 4_000, FaultKind::Kill, Target::process("scanner-1"));
    run.ends(4_000, "scanner-1.1", None, Some(9));
    run.starts(4_500, "scanner-1.2", Role::Scanner);
    run.fault(5_000, 6_000, FaultKind::Cut, Target::between("scanner-2", Place::Postgres));
    run.fault(7_000, 9_000, FaultKind::RedisPause, Target::place(Place::Redis));
    run.appears(50);
    let row = Row::claimed(50, 1, 8_000, "scanner-1.2").door(8_010, "scanner-1.2");
    run.request(8_020, &posting(50), row.bid.id, Some("b50"), Some("reset-after"));
    run.row(row.lose(8_040, "scanner-1.2", "connection_lost").find(21_000, "b50"));
    run.check()
}

fn twice() -> Checked {
    let mut run = Run::new();
    run.plain(1, 1_000);
    let row = Row::claimed(1, 7, 2_000, "scanner-2.1").door(2_010, "<script>");
    run.request(2_020, &posting(1), row.bid.id, Some("b7"), None);
    run.row(row.accept(2_040, "<script>", "b7"));
    run.check()
}

#[test]
fn the_text_fits_a_terminal_and_says_what_counts() {
    for (checked, says) in [(clean(), "Proven: "), (twice(), "VIOLATED: S1, S2, S4")] {
        let text = Report::of(&checked, AGAIN).text();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.contains(says) && text.ends_with("again: bidlock chaos replay run\n"), "{text}");
    }
    let (text, page) = (Report::of(&clean(), AGAIN).text(), Report::of(&clean(), AGAIN).html());
    assert!(text.contains("none is violated, 3 not exercised."), "{text}");
    assert!(page.contains("<h1>No invariant is violated; 3 not exercised.</h1>"), "{page}");
    assert!(
        text.contains("connection_lost by market_reset 1") && text.contains("5 faults of 5 types"),
        "{text}"
    );
}

#[test]
fn the_verdict_says_when_it_rests_on_fewer_notes_than_there_were() {
    let told = |notes_left_out| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.notes_left_out = notes_left_out;
        let checked = run.check();
        let report = Report::of(&checked, AGAIN);
        assert_eq!(serde_json::to_value(&report).unwrap()["notes_left_out"], notes_left_out);
        let text = report.text();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let says = |told: &str| told.contains("1,200 notes of processes left out");
        [says(&text), says(&report.html())]
    };
    assert_eq!(told(0), [false, false]);
    assert_eq!(told(1_200), [true, true]);
}

#[test]
fn the_page_stands_alone_and_nothing_breaks_out_of_it() {
    for checked in [clean(), twice()] {
        let page = Report::of(&checked, AGAIN).html();
        assert!(!page.contains("<script"), "what a run recorded is text");
        for elsewhere in ["http://", "https://", "src=", "@import", "url(h", "href="] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        for tag in ["svg", "table", "section", "details", "main"] {
            let (opened, closed) =
                (page.matches(&format!("<{tag}")).count(), page.matches(&format!("</{tag}>")).count());
            assert_eq!(opened, closed, "{tag}");
        }
    }
    let page = Report::of(&twice(), AGAIN).html();
    assert!(page.contains("S1 does not hold") && page.contains("&lt;script&gt;"));
}

#[test]
fn the_picture_shows_lives_faults_and_unknowns() {
    let page = Report::of(&clean(), AGAIN).html();
    for shown in [
        "scanner-1.1 killed at 4.0 s",
        "pause of scanner-2, 2.0 s to 3.4 s",
        "redis_pause of redis, for all, 7.0 s to 9.0 s",
        "cut of scanner-2 and postgres, 5.0 s to 6.0 s",
        "class=\"unknown-mark\"",
        "class=\"quiet\"",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn the_json_keeps_its_names() {
    let json = serde_json::to_value(Report::of(&clean(), AGAIN)).unwrap();
    let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "clean",
            "violated",
            "seed",
            "engines",
            "versions",
            "took_ms",
            "scanners",
            "postings",
            "submissions",
            "accepted",
            "duplicates",
            "lost",
            "states",
            "faults_total",
            "fault_types",
            "faults",
            "unknowns",
            "unknowns_total",
            "unknowns_named",
            "claimant_silent_by_chance",
            "host_stalls",
            "notes_left_out",
            "findings",
            "not_exercised",
            "replay",
        ]
    );
    assert_eq!(
        (&json["clean"], &json["duplicates"], &json["unknowns_named"]),
        (&true.into(), &0.into(), &1.into())
    );
    let finding = &json["findings"][0];
    assert_eq!((&finding["invariant"], &finding["verdict"]), (&"S1".into(), &"proven".into()));
}

//! The table of series against Prometheus' conventions, and what a scrape shows of it.

use std::collections::BTreeSet;

use bidlock_metrics::{ALL, Engine, Kind, describe};
use bidlock_testkit::Scrape;

#[test]
fn names_follow_the_conventions_and_stand_once() {
    let names: BTreeSet<&str> = ALL.iter().map(|series| series.name).collect();
    assert_eq!(names.len(), ALL.len());
    for series in ALL {
        let (name, total) = (series.name, series.name.ends_with("_total"));
        assert!(name.starts_with("bidlock_") && !series.help.is_empty(), "{name}");
        assert_eq!(total, series.kind == Kind::Counter, "{name}: counters and only they end with _total");
        if let Kind::Histogram(bounds) = series.kind {
            assert!(name.ends_with("_seconds") && bounds.is_sorted_by(|a, b| a < b), "{name}");
        }
    }
}

#[test]
fn a_scrape_has_each_series_with_its_help_and_its_kind() {
    let scrape = Scrape::new();
    scrape.within(|| {
        describe();
        for series in ALL {
            let values = vec!["x"; series.labels.len()];
            match series.kind {
                Kind::Counter => series.counter(&values).increment(1),
                Kind::Gauge => series.gauge(&values).set(1.0),
                Kind::Histogram(_) => series.histogram(&values).record(1.0),
            }
        }
    });
    let text = scrape.text();
    for series in ALL {
        for line in [
            format!("# HELP {} {}\n", series.name, series.help),
            format!("# TYPE {} {}\n", series.name, series.kind.as_str()),
        ] {
            assert!(text.contains(&line), "no {line} in\n{text}");
        }
    }
}

#[test]
fn an_engine_is_up_until_somebody_says_otherwise_and_its_errors_count_by_reason() {
    let scrape = Scrape::new();
    let engine = scrape.within(|| Engine::new("redis", ["busy"]));
    let (up, busy) = (
        "bidlock_backend_up{backend=\"redis\"}",
        "bidlock_backend_errors_total{backend=\"redis\",reason=\"busy\"}",
    );
    assert_eq!((scrape.value(up), scrape.value(busy)), (1.0, 0.0));
    engine.failed("busy");
    assert_eq!((scrape.value(up), scrape.value(busy)), (1.0, 1.0), "busy is an answer");
    engine.is_down();
    assert_eq!(scrape.value(up), 0.0);
    engine.answered();
    assert_eq!(scrape.value(up), 1.0);
    // A reason that was not named before is counted all the same.
    scrape.within(|| engine.failed("new"));
    assert_eq!(scrape.value("bidlock_backend_errors_total{backend=\"redis\",reason=\"new\"}"), 1.0);
}

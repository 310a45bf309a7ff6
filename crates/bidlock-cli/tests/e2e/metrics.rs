//! `/metrics` of a real scan over a made-up feed, parsed strictly and held against the table of series, the docs and
//! the scan's own summary; what is said about addresses; spans in the log.

#![allow(clippy::print_stdout, reason = "a part that is skipped is told")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bidlock_metrics::{ALL, Kind};

use crate::kit::{
    Stage,
    feeds::{self, Dice},
    lines::{Lines, OUTCOMES},
};

/// A scan that serves metrics, told where by its stderr.
struct Served {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    at: SocketAddr,
}

impl Served {
    fn start(mut command: Command) -> Served {
        command.args(["--metrics-listen", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut line) = (String::new(), String::new());
        let at = loop {
            line.clear();
            assert_ne!(err.read_line(&mut line).unwrap(), 0, "no address in: {said}");
            said.push_str(&line);
            if let Some(rest) = line.split("http://").nth(1).and_then(|rest| rest.split("/metrics").next()) {
                break rest.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
            }
        };
        // What follows is read to its end, so that the scan never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
        let out = BufReader::new(child.stdout.take().unwrap());
        Served { child, out, at }
    }

    /// The lines of the next pass, up to and with its summary.
    fn pass(&mut self) -> Lines {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.contains("\"event\":\"summary\"")) {
            assert_ne!(self.out.read_line(&mut text).unwrap(), 0, "it ended: {text}");
        }
        Lines::checked(&text)
    }

    fn get(&self, path: &str) -> (String, String) {
        request(self.at, "GET", path)
    }

    fn scrape(&self) -> Scrape {
        let (head, body) = self.get("/metrics");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
        Scrape::parsed(&body)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Head and body of an answer.
fn request(at: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// One line of a scrape without its value: name and labels.
type Sample = (String, BTreeMap<String, String>);

/// A scrape in Prometheus' text format 0.0.4; anything that the format does not have is a failure.
struct Scrape {
    types: BTreeMap<String, String>,
    samples: BTreeMap<Sample, f64>,
}

impl Scrape {
    #[track_caller]
    fn parsed(text: &str) -> Scrape {
        let (mut types, mut helps) = (BTreeMap::new(), BTreeSet::new());
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(!help.is_empty() && helps.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "a type twice: {line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let value: f64 = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
                let sample = sample_of(sample);
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| {
                        sample
                            .0
                            .strip_suffix(end)
                            .filter(|name| types.get(*name).is_some_and(|t| t == "histogram"))
                    })
                    .unwrap_or(&sample.0);
                assert!(
                    types.contains_key(family) && helps.contains(family),
                    "type and help come first: {line}"
                );
                assert!(samples.insert(sample, value).is_none(), "a sample twice: {line}");
            }
        }
        Scrape { types, samples }
    }

    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sample = (name.to_owned(), labels);
        *self.samples.get(&sample).unwrap_or_else(|| panic!("no {sample:?}"))
    }

    /// Over all values of the labels that are not given.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(name, value)| of.get(*name).is_some_and(|given| given == value))
        };
        self.samples.iter().filter(|((n, of), _)| n == name && fits(of)).map(|(_, value)| value).sum()
    }
}

/// `name` or `name{label="value",…}`.
#[track_caller]
fn sample_of(text: &str) -> Sample {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    let Some((name, labels)) = text.split_once('{') else {
        assert!(is_name(text), "{text}");
        return (text.to_owned(), BTreeMap::new());
    };
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{text}"));
    let mut read = BTreeMap::new();
    for label in labels.split("\",") {
        let (label, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        let value = value.strip_suffix('"').unwrap_or(value);
        assert!(is_name(label) && !value.contains(['"', '\\']), "{text}");
        assert!(read.insert(label.to_owned(), value.to_owned()).is_none(), "{text}");
    }
    assert!(is_name(name), "{text}");
    (name.to_owned(), read)
}

/// What every scrape must be, whatever happened before it.
#[track_caller]
fn assert_sound(scrape: &Scrape) {
    for series in ALL {
        let kind = scrape.types.get(series.name).unwrap_or_else(|| panic!("no {}", series.name));
        assert_eq!(kind, series.kind.as_str(), "{}", series.name);
        let name = match series.kind {
            Kind::Histogram(_) => format!("{}_count", series.name),
            _ => series.name.to_owned(),
        };
        let found: Vec<_> = scrape.samples.keys().filter(|(n, _)| *n == name).collect();
        assert!(!found.is_empty(), "no sample of {name}");
        let wanted: BTreeSet<&str> = series.labels.iter().copied().collect();
        for (_, labels) in found {
            assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted, "{name}");
        }
    }
    assert_eq!(scrape.types.len(), ALL.len(), "nothing but what the table lists: {:?}", scrape.types);
    // Buckets hold ever more, and the last of them everything.
    for ((name, labels), count) in scrape.samples.iter().filter(|((name, _), _)| name.ends_with("_bucket")) {
        let mut all = labels.clone();
        let le = all.remove("le").expect("a bucket has a bound");
        let total = scrape.samples[&(name.replace("_bucket", "_count"), all)];
        assert!(*count <= total && (le != "+Inf" || *count == total), "{name} {labels:?}");
    }
}

async fn stage(modes: &str, postings: usize) -> (Stage, PathBuf) {
    let stage = Stage::new(modes).await;
    let feed = feeds::folder(stage.home.path(), postings, &mut Dice::new("feed", 7));
    (stage, feed)
}

fn every(stage: &Stage, feed: &Path) -> Command {
    stage.scan(feed, &["--marketplace", "test", "--every", "300s"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_of_a_real_scan_say_what_its_summary_says_and_name_no_posting() {
    // The answers to some are lost.
    let (stage, feed) = stage("reset-after=0.2", 40).await;
    let mut served = Served::start(every(&stage, &feed));
    let lines = served.pass();
    let scrape = served.scrape();
    assert_sound(&scrape);
    for outcome in OUTCOMES {
        let counted = scrape.value("bidlock_bids_total", &[("marketplace", "test"), ("outcome", outcome)]);
        assert_eq!(counted, lines.count(outcome) as f64, "{outcome}");
        for elsewhere in ["upwork", "freelancer", "other"] {
            let none =
                scrape.value("bidlock_bids_total", &[("marketplace", elsewhere), ("outcome", outcome)]);
            assert_eq!(none, 0.0, "from the start, with every label");
        }
    }
    let (submitted, unknown) = (lines.count("submitted") as f64, lines.count("unknown") as f64);
    assert!(submitted > 0.0 && unknown > 0.0, "{}", lines.summary);
    assert_eq!(submitted + unknown, 40.0);
    assert_eq!(scrape.value("bidlock_bids_unknown", &[]), unknown);
    assert!(scrape.value("bidlock_bids_unknown_oldest_age_seconds", &[]) > 0.0);
    let here: &[(&str, &str)] = &[("backend", "sqlite"), ("marketplace", "test")];
    assert_eq!(scrape.sum("bidlock_lock_acquire_total", &[("outcome", "acquired")]), 40.0);
    assert_eq!(scrape.value("bidlock_lock_acquire_duration_seconds_count", here), 40.0);
    assert_eq!(scrape.value("bidlock_lock_hold_duration_seconds_count", here), 40.0);
    assert_eq!(scrape.value("bidlock_locks_held", here), 0.0);
    assert_eq!(scrape.value("bidlock_bid_create_duration_seconds_count", &[("marketplace", "test")]), 40.0);
    assert_eq!(scrape.value("bidlock_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(scrape.value("bidlock_fallback_active", &[]), 0.0);
    for engine in ["sqlite", "ledger"] {
        assert_eq!(scrape.value("bidlock_backend_up", &[("backend", engine)]), 1.0, "{engine}");
    }
    for (name, reasons) in [
        ("bidlock_backend_errors_total", &["unavailable", "busy", "poisoned"][..]),
        ("bidlock_lock_lost_total", &["deadline", "taken", "found_at_release"]),
        ("bidlock_invariant_violations_total", &["reopened", "unmatched", "contradiction"]),
    ] {
        assert!(scrape.sum(name, &[]) == 0.0);
        for reason in reasons {
            let there = scrape.samples.keys().any(|(n, labels)| n == name && labels["reason"] == *reason);
            assert!(there, "{name} {reason} from the start");
        }
    }
    for sample in scrape.samples.keys() {
        assert!(sample.1.values().all(|value| !value.contains("job-")), "a posting in {sample:?}");
    }
    let (head, body) = served.get("/");
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("/metrics"), "{head}\n{body}");
    assert!(request(served.at, "POST", "/metrics").0.starts_with("HTTP/1.1 405 "));
    promtool_agrees(&served);
}

/// Where Prometheus' own tool is at hand, it must find nothing to say.
fn promtool_agrees(served: &Served) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        println!("SKIPPED (no promtool on the path): promtool_agrees");
        return;
    };
    tool.stdin.take().unwrap().write_all(served.get("/metrics").1.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_counts_what_it_would_submit_and_submits_nothing() {
    let (stage, feed) = stage("duplicates=accepted", 12).await;
    let mut command = stage.command(&["scan", "--json", "--marketplace", "test", "--every", "300s"]);
    command.arg(&feed);
    let mut served = Served::start(command);
    let lines = served.pass();
    let scrape = served.scrape();
    assert_sound(&scrape);
    let of = |outcome| scrape.value("bidlock_bids_total", &[("marketplace", "test"), ("outcome", outcome)]);
    assert_eq!((of("submitted"), of("would_submit")), (0.0, lines.count("submitted") as f64));
    assert_eq!(scrape.value("bidlock_backend_up", &[("backend", "memory")]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_ends_the_scan_and_one_of_the_network_is_warned_of() {
    let (stage, feed) = stage("duplicates=accepted", 3).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dry = |more: &[&str]| {
        let mut command = stage.command(&["scan", "--marketplace", "test"]);
        command.arg(&feed).args(more);
        stage.run(command)
    };
    let ended = dry(&["--metrics-listen", &address]).code(5);
    for part in ["metrics.listen", "--metrics-listen", address.as_str(), "in use", "free port"] {
        assert!(ended.err.contains(part), "no {part} in: {}", ended.err);
    }
    let ended = dry(&["--metrics-listen", "metrics.example"]).code(2);
    assert!(ended.err.contains("--metrics-listen") && ended.err.contains("127.0.0.1:9464"), "{}", ended.err);
    let ended = dry(&["--metrics-listen", "0.0.0.0:0"]).code(0);
    assert!(ended.err.contains("every host that can reach it"), "{}", ended.err);
    let ended = dry(&["--metrics-listen", "0"]).code(0);
    assert!(!ended.err.contains("every host"), "{}", ended.err);
}

/// The spans of one posting's way, in a log of JSON lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verbose_scan_tells_every_span_with_its_posting_and_its_times() {
    let (stage, feed) = stage("duplicates=accepted", 2).await;
    let ended = stage.run(stage.scan(&feed, &["--marketplace", "test", "-v"])).code(0);
    let spans: Vec<serde_json::Value> = ended
        .err
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["fields"]["message"] == "close")
        .map(|line| line["span"].clone())
        .collect();
    let of = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name && span["posting"] == feeds::id(1));
        found.unwrap_or_else(|| panic!("no {name} in\n{}", ended.err)).clone()
    };
    for name in ["lock.acquire", "lock.hold", "ledger.claim", "bid.send"] {
        let span = of(name);
        assert_eq!(span["marketplace"], "test", "{span}");
        let time = if name == "lock.hold" { "held_ms" } else { "wait_ms" };
        assert!(span[time].as_f64().is_some_and(|ms| ms >= 0.0), "{span}");
    }
    assert_eq!(of("lock.acquire")["outcome"], "acquired");
    assert_eq!(
        (&of("ledger.claim")["outcome"], &of("bid.send")["outcome"]),
        (&"granted".into(), &"submitted".into())
    );
    for part in ["bid", "claim"] {
        assert!(
            of("bid.send")[part].is_string() && of("bid.send")[part] == of("ledger.claim")[part],
            "{part}"
        );
    }
    let quiet = stage.run(stage.scan(&feed, &["--marketplace", "test"])).code(0);
    assert!(!quiet.err.contains("lock.acquire"), "{}", quiet.err);
}

/// One line for each series, as the table has it.
#[test]
fn the_metrics_page_lists_the_table_of_series() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md")).unwrap();
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `bidlock_")).collect();
    let expected: Vec<String> = ALL
        .iter()
        .map(|series| {
            let labels: Vec<String> = series.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
            format!("| `{}` | {} | {labels} | {} |", series.name, series.kind.as_str(), series.help)
        })
        .collect();
    assert_eq!(listed, expected, "docs/metrics.md should list:\n{}\n", expected.join("\n"));
}

//! Folders of real postings with their counts, where they are at hand, and what four scanners make of a folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Ended, Running, Stage,
    feeds::{self, Dice},
};

/// Scanner processes at once.
pub const SCANNERS: usize = 4;

/// A folder of postings, and how many sightings of how many distinct postings it holds.
pub struct Feed {
    pub path: PathBuf,
    pub sightings: u64,
    pub distinct: u64,
    /// What the feeds do not say themselves.
    marketplace: Option<&'static str>,
    /// Where only a part of the folder is meant, or it had to be unpacked.
    _copy: Option<tempfile::TempDir>,
}

impl Feed {
    /// A folder of made-up feeds: each posting in two files, half of them in three.
    pub fn made_up(stage: &Stage, test: &str, postings: usize) -> Feed {
        let path = feeds::folder(stage.home.path(), postings, &mut Dice::new(test, 7));
        let distinct = postings as u64;
        Feed { path, sightings: distinct * 5 / 2, distinct, marketplace: Some("test"), _copy: None }
    }

    /// The ledger's rows by state once everything is settled.
    pub fn settled(&self) -> BTreeMap<String, u64> {
        [("submitted".to_owned(), self.distinct)].into()
    }
}

/// Every real folder with its counts: name, sightings, distinct postings.
pub const FOLDERS: [(&str, u64, u64); 8] = [
    ("upwork_rss", 720, 684),
    (PAIR, 60, 30),
    ("upwork_search", 450, 285),
    ("upwork_feed_2018", 1_052, 689),
    (CRAWLS, 14_941, 5_261),
    ("freelancer_com", 10, 10),
    ("remoteok", 97, 97),
    ("jobposting_jsonld", 1, 1),
];
/// Two fetches of one feed, minutes apart, inside of `upwork_rss`.
pub const PAIR: &str = "two fetches of upwork_rss";
/// A folder that comes packed.
pub const CRAWLS: &str = "job_board_crawls";

/// A folder of real postings by its name in [`FOLDERS`], or `None` with a line that says so.
pub fn real(test: &str, name: &str) -> Option<Feed> {
    let (_, sightings, distinct) = *FOLDERS.iter().find(|(known, ..)| *known == name).unwrap();
    let feed = |path, copy| Feed { path, sightings, distinct, marketplace: None, _copy: copy };
    match name {
        PAIR => {
            let copy = two_fetches(&folder(test, "upwork_rss")?);
            Some(feed(copy.path().to_owned(), Some(copy)))
        }
        CRAWLS => {
            let copy = unpacked(test, &folder(test, "job_board_crawls/crawls.tar.zst")?)?;
            Some(feed(copy.path().to_owned(), Some(copy)))
        }
        name => Some(feed(folder(test, name)?, None)),
    }
}

fn folder(test: &str, name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("BIDLOCK_REAL_DATA") {
        Some(path) => PathBuf::from(path),
        None => {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
            let repository = manifest.ancestors().find(|p| p.join("Cargo.lock").is_file()).unwrap();
            repository.join("../shared/data")
        }
    };
    let path = root.join(name);
    if !path.exists() {
        println!("SKIPPED (no real data): {test}");
        return None;
    }
    Some(path.canonicalize().unwrap())
}

fn two_fetches(folder: &Path) -> tempfile::TempDir {
    let pair = tempfile::tempdir().unwrap();
    for fetch in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
        let name = fetch.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("2024-07-18") {
            std::fs::copy(&fetch, pair.path().join(name)).unwrap();
        }
    }
    pair
}

fn unpacked(test: &str, packed: &Path) -> Option<tempfile::TempDir> {
    let unpacked = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("--zstd").arg("-xf").arg(packed).arg("-C").arg(unpacked.path());
    match tar.status() {
        Ok(status) if status.success() => Some(unpacked),
        other => {
            println!("SKIPPED (tar with zstd is needed: {other:?}): {test}");
            None
        }
    }
}

/// Starts four scanners on a feed at once, each with these further words.
pub fn start(stage: &Stage, feed: &Feed, words: &[String]) -> Vec<Running> {
    (0..SCANNERS).map(|_| stage.start(scan(stage, feed, words))).collect()
}

/// One scanner.
pub fn scan(stage: &Stage, feed: &Feed, words: &[String]) -> Command {
    // Postings that another scanner is sending are tried again for longer than any test host is slow.
    let mut words: Vec<&str> = words.iter().map(String::as_str).chain(["--wait", "100s"]).collect();
    words.extend(feed.marketplace.into_iter().flat_map(|name| ["--marketplace", name]));
    let mut scan = stage.scan(&feed.path, &words);
    // An answer that a busy host keeps back is no fault of the marketplace.
    scan.env("BIDLOCK_SUBMIT__TIME_LIMIT", "100s");
    scan
}

/// Waits for the scanners, and checks everything that bidlock promises of a marketplace that does its part.
pub fn end(stage: &Stage, feed: &Feed, scans: Vec<Running>) -> Vec<Ended> {
    let ended: Vec<_> = scans.into_iter().map(|scan| scan.end().code(0)).collect();
    let mut submitted = 0;
    for scan in &ended {
        let lines = scan.lines();
        assert_eq!((lines.count("sightings"), lines.count("distinct")), (feed.sightings, feed.distinct));
        assert_eq!(lines.count("invalid"), 0, "{:?}", lines.invalid.first());
        let settled = lines.count("submitted") + lines.count("already_bid");
        assert_eq!(settled, feed.sightings, "{}\n{}", lines.summary, scan.err);
        submitted += lines.count("submitted");
    }
    let report = stage.report();
    assert_eq!(report.submissions, feed.distinct, "exactly one submission for each posting");
    assert_eq!((report.accepted, report.duplicates, report.keys_seen_again), (feed.distinct, 0, 0));
    assert!(report.postings.values().all(|p| p.received == 1));
    assert_eq!(submitted, feed.distinct);
    let bid_on: BTreeSet<String> = report.postings.keys().map(|(_, id)| id.clone()).collect();
    let seen: BTreeSet<String> = ended[0].lines().outcomes.into_iter().map(|(id, _)| id).collect();
    assert_eq!(bid_on, seen, "what the marketplace saw is what the feed holds");
    ended
}

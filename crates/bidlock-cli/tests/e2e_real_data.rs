//! Four scanner processes started together on each folder of real postings, one empty data folder, and a
//! marketplace that accepts duplicates: exactly one submission for each distinct posting.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends by them")]
#![allow(clippy::print_stdout, reason = "for whoever reads a failure")]

mod e2e_kit;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use e2e_kit::{Running, Stage};

/// Scanner processes at once.
const SCANNERS: usize = 4;

/// A folder of real postings, or `None` with a line that says so.
fn real(test: &str, folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("BIDLOCK_REAL_DATA") {
        Some(path) => PathBuf::from(path),
        None => {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
            let repository = manifest.ancestors().find(|p| p.join("Cargo.lock").is_file()).unwrap();
            repository.join("../shared/data")
        }
    };
    let path = root.join(folder);
    if !path.exists() {
        println!("SKIPPED (no real data): {test}");
        return None;
    }
    Some(path.canonicalize().unwrap())
}

/// Scans a feed with four processes at once and checks everything that bidlock promises.
async fn one_bid_each(feed: &Path, sightings: u64, distinct: u64) {
    let stage = Stage::new("duplicates=accepted").await;
    // Postings that another scanner is sending are tried again for longer than any test host is slow.
    let more = ["--wait", "100s"];
    let scans: Vec<Running> = (0..SCANNERS).map(|_| stage.start(stage.scan(feed, &more))).collect();
    let ended: Vec<_> = scans.into_iter().map(|scan| scan.end().code(0)).collect();
    let mut submitted = 0;
    for scan in &ended {
        let lines = scan.lines();
        assert_eq!((lines.count("sightings"), lines.count("distinct")), (sightings, distinct));
        assert_eq!(lines.count("invalid"), 0, "{:?}", lines.invalid.first());
        assert_eq!(lines.count("submitted") + lines.count("already_bid"), sightings, "{}", lines.summary);
        submitted += lines.count("submitted");
    }
    let report = stage.report();
    assert_eq!(report.submissions, distinct, "exactly one submission for each posting");
    assert_eq!((report.accepted, report.duplicates, report.keys_seen_again), (distinct, 0, 0));
    assert!(report.postings.values().all(|p| p.received == 1));
    assert_eq!(submitted, distinct);
    assert_eq!(stage.states(), [("submitted".to_owned(), distinct)].into());
    let bid_on: BTreeSet<String> = report.postings.keys().map(|(_, id)| id.clone()).collect();
    let seen: BTreeSet<String> = ended[0].lines().outcomes.into_iter().map(|(id, _)| id).collect();
    assert_eq!(bid_on, seen, "what the marketplace saw is what the feed holds");
    stage.sandbox.stop().await;
}

macro_rules! real_data {
    ($($name:ident: $folder:literal, $sightings:literal -> $distinct:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(feed) = real(stringify!($name), $folder) {
                one_bid_each(&feed, $sightings, $distinct).await;
            }
        }
    )*};
}

real_data! {
    real_data_upwork_rss: "upwork_rss", 720 -> 684;
    real_data_upwork_search: "upwork_search", 450 -> 285;
    real_data_upwork_feed_2018: "upwork_feed_2018", 1_052 -> 689;
    real_data_freelancer_com: "freelancer_com", 10 -> 10;
    real_data_remoteok: "remoteok", 97 -> 97;
    real_data_jobposting_jsonld: "jobposting_jsonld", 1 -> 1;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_two_fetches_minutes_apart_give_the_same_thirty() {
    let test = "real_data_two_fetches_minutes_apart_give_the_same_thirty";
    let Some(folder) = real(test, "upwork_rss") else { return };
    let pair = tempfile::tempdir().unwrap();
    for fetch in std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()) {
        let name = fetch.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("2024-07-18") {
            std::fs::copy(&fetch, pair.path().join(name)).unwrap();
        }
    }
    one_bid_each(pair.path(), 60, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_data_job_board_crawls() {
    let Some(packed) = real("real_data_job_board_crawls", "job_board_crawls/crawls.tar.zst") else { return };
    let unpacked = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("--zstd").arg("-xf").arg(&packed).arg("-C").arg(unpacked.path());
    match tar.status() {
        Ok(status) if status.success() => {}
        other => {
            println!("SKIPPED (tar with zstd is needed: {other:?}): real_data_job_board_crawls");
            return;
        }
    }
    one_bid_each(unpacked.path(), 14_941, 5_261).await;
}

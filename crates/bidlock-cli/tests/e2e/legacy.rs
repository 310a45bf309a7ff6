//! Moving over: a fleet of old instances and scanners against one marketplace, and the import of an old table.
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bidlock_testkit::{PostgresOptions, PostgresServer, RedisServer};

use crate::kit::Stage;

/// How many postings the fleet races over.
const POSTINGS: usize = 300;
/// Two of each kind.
const OF_EACH: usize = 2;

const TABLE: &str = "CREATE TABLE bids (job_id VARCHAR(200) NOT NULL, marketplace VARCHAR(50) NOT NULL, \
    status VARCHAR(20) NOT NULL, bid_amount NUMERIC(12, 2), proposal TEXT, created_at TIMESTAMP DEFAULT \
    CURRENT_TIMESTAMP, updated_at TIMESTAMP, UNIQUE (marketplace, job_id, status))";

/// A Python that has what old instances need: the one at hand, or one in an environment of the test's own.
fn python() -> Option<PathBuf> {
    let fits = |python: &PathBuf| {
        let tried = Command::new(python).args(["-c", "import redis, psycopg"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let found = PathBuf::from("python3");
    if fits(&found) {
        return Some(found);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("old-instances");
    let own = folder.join("bin/python");
    if !fits(&own) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "redis", "psycopg[binary]"];
        let _ = Command::new(&own).args(install).status(); // looked at below
    }
    fits(&own).then_some(own)
}

/// Ids as a source writes them: ciphertexts, whose canonical form is another text.
fn feed(at: &Path) -> PathBuf {
    let lines = (0..POSTINGS).fold(String::new(), |mut text, n| {
        writeln!(
            text,
            r#"{{"id":"~021900000000000{:06}","title":"Task number {n}","budget":100}}"#,
            n * 10 + 7
        )
        .unwrap();
        text
    });
    let file = at.join("feed.jsonl");
    std::fs::write(&file, lines).unwrap();
    file
}

struct OldInstances(Vec<Child>);

impl OldInstances {
    fn start(python: &Path, redis: &RedisServer, database: &str, stage: &Stage, feed: &Path) -> OldInstances {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/old_instance.py");
        let each = (0..OF_EACH).map(|seed| {
            let mut command = Command::new(python);
            command.arg(script).arg(redis.port().to_string()).args([database, &stage.sandbox.url()]);
            command
                .arg(feed)
                .arg(seed.to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        OldInstances(each.collect())
    }

    /// How many bids they sent.
    fn end(self) -> u64 {
        let each = self.0.into_iter().map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().unwrap()
        });
        each.sum()
    }
}

/// Old instances and scanners at once over one feed: each posting gets one bid, from whomever.
async fn fleet(old_url: &str, python_url: &str, redis: &RedisServer, database: Option<&str>) {
    let Some(python) = python() else {
        bidlock_testkit::missing("redis-py", "no Python with redis and psycopg");
        return;
    };
    let stage = Stage::new("delay=5ms").await;
    let feed = feed(stage.home.path());
    let old = OldInstances::start(&python, redis, python_url, &stage, &feed);
    while stage.report().accepted == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let locks = redis.url();
    let mut words = vec![
        "--marketplace",
        "upwork",
        "--locks",
        &locks,
        "--legacy-database",
        old_url,
        "--concurrency",
        "2",
    ];
    words.extend(database.iter().flat_map(|url| ["--database", url]));
    let scans: Vec<_> = (0..OF_EACH).map(|_| stage.start(stage.scan(&feed, &words))).collect();
    for scan in scans {
        scan.end().code(0);
    }
    let by_old = old.end();
    let report = stage.report();
    assert_eq!(report.duplicates, 0, "{:?}", report.answers);
    assert_eq!((report.accepted, report.postings.len()), (POSTINGS as u64, POSTINGS));
    let by_ours = report.accepted - by_old;
    assert!(by_old > 0 && by_ours > 0, "there was no race: {by_old} by old instances, {by_ours} by ours");
    // What the old ones bid is in the ledger after an import, whoever saw it before.
    let mut import = vec!["import", "legacy", old_url, "--json"];
    import.extend(database.iter().flat_map(|url| ["--database", url]));
    let told = stage.run(stage.command(&import)).code(0).json();
    assert_eq!(told["report"]["postings"], by_old);
    assert_eq!(told["report"]["mirrored"], 2 * by_ours, "each of ours under both of its names");
    let again = stage.run(stage.command(&import)).code(0).json();
    assert_eq!(again["report"]["already_there"], by_old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_of_old_and_new_on_redis_and_postgres_bids_once() {
    let (Some(redis), Some(postgres)) = (
        RedisServer::start(&["--maxmemory-policy", "noeviction"]),
        PostgresServer::start(PostgresOptions::new()),
    ) else {
        return;
    };
    // Beside the ledger on one server. In one database, a user named like the ledger's schema would see its table first.
    postgres.sql("CREATE DATABASE old");
    let old = postgres.url_of("bidlock", postgres.password(), "old");
    let url = postgres.url();
    let created = Command::new("psql").args([&old, "-Xqc", TABLE]).status().unwrap();
    assert!(created.success());
    fleet(&old, &old, &redis, Some(&url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_of_old_and_new_on_redis_and_sqlite_bids_once() {
    let Some(redis) = RedisServer::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(TABLE).unwrap();
    fleet(&format!("sqlite:///{}", file.display()), file.to_str().unwrap(), &redis, None).await;
}

/// Killed at whatever moment, an import goes on when it is run again, and ends with everything there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_killed_goes_on_when_it_is_run_again() {
    const ROWS: u32 = 20_000;
    let stage = Stage::new("").await;
    let file = stage.home.path().join("old.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch(TABLE).unwrap();
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO bids (job_id, marketplace, status) SELECT 'job-' || i, 'example', 'SUBMITTED' FROM n"
    ))
    .unwrap();
    let words = ["import", "legacy", "old.db", "--json"];
    let running = stage.start(stage.command(&words));
    let count = || {
        let conn = rusqlite::Connection::open(stage.ledger()).ok()?;
        conn.query_row("SELECT count(*) FROM bids", [], |row| row.get::<_, u32>(0)).ok()
    };
    while count().unwrap_or(0) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    running.kill();
    let half = count().unwrap();
    assert!(half > 0 && half < ROWS, "it was killed half-way: {half}");
    let told = stage.run(stage.command(&words)).code(0).json();
    assert_eq!(told["report"]["already_there"], half);
    assert_eq!(told["report"]["imported"]["submitted"], ROWS - half);
    assert_eq!(count(), Some(ROWS));
}

/// What a person reads, and what a mistake says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_tells_what_it_did_and_what_is_wrong() {
    let stage = Stage::new("").await;
    let conn = rusqlite::Connection::open(stage.home.path().join("old.db")).unwrap();
    conn.execute_batch(TABLE).unwrap();
    for (id, status) in [("a", "SUBMITTED"), ("a", "PENDING"), ("b", "PENDING"), ("undefined", "ACTIVE")] {
        conn.execute(
            "INSERT INTO bids (marketplace, job_id, status) VALUES ('example', ?1, ?2)",
            [id, status],
        )
        .unwrap();
    }
    let dry = stage.run(stage.command(&["import", "legacy", "sqlite:///old.db", "--dry-run"])).code(0);
    assert!(dry.out.contains("would be imported") && dry.out.contains("1 unknown"), "{}", dry.out);
    assert!(!stage.ledger().exists(), "a dry run makes no ledger");
    let done = stage.run(stage.command(&["import", "legacy", "old.db"])).code(0);
    assert!(done.out.contains("a SUBMITTED, a PENDING") && done.out.contains("undefined"), "{}", done.out);
    let unknown = stage.run(stage.command(&["bid", "list", "--state", "unknown", "--json"])).code(0);
    assert!(unknown.out.contains("\"legacy\""), "{}", unknown.out);
    for (words, code, cause) in [
        (&["import", "legacy", "missing.db"][..], 5, "missing.db"),
        (&["import", "legacy", "mysql://x/y"], 2, "mysql"),
        (&["import", "legacy", "postgres://u:secret@127.0.0.1:1/x"], 5, "127.0.0.1"),
    ] {
        let ended = stage.run(stage.command(words)).code(code);
        assert!(ended.err.contains(cause) && !ended.err.contains("secret"), "{}", ended.err);
    }
}

/// The old table away: nothing is sent, and the scan ends with 5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_old_table_nothing_is_sent() {
    let stage = Stage::new("").await;
    let file = stage.home.path().join("old.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE jobs (id TEXT)").unwrap();
    let feed = feed(stage.home.path());
    let words = ["--marketplace", "upwork", "--legacy-database", "old.db"];
    let ended = stage.run(stage.scan(&feed, &words)).code(5);
    assert!(ended.err.contains("no table `bids`"), "{}", ended.err);
    assert_eq!(stage.report().submissions, 0);
    // Nor without the locks that old instances know: nothing stands in for Redis here.
    let old = stage.home.path().join("beside.db");
    rusqlite::Connection::open(&old).unwrap().execute_batch(TABLE).unwrap();
    let words =
        ["--marketplace", "upwork", "--legacy-database", "beside.db", "--locks", "redis://127.0.0.1:1/0"];
    stage.run(stage.scan(&feed, &words)).code(5);
    assert_eq!(stage.report().submissions, 0);
}

/// Keys with a prefix are none that old instances know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_prefix_beside_old_instances_is_refused() {
    let Some(redis) = RedisServer::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let stage = Stage::new("").await;
    rusqlite::Connection::open(stage.home.path().join("old.db")).unwrap().execute_batch(TABLE).unwrap();
    let feed = feed(stage.home.path());
    let locks = format!("{}?key_prefix=staging:", redis.url());
    let words = ["--marketplace", "upwork", "--legacy-database", "old.db", "--locks", &locks];
    let refused = stage.run(stage.scan(&feed, &words)).code(2);
    for told in ["staging:", "key_prefix", "--locks", "legacy.url"] {
        assert!(refused.err.contains(told), "{}", refused.err);
    }
    assert_eq!(stage.report().submissions, 0);
}

//! A ledger that is kept beside a replaced system: what it remembers, what is refused, what old instances are shown.
use std::{fmt::Write as _, path::PathBuf};

use bidlock_testkit::RedisServer;

use crate::kit::{Ended, Stage};

const TABLE: &str = "CREATE TABLE bids (job_id VARCHAR(200) NOT NULL, marketplace VARCHAR(50) NOT NULL, \
    status VARCHAR(20) NOT NULL, bid_amount NUMERIC(12, 2), proposal TEXT, created_at TIMESTAMP DEFAULT \
    CURRENT_TIMESTAMP, updated_at TIMESTAMP, UNIQUE (marketplace, job_id, status))";

fn redis() -> Option<RedisServer> {
    RedisServer::start(&["--maxmemory-policy", "noeviction"])
}

/// An old database with these rows (id, status) of one marketplace.
fn old(stage: &Stage, file: &str, rows: &[(&str, &str)]) -> PathBuf {
    let path = stage.home.path().join(file);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(TABLE).unwrap();
    for (id, status) in rows {
        let values = [*id, *status, "2026-01-02 03:04:05"];
        let insert = "INSERT INTO bids (marketplace, job_id, status, bid_amount, created_at) \
                      VALUES ('example', ?1, ?2, 125.5, ?3)";
        conn.execute(insert, values).unwrap();
    }
    path
}

fn rows_of(stage: &Stage, file: &str) -> Vec<String> {
    let conn = rusqlite::Connection::open(stage.home.path().join(file)).unwrap();
    let mut rows = conn.prepare("SELECT job_id || ' ' || status FROM bids ORDER BY job_id").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn feed(stage: &Stage, ids: &[&str]) -> PathBuf {
    let lines = ids.iter().fold(String::new(), |mut text, id| {
        writeln!(text, r#"{{"id":"{id}","title":"A task","budget":100}}"#).unwrap();
        text
    });
    let file = stage.home.path().join("feed.jsonl");
    std::fs::write(&file, lines).unwrap();
    file
}

fn bidlock(stage: &Stage, words: &[&str]) -> Ended {
    stage.run(stage.command(words))
}

/// Once it was imported into, or scanned beside, a ledger is not sent from as if there were no old instances; until
/// somebody says that they have stopped, and again once they run again. What a dry run only reads is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_beside_old_instances_is_not_sent_from_without_them() {
    let Some(redis) = redis() else { return };
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[("a", "SUBMITTED")]);
    old(&stage, "other.db", &[]);
    let feed = feed(&stage, &["a", "b"]);
    let locks = redis.url();
    let plain = ["--marketplace", "example", "--locks", &locks];
    let beside = |file| [&plain[..], &["--legacy-database", file]].concat();
    let import = ["import", "legacy", "old.db"];
    let told = bidlock(&stage, &import).code(0);
    assert!(
        told.err.contains("--legacy-database") && told.err.contains("--old-instances-stopped"),
        "{}",
        told.err
    );
    let refused = stage.run(stage.scan(&feed, &plain)).code(2);
    for word in ["old.db", "operator:tester", "--legacy-database", "import legacy", "--old-instances-stopped"]
    {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    let other = stage.run(stage.scan(&feed, &beside("other.db"))).code(2);
    assert!(other.err.contains("old.db") && other.err.contains("other.db"), "{}", other.err);
    let dry = stage.command(&["scan", "feed.jsonl", "--marketplace", "example"]);
    let dry = stage.run(dry).code(0);
    assert!(dry.err.contains("would be refused") && dry.err.contains("old.db"), "{}", dry.err);
    assert_eq!(stage.report().submissions, 0);
    assert_eq!(rows_of(&stage, "other.db").len(), 0, "nothing is shown to another one");

    stage.run(stage.scan(&feed, &beside("old.db"))).code(0);
    assert_eq!((stage.report().submissions, rows_of(&stage, "old.db").len()), (1, 2));
    let stopped = [&import[..], &["--old-instances-stopped"]].concat();
    let told = bidlock(&stage, &stopped).code(0);
    assert!(told.err.contains("written down"), "{}", told.err);
    stage.run(stage.scan(&feed, &plain)).code(0);
    // A later import changes no word; a row that came since is told.
    rusqlite::Connection::open(stage.home.path().join("old.db"))
        .unwrap()
        .execute("INSERT INTO bids (marketplace, job_id, status) VALUES ('example', 'c', 'PENDING')", [])
        .unwrap();
    let told = bidlock(&stage, &import).code(0);
    assert!(told.err.contains("does one still run"), "{}", told.err);
    stage.run(stage.scan(&feed, &plain)).code(0);
    bidlock(&stage, &[&import[..], &["--old-instances-run-again"]].concat()).code(0);
    stage.run(stage.scan(&feed, &plain)).code(2);
    // The database is gone: the word can still be said.
    std::fs::remove_file(stage.home.path().join("old.db")).unwrap();
    bidlock(&stage, &stopped).code(5);
    let unread = |place| ["import", "legacy", place, "--old-instances-stopped", "--without-reading"];
    let unknown = bidlock(&stage, &unread("elsewhere.db")).code(2);
    assert!(unknown.err.contains("old.db"), "{}", unknown.err);
    bidlock(&stage, &unread("old.db")).code(0);
    stage.run(stage.scan(&feed, &plain)).code(0);
    assert_eq!(stage.report().submissions, 1);
}

/// A scan with rounds notices that somebody has begun to move over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_runs_while_an_import_begins_stops_at_its_next_round() {
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[("b", "PENDING")]);
    let feed = feed(&stage, &["a"]);
    let scan = stage.start(stage.scan(&feed, &["--marketplace", "example", "--every", "100ms"]));
    while stage.report().accepted == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    bidlock(&stage, &["import", "legacy", "old.db"]).code(0);
    let ended = scan.end().code(2);
    assert!(ended.err.contains("does not name it"), "{}", ended.err);
}

/// A scan that is in the midst of a long round notices it too; what it has bid by then is shown by the one that began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_stops_within_its_round_and_what_it_bid_meanwhile_is_shown() {
    let Some(redis) = redis() else { return };
    let stage = Stage::new("delay=50ms").await;
    old(&stage, "old.db", &[]);
    let locks = redis.url();
    let plain = ["--marketplace", "example", "--locks", &locks, "--concurrency", "1"];
    // More than it can send before it looks.
    let ids: Vec<String> = (0..2_000).map(|n| format!("task-{n}")).collect();
    let long = feed(&stage, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    let unaware = stage.start(stage.scan(&long, &plain));
    while stage.report().accepted == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let short = stage.home.path().join("empty.jsonl");
    std::fs::write(&short, "").unwrap();
    let beside = [&plain[..], &["--legacy-database", "old.db", "--every", "100ms"]].concat();
    let mut aware = stage.start(stage.scan(&short, &beside));
    let ended = unaware.end().code(2);
    assert!(ended.err.contains("does not name it"), "{}", ended.err);
    let accepted = stage.report().accepted;
    assert!(accepted < ids.len() as u64, "it was stopped in its round");
    while (rows_of(&stage, "old.db").len() as u64) < accepted {
        assert!(!aware.has_ended());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    aware.kill();
}

/// Old instances run again: a scan that names them, but took its locks elsewhere meanwhile, stops as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_locks_elsewhere_stops_when_old_instances_run_again() {
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[]);
    bidlock(&stage, &["import", "legacy", "old.db", "--old-instances-stopped"]).code(0);
    let file = feed(&stage, &["a"]);
    let words = ["--marketplace", "example", "--legacy-database", "old.db", "--every", "100ms"];
    let scan = stage.start(stage.scan(&file, &words));
    while stage.report().accepted == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    bidlock(&stage, &["import", "legacy", "old.db", "--old-instances-run-again"]).code(0);
    let ended = scan.end().code(2);
    assert!(ended.err.contains("not in Redis"), "{}", ended.err);
}

/// What the ledger remembers was written by a version that this one does not know: nothing more is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_that_cant_be_read_stops_a_scan() {
    let stage = Stage::new("").await;
    let file = feed(&stage, &["a"]);
    let scan = stage.start(stage.scan(&file, &["--marketplace", "example", "--every", "100ms"]));
    while stage.report().accepted == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let conn = rusqlite::Connection::open(stage.ledger()).unwrap();
    conn.execute(
        "INSERT INTO notes (name, version, value, actor, at_ms) \
         VALUES ('replaced_systems', 1, '{\"in another way\": true}', 'scanner:newer', 0)",
        [],
    )
    .unwrap();
    let ended = scan.end().code(5);
    assert!(ended.err.contains("can't be read"), "{}", ended.err);
}

/// The word about a database that is gone counts for all that were there, and nobody is shown a password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_whose_database_is_gone_is_settled_as_a_whole() {
    let stage = Stage::new("").await;
    let file = old(&stage, "old.db", &[("b", "PENDING")]);
    let import = ["import", "legacy", "old.db"];
    bidlock(&stage, &import).code(0);
    // Restored from somewhere: a table of its own.
    let copy = stage.home.path().join("copy.db");
    std::fs::copy(&file, &copy).unwrap();
    std::fs::rename(&copy, &file).unwrap();
    bidlock(&stage, &import).code(0);
    let gone = |place| ["import", "legacy", place, "--old-instances-stopped", "--without-reading"];
    let refused = bidlock(&stage, &gone("postgres://u:open-sesame@127.0.0.1:1/bidding")).code(2);
    assert!(refused.err.contains("127.0.0.1"), "{}", refused.err);
    assert!(!format!("{}{}", refused.err, refused.out).contains("sesame"), "{}", refused.err);
    let feed = feed(&stage, &["a"]);
    stage.run(stage.scan(&feed, &["--marketplace", "example"])).code(2);
    let told = bidlock(&stage, &gone("old.db")).code(0);
    assert_eq!(told.err.matches("written down").count(), 2, "{}", told.err);
    let again = bidlock(&stage, &gone("old.db")).code(0);
    assert_eq!(again.err.matches("nothing changed").count(), 2, "{}", again.err);
    stage.run(stage.scan(&feed, &["--marketplace", "example"])).code(0);
    // Whoever took this name would pass for an import.
    let named = stage.run(stage.scan(&feed, &["--marketplace", "example", "--holder", "legacy"])).code(2);
    assert!(named.err.contains("imported"), "{}", named.err);
}

/// Bids that were made before old instances were thought of: they see them before the first new one is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bids_that_were_made_without_the_old_table_are_shown_there_first() {
    let Some(redis) = redis() else { return };
    let stage = Stage::new("").await;
    let locks = redis.url();
    let plain = ["--marketplace", "example", "--locks", &locks];
    let beside = [&plain[..], &["--legacy-database", "old.db"]].concat();
    stage.run(stage.scan(&feed(&stage, &["a", "b"]), &plain)).code(0);
    old(&stage, "old.db", &[("b", "SUBMITTED")]);
    let file = feed(&stage, &["a"]);
    let shown = stage.run(stage.scan(&file, &beside)).code(0);
    assert!(shown.err.contains("1 missing there, now shown"), "{}", shown.err);
    assert!(shown.err.contains("1, perhaps bid on twice: example/b"), "{}", shown.err);
    assert_eq!(rows_of(&stage, "old.db"), ["a SUBMITTED", "b SUBMITTED"]);
    let again = stage.run(stage.scan(&file, &beside)).code(0);
    assert!(!again.err.contains("missing there"), "{}", again.err);
}

/// Old instances lock in Redis: elsewhere nobody keeps anybody away, as far as that can be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_that_old_instances_dont_meet_are_refused() {
    let Some(redis) = redis() else { return };
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[]);
    let feed = feed(&stage, &["a"]);
    let beside = ["--marketplace", "example", "--legacy-database", "old.db"];
    let refused = stage.run(stage.scan(&feed, &beside)).code(2);
    for word in ["not in Redis", "--locks redis://", "--old-instances-stopped"] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    let locks = redis.url();
    let locked = [&beside[..], &["--locks", &locks]].concat();
    for (name, value, told) in
        [("REDIS_DB", "3", "REDIS_DB (3)"), ("REDIS_URL", "redis://u:secret@127.0.0.1:1/0", "REDIS_URL")]
    {
        let mut scan = stage.scan(&feed, &locked);
        scan.env(name, value);
        let refused = stage.run(scan).code(2);
        assert!(refused.err.contains(told) && !refused.err.contains("secret"), "{}", refused.err);
    }
    assert_eq!(stage.report().submissions, 0);
    let same = locks.replace("127.0.0.1", "localhost");
    let mut scan = stage.scan(&feed, &locked);
    scan.env("REDIS_URL", same);
    let sent = stage.run(scan).code(0);
    assert!(sent.err.contains("same server and same database number"), "{}", sent.err);
    assert_eq!(stage.report().submissions, 1);
    // From this scan on the ledger knows, without any import.
    stage.run(stage.scan(&feed, &["--marketplace", "example", "--locks", &locks])).code(2);
    // Nobody is to be kept away once they have stopped.
    bidlock(&stage, &["import", "legacy", "old.db", "--old-instances-stopped"]).code(0);
    stage.run(stage.scan(&feed, &[&beside[..], &["--locks", "own-locks.db"]].concat())).code(0);
}

/// A person has looked, and freed the posting: neither an import nor a scan takes that back on the word of the same row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_has_freed_stays_free() {
    let Some(redis) = redis() else { return };
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[("a", "PENDING")]);
    bidlock(&stage, &["import", "legacy", "old.db"]).code(0);
    let listed = bidlock(&stage, &["bid", "list", "--json"]).code(0).json();
    let id = listed["bids"][0]["id"].as_str().unwrap().to_owned();
    let mut resolve = vec!["bid", "resolve", &id, "--as", "not-submitted", "--allow-new-bid"];
    resolve.extend(["--reason", "not on their page", "--i-accept-the-risk"]);
    bidlock(&stage, &resolve).code(0);
    let again = bidlock(&stage, &["import", "legacy", "old.db", "--json"]).code(0).json();
    assert_eq!(
        (&again["report"]["overruled"], &again["report"]["imported"]),
        (&1.into(), &serde_json::json!({}))
    );
    let locks = redis.url();
    let beside = ["--marketplace", "example", "--legacy-database", "old.db", "--locks", &locks];
    stage.run(stage.scan(&feed(&stage, &["a"]), &beside)).code(0);
    assert_eq!(stage.report().submissions, 1);
    assert_eq!(rows_of(&stage, "old.db"), ["a PENDING"], "theirs stays, and old instances pass over it");
}

/// Amount and time of an imported bid are those of the old row; no word is said twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imported_bids_are_listed_with_what_the_old_row_says() {
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[("a", "PENDING"), ("b", "WON")]);
    bidlock(&stage, &["import", "legacy", "old.db"]).code(0);
    let listed = bidlock(&stage, &["bid", "list"]).code(0).out;
    assert_eq!(listed.matches("125.5").count(), 2, "{listed}");
    assert_eq!(listed.matches("2026-01-02T03:04:05Z").count(), 2, "{listed}");
    assert!(listed.contains("legacy: PENDING in the replaced system"), "{listed}");
    assert!(!listed.contains("legacy: legacy"), "{listed}");
    let json = bidlock(&stage, &["bid", "list", "--json"]).code(0).json();
    assert_eq!(json["bids"][0]["legacy"]["bid_amount"], "125.5");
    assert_eq!(json["bids"][0]["legacy"]["at"], "2026-01-02T03:04:05Z");
    let id = json["bids"][0]["id"].as_str().unwrap();
    let shown = bidlock(&stage, &["bid", "show", id]).code(0).out;
    assert!(shown.contains("125.5") && shown.contains("2026-01-02T03:04:05Z"), "{shown}");
    let away = bidlock(&stage, &["import", "legacy", "none.db"]).code(5);
    assert_eq!(away.err.matches("none.db").count(), 1, "{}", away.err);
}

/// What is remembered, whether the old table can be used, where old instances must lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_tells_of_the_replaced_system() {
    let Some(redis) = redis() else { return };
    let stage = Stage::new("").await;
    old(&stage, "old.db", &[("a", "SUBMITTED"), ("b", "PENDING")]);
    let checks = |words: &[&str]| {
        let ended = bidlock(&stage, &[&["doctor", "--json"], words].concat());
        let checks = ended.json()["checks"].as_array().unwrap().clone();
        let of = |name: &str| {
            let rows = checks.iter().filter(|c| c["check"] == name);
            rows.map(|c| format!("{} {}", c["status"].as_str().unwrap(), c["found"].as_str().unwrap()))
                .collect::<Vec<_>>()
        };
        (
            of("replaced system").join("\n"),
            of("old table").join("\n"),
            of("locks of old instances").join("\n"),
        )
    };
    assert_eq!(checks(&[]), Default::default(), "nothing to tell");
    bidlock(&stage, &["import", "legacy", "old.db"]).code(0);
    let (system, table, _) = checks(&[]);
    assert!(
        system.contains("ok instances may run") && system.contains("warning a scan that sends is refused"),
        "{system}"
    );
    assert_eq!(table, "");
    let locks = redis.url();
    let all = ["--legacy-database", "old.db", "--locks", &locks];
    let (system, table, old_locks) = checks(&all);
    assert!(!system.contains("warning"), "{system}");
    assert!(table.starts_with("ok") && table.contains("2 rows, none of them ours yet"), "{table}");
    assert!(
        old_locks.starts_with("ok") && old_locks.contains("same server and database number"),
        "{old_locks}"
    );
    let (_, _, old_locks) = checks(&all[..2]);
    assert!(old_locks.starts_with("unhealthy") && old_locks.contains("not in Redis"), "{old_locks}");
    let (_, table, _) = checks(&["--legacy-database", "none.db"]);
    assert!(table.starts_with("unhealthy") && table.contains("none.db"), "{table}");
    let conn = rusqlite::Connection::open(stage.home.path().join("bad.db")).unwrap();
    conn.execute_batch("CREATE TABLE bids (job_id TEXT, marketplace TEXT, status TEXT, who TEXT NOT NULL)")
        .unwrap();
    let (_, table, _) = checks(&["--legacy-database", "bad.db"]);
    for word in ["unhealthy", "needs who", "not unique"] {
        assert!(table.contains(word), "{table}");
    }
    bidlock(&stage, &["import", "legacy", "old.db", "--old-instances-stopped"]).code(0);
    let (system, _, old_locks) = checks(&all[..2]);
    assert!(system.starts_with("ok stopped") && old_locks.is_empty(), "{system} {old_locks}");
}

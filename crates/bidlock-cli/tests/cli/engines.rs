//! The command line on engines that hosts share: every command with every pair of them, each fault with its cause and
//! way out, and one ledger for one set of locks. Real servers.

use std::process::Child;

use bidlock_testkit::RedisServer;
use serde_json::json;

use crate::kit::{
    Desk,
    engines::{FEED, Market, SECRET, With, postgres, record, redis, say_to},
};

/// Every command that opens a store, with the engines that these variables choose.
fn every_command(variables: Vec<(&'static str, String)>, shared_ledger: bool) {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables };
    with.run("migrate status").code(0).prints(&["no ledger yet"]);
    with.run("migrate up --dry-run").code(0).prints(&["would go from nothing"]);
    with.run("migrate status").code(0).prints(&["no ledger yet"]);
    with.run("doctor").code(0).prints(&["none yet"]);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let first = with.run(&scan).code(0);
    assert_eq!(first.err.contains("but the ledger is a file of this host"), !shared_ledger, "{first:#?}");
    with.run(&scan).code(0);
    assert_eq!(record(&desk), (2, 0));
    with.run("migrate status").code(0).prints(&["up to date"]);
    let bids = with.run("bid list --json").code(0);
    assert_eq!(bids.out.matches("\"submitted\"").count(), 2, "{bids:#?}");
    let acquired = with.run("lock acquire example 9 --json").code(0).json();
    let lease = acquired["lease"].as_str().unwrap();
    with.run("lock acquire example 9 --wait 0s").code(3);
    with.run("lock list").code(0).prints(&["example/9"]);
    with.run("lock show example 9").code(3);
    with.call("lock renew").arg(lease).run().code(0);
    with.call("lock release").arg(lease).run().code(0).prints(&["released"]);
    with.run("lock acquire example 9").code(0);
    with.run("lock force-release example 9 --reason test").code(0).prints(&["taken away"]);
    with.run("lock run example 9 -- true").code(0);
    with.run("reconcile").code(0);
    let doctor = with.run("doctor").code(0).prints(&["a lock was taken and given back", "hash chains"]);
    assert!(!doctor.err.contains("appendonly"), "what has a row is not logged as well: {doctor:#?}");
    if shared_ledger {
        assert!(doctor.out.contains("bids 2,"), "{doctor:#?}");
    }
    let checks = with.run("doctor --json").code(0).json();
    assert_eq!(checks["healthy"], json!(true));
    with.run("config check").code(0);
}

#[test]
fn every_command_works_with_locks_in_redis_and_the_ledger_in_postgresql() {
    let (Some(redis), Some(postgres)) =
        (redis(&["--requirepass", SECRET, "--appendonly", "yes"]), postgres())
    else {
        return;
    };
    let variables = vec![
        ("REDIS_HOST", "127.0.0.1".to_owned()),
        ("REDIS_PORT", redis.port().to_string()),
        ("REDIS_PASSWORD", SECRET.to_owned()),
        ("DATABASE_URL", postgres.url().replacen("postgres://", "postgresql+asyncpg://", 1)),
    ];
    every_command(variables.clone(), true);
    let desk = Desk::new();
    let with = With { desk: &desk, variables };
    let shown = with.run("config show --origin --json").code(0).json();
    let effective = shown["effective"].as_array().unwrap();
    assert_eq!(effective[0]["by"], json!("ledger.url (DATABASE_URL)"));
    let locks = &effective[1];
    assert!(locks["place"].as_str().unwrap().contains(":***@127.0.0.1"), "{locks}");
    assert!(locks["by"].as_str().unwrap().contains("redis.port (REDIS_PORT)"), "{locks}");
    with.run("doctor").code(0).prints(&[
        "role master",
        "maxmemory-policy noeviction",
        "appendonly yes",
        "clock distance",
        "synchronous commit on",
        "of 100 are in use",
        "which is ours",
    ]);
}

#[test]
fn every_command_works_on_postgresql_alone() {
    let Some(postgres) = postgres() else { return };
    every_command(vec![("DATABASE_URL", postgres.url())], true);
}

#[test]
fn every_command_works_with_locks_in_redis_and_the_ledger_in_a_file_which_is_warned_of() {
    let Some(redis) = redis(&[]) else { return };
    every_command(vec![("REDIS_URL", redis.url())], false);
}

/// `lock acquire` and `doctor` with these variables: the one ends with this code, the other with 9, and both say why.
#[track_caller]
fn refused_by_locks_with(code: i32, variables: &[(&'static str, String)], parts: &[&str]) {
    let desk = Desk::new();
    let with = With { desk: &desk, variables: variables.to_vec() };
    with.run("lock acquire example 1").refused(code, parts);
    let report = with.run("doctor").code(9);
    for part in parts {
        assert!(report.out.contains(part), "doctor does not say `{part}`: {report:#?}");
    }
}

#[track_caller]
fn refused_by_locks(variables: &[(&'static str, String)], parts: &[&str]) {
    refused_by_locks_with(5, variables, parts);
}

#[test]
fn each_fault_of_redis_names_its_cause_its_setting_and_the_way_out() {
    let Some(server) = redis(&["--requirepass", SECRET]) else { return };
    let url = |url: String| vec![("REDIS_URL", url)];
    let port = server.port();
    let parts =
        |password: &str| vec![("REDIS_PORT", port.to_string()), ("REDIS_PASSWORD", password.to_owned())];
    refused_by_locks(&url(server.url()), &["redis.url (REDIS_URL)", "wants a password", "REDIS_PASSWORD"]);
    let asked = With { desk: &Desk::new(), variables: url(server.url()) }.run("lock acquire example 1");
    assert!(!asked.err.contains("HELLO"), "the server's advice to programs helps nobody: {asked:#?}");
    refused_by_locks(&parts("wrong"), &["redis.port (REDIS_PORT)", "refuses", "password"]);
    refused_by_locks(
        &url(format!("redis://:{SECRET}@127.0.0.1:1/0")),
        &["REDIS_URL", "nothing answers at", "port"],
    );
    refused_by_locks_with(
        2,
        &url(format!("redis://:{SECRET}@127.0.0.1:{port}/99")),
        &["database of that number"],
    );
    refused_by_locks(&url(format!("rediss://:{SECRET}@127.0.0.1:{port}/0")), &["REDIS_URL", "127.0.0.1"]);

    let Some(evicting) = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]) else { return };
    refused_by_locks(&url(evicting.url()), &["allkeys-lru", "noeviction"]);
    let master = format!("127.0.0.1 {}", evicting.port());
    let Some(replica) = redis(&["--replicaof", &master]) else { return };
    refused_by_locks(&url(replica.url()), &["read-only replica", "master"]);

    // A user that may connect and look, and nothing else.
    let Some(guarded) = redis(&[]) else { return };
    let rights = "~* &* +hello +auth +select +ping +info +time +subscribe";
    say_to(guarded.port(), &format!("ACL SETUSER little reset on >{SECRET} {rights}"));
    let little = format!("redis://little:{SECRET}@127.0.0.1:{}/0", guarded.port());
    refused_by_locks(&url(little), &["does not permit", "docs/backends/redis.md"]);
}

#[test]
fn a_redis_without_memory_is_named_and_one_whose_scripts_were_flushed_is_not_felt() {
    let Some(server) = redis(&[]) else { return };
    let desk = Desk::new();
    let with = With { desk: &desk, variables: vec![("REDIS_URL", server.url())] };
    with.run("lock acquire example 1").code(0);
    say_to(server.port(), "SCRIPT FLUSH");
    with.run("lock acquire example 2").code(0);
    say_to(server.port(), "CONFIG SET maxmemory 1");
    refused_by_locks(&with.variables, &["out of memory", "maxmemory"]);
    say_to(server.port(), "CONFIG SET maxmemory 0");
    with.run("lock acquire example 3").code(0);
}

/// `bid list`, a scan that would send, and `doctor` on this ledger.
#[track_caller]
fn refused_by_ledger(url: &str, parts: &[&str]) {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", url.to_owned())] };
    let parts: Vec<&str> = parts.iter().copied().chain(["DATABASE_URL"]).collect();
    with.run("bid list").refused(5, &parts);
    with.run("scan feed.json --marketplace example --submit http://127.0.0.1:9").refused(5, &parts);
    let report = with.run("doctor").code(9);
    for part in &parts {
        assert!(report.out.contains(part), "doctor does not say `{part}`: {report:#?}");
    }
}

#[test]
fn each_fault_of_postgresql_names_its_cause_its_setting_and_the_way_out() {
    let Some(server) = postgres() else { return };
    server.sql(&format!(
        "CREATE ROLE guest LOGIN PASSWORD '{SECRET}'; CREATE ROLE crowd LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0"
    ));
    server.sql("CREATE DATABASE other");
    let closed = server.url().replace(&format!(":{}/", server.port()), ":1/");
    let of = |user: &str, database: &str| server.url_of(user, SECRET, database);
    for (url, parts) in [
        (of("bidlock", "bidlock"), &["password authentication failed", "pg_hba.conf"][..]),
        (closed, &["127.0.0.1:1", "running"]),
        (
            server.url_of("bidlock", server.password(), "nowhere"),
            &["\"nowhere\" does not exist", "create the database"],
        ),
        (of("crowd", "bidlock"), &["too many connections", "max_connections"]),
        (format!("{}?sslmode=require", server.url()), &["TLS"]),
    ] {
        refused_by_ledger(&url, parts);
    }
    // Nothing is there yet, and this user may not make it.
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", of("guest", "other"))] };
    with.run("scan feed.json --marketplace example --submit http://127.0.0.1:9")
        .refused(5, &["permission denied", "grant", "DATABASE_URL"]);
    with.run("migrate up").refused(5, &["permission denied", "grant"]);
}

#[test]
fn a_standby_lets_nothing_be_sent_and_says_so() {
    let Some(server) = postgres() else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    With { desk: &desk, variables: vec![("DATABASE_URL", server.url())] }.run("migrate up").code(0);
    let standby = server.standby();
    let url = server.url().replace(&format!(":{}/", server.port()), &format!(":{}/", standby.port()));
    // What it has not heard of yet can't be made there either; once it has, reading works.
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", url)] };
    let mut tries = 0;
    while !with.run("migrate status").out.contains("up to date") {
        tries += 1;
        assert!(tries < 200, "the standby follows");
    }
    with.run("bid list").code(0);
    with.run("scan feed.json --marketplace example --submit http://127.0.0.1:9")
        .refused(5, &["standby", "primary"]);
    with.run("doctor").code(9).prints(&["standby", "primary"]);
}

#[test]
fn locks_serve_one_ledger_until_they_are_rebound() {
    let Some(redis) = redis(&[]) else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables: vec![("REDIS_URL", redis.url())] };
    let scan = |ledger: &str, more: &str| {
        with.run(&format!(
            "scan feed.json --marketplace example --submit {} --new-ledger --database {ledger} {more}",
            market.url
        ))
    };
    scan("one.db", "").code(0);
    let words = ["serve the scanners of ledger", "--database", "REDIS_URL", "--rebind-ledger"];
    scan("two.db", "").refused(2, &words);
    assert!(!desk.work().join("two.db").exists(), "what is refused is not made");
    with.run("migrate up --database two.db").code(0);
    scan("two.db", "").refused(2, &words);
    with.run("reconcile --database two.db").refused(2, &words);
    with.run("doctor --database two.db").code(9).prints(&["serve the scanners of ledger", "--rebind-ledger"]);
    assert_eq!(record(&desk), (2, 0), "the other ledger's scan sent nothing");
    let kept: i64 =
        say_to(redis.port(), "PTTL bidlock:ledger_id").trim_start_matches(':').trim().parse().unwrap();
    assert!((86_000_000..=86_400_000).contains(&kept), "kept for a day: {kept} ms");
    with.run("reconcile --database two.db --rebind-ledger").code(0);
    scan("one.db", "").refused(2, &words);
    with.run("reconcile --database one.db --rebind-ledger").code(0);
    scan("one.db", "").code(0);
    assert_eq!(record(&desk), (2, 0));
}

/// A mistyped port must not be taken for an outage: whoever has the right one would lock elsewhere.
#[test]
fn a_redis_that_no_scanner_of_the_ledger_has_ever_reached_is_refused_and_one_that_is_known_may_be_away() {
    let (Some(mut redis), Some(postgres)) = (redis(&[]), postgres()) else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let at = |port: u16| With {
        desk: &desk,
        variables: vec![
            ("DATABASE_URL", postgres.url()),
            ("REDIS_HOST", "127.0.0.1".to_owned()),
            ("REDIS_PORT", port.to_string()),
        ],
    };
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let wrong = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let words =
        [format!("127.0.0.1:{wrong}"), "redis.port (REDIS_PORT)".to_owned(), "has ever reached".to_owned()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    at(wrong).run(&scan).refused(5, &words);
    at(wrong).run("migrate status").code(0).prints(&["no ledger yet"]);
    at(redis.port()).run(&format!("{scan} --max-bids 1")).code(0);
    at(wrong).run(&scan).refused(5, &words);
    assert_eq!(record(&desk), (1, 0), "nothing is sent beside a mistyped Redis");
    let port = redis.port();
    redis.kill();
    at(port).run(&scan).code(0).says(&["bidlock::audit: locks fall back to another engine"]);
    assert_eq!(record(&desk), (2, 0), "one that is known may be away");
}

#[test]
fn eight_scans_at_once_on_an_empty_database_all_work() {
    let Some(postgres) = postgres() else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", postgres.url())] };
    let scan = format!("scan feed.json --marketplace example --submit {} --json", market.url);
    let scans: Vec<Child> = (0..8).map(|_| with.call(&scan).start()).collect();
    for scan in scans {
        let output = scan.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{err}");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.lines().last().unwrap().contains("\"summary\""), "{out}");
    }
    assert_eq!(record(&desk), (2, 0));
}

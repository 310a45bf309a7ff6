//! Configuration as a user meets it: files, variables, origins, secrets.

use crate::kit::Desk;

#[test]
fn init_writes_a_file_that_changes_nothing_and_never_overwrites() {
    let desk = Desk::new();
    desk.run("config init").code(0).says(&["wrote bidlock.toml"]);
    let show = desk.call("config show --json");
    let show = show.without("BIDLOCK_SCAN__BID_ON_EVERYTHING").without("BIDLOCK_SUBMIT__EMPTY_PROPOSAL");
    let shown = show.run().code(0).json();
    assert!(shown["file"].as_str().unwrap().ends_with("bidlock.toml"));
    for setting in shown["settings"].as_array().unwrap() {
        assert_eq!(setting["origin"], "default", "{setting}");
    }
    desk.run("config init").refused(2, &["bidlock.toml exists already", "config init FILE"]);
    desk.run("config init no/such/folder/b.toml").refused(2, &["no/such/folder/b.toml"]);
    desk.run("config init other.toml").code(0);
}

#[test]
fn show_says_where_each_value_comes_from() {
    let desk = Desk::new();
    desk.file("bidlock.toml", "[lock]\nttl = \"40s\"\n[scan]\nbatch = 10\n");
    let done = desk
        .call("config show --origin --database here.db")
        .env("REDIS_LOCK_TTL", "50")
        .env("BIDLOCK_SCAN__WAIT", "3s")
        .run()
        .code(0);
    let line = |key: &str| done.out.lines().find(|l| l.starts_with(key)).unwrap().to_owned();
    assert!(line("ledger.url\t").contains("here.db\t--database"), "{}", done.out);
    assert!(line("lock.ttl\t").contains("50s\tREDIS_LOCK_TTL"), "{}", done.out);
    assert!(line("scan.wait\t").contains("3s\tBIDLOCK_SCAN__WAIT"), "{}", done.out);
    assert!(line("scan.batch\t").contains("bidlock.toml:scan.batch"), "{}", done.out);
    assert!(line("lock.timeout\t").contains("10s\tdefault"), "{}", done.out);
}

#[test]
fn the_first_file_that_exists_counts() {
    let desk = Desk::new();
    let user = desk.work().parent().unwrap().join("config/bidlock");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::write(user.join("bidlock.toml"), "[scan]\nbatch = 7\n").unwrap();
    desk.run("config show").code(0).prints(&["scan.batch\t7"]);
    desk.file("bidlock.toml", "[scan]\nbatch = 8\n");
    desk.run("config show").code(0).prints(&["scan.batch\t8"]);
    desk.file("other.toml", "[scan]\nbatch = 9\n");
    desk.run("config show -c other.toml").code(0).prints(&["scan.batch\t9"]);
    desk.call("config show").env("BIDLOCK_CONFIG", "other.toml").run().code(0).prints(&["scan.batch\t9"]);
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let desk = Desk::new();
    desk.run("-c none.toml config show").refused(2, &["none.toml", "--config"]);
    desk.call("config show")
        .env("BIDLOCK_CONFIG", "gone.toml")
        .run()
        .refused(2, &["gone.toml", "BIDLOCK_CONFIG"]);
    desk.run("-c . config show").refused(2, &["configuration file"]);
    desk.file("broken.toml", "[lock\n");
    desk.run("-c broken.toml config show").refused(2, &["broken.toml:1", "not valid TOML"]);
    desk.file("unknown.toml", "[lock]\ntime_out = \"3s\"\n");
    desk.run("-c unknown.toml bid list")
        .refused(2, &["unknown.toml", "lock.time_out", "did you mean `lock.timeout`?"]);
    std::fs::write(desk.work().join("latin.toml"), b"# \xe9\n").unwrap();
    desk.run("-c latin.toml config show").refused(2, &["latin.toml"]);
}

#[test]
fn check_names_the_setting_whose_file_is_missing() {
    let desk = Desk::new();
    desk.run("config check").code(0).prints(&["ledger.db", "ledger-locks.db", "dry-run"]);
    for (variable, key) in [
        ("BIDLOCK_SCAN__RULES", "scan.rules"),
        ("BIDLOCK_SCAN__MAP", "scan.map"),
        ("BIDLOCK_SUBMIT__PROPOSAL", "submit.proposal"),
        ("BIDLOCK_SUBMIT__TOKEN_FILE", "submit.token_file"),
    ] {
        desk.call("config check")
            .env(variable, "no-such-file")
            .run()
            .refused(2, &[key, "no-such-file", variable]);
    }
}

#[test]
fn what_names_no_engine_is_refused_by_the_name_that_was_set() {
    let desk = Desk::new();
    for (name, value, parts) in [
        (
            "DATABASE_URL",
            "mysql://u:hunter2@db/bids",
            &["DATABASE_URL", "mysql", "sqlite:///relative.db"][..],
        ),
        ("DATABASE_URL", "sqlite:///:memory:", &["DATABASE_URL", "names no file"]),
        ("REDIS_URL", "https://:hunter2@cache", &["REDIS_URL"]),
        ("REDIS_PORT", "many", &["REDIS_PORT"]),
        ("USE_REDIS_LOCKS", "perhaps", &["USE_REDIS_LOCKS", "neither true"]),
        ("BID_LOCK_MANAGER_TYPE", "databse", &["BID_LOCK_MANAGER_TYPE", "did you mean `database`?"]),
    ] {
        let done = desk.call("config check").env(name, value).run().refused(2, parts);
        assert!(!done.err.contains("hunter2"), "{done:?}");
    }
}

#[test]
fn engines_are_chosen_by_the_names_that_users_know() {
    let desk = Desk::new();
    for (name, value, parts) in [
        ("DATABASE_URL", "postgres://u:hunter2@db/bids", &["postgres://u:***@db/bids"][..]),
        ("REDIS_URL", "redis://:hunter2@cache", &["redis://", "cache"]),
        ("REDIS_HOST", "cache", &["redis://cache:6379/0"]),
    ] {
        let done = desk.call("config check").env(name, value).run().code(0).prints(parts);
        assert!(!done.out.contains("hunter2") && !done.err.contains("hunter2"), "{done:?}");
    }
    let both =
        desk.call("config check").env("REDIS_URL", "redis://c").env("BID_LOCK_MANAGER_TYPE", "database");
    assert!(!both.run().code(0).out.contains("redis://"), "the type beats the mere presence of a server");
}

#[test]
fn no_output_ever_shows_a_secret() {
    let desk = Desk::new();
    let token = desk.file("token", "hunter2\n");
    for words in
        ["config show --origin", "config show --json", "config check", "-vv doctor", "-vv doctor --json"]
    {
        let done = desk
            .call(words)
            .env("BIDLOCK_SUBMIT__TOKEN", "hunter2")
            .env("BIDLOCK_LOCK__URL", "redis://:hunter2@cache/0")
            .run();
        assert!(!done.out.contains("hunter2") && !done.err.contains("hunter2"), "{words}: {done:?}");
        let done = desk.call(words).env("BIDLOCK_SUBMIT__TOKEN_FILE", &token).run();
        assert!(!done.out.contains("hunter2") && !done.err.contains("hunter2"), "{words}: {done:?}");
    }
    let both = desk
        .call("config check")
        .env("BIDLOCK_SUBMIT__TOKEN", "hunter2")
        .env("BIDLOCK_SUBMIT__TOKEN_FILE", &token);
    both.run().refused(2, &["both", "BIDLOCK_SUBMIT__TOKEN", "BIDLOCK_SUBMIT__TOKEN_FILE"]);
    let target = desk.call("config check").env("BIDLOCK_SUBMIT__TARGET", "https://u:hunter2@market.example");
    assert!(!target.run().refused(2, &["BIDLOCK_SUBMIT__TARGET"]).err.contains("hunter2"));
}

#[test]
fn without_a_home_the_way_out_is_said() {
    let desk = Desk::new();
    let done = desk.call("bid list --database here.db").without("HOME").without("XDG_DATA_HOME").run();
    done.refused(5, &["here.db"]);
}

#[test]
fn a_limit_that_does_not_fit_the_ttl_names_both() {
    let desk = Desk::new();
    desk.call("config check")
        .env("REDIS_LOCK_TTL", "10")
        .env("BIDLOCK_SUBMIT__TIME_LIMIT", "10s")
        .run()
        .refused(
            2,
            &["submit.time_limit (BIDLOCK_SUBMIT__TIME_LIMIT) is 10s", "lock.ttl (REDIS_LOCK_TTL) is 10s"],
        );
    desk.call("config check").env("REDIS_LOCK_TTL", "0.05").run().refused(2, &["REDIS_LOCK_TTL"]);
}

#[test]
fn check_reads_rules_and_map_before_a_scan_has_to() {
    let desk = Desk::new();
    desk.file("rules.toml", "[budget]\nrequird = true\n");
    desk.file("map.toml", "no-such-field = 3\n");
    desk.call("config check")
        .env("BIDLOCK_SCAN__RULES", "rules.toml")
        .run()
        .refused(2, &["rules.toml", "requird"]);
    desk.call("config check").env("BIDLOCK_SCAN__MAP", "map.toml").run().refused(2, &["map.toml"]);
    desk.call("config check")
        .env("BIDLOCK_SCAN__FORMAT", "excel")
        .run()
        .refused(2, &["scan.format", "excel"]);
    desk.call("doctor").env("BIDLOCK_SCAN__RULES", "rules.toml").run().code(9).prints(&["requird"]);
}

#[test]
fn a_default_that_gave_way_is_shown_as_it_counts() {
    let desk = Desk::new();
    let line = |ttl: &str, key: &str| {
        let done = desk.call("config show --origin").env("REDIS_LOCK_TTL", ttl).run().code(0);
        done.out.lines().find(|l| l.starts_with(key)).unwrap().to_owned()
    };
    assert!(line("300", "submit.time_limit").contains("30s\tdefault\t"));
    let shown = line("20", "submit.time_limit");
    assert!(shown.contains("10s\tdefault; half of lock.ttl"), "{shown}");
    let shown = line("4", "submit.connect_limit");
    assert!(shown.contains("2s\tdefault; no more than submit.time_limit"), "{shown}");
}

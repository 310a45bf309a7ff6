//! What is read of the disk (the configuration file, tokens, proposals), what places follow from the settings, and that
//! nothing shows a secret when it is printed for developers.

use std::path::Path;

use super::*;

fn write(folder: &tempfile::TempDir, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// With these variables, in a folder that has these files.
fn load_at(places: &[&str], variables: &[(&str, &str)], chosen: Option<&str>) -> Result<Config, ConfigError> {
    let file_places = places.iter().map(PathBuf::from).collect();
    let around = Surroundings { file_places, ..around(variables) };
    Config::load(around, chosen.map(Path::new), &[], ENGINES)
}

#[test]
fn one_file_counts_the_chosen_one_before_the_named_one_before_the_usual_places() {
    let folder = tempfile::tempdir().unwrap();
    let [chosen, named, usual, other] =
        [1, 2, 3, 4].map(|n| write(&folder, &format!("{n}.toml"), format!("[lock]\nttl = \"{n}00s\"\n")));
    let absent = folder.path().join("absent.toml").display().to_string();
    let places = [absent.as_str(), &usual, &other];
    let by_name = [("BIDLOCK_CONFIG", named.as_str())];
    let read = |config: Result<Config, ConfigError>| {
        let config = config.unwrap();
        (config.file().map(|path| path.display().to_string()), config.lock.ttl.as_secs())
    };
    assert_eq!(read(load_at(&places, &by_name, Some(&chosen))), (Some(chosen), 100));
    assert_eq!(read(load_at(&places, &by_name, None)), (Some(named), 200));
    assert_eq!(read(load_at(&places, &[], None)), (Some(usual.clone()), 300));
    assert_eq!(read(load_at(&[&absent], &[], None)), (None, 300));
    // Whoever names a file means it.
    for (by, config) in [
        ("--config", load_at(&places, &[], Some(&absent))),
        ("BIDLOCK_CONFIG", load_at(&places, &[("BIDLOCK_CONFIG", &absent)], None)),
    ] {
        let error = refused(config);
        assert!(error.contains(&absent) && error.contains(&format!("(named by {by})")), "{error}");
        assert!(error.contains("bidlock config init"), "{error}");
    }
}

#[test]
fn a_file_that_is_no_small_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let large = write(&folder, "large.toml", "#".repeat(1024 * 1024 + 1));
    let error = refused(load_at(&[], &[], Some(&large)));
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
    let binary = write(&folder, "binary.toml", [0xff, 0xfe, b'x']);
    assert!(refused(load_at(&[], &[], Some(&binary))).contains("UTF-8"));
}

#[test]
fn a_setting_of_another_form_is_refused_by_its_name() {
    for (text, form) in [
        ("[lock]\nttl = 1.5", "a number with a point"),
        ("[lock]\nttl = [1]", "a list"),
        ("[lock]\nttl = 2026-01-01", "a date"),
        ("[lock.ttl]\nx = 1", "lock.ttl"),
    ] {
        let (_folder, config) = load_file(text, &[]);
        let error = refused(config);
        assert!(error.contains("lock.ttl") && error.contains(form), "{text}: {error}");
    }
    assert!(
        refused(load_file("[zzz]\nqqqqqqqqq = 1", &[]).1)
            .contains("`bidlock config show` lists every setting")
    );
    assert!(refused(load(&[("BIDLOCK_ZZZZZZZZ__QQQQQQQQ", "1")])).contains("lock.ttl is BIDLOCK_LOCK__TTL"));
}

#[test]
fn a_token_comes_from_a_variable_or_a_file_and_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load(&[]).unwrap().token().unwrap().is_none());
    let file = write(&folder, "token", "hunter2\n");
    for variables in [("BIDLOCK_SUBMIT__TOKEN", "hunter2"), ("BIDLOCK_SUBMIT__TOKEN_FILE", file.as_str())] {
        assert!(load(&[variables]).unwrap().token().unwrap().is_some());
    }
    let two = write(&folder, "two", "hunter2\nhunter3\n");
    for (key, variables) in [
        ("submit.token_file", ("BIDLOCK_SUBMIT__TOKEN_FILE", "/no/such")),
        ("submit.token_file", ("BIDLOCK_SUBMIT__TOKEN_FILE", two.as_str())),
        ("submit.token", ("BIDLOCK_SUBMIT__TOKEN", "hunter2 hunter3")),
    ] {
        let error = load(&[variables]).unwrap().token().unwrap_err();
        assert!(error.message.starts_with(key) && error.hint.is_some(), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
    }
}

#[test]
fn a_proposal_is_the_text_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let proposal = |path: &str| load(&[("BIDLOCK_SUBMIT__PROPOSAL", path)]).unwrap().proposal();
    assert_eq!(load(&[]).unwrap().proposal().unwrap(), None);
    let text = "I can do {title}.\n";
    assert_eq!(proposal(&write(&folder, "p", text)).unwrap().as_deref(), Some(text));
    let error = proposal("/no/such").unwrap_err();
    assert!(error.message.contains("submit.proposal") && error.message.contains("/no/such"), "{error:?}");
    assert!(error.hint.unwrap().contains("unset submit.proposal"));
}

#[test]
fn a_ledger_that_nothing_names_is_in_the_users_data_folder() {
    let home = Surroundings { data_folder: Some("/home/a/.local/share/bidlock".into()), ..around(&[]) };
    let config = Config::load(home, None, &[], ENGINES).unwrap();
    let default = PathBuf::from("/home/a/.local/share/bidlock/ledger.db");
    assert_eq!(config.default_ledger().unwrap(), default);
    assert_eq!(config.ledger_place().unwrap(), LedgerPlace::Sqlite(default.clone()));
    // The locks that stand in for others are beside it.
    let beside = config.locks_beside_the_ledger().unwrap();
    assert_eq!(beside.place, config.lock_choice().unwrap().place);
    assert!(
        beside.chosen_by.contains("lock.fallback") && beside.place_by.contains("ledger.url"),
        "{beside:?}"
    );
    // Without a home there is no place that would be right.
    let error = load(&[]).unwrap().default_ledger().unwrap_err();
    assert!(error.message.contains("HOME") && error.hint.unwrap().contains("--database"));
}

#[test]
fn the_replaced_systems_database_is_where_it_is_named() {
    assert_eq!(load(&[]).unwrap().legacy_place().unwrap(), None);
    let of = |url: &str| load(&[("BIDLOCK_LEGACY__URL", url)]).unwrap().legacy_place();
    assert_eq!(of("sqlite:////bots/bids.db").unwrap(), Some(LedgerPlace::Sqlite("/bots/bids.db".into())));
    assert!(of("mysql://a:hunter2@h/d").unwrap_err().message.contains("legacy.url"));
}

#[test]
fn the_redis_of_old_instances_is_told_where_it_is_another() {
    let ours = ServerUrl::new("redis://:hunter2@one:6379/0");
    let theirs = |variables: &[(&str, &str)]| load(variables).unwrap().redis_of_old_instances(&ours);
    assert_eq!(theirs(&[]), None);
    assert_eq!(theirs(&[("REDIS_HOST", "one")]), None);
    let told = theirs(&[("REDIS_HOST", "two"), ("REDIS_DB", "1")]).unwrap();
    assert_eq!(told, "REDIS_HOST (two), REDIS_DB (1)");
    let told = theirs(&[("REDIS_URL", "redis://:hunter2@two:6379/0")]).unwrap();
    assert!(told.contains("two") && !told.contains("hunter2"), "{told}");
}

#[test]
fn development_is_what_the_environment_calls_so() {
    let is = |variables: &[(&str, &str)]| load(variables).unwrap().is_development();
    assert!(is(&[("ENV", "development")]) && is(&[("BIDLOCK_ALLOW_MEMORY_FALLBACK", "1")]));
    assert!(!is(&[]) && !is(&[("ENV", "production")]) && !is(&[("BIDLOCK_ALLOW_MEMORY_FALLBACK", "yes")]));
}

#[test]
fn what_developers_print_shows_no_secret() {
    let variables = [("BIDLOCK_SUBMIT__TOKEN", "hunter2"), ("DATABASE_URL", "postgres://a:hunter2@h/d")];
    let config = load(&variables).unwrap();
    let file = ConfigFile::new("/work-folder/bidlock.toml", "[submit]\ntoken = \"hunter2\"");
    let given = Override::new("submit.token", "hunter2", "--token");
    let printed = [
        format!("{config:?}"),
        format!("{:?}", around(&variables)),
        format!("{file:?}"),
        format!("{given:?}"),
    ];
    for (printed, says) in printed.iter().zip(["ttl: 300s", "/work-folder", "bidlock.toml", "--token"]) {
        assert!(printed.contains(says) && !printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn the_surroundings_are_those_of_this_process() {
    let around = Surroundings::of_this_process();
    let here = std::env::current_dir().unwrap();
    assert_eq!(around.working_folder, here);
    assert_eq!(around.file_places.first(), Some(&here.join("bidlock.toml")));
    assert_eq!(around.file_places.last(), Some(&PathBuf::from("/etc/bidlock/bidlock.toml")));
    assert_eq!(around.variables.get("CARGO_PKG_NAME").map(String::as_str), Some("bidlock-config"));
}

//! Who has the last word about the locks: the table of `docs/configuration.md`.

use std::path::PathBuf;

use super::*;
use crate::{Config, Override, Surroundings, tests::ENGINES};

fn load(variables: &[(&str, &str)], file: &str, flags: &[Override]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bidlock.toml");
    std::fs::write(&path, file).unwrap();
    let around = Surroundings {
        variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        working_folder: PathBuf::from("/w"),
        ..Surroundings::default()
    };
    Config::load(around, Some(&path), flags, ENGINES).unwrap()
}

fn choice(variables: &[(&str, &str)]) -> LockChoice {
    load(variables, "", &[]).lock_choice().unwrap()
}

/// The whole URL: tests may see passwords.
fn redis_url(choice: &LockChoice) -> &str {
    match &choice.place {
        LockPlace::Redis(url) => url.with_password(),
        other => panic!("{other:?}"),
    }
}

fn beside() -> LockPlace {
    LockPlace::Sqlite(PathBuf::from("/d/ledger-locks.db"))
}

const LEDGER: (&str, &str) = ("DATABASE_URL", "/d/ledger.db");

#[test]
fn redis_is_chosen_where_it_is_named_and_by_default_nothing_but_the_database() {
    assert_eq!(choice(&[LEDGER]).place, beside());
    assert_eq!(choice(&[LEDGER]).place_by, "ledger.url (DATABASE_URL)");
    for (variables, url, by) in [
        (&[("REDIS_URL", "redis://h:1/2")][..], "redis://h:1/2", "redis.url (REDIS_URL)"),
        (&[("REDIS_HOST", "h")], "redis://h:6379/0", "redis.host (REDIS_HOST)"),
        (&[("REDIS_PORT", "7")], "redis://127.0.0.1:7/0", "redis.port (REDIS_PORT)"),
        (
            &[("REDIS_HOST", "::1"), ("REDIS_DB", "3")],
            "redis://[::1]:6379/3",
            "redis.host (REDIS_HOST), redis.db (REDIS_DB)",
        ),
        (&[("USE_REDIS_LOCKS", "yes")], "redis://127.0.0.1:6379/0", "redis.host (default)"),
        (&[("BID_LOCK_MANAGER_TYPE", "redis")], "redis://127.0.0.1:6379/0", "redis.host (default)"),
        (&[("BIDLOCK_LOCK__URL", "rediss://h")], "rediss://h", "lock.url (BIDLOCK_LOCK__URL)"),
        (&[("BIDLOCK_REDIS__HOST", "h")], "redis://h:6379/0", "redis.host (BIDLOCK_REDIS__HOST)"),
    ] {
        let choice = choice(variables);
        assert_eq!((redis_url(&choice), choice.place_by.as_str()), (url, by), "{variables:?}");
        assert!(choice.warnings.is_empty() && choice.notes.is_empty(), "{choice:?}");
    }
    // These two alone say nothing about where locks are to be.
    assert_eq!(choice(&[LEDGER, ("REDIS_DB", "3"), ("REDIS_PASSWORD", "x")]).place, beside());
}

#[test]
fn the_type_beats_the_yes_and_no_which_beats_a_server_that_is_merely_there() {
    let redis = ("REDIS_URL", "redis://h:1/0");
    for no in ["0", "no", "false"] {
        let choice = choice(&[LEDGER, redis, ("USE_REDIS_LOCKS", no)]);
        assert_eq!(
            (choice.place, choice.chosen_by),
            (beside(), "lock.use_redis (USE_REDIS_LOCKS)".to_owned())
        );
        assert!(choice.warnings.is_empty() && choice.notes[0].contains("REDIS_URL"), "{:?}", choice.notes);
    }
    let database = ("BID_LOCK_MANAGER_TYPE", "database");
    let chosen = choice(&[LEDGER, redis, database]);
    assert_eq!(chosen.place, beside());
    assert!(chosen.notes[0].contains("redis.url (REDIS_URL) is set but not used"), "{:?}", chosen.notes);
    let chosen = choice(&[LEDGER, redis, database, ("USE_REDIS_LOCKS", "1")]);
    assert_eq!(chosen.place, beside());
    assert!(
        chosen.warnings[0].contains("BID_LOCK_MANAGER_TYPE")
            && chosen.warnings[0].contains("USE_REDIS_LOCKS"),
        "a conflict is a warning: {:?}",
        chosen.warnings
    );
    let chosen = choice(&[redis, ("BID_LOCK_MANAGER_TYPE", "redis"), ("USE_REDIS_LOCKS", "0")]);
    assert_eq!((redis_url(&chosen), chosen.warnings.len()), ("redis://h:1/0", 1));
    let chosen = choice(&[redis, ("BID_LOCK_MANAGER_TYPE", "memory"), ("USE_REDIS_LOCKS", "0")]);
    assert_eq!((chosen.place, chosen.warnings.len()), (LockPlace::Memory, 0), "memory is not Redis");
}

#[test]
fn a_place_given_to_bidlock_itself_beats_all_known_names() {
    let known = [LEDGER, ("BID_LOCK_MANAGER_TYPE", "database"), ("REDIS_URL", "redis://h:1/0")];
    let flag = |value: &str| [Override::new("lock.url", value, "--locks")];
    let chosen = load(&known, "", &flag("redis://other/3")).lock_choice().unwrap();
    assert_eq!((redis_url(&chosen), chosen.place_by.as_str()), ("redis://other/3", "lock.url (--locks)"));
    assert!(chosen.warnings[0].contains("overrides lock.manager_type (BID_LOCK_MANAGER_TYPE)"));
    assert!(chosen.notes[0].contains("REDIS_URL"), "{:?}", chosen.notes);
    let chosen = choice(&[known[0], known[2], ("BIDLOCK_LOCK__URL", "memory:")]);
    assert_eq!(chosen.place, LockPlace::Memory);
    // A flag beats the variable, also where both are bidlock's own.
    let own = [("BIDLOCK_LOCK__URL", "redis://own")];
    let chosen = load(&own, "", &flag("/l.db")).lock_choice().unwrap();
    assert_eq!(chosen.place, LockPlace::Sqlite(PathBuf::from("/l.db")));
}

#[test]
fn a_known_name_beats_the_file() {
    let file = "[lock]\nurl = \"/file/locks.db\"\n";
    assert_eq!(
        load(&[], file, &[]).lock_choice().unwrap().place,
        LockPlace::Sqlite(PathBuf::from("/file/locks.db"))
    );
    let chosen = load(&[("REDIS_URL", "redis://h")], file, &[]).lock_choice().unwrap();
    assert_eq!(redis_url(&chosen), "redis://h");
    assert!(chosen.warnings[0].contains("redis.url (REDIS_URL) overrides lock.url"), "{:?}", chosen.warnings);
    let chosen = load(&[("REDIS_URL", "redis://env")], "[lock]\nurl = \"redis://file\"\n", &[]);
    assert_eq!(redis_url(&chosen.lock_choice().unwrap()), "redis://env");
    let chosen = load(&[("BID_LOCK_MANAGER_TYPE", "database")], file, &[]).lock_choice().unwrap();
    assert_eq!(chosen.place, LockPlace::Sqlite(PathBuf::from("/file/locks.db")), "that is a database's");
    let chosen = load(&[], "[redis]\nhost = \"h\"\nport = 7\ndb = 2\n", &[]).lock_choice().unwrap();
    assert_eq!(redis_url(&chosen), "redis://h:7/2");
}

#[test]
fn a_url_beats_the_parts_and_a_password_of_its_own_the_variable() {
    let chosen = choice(&[("REDIS_URL", "redis://u@h/1"), ("REDIS_HOST", "x"), ("REDIS_PASSWORD", "p/w")]);
    assert_eq!(redis_url(&chosen), "redis://u:p%2Fw@h/1");
    assert_eq!(chosen.notes.len(), 1);
    assert!(chosen.notes[0].contains("redis.host (REDIS_HOST) is set but not used"), "{:?}", chosen.notes);
    let chosen = choice(&[("REDIS_URL", "redis://:own@h"), ("REDIS_PASSWORD", "hunter2")]);
    assert_eq!(redis_url(&chosen), "redis://:own@h");
    let shown = format!("{chosen:?}");
    assert!(
        shown.contains("REDIS_PASSWORD") && !shown.contains("hunter2") && !shown.contains("own@"),
        "{shown}"
    );
}

#[test]
fn secrets_of_servers_come_from_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let path = file.display().to_string();
    let chosen = choice(&[("REDIS_HOST", "h"), ("REDIS_PASSWORD_FILE", &path)]);
    assert_eq!(redis_url(&chosen), "redis://:hunter2@h:6379/0");
    std::fs::write(&file, "redis://h:9/0").unwrap();
    let chosen = choice(&[("REDIS_URL_FILE", &path)]);
    assert_eq!(redis_url(&chosen), "redis://h:9/0");
    assert!(chosen.place_by.contains("REDIS_URL_FILE"), "{}", chosen.place_by);
}

#[test]
fn what_cannot_be_is_refused_by_the_name_that_was_set() {
    for (name, value) in [
        ("REDIS_URL", "http://:hunter2@h"),
        ("REDIS_URL", "redis://:hunter2@h:port"),
        ("REDIS_HOST", "redis://:hunter2@h"),
        ("REDIS_PORT", "70000"),
        ("USE_REDIS_LOCKS", "maybe"),
        ("BID_LOCK_MANAGER_TYPE", "etcd"),
        ("BIDLOCK_LOCK__URL", "mongo://:hunter2@h"),
        ("BIDLOCK_LOCK__URL", "postgres://u:hunter2@h:port/db"),
    ] {
        let error = load(&[(name, value)], "", &[]).lock_choice().unwrap_err();
        let text = format!("{} {}", error.message, error.hint.as_deref().expect("a way out"));
        assert!(text.contains(name) && !text.contains("hunter2"), "{name}={value}: {text}");
    }
}

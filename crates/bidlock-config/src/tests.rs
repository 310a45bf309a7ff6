//! What the layers promise: order, origins, near keys, and that the reference file and `.env.example` hold
//! exactly the settings there are.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bidlock::backends::redis::RedisOptions;
use bidlock_market::Target;

use crate::{settings::SETTINGS, *};

mod files_and_places;

/// The real clients.
pub(crate) const ENGINES: Engines = Engines {
    redis: |url| {
        let options = RedisOptions::from_url(url);
        options.map(|options| options.place()).map_err(|error| ConfigError {
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
        })
    },
    postgres: |url| {
        let target = bidlock_postgres::Target::parse(url);
        target.map(|target| target.place().to_string()).map_err(|error| ConfigError {
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
        })
    },
};

fn around(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        working_folder: PathBuf::from("/work-folder"),
        ..Surroundings::default()
    }
}

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(around(variables), None, &[], ENGINES)
}

fn load_file(text: &str, variables: &[(&str, &str)]) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bidlock.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::load(around(variables), Some(&path), &[], ENGINES);
    (folder, config)
}

fn refused(config: Result<Config, ConfigError>) -> String {
    let error = config.unwrap_err();
    format!("{}\n{}", error.message, error.hint.expect("every refusal says the way out"))
}

#[test]
fn defaults_alone_are_a_whole_configuration() {
    let config = load(&[]).unwrap();
    assert_eq!(config.lock.ttl, Duration::from_secs(300));
    assert_eq!(config.submit.time_limit, Duration::from_secs(30));
    assert_eq!(config.target(), Target::DryRun);
    assert!(config.caps.per_day.is_empty() && !config.withdrawal.allow_rebid);
}

#[test]
fn flag_beats_own_variable_beats_known_name_beats_file_beats_default() {
    let text = "[lock]\nttl = \"40s\"\n";
    let (_f, config) = load_file(text, &[]);
    assert_eq!(config.unwrap().lock.ttl, Duration::from_secs(40));
    let (_f, config) = load_file(text, &[("REDIS_LOCK_TTL", "50")]);
    assert_eq!(config.unwrap().lock.ttl, Duration::from_secs(50));
    let (_f, config) = load_file(text, &[("REDIS_LOCK_TTL", "50"), ("BIDLOCK_LOCK_TTL", "60s")]);
    assert_eq!(config.unwrap().lock.ttl, Duration::from_secs(60));
    let both = [("REDIS_LOCK_TTL", "50"), ("BIDLOCK_LOCK__TTL", "70s")];
    let (_f, config) = load_file(text, &both);
    assert_eq!(config.unwrap().lock.ttl, Duration::from_secs(70));
    let flag = Override::new("lock.ttl", "80s", "--ttl");
    let config = Config::load(around(&both), None, &[flag], ENGINES).unwrap();
    assert_eq!(config.lock.ttl, Duration::from_secs(80));
    assert_eq!(config.named("lock.ttl"), "lock.ttl (--ttl)");
}

#[test]
fn an_empty_variable_is_unset() {
    let config = load(&[("REDIS_LOCK_TTL", ""), ("DATABASE_URL", " "), ("BIDLOCK_LOCK__TTL", "")]).unwrap();
    assert_eq!(config.lock.ttl, Duration::from_secs(300));
}

#[test]
fn a_bad_value_names_where_it_was_set() {
    for (name, value, part) in [
        ("REDIS_LOCK_TTL", "soon", "lock.ttl (REDIS_LOCK_TTL)"),
        ("REDIS_LOCK_TTL", "0", "at least 100ms"),
        ("BIDLOCK_LOCK__TTL", "300", "has no unit"),
        ("BIDLOCK_LOCK__TTL", "99ms", "at least 100ms"),
        ("BIDLOCK_LOCK__TTL", "9000d", "longer than 366 days"),
        ("BID_LOCK_TIMEOUT", "-1", "BID_LOCK_TIMEOUT"),
        ("BID_LOCK_RETRY_COUNT", "many", "from 0 to 1000"),
        ("BIDLOCK_SCAN__CONCURRENCY", "0", "from 1 to 1024"),
        ("BIDLOCK_SUBMIT__APPROVAL", "allways", "did you mean `always`"),
        ("BIDLOCK_SUBMIT__TARGET", "localhost:8080", "BIDLOCK_SUBMIT__TARGET"),
        ("BIDLOCK_LOG__LEVEL", "loud noise", "log.level"),
        ("BIDLOCK_CAPS__PER_DAY__UPWORK", "-3", "caps.per_day.upwork"),
        ("BIDLOCK_SCAN__EVERY", "0s", "longer than zero"),
        ("BIDLOCK_LOCK__HOLDER", "a\u{7}b", "control"),
    ] {
        let text = refused(load(&[(name, value)]));
        assert!(text.contains(part), "{name}={value}: {text}");
    }
    let (folder, config) = load_file("[submit]\ntime_limit = \"soon\"\n", &[]);
    let text = refused(config);
    assert!(text.contains("submit.time_limit"), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
}

#[test]
fn unknown_keys_are_errors_that_suggest_the_near_one() {
    let (_f, config) = load_file("[lock]\ntll = \"3s\"\n", &[]);
    assert!(refused(config).contains("did you mean `lock.ttl`?"));
    let (_f, config) = load_file("[redis]\nx = 1\n", &[]);
    assert!(refused(config).contains("unknown setting `redis.x`"));
    let (_f, config) = load_file("[lock]\nttl = [1]\n", &[]);
    assert!(refused(config).contains("cannot be a list"));
    let text = refused(load(&[("BIDLOCK_LOCK__TTTL", "3s")]));
    assert!(text.contains("did you mean BIDLOCK_LOCK__TTL?"), "{text}");
    assert!(load(&[("BIDLOCK_SERVICE_HOST", "10.0.0.1"), ("BIDLOCK_PORT_80_TCP_ADDR", "x")]).is_ok());
}

#[test]
fn broken_toml_names_the_line_and_shows_none_of_it() {
    let (_f, config) = load_file("[submit]\ntoken = \"hunter2\n", &[]);
    let text = refused(config);
    assert!(text.contains("bidlock.toml:2") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_time_limit_must_be_shorter_than_the_ttl() {
    let text = refused(load(&[("BIDLOCK_SUBMIT__TIME_LIMIT", "20s"), ("REDIS_LOCK_TTL", "20")]));
    for part in ["submit.time_limit (BIDLOCK_SUBMIT__TIME_LIMIT) is 20s", "lock.ttl (REDIS_LOCK_TTL) is 20s"]
    {
        assert!(text.contains(part), "{text}");
    }
    let config = load(&[("REDIS_LOCK_TTL", "2")]).unwrap();
    assert_eq!(config.submit.time_limit, Duration::from_secs(1), "the default gives way");
}

#[test]
fn ledger_urls_in_every_form() {
    for (url, path) in [
        ("sqlite:///rel.db", "/work-folder/rel.db"),
        ("sqlite:////abs/x.db", "/abs/x.db"),
        ("sqlite+aiosqlite:///x.db", "/work-folder/x.db"),
        ("sqlite:y.db", "/work-folder/y.db"),
        ("SQLITE:///x.db?timeout=5", "/work-folder/x.db"),
        ("plain/file.db", "/work-folder/plain/file.db"),
        ("./file.db", "/work-folder/file.db"),
        ("/abs/plain.db", "/abs/plain.db"),
        ("./odd:name.db", "/work-folder/odd:name.db"),
    ] {
        let config = load(&[("DATABASE_URL", url)]).unwrap();
        assert_eq!(config.ledger_place().unwrap(), LedgerPlace::Sqlite(PathBuf::from(path)), "{url}");
    }
    let (folder, config) = load_file("[ledger]\nurl = \"x.db\"\n", &[]);
    assert_eq!(
        config.unwrap().ledger_place().unwrap(),
        LedgerPlace::Sqlite(folder.path().join("x.db")),
        "beside its file"
    );
}

#[test]
fn a_ledger_on_postgresql_in_the_forms_that_its_users_know() {
    for url in [
        "postgres://u:hunter2@h/db",
        "postgresql://u:hunter2@h:5433/db?sslmode=require",
        "postgresql+asyncpg://u:hunter2@h/db",
        "PostgreSQL+psycopg2://u:hunter2@h/db",
    ] {
        let config = load(&[("DATABASE_URL", url)]).unwrap();
        let place = config.ledger_place().unwrap();
        assert!(matches!(&place, LedgerPlace::Postgres(whole) if whole.with_password() == url), "{place:?}");
        let shown = format!("{place} {place:?}");
        assert!(shown.contains("u:***@h") && !shown.contains("hunter2"), "{shown}");
        // Without another word, locks are rows of the same database.
        let choice = config.lock_choice().unwrap();
        assert!(matches!(&choice.place, LockPlace::Postgres(_)), "{choice:?}");
        assert_eq!(choice.place_by, "ledger.url (DATABASE_URL)");
    }
}

#[test]
fn ledgers_that_cannot_be_are_refused_by_name() {
    for (url, part) in [
        ("mysql://u:hunter2@h/db", "no engine"),
        ("postgres://u:hunter2@h:port/db", "port"),
        ("postgres://u:hunter2@h/db?sslmod=require", "sslmod"),
        ("sqlite://", "three slashes"),
        ("sqlite://x.db", "three slashes"),
        ("sqlite:///:memory:", "names no file"),
        (":memory:", "names no file"),
    ] {
        let error = load(&[("DATABASE_URL", url)]).unwrap().ledger_place().unwrap_err();
        let text = format!("{} {}", error.message, error.hint.unwrap());
        assert!(text.contains(part) && text.contains("DATABASE_URL"), "{url}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn secrets_come_from_files_and_show_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, "/secret/place.db\n").unwrap();
    let path = file.display().to_string();
    let config = load(&[("DATABASE_URL_FILE", &path), ("BIDLOCK_SUBMIT__TOKEN", "hunter2")]).unwrap();
    assert_eq!(config.ledger_place().unwrap(), LedgerPlace::Sqlite(PathBuf::from("/secret/place.db")));
    assert!(config.named("ledger.url").contains("DATABASE_URL_FILE"));
    let shown = serde_json::to_string(&config.shown()).unwrap();
    assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
    assert!(refused(load(&[("DATABASE_URL_FILE", "/no/such")])).contains("named by DATABASE_URL_FILE"));
    assert!(refused(load(&[("DATABASE_URL_FILE", &path), ("DATABASE_URL", "x")])).contains("both"));
    let both = load(&[("BIDLOCK_SUBMIT__TOKEN", "hunter2"), ("BIDLOCK_SUBMIT__TOKEN_FILE", &path)]).unwrap();
    let error = both.token().unwrap_err();
    assert!(error.message.contains("both") && !error.message.contains("hunter2"));
}

#[test]
fn caps_come_from_tables_and_variables() {
    let (_f, config) = load_file(
        "[caps]\nper_day = { upwork = 20, default = 50 }\n",
        &[("BIDLOCK_CAPS__PER_DAY__UPWORK", "5")],
    );
    let caps = config.unwrap().caps.per_day;
    assert_eq!(caps, BTreeMap::from([("default".to_owned(), 50), ("upwork".to_owned(), 5)]));
}

/// The reference holds every setting once, with its default where it has one.
#[test]
fn the_reference_is_the_table_of_settings() {
    let active: toml::Table = toml::from_str(REFERENCE).unwrap();
    let every_line: String = REFERENCE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_assignment(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let all: toml::Table = toml::from_str(&every_line).unwrap();
    for setting in SETTINGS {
        let key = setting.key.trim_end_matches(".*");
        let (table, name) = key.split_once('.').unwrap();
        assert!(all[table].get(name).is_some(), "{key} is missing in bidlock.reference.toml");
        let value = active.get(table).and_then(|t| t.get(name)).map(ToString::to_string);
        assert_eq!(value.as_deref(), setting.default, "{key}: the reference's value and the default differ");
    }
    let (_f, config) = load_file(&every_line.replace("manager_type", "#").replace("token = ", "#"), &[]);
    config.expect("the reference holds no unknown setting and no bad value");
    let (_f, config) = load_file(&commented_reference(), &[]);
    let shown = config.unwrap().shown();
    assert!(shown.iter().all(|s| s.origin == "default"), "`config init` changes nothing");
}

fn is_assignment(text: &str) -> bool {
    text.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

#[test]
fn env_example_names_only_what_is_read_and_all_known_names() {
    let text = include_str!("../../../.env.example");
    let names: Vec<&str> = text
        .lines()
        .map(|l| l.trim_start_matches(['#', ' ']))
        .filter_map(|l| l.split_once('=').map(|(name, _)| name))
        .filter(|n| {
            !n.is_empty() && n.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
        .collect();
    for name in &names {
        assert!(is_known_variable(name), "{name} is in .env.example, but nothing reads it");
    }
    let own = SETTINGS.iter().filter(|s| !s.key.ends_with(".*")).map(|s| crate::settings::variable_of(s.key));
    let known = SETTINGS.iter().flat_map(|s| s.known_names.iter().map(|n| (*n).to_owned()));
    for name in own.chain(known) {
        assert!(names.contains(&name.as_str()), "{name} is missing in .env.example");
    }
}

/// Postings are named so: under another spelling a cap would never count, and more bids go out than its owner allows.
#[test]
fn a_cap_counts_however_its_marketplace_is_written() {
    let (_f, config) = load_file("[caps.per_day]\nUpwork = 20\nWWR = 3\n\"job.board\" = 4\n", &[]);
    let caps = config.unwrap().caps.per_day;
    let expected = [("job.board", 4), ("upwork", 20), ("weworkremotely", 3)];
    assert_eq!(caps, expected.map(|(name, cap)| (name.to_owned(), cap)).into());
    let (_f, config) = load_file("[caps.per_day]\nUpwork = 20\n", &[("BIDLOCK_CAPS__PER_DAY__UPWORK", "5")]);
    assert_eq!(config.unwrap().caps.per_day["upwork"], 5, "the environment comes before the file");
    let (_f, config) = load_file("[caps.per_day]\nUpwork = 20\nupwork = 5\n", &[]);
    let text = refused(config);
    assert!(text.contains("caps.per_day.Upwork` is the same setting"), "{text}");
}

#[test]
fn a_name_that_could_be_read_in_two_ways_is_refused() {
    for text in ["\"lock.ttl\" = \"3s\"\n", "[lock.more]\n", "[locks]\n", "[caps]\n\"per_day.upwork\" = 1\n"]
    {
        let (_f, config) = load_file(text, &[]);
        assert!(refused(config).contains("unknown setting"), "{text}");
    }
    let text = refused(load(&[("BIDLOCK_lock__ttl", "3s")]));
    assert!(text.contains("did you mean BIDLOCK_LOCK__TTL?"), "{text}");
    let both = [("BIDLOCK_REDIS__PASSWORD", "a"), ("BIDLOCK_REDIS__PASSWORD_FILE", "/b")];
    assert!(refused(load(&both)).contains("both BIDLOCK_REDIS__PASSWORD and BIDLOCK_REDIS__PASSWORD_FILE"));
    let given = Override::new("lock.tll", "3s", "tll=");
    let error = Config::load(around(&[]), None, &[given], ENGINES).unwrap_err();
    assert_eq!(error.message, "tll=: unknown setting `lock.tll`");
}

/// As a path each of them would begin a ledger of its own, with the password in its name.
#[test]
fn what_is_neither_a_known_url_nor_a_path_is_refused_without_its_password() {
    for text in [
        "bob:hunter2@h:5432/db",
        "\"postgres://bob:hunter2@h/db\"",
        "postgres-x://bob:hunter2@h/db",
        "mysql+x.y://bob:hun/ter2@h/db",
        "bob:hunter2@h://x",
        "host=h password=hunter2 dbname=bids",
        "host=h password = hunter2 dbname=bids",
        "Server=h;Uid=u;Pwd=hunter2",
        "host=db.internal dbname=bids user=bidlock",
        "db.internal:5432/bids",
        "postgres:/db/bids",
        "postgres//db/bids",
        "redis//h",
        "bob@db.internal/bids",
        "redis:6379",
        "file:bids.db",
    ] {
        for variable in ["DATABASE_URL", "BIDLOCK_LOCK__URL"] {
            let config = load(&[(variable, text)]).unwrap();
            let error = match variable {
                "DATABASE_URL" => config.ledger_place().unwrap_err(),
                _ => config.lock_choice().unwrap_err(),
            };
            let shown = format!("{error:?} {:?}", config.shown());
            assert!(error.message.contains(variable) && error.hint.is_some(), "{text}: {shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("ter2"), "{text}: {shown}");
        }
    }
    let config = load(&[("DATABASE_URL", "./bob:hunter2@h/db")]).unwrap();
    let path = PathBuf::from("/work-folder/bob:hunter2@h/db");
    assert_eq!(config.ledger_place().unwrap(), LedgerPlace::Sqlite(path), "a path that says that it is one");
}

#[test]
fn a_broken_url_is_refused_without_the_password_that_is_set_beside_it() {
    for url in ["?edis://h:1/0", "redis://?h:1/0", "redis://h:port", "redis+unix://?x"] {
        let set = [("REDIS_URL", url), ("REDIS_PASSWORD", "hunter2"), ("BID_LOCK_MANAGER_TYPE", "redis")];
        let Err(error) = load(&set).and_then(|config| config.lock_choice()) else { panic!("{url} is taken") };
        let text = format!("{error:?}");
        assert!(!text.contains("hunter2") && text.contains("REDIS_URL"), "{url}: {text}");
    }
}

#[test]
fn a_url_in_the_wrong_setting_is_refused_without_its_password() {
    for name in [
        "BIDLOCK_LOCK__FALLBACK",
        "BIDLOCK_LOCK__RENEW",
        "BIDLOCK_LOCK__TTL",
        "BIDLOCK_SCAN__FORMAT",
        "BIDLOCK_SCAN__BATCH",
        "BIDLOCK_SUBMIT__TARGET",
        "BIDLOCK_SUBMIT__APPROVAL",
        "BIDLOCK_METRICS__LISTEN",
        "BIDLOCK_LOG__LEVEL",
        "BIDLOCK_LOG__FORMAT",
        "BIDLOCK_CAPS__PER_DAY__UPWORK",
        "BIDLOCK_SCAN__RULES",
    ] {
        for url in ["redis://:hunter2@h:6379/0", "bob:hunter2@h://x"] {
            let text = refused(load(&[(name, url)]));
            assert!(!text.contains("hunter2"), "{name}={url}: {text}");
        }
    }
    for text in ["postgres://bob:hunter2@h/db", "hunter2"] {
        let text = refused(load(&[("DATABASE_URL_FILE", text)]));
        assert!(text.contains("named by DATABASE_URL_FILE") && !text.contains("hunter2"), "{text}");
    }
    for name in ["BID_LOCK_MANAGER_TYPE", "USE_REDIS_LOCKS", "BIDLOCK_LOCK__HOLDER"] {
        let config = load(&[(name, "redis://:hunter2@h")]).unwrap();
        let shown = format!("{:?} {:?}", config.lock_choice(), config.shown());
        assert!(!shown.contains("hunter2"), "{name}: {shown}");
    }
}

#[test]
fn what_is_shown_is_what_counts() {
    let config = load(&[("REDIS_LOCK_TTL", "50"), ("BID_LOCK_TIMEOUT", "7")]).unwrap();
    let shown = config.shown();
    let value = |key: &str| shown.iter().find(|s| s.key == key).unwrap().value.clone().unwrap();
    assert_eq!((value("lock.ttl"), value("lock.timeout")), ("50s".to_owned(), "7s".to_owned()));
    let shown = load(&[("BIDLOCK_LOCK__TTL", "12345ms")]).unwrap().shown();
    let limit = shown.iter().find(|s| s.key == "submit.time_limit").unwrap();
    assert_eq!(limit.value.as_deref(), Some("6s 172ms 500us"), "in full");
    assert_eq!(limit.origin, "default; half of lock.ttl");
}

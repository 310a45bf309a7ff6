//! Whatever stands in the configuration file and in the environment gives settings, or an error that names what is wrong and
//! where it was set; neither ever shows a password.
//!
//! An input is a text: lines for the surroundings, a line `---`, and the file. Of the lines
//!
//! - `NAME=value` is a variable of the environment; where the name ends in `_FILE`, the value is that file's content,
//! - `--lock.ttl=80s` is given by the caller,
//! - `@NAME=scheme|user|a|b|rest` is a variable, `@lock.url=…` a key of the file, with a URL whose password is made of the
//!   two parts and a word between them that must never be seen.

use std::path::PathBuf;
use std::sync::Arc;

use bidlock::backends::redis::RedisOptions;
use bidlock_config::{
    Config, ConfigError, ConfigFile, Engines, LockPlace, Override, SETTINGS, Setting, Shown, Surroundings,
};

/// The word in passwords.
const SECRET: &str = "hunter2";
/// Where the file is said to be.
const FILE: &str = "/made-up/bidlock.toml";
/// Schemes with passwords.
const SCHEMES: [&str; 11] = [
    "redis",
    "rediss",
    "valkey",
    "redis+unix",
    "postgres",
    "postgresql",
    "postgresql+asyncpg",
    "mysql",
    "http",
    "https",
    "sqlite",
];

/// What users' processes pass: the clients themselves.
const ENGINES: Engines = Engines {
    redis: |url| {
        RedisOptions::from_url(url).map(|options| options.place()).map_err(|e| refused(e.message(), e.hint()))
    },
    postgres: |url| {
        let target = bidlock_postgres::Target::parse(url);
        target.map(|target| target.place().to_string()).map_err(|e| refused(e.message(), e.hint()))
    },
};

fn refused(message: &str, hint: Option<&str>) -> ConfigError {
    ConfigError { message: message.to_owned(), hint: hint.map(str::to_owned) }
}

/// An input, taken apart.
#[derive(Clone, Default)]
struct Input {
    around: Surroundings,
    given: Vec<Override>,
    file: String,
    has_secret: bool,
    /// What variables name; deleted with the last one that uses them.
    files: Vec<Arc<tempfile::NamedTempFile>>,
}

impl Input {
    /// `None` for what says nothing: a file that is read from the disk of whoever runs this, or a password that is none.
    fn of(text: &str) -> Option<Input> {
        // Settings that name files which the clients read at once.
        let lower = text.to_ascii_lowercase();
        if ["ca_file", "cert_file", "key_file", "sslrootcert", SECRET].iter().any(|word| lower.contains(word))
        {
            return None;
        }
        let (lines, file) = text.split_once("---\n").unwrap_or(("", text));
        let mut input = Input { file: file.to_owned(), ..Input::default() };
        input.around.working_folder = PathBuf::from("/made-up/work");
        input.around.data_folder = Some(PathBuf::from("/made-up/data"));
        for line in lines.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            if let Some(name) = name.strip_prefix('@') {
                input.add_secret(name, value)?;
            } else if let Some(key) = name.strip_prefix("--") {
                input.given.push(Override::new(key.to_owned(), value, format!("--{key}")));
            } else {
                input.add_variable(name, value.to_owned());
            }
        }
        Some(input)
    }

    fn add_variable(&mut self, name: &str, value: String) {
        // An environment has neither.
        if name.contains('\0') || value.contains('\0') || name.is_empty() {
            return;
        }
        let value = if name.ends_with("_FILE") && name != "BIDLOCK_SUBMIT__TOKEN_FILE" {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(&file, value).expect("a file");
            self.files.push(Arc::new(file));
            self.files[self.files.len() - 1].path().display().to_string()
        } else {
            value
        };
        self.around.variables.insert(name.to_owned(), value);
    }

    fn add_secret(&mut self, name: &str, value: &str) -> Option<()> {
        let parts: Vec<&str> = value.splitn(5, '|').collect();
        let [scheme, user, a, b, rest] = parts[..] else { return None };
        let plain = name.strip_suffix("_FILE").unwrap_or(name);
        let setting = SETTINGS
            .iter()
            .find(|s| s.key == name || own_variable(s.key) == plain || s.known_names.contains(&plain));
        let setting = setting.filter(|s| s.secret || (s.url && SCHEMES.contains(&scheme)))?;
        // Where a URL on the web ends its host, everybody agrees: what follows is no password, whoever meant it for one. A
        // user's name ends at the first colon.
        let before = format!("{user}:{a}");
        let is_strict = scheme.starts_with("http") || scheme == "sqlite" || scheme.ends_with("unix");
        if setting.url && (before.contains(['?', '#']) || (is_strict && before.contains(['/', '\\', '@']))) {
            return None;
        }
        self.has_secret = true;
        let value = match setting.secret {
            true => format!("{user}{a}{SECRET}{b}"),
            false => format!("{scheme}://{user}:{a}{SECRET}{b}@{rest}"),
        };
        if setting.key == name {
            self.file = format!("{name} = {}\n{}", toml::Value::String(value), self.file);
        } else {
            self.add_variable(name, value);
        }
        Some(())
    }

    fn read(&self) -> Result<Config, ConfigError> {
        Config::read(
            self.around.clone(),
            Some(&ConfigFile::new(FILE, self.file.as_str())),
            &self.given,
            ENGINES,
        )
    }

    /// Whether a text names a place where something was set.
    fn is_named_in(&self, text: &str) -> bool {
        let variables =
            self.around.variables.keys().filter(|name| {
                name.starts_with("BIDLOCK_") || SETTINGS.iter().any(|s| is_known_name(s, name))
            });
        let given = self.given.iter().map(|given| &*given.by);
        text.contains(FILE) || variables.map(String::as_str).chain(given).any(|name| text.contains(name))
    }

    /// An error names who set what is wrong, says the way out, and shows no password.
    fn check_error(&self, error: &ConfigError) {
        let whole = format!("{error:?}");
        assert!(self.is_named_in(&error.message), "names nobody: {whole}");
        assert!(error.hint.is_some(), "no way out: {whole}");
        self.check_hidden(&whole);
    }

    fn check_hidden(&self, shown: &str) {
        assert!(!self.has_secret || !shown.contains(SECRET), "a password: {shown}");
    }

    /// Everything that can be asked of settings, opened or not.
    fn check(&self, config: &Config) {
        let shown = config.shown();
        self.check_hidden(&format!("{config:?} {shown:?}"));
        let choice = config.lock_choice();
        for error in
            [config.ledger_place().err(), config.legacy_place().err(), choice.as_ref().err().cloned()]
        {
            error.iter().for_each(|error| self.check_error(error));
        }
        self.check_hidden(&format!("{:?} {:?} {choice:?}", config.ledger_place(), config.legacy_place()));
        if let Ok(place) = config.ledger_place() {
            self.check_hidden(&place.to_string());
        }
        if let Ok(choice) = &choice {
            self.check_hidden(&choice.place.to_string());
            if let LockPlace::Redis(url) = &choice.place {
                self.check_hidden(&config.redis_of_old_instances(url).unwrap_or_default());
            }
        }
        // What is read in other places is read without a panic.
        let _ = (config.locks_beside_the_ledger(), config.is_development(), config.target().to_string());
        if shown.iter().all(|s| s.key != "submit.token_file" || s.value.is_none()) {
            let token = config.token();
            self.check_hidden(&format!("{token:?}"));
            token.err().iter().for_each(|error| self.check_error(error));
        }
        self.check_it_reads_back(config, &shown);
        self.check_nothing_unknown();
        self.check_order(&shown);
    }

    /// What is shown in full reads back as the same settings.
    fn check_it_reads_back(&self, config: &Config, shown: &[Shown]) {
        let text = |s: &Shown| Some((s.key.clone(), s.value.clone()?));
        let values: Vec<(String, String)> = shown.iter().filter_map(text).collect();
        if values.iter().any(|(_, value)| value.contains("***")) {
            return;
        }
        let mut file = toml::Table::new();
        for (key, value) in &values {
            let (table, name) = key.split_once('.').expect("a table and a name");
            let table = file
                .entry(table)
                .or_insert_with(|| toml::Table::new().into())
                .as_table_mut()
                .expect("a table");
            let (table, name) = match name.strip_prefix("per_day.") {
                None => (table, name),
                Some(name) => {
                    let caps = table.entry("per_day").or_insert_with(|| toml::Table::new().into());
                    (caps.as_table_mut().expect("a table"), name)
                }
            };
            table.insert(name.to_owned(), value.clone().into());
        }
        let around = Surroundings { variables: Default::default(), ..self.around.clone() };
        let again = Config::read(around, Some(&ConfigFile::new(FILE, file.to_string())), &[], ENGINES)
            .unwrap_or_else(|error| panic!("{error:?} in\n{file}"));
        let typed = |c: &Config| {
            format!(
                "{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
                c.lock, c.scan, c.submit, c.caps, c.withdrawal, c.metrics, c.log
            )
        };
        assert_eq!(typed(config), typed(&again));
    }

    /// Settings were read: every name in the file and each `BIDLOCK_*` is one of the table.
    fn check_nothing_unknown(&self) {
        let tables: toml::Table = self.file.parse().expect("it was read");
        for (table, inner) in &tables {
            for (name, _) in inner.as_table().expect("settings stand in tables") {
                let key = format!("{table}.{name}");
                assert!(
                    SETTINGS.iter().any(|s| s.key == key || s.key == format!("{key}.*")),
                    "unknown: {key}"
                );
            }
        }
        const OTHERS: [&str; 4] = ["BIDLOCK_SERVICE_", "BIDLOCK_PORT", "BIDLOCK_TEST_", "BIDLOCK_DEMO_"];
        const OTHER: [&str; 5] =
            ["CONFIG", "ALLOW_MEMORY_FALLBACK", "REAL_DATA", "LEASE_KEY", "FENCING_TOKEN"];
        for name in self.around.variables.keys().filter(|name| self.around.variable(name).is_some()) {
            let Some(rest) = name.strip_prefix("BIDLOCK_") else { continue };
            let is_known = OTHER.contains(&rest)
                || OTHERS.iter().any(|prefix| name.starts_with(prefix))
                || rest.starts_with("CAPS__PER_DAY__")
                || SETTINGS.iter().any(|s| is_known_name(s, name) || is_own_name(s, name));
            assert!(is_known, "unknown: {name}");
        }
    }

    /// Each value is that of the first layer that has one: given, `BIDLOCK_*`, known names, the file, the default.
    fn check_order(&self, shown: &[Shown]) {
        let tables: toml::Table = self.file.parse().expect("it was read");
        for setting in SETTINGS.iter().filter(|s| !s.key.ends_with('*')) {
            let (table, name) = setting.key.split_once('.').expect("a table and a name");
            let given =
                self.given.iter().find(|given| given.key == setting.key).map(|given| given.by.to_string());
            let own = [own_variable(setting.key)].into_iter();
            let names = own.chain(setting.known_names.iter().map(|name| (*name).to_owned()));
            let mut names = names.flat_map(|name| [format!("{name}_FILE"), name]);
            let in_file = tables.get(table).is_some_and(|inner| inner.get(name).is_some());
            let expected = given
                .or_else(|| {
                    names.find(|name| {
                        is_or_may_be_in_file(setting, name) && self.around.variable(name).is_some()
                    })
                })
                .or_else(|| in_file.then(|| format!("{FILE}:{}", setting.key)))
                .unwrap_or_else(|| "default".to_owned());
            let one = shown.iter().find(|s| s.key == setting.key).expect("every setting is shown");
            let origin = one.origin.split([' ', ';']).next().unwrap_or_default();
            assert_eq!(
                origin,
                expected.split([' ', ';']).next().unwrap_or_default(),
                "{}: {one:?}",
                setting.key
            );
        }
    }
}

/// `BIDLOCK_LOCK__TTL` for `lock.ttl`.
fn own_variable(key: &str) -> String {
    format!("BIDLOCK_{}", key.to_uppercase().replace('.', "__"))
}

fn is_or_may_be_in_file(setting: &Setting, name: &str) -> bool {
    setting.secret || setting.url || !name.ends_with("_FILE") || own_variable(setting.key) == name
}

fn is_known_name(setting: &Setting, name: &str) -> bool {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    is_or_may_be_in_file(setting, name)
        && setting.known_names.iter().any(|known| *known == plain || *known == name)
}

fn is_own_name(setting: &Setting, name: &str) -> bool {
    let own = own_variable(setting.key);
    own == name || (is_or_may_be_in_file(setting, name) && name.strip_suffix("_FILE") == Some(&own))
}

/// Panics where one of these does not hold.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(input) = Input::of(text) else { return };
    match input.read() {
        Ok(config) => input.check(&config),
        Err(error) => input.check_error(&error),
    }
}

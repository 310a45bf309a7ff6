//! Where values come from: what the caller gives, variables, known names, one file, defaults; the first that has one
//! counts.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    ConfigError,
    hiding::{is_plain_path, quoted},
    origin::{Origin, Raw},
    settings::{self, SETTINGS},
};

/// A larger configuration file is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// A larger secret is a mistake.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// A setting that the caller gives: it comes before everything else.
#[derive(Clone, PartialEq, Eq)]
pub struct Override {
    /// The setting, such as `ledger.url`.
    pub key: Cow<'static, str>,
    /// As given.
    pub value: String,
    /// What gives it, for messages: `--database`.
    pub by: Cow<'static, str>,
}

impl Override {
    /// This value for this setting, given by what is called so.
    pub fn new(
        key: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        by: impl Into<Cow<'static, str>>,
    ) -> Override {
        Override { key: key.into(), value: value.into(), by: by.into() }
    }
}

/// Without the value: it may be a secret.
impl std::fmt::Debug for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Override").field("key", &self.key).field("by", &self.by).finish_non_exhaustive()
    }
}

/// All that settings are read from, but for the file's text; tests make their own.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The working folder.
    pub working_folder: PathBuf,
    /// Where configuration files are looked for, best first.
    pub file_places: Vec<PathBuf>,
    /// Where the ledger is that no setting names; `None` where this user has no home.
    pub data_folder: Option<PathBuf>,
}

/// Without the environment: it holds secrets.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("working_folder", &self.working_folder)
            .field("file_places", &self.file_places)
            .field("data_folder", &self.data_folder)
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Those of this process. Values that are not UTF-8 are taken with marks in place of what can't be read.
    pub fn of_this_process() -> Surroundings {
        let working_folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let dirs = directories::ProjectDirs::from("", "", "bidlock");
        let mut file_places = vec![working_folder.join("bidlock.toml")];
        file_places.extend(dirs.iter().map(|dirs| dirs.config_dir().join("bidlock.toml")));
        file_places.push(PathBuf::from("/etc/bidlock/bidlock.toml"));
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        let data_folder = dirs.map(|dirs| dirs.data_dir().to_owned());
        Surroundings { variables, working_folder, file_places, data_folder }
    }

    /// A variable; an empty one counts as unset.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }
}

/// A configuration file: its path, from which relative paths in it count, and its text.
#[derive(Clone)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
}

/// Without the text: it may hold secrets.
impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConfigFile").field(&self.path).finish()
    }
}

impl ConfigFile {
    /// A file with this text, which need not be on any disk.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> ConfigFile {
        ConfigFile { path: path.into(), text: text.into() }
    }

    /// Reads the one file that counts: the chosen one, else the one that `BIDLOCK_CONFIG` names, else the first that exists
    /// of the usual places. `None` where there is none.
    ///
    /// # Errors
    /// It can't be read, is larger than 1 MiB, or is not UTF-8.
    pub fn find(around: &Surroundings, chosen: Option<&Path>) -> Result<Option<ConfigFile>, ConfigError> {
        let chosen = match (chosen, around.variable("BIDLOCK_CONFIG")) {
            (Some(path), _) => Some((around.working_folder.join(path), "--config")),
            (None, Some(path)) => Some((around.working_folder.join(path), "BIDLOCK_CONFIG")),
            (None, None) => None,
        };
        let path = match &chosen {
            Some((path, _)) => path.clone(),
            None => match around.file_places.iter().find(|p| p.exists()) {
                Some(path) => path.clone(),
                None => return Ok(None),
            },
        };
        let text = read_bounded(&path, MAX_FILE_BYTES).map_err(|e| {
            let named = chosen.map(|(_, by)| format!(" (named by {by})")).unwrap_or_default();
            ConfigError::new(format!("cannot read the configuration file {}{named}: {e}", path.display()))
                .hint("check the path, or start one with `bidlock config init`")
        })?;
        Ok(Some(ConfigFile { path, text }))
    }
}

/// The layers, merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, Raw>,
    /// The configuration file that was read.
    pub(crate) file: Option<PathBuf>,
}

impl Layers {
    /// Merges all layers.
    ///
    /// # Errors
    /// The file can't be parsed, a key or a `BIDLOCK_*` variable is unknown, a `*_FILE` can't be read.
    pub(crate) fn read(
        around: &Surroundings,
        file: Option<&ConfigFile>,
        given: &[Override],
    ) -> Result<Layers, ConfigError> {
        let mut layers = Layers::default();
        for one in given {
            if settings::find(&one.key).is_none() {
                return Err(unknown_key(&one.by, &one.key));
            }
            layers.add(one.key.to_string(), one.value.clone(), Origin::Given(one.by.to_string()));
        }
        layers.read_own_variables(around)?;
        layers.read_known_names(around)?;
        if let Some(file) = file {
            layers.read_file(file)?;
        }
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                layers.add(setting.key.to_owned(), default.trim_matches('"').to_owned(), Origin::Default);
            }
        }
        Ok(layers)
    }

    /// The value that counts.
    pub(crate) fn get(&self, key: &str) -> Option<&Raw> {
        self.values.get(key)
    }

    /// The values of a table with free keys, such as `caps.per_day.`.
    pub(crate) fn under<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (&'a str, &'a Raw)> {
        self.values.iter().filter_map(move |(key, raw)| Some((key.strip_prefix(table)?, raw)))
    }

    /// The first layer that has a value wins.
    fn add(&mut self, key: String, text: String, origin: Origin) {
        self.values.entry(settings::one_form(key)).or_insert(Raw { text, origin });
    }

    fn read_own_variables(&mut self, around: &Surroundings) -> Result<(), ConfigError> {
        for name in around.variables.keys().filter(|n| n.starts_with("BIDLOCK_")) {
            let Some(text) = around.variable(name) else { continue };
            if settings::is_other_variable(name)
                || SETTINGS.iter().any(|s| s.known_names.contains(&name.as_str()))
            {
                continue;
            }
            if let Some(key) = settings::key_of(name) {
                self.add(key, text.to_owned(), Origin::Variable(name.clone()));
                continue;
            }
            let plain = name.strip_suffix("_FILE").unwrap_or_default();
            match settings::key_of(plain).filter(|key| may_be_in_file(key)) {
                Some(key) => self.add_secret_file(around, key, plain, text)?,
                None => return Err(unknown_variable(name)),
            }
        }
        Ok(())
    }

    fn read_known_names(&mut self, around: &Surroundings) -> Result<(), ConfigError> {
        for setting in SETTINGS {
            for name in setting.known_names {
                if let Some(text) = around.variable(name) {
                    self.add(setting.key.to_owned(), text.to_owned(), Origin::Variable((*name).to_owned()));
                }
                let path = around.variable(&format!("{name}_FILE"));
                if let Some(path) = path.filter(|_| may_be_in_file(setting.key)) {
                    self.add_secret_file(around, setting.key.to_owned(), name, path)?;
                }
            }
        }
        Ok(())
    }

    /// The value of a variable that names a file; `plain` is its name without `_FILE`.
    fn add_secret_file(
        &mut self,
        around: &Surroundings,
        key: String,
        plain: &str,
        path: &str,
    ) -> Result<(), ConfigError> {
        let name = format!("{plain}_FILE");
        if around.variable(plain).is_some() {
            return Err(ConfigError::new(format!("both {plain} and {name} are set"))
                .hint(format!("unset one of them; {name} names a file that holds the value")));
        }
        // What is no path for sure may be the secret itself, in the wrong variable.
        let shown = if is_plain_path(path) { path } else { "the file" };
        let path = around.working_folder.join(path);
        let text = read_bounded(&path, MAX_SECRET_BYTES).map_err(|e| {
            ConfigError::new(format!("cannot read {shown}, named by {name}: {e}"))
                .hint(format!("check that the file exists and may be read, or unset {name}"))
        })?;
        self.add(key, text.trim().to_owned(), Origin::SecretFile(name, path));
        Ok(())
    }

    fn read_file(&mut self, file: &ConfigFile) -> Result<(), ConfigError> {
        let (path, text) = (&file.path, &file.text);
        let table: toml::Table = toml::from_str(text).map_err(|e| {
            // Not the error's own picture of the line: that line may hold a secret.
            let line = e.span().and_then(|s| Some(text.get(..s.start)?.matches('\n').count() + 1));
            let line = line.map(|l| format!(":{l}")).unwrap_or_default();
            ConfigError::new(format!("{}{line} is not valid TOML: {}", path.display(), e.message()))
                .hint("text values stand in quotes: ttl = \"300s\"")
        })?;
        let mut flat = Vec::new();
        flatten(path, "", &table, &mut flat)?;
        for (key, value) in flat {
            let text = as_text(path, &key, value)?;
            let origin = Origin::File(path.clone(), key.clone());
            if let Some(Origin::File(_, twin)) =
                self.get(&settings::one_form(key.clone())).map(|raw| &raw.origin)
            {
                return Err(ConfigError::new(format!("{origin}: {} is the same setting", quoted(twin)))
                    .hint("keep one of them"));
            }
            self.add(key, text, origin);
        }
        self.file = Some(path.clone());
        Ok(())
    }
}

/// Whether the setting may be given as `NAME_FILE`.
fn may_be_in_file(key: &str) -> bool {
    settings::find(key).is_some_and(|s| s.secret || s.url)
}

fn flatten<'a>(
    path: &Path,
    prefix: &str,
    table: &'a toml::Table,
    into: &mut Vec<(String, &'a toml::Value)>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let setting = settings::find(&key);
        // `"lock.ttl" = …` in quotes is another key than `ttl` in `[lock]`: which of the two would count?
        if name.contains('.') && setting.is_none_or(|s| s.key != format!("{prefix}.*")) {
            return Err(unknown_key(&path.display().to_string(), &key));
        }
        match value {
            toml::Value::Table(inner) if setting.is_none() => {
                // Also an empty one: what its owner writes into it next would not be read either.
                if !SETTINGS
                    .iter()
                    .any(|s| s.key.strip_prefix(&key).is_some_and(|rest| rest.starts_with('.')))
                {
                    return Err(unknown_key(&path.display().to_string(), &key));
                }
                flatten(path, &key, inner, into)?;
            }
            value => into.push((key, value)),
        }
    }
    Ok(())
}

fn as_text(path: &Path, key: &str, value: &toml::Value) -> Result<String, ConfigError> {
    if settings::find(key).is_none() {
        return Err(unknown_key(&path.display().to_string(), key));
    }
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(yes) => Ok(yes.to_string()),
        other => Err(ConfigError::new(format!("{}:{key} cannot be {}", path.display(), kind_of(other)))
            .hint("`bidlock.reference.toml` and `bidlock config init` show the form of every setting")),
    }
}

fn kind_of(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "a text",
        toml::Value::Integer(_) => "a whole number",
        toml::Value::Float(_) => "a number with a point",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
    }
}

fn unknown_key(place: &str, key: &str) -> ConfigError {
    let near = settings::nearest(key, SETTINGS.iter().map(|s| s.key));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`bidlock config show` lists every setting".to_owned(),
    };
    ConfigError::new(format!("{place}: unknown setting {}", quoted(key))).hint(hint)
}

fn unknown_variable(name: &str) -> ConfigError {
    let known: Vec<String> = SETTINGS.iter().map(|s| settings::variable_of(s.key)).collect();
    let hint = match settings::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}? Two underscores stand between table and key"),
        None => "`bidlock config show` lists every setting; lock.ttl is BIDLOCK_LOCK__TTL".to_owned(),
    };
    ConfigError::new(format!("the variable {name} is set, but there is no such setting")).hint(hint)
}

/// The whole of a small text file.
///
/// # Errors
/// It can't be read, is larger than `most` bytes, or is not UTF-8.
pub fn read_bounded(path: &Path, most: u64) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if read as u64 > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

//! Where values come from: flags, variables, known names, one file, defaults; the first that has one counts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::settings::{self, SETTINGS};
use crate::{args::Override, failure::CliError};

/// A larger configuration file is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// A larger secret is a mistake.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Where a value was really set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(String),
    /// The file that a `*_FILE` variable names.
    SecretFile(String, PathBuf),
    /// A key of the configuration file.
    File(PathBuf, String),
    /// Nobody set it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Variable(name) => f.write_str(name),
            Origin::SecretFile(name, path) => write!(f, "{name} ({})", path.display()),
            Origin::File(path, key) => write!(f, "{}:{key}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A value as text, with its origin. Whether it is right is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// As text, whatever it was in TOML.
    pub(crate) text: String,
    /// Who set it.
    pub(crate) origin: Origin,
}

/// All that the layers are read from; tests make their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// The working folder.
    pub(crate) working_folder: PathBuf,
    /// Where configuration files are looked for, best first.
    pub(crate) file_places: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Surroundings {
        let working_folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let mut file_places = vec![working_folder.join("bidlock.toml")];
        if let Some(dirs) = directories::ProjectDirs::from("", "", "bidlock") {
            file_places.push(dirs.config_dir().join("bidlock.toml"));
        }
        file_places.push(PathBuf::from("/etc/bidlock/bidlock.toml"));
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        Surroundings { variables, working_folder, file_places }
    }

    /// A variable; an empty one counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
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
    /// Reads and merges all layers.
    ///
    /// # Errors
    /// A file can't be read or parsed, a key or a `BIDLOCK_*` variable is unknown, a `*_FILE` can't be read.
    pub(crate) fn read(
        surroundings: &Surroundings,
        file: Option<&Path>,
        flags: &[Override],
    ) -> Result<Layers, CliError> {
        let mut layers = Layers::default();
        for flag in flags {
            layers.add(flag.key.to_owned(), flag.value.clone(), Origin::Flag(flag.flag));
        }
        layers.read_own_variables(surroundings)?;
        layers.read_known_names(surroundings)?;
        layers.read_file(surroundings, file)?;
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
        self.values.entry(key).or_insert(Raw { text, origin });
    }

    fn read_own_variables(&mut self, around: &Surroundings) -> Result<(), CliError> {
        for name in around.variables.keys().filter(|n| n.starts_with("BIDLOCK_")) {
            let Some(text) = around.variable(name) else { continue };
            if settings::is_other_variable(name)
                || SETTINGS.iter().any(|s| s.known_names.contains(&name.as_str()))
            {
                continue;
            }
            let Some(key) = settings::key_of(name) else { continue };
            if settings::find(&key).is_some() {
                self.add(key, text.to_owned(), Origin::Variable(name.clone()));
                continue;
            }
            let base = name.strip_suffix("_FILE").and_then(settings::key_of).filter(|k| may_be_in_file(k));
            match base {
                Some(key) => self.add_secret_file(around, key, name, text)?,
                None => return Err(unknown_variable(name)),
            }
        }
        Ok(())
    }

    fn read_known_names(&mut self, around: &Surroundings) -> Result<(), CliError> {
        for setting in SETTINGS {
            for name in setting.known_names {
                if let Some(text) = around.variable(name) {
                    self.add(setting.key.to_owned(), text.to_owned(), Origin::Variable((*name).to_owned()));
                }
                let in_file = format!("{name}_FILE");
                if let Some(path) = around.variable(&in_file).filter(|_| may_be_in_file(setting.key)) {
                    if around.variable(name).is_some() {
                        return Err(CliError::usage(format!("both {name} and {in_file} are set")).hint(
                            format!("unset one of them; {in_file} names a file that holds the value"),
                        ));
                    }
                    self.add_secret_file(around, setting.key.to_owned(), &in_file, path)?;
                }
            }
        }
        Ok(())
    }

    fn add_secret_file(
        &mut self,
        around: &Surroundings,
        key: String,
        name: &str,
        path: &str,
    ) -> Result<(), CliError> {
        let path = around.working_folder.join(path);
        let text = read_bounded(&path, MAX_SECRET_BYTES).map_err(|e| {
            CliError::usage(format!("cannot read {}, named by {name}: {e}", path.display()))
                .hint(format!("check that the file exists and may be read, or unset {name}"))
        })?;
        self.add(key, text.trim().to_owned(), Origin::SecretFile(name.to_owned(), path));
        Ok(())
    }

    fn read_file(&mut self, around: &Surroundings, chosen: Option<&Path>) -> Result<(), CliError> {
        let chosen = match (chosen, around.variable("BIDLOCK_CONFIG")) {
            (Some(path), _) => Some((around.working_folder.join(path), "--config")),
            (None, Some(path)) => Some((around.working_folder.join(path), "BIDLOCK_CONFIG")),
            (None, None) => None,
        };
        let path = match &chosen {
            Some((path, _)) => path.clone(),
            None => match around.file_places.iter().find(|p| p.exists()) {
                Some(path) => path.clone(),
                None => return Ok(()),
            },
        };
        let text = read_bounded(&path, MAX_FILE_BYTES).map_err(|e| {
            let named = chosen.map(|(_, by)| format!(" (named by {by})")).unwrap_or_default();
            CliError::usage(format!("cannot read the configuration file {}{named}: {e}", path.display()))
                .hint("check the path, or start one with `bidlock config init`")
        })?;
        let table: toml::Table = toml::from_str(&text).map_err(|e| {
            // Not the error's own picture of the line: that line may hold a secret.
            let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            let line = line.map(|l| format!(":{l}")).unwrap_or_default();
            CliError::usage(format!("{}{line} is not valid TOML: {}", path.display(), e.message()))
                .hint("text values stand in quotes: ttl = \"300s\"")
        })?;
        let mut flat = Vec::new();
        flatten("", &table, &mut flat);
        for (key, value) in flat {
            let text = as_text(&path, &key, value)?;
            self.add(key.clone(), text, Origin::File(path.clone(), key));
        }
        self.file = Some(path);
        Ok(())
    }
}

/// Whether the setting may be given as `NAME_FILE`.
fn may_be_in_file(key: &str) -> bool {
    settings::find(key).is_some_and(|s| s.secret || s.url)
}

fn flatten<'a>(prefix: &str, table: &'a toml::Table, into: &mut Vec<(String, &'a toml::Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) if settings::find(&key).is_none() => flatten(&key, inner, into),
            value => into.push((key, value)),
        }
    }
}

fn as_text(path: &Path, key: &str, value: &toml::Value) -> Result<String, CliError> {
    if settings::find(key).is_none() {
        return Err(unknown_key(path, key));
    }
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(yes) => Ok(yes.to_string()),
        other => Err(CliError::usage(format!("{}:{key} cannot be {}", path.display(), kind_of(other)))
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

fn unknown_key(path: &Path, key: &str) -> CliError {
    let near = settings::nearest(key, SETTINGS.iter().map(|s| s.key));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`bidlock config show` lists every setting".to_owned(),
    };
    CliError::usage(format!("{}: unknown setting `{key}`", path.display())).hint(hint)
}

fn unknown_variable(name: &str) -> CliError {
    let known: Vec<String> = SETTINGS.iter().map(|s| settings::variable_of(s.key)).collect();
    let hint = match settings::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}? Two underscores stand between table and key"),
        None => "`bidlock config show` lists every setting; lock.ttl is BIDLOCK_LOCK__TTL".to_owned(),
    };
    CliError::usage(format!("the variable {name} is set, but there is no such setting")).hint(hint)
}

/// The whole of a small text file.
///
/// # Errors
/// It can't be read, is too large, or is not UTF-8.
pub(crate) fn read_bounded(path: &Path, most: u64) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if read as u64 > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

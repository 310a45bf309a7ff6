//! All settings with their values and origins, for `config show`. Secrets never come out of here.

use serde::Serialize;

use super::{
    layers::{Layers, Origin, Raw, Surroundings},
    places,
    settings::{self, SETTINGS, Setting},
    values,
};

/// One setting as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    /// The setting.
    pub(crate) key: String,
    /// Its value without secrets; `None` where it is not set.
    pub(crate) value: Option<String>,
    /// Where it was set.
    pub(crate) origin: String,
    /// The variable that sets it.
    pub(crate) variable: String,
}

/// Every setting in the table's order.
pub(super) fn all(layers: &Layers, around: &Surroundings) -> Vec<Shown> {
    let mut shown = Vec::new();
    for setting in SETTINGS {
        match setting.key.strip_suffix('*') {
            None => shown.push(one(setting, setting.key, layers.get(setting.key), around)),
            Some(table) => {
                for (name, raw) in layers.under(table) {
                    shown.push(one(setting, &format!("{table}{name}"), Some(raw), around));
                }
            }
        }
    }
    shown
}

fn one(setting: &Setting, key: &str, raw: Option<&Raw>, around: &Surroundings) -> Shown {
    let value = raw.map(|raw| {
        if setting.secret {
            "***".to_owned()
        } else if setting.url {
            values::without_password(&raw.text)
        } else if setting.path {
            places::resolve(&raw.text, &raw.origin, around).display().to_string()
        } else {
            raw.text.clone()
        }
    });
    let origin = raw.map_or(Origin::Default, |raw| raw.origin.clone());
    Shown { key: key.to_owned(), value, origin: origin.to_string(), variable: settings::variable_of(key) }
}

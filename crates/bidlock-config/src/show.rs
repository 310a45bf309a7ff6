//! All settings with their values and origins, for `config show`. Secrets never come out of here.

use std::time::Duration;

use serde::Serialize;

use crate::{
    Config,
    hiding::without_password,
    origin::{Origin, Raw},
    places,
    reader::Sources,
    settings::{self, SETTINGS, Setting},
    values,
};

/// One setting as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The setting.
    pub key: String,
    /// Its value without secrets; `None` where it is not set.
    pub value: Option<String>,
    /// Where it was set.
    pub origin: String,
    /// The variable that sets it.
    pub variable: String,
}

/// Every setting in the table's order.
pub(crate) fn all(from: &Sources, config: &Config) -> Vec<Shown> {
    let mut shown = Vec::new();
    for setting in SETTINGS {
        match setting.key.strip_suffix('*') {
            None => shown.push(one(setting, setting.key, from.layers.get(setting.key), from)),
            Some(table) => {
                for (name, raw) in from.layers.under(table) {
                    shown.push(one(setting, &format!("{table}{name}"), Some(raw), from));
                }
            }
        }
    }
    as_they_count(&mut shown, config);
    shown
}

fn one(setting: &Setting, key: &str, raw: Option<&Raw>, from: &Sources) -> Shown {
    let value = raw.map(|raw| {
        if setting.secret {
            "***".to_owned()
        } else if setting.path {
            places::resolve(&raw.text, &raw.origin, &from.around).display().to_string()
        } else {
            // Any text may be a URL by mistake.
            without_password(&raw.text)
        }
    });
    let origin = raw.map_or(Origin::Default, |raw| raw.origin.clone());
    Shown { key: key.to_owned(), value, origin: origin.to_string(), variable: settings::variable_of(key) }
}

/// What was fitted to another setting (`Config::fit_limits`), or stands in the seconds of an old variable, is shown as it
/// counts.
fn as_they_count(shown: &mut [Shown], config: &Config) {
    let durations: [(&str, Duration, Option<&str>); 4] = [
        ("lock.ttl", config.lock.ttl, None),
        ("lock.timeout", config.lock.timeout, None),
        ("submit.time_limit", config.submit.time_limit, Some("half of lock.ttl")),
        ("submit.connect_limit", config.submit.connect_limit, Some("no more than submit.time_limit")),
    ];
    for (key, counts, because) in durations {
        for setting in shown.iter_mut().filter(|setting| setting.key == key) {
            if setting.value.as_deref().map(values::duration) != Some(Ok(counts)) {
                setting.value = Some(values::exact_duration(counts));
                if let Some(because) = because {
                    setting.origin = format!("{}; {because}", setting.origin);
                }
            }
        }
    }
}

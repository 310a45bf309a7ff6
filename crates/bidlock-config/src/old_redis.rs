//! Where old instances lock, as far as this environment tells: they read the variables `REDIS_*`. A scan that stands
//! beside them and locks elsewhere keeps none of them away.

use crate::{ServerUrl, reader::Sources};

/// A server's address, as far as something names it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Address {
    host: Option<String>,
    port: Option<String>,
    db: Option<String>,
}

/// Where old instances lock that have only some of the parts.
const DEFAULTS: [(&str, &str); 3] = [("REDIS_HOST", "localhost"), ("REDIS_PORT", "6379"), ("REDIS_DB", "0")];

/// The variables of old instances that name another server or database than these locks are in, with what they name. `None`
/// where they name none, or the same. A host that has two names looks like two, and so does a server that is reached by a
/// socket: what can't be compared counts as another.
pub(crate) fn another(from: &Sources, locks: &ServerUrl) -> Option<String> {
    let around = &from.around;
    let ours = address(from, locks.with_password());
    if let Some(url) = around.variable("REDIS_URL") {
        let theirs = address(from, url);
        let same = (theirs.is_some() && theirs == ours) || url == locks.with_password();
        return (!same).then(|| format!("REDIS_URL ({})", ServerUrl::new(url)));
    }
    if DEFAULTS.iter().all(|(name, _)| around.variable(name).is_none()) {
        return None;
    }
    let ours = ours.unwrap_or_default();
    let parts = DEFAULTS.into_iter().zip([&ours.host, &ours.port, &ours.db]);
    let others = parts.filter_map(|((name, default), ours)| {
        let given = around.variable(name);
        let theirs = given.unwrap_or(default);
        let by = if given.is_some() { "" } else { "by default " };
        (Some(one_name(theirs)) != *ours).then(|| format!("{name} ({by}{})", shown(theirs)))
    });
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| others.join(", "))
}

/// `None` for what is no URL of a server that is reached by TCP.
fn address(from: &Sources, url: &str) -> Option<Address> {
    let place = (from.engines.redis)(url).ok()?;
    let (scheme, rest) = place.split_once("://")?;
    let (server, db) = rest.rsplit_once('/')?;
    let (host, port) = server.rsplit_once(':')?;
    let text = |text: &str| Some(text.to_owned());
    matches!(scheme, "redis" | "rediss").then(|| Address {
        host: Some(one_name(host)),
        port: text(port),
        db: text(db),
    })
}

/// A part may be a whole URL by mistake, or hold a password without being one.
fn shown(part: &str) -> String {
    match part.rsplit_once('@') {
        Some((_, host)) if !part.contains("://") => format!("***@{host}"),
        _ => ServerUrl::new(part).to_string(),
    }
}

/// This host has several.
fn one_name(host: &str) -> String {
    match host.trim_matches(['[', ']']) {
        "localhost" | "::1" => "127.0.0.1".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Surroundings, layers::Layers, tests::ENGINES};

    #[test]
    fn another_server_or_database_is_told_and_the_same_is_not() {
        let found = |locks: &str, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let around = Surroundings { variables: variables.collect(), ..Surroundings::default() };
            let from = Sources { layers: Layers::default(), around, engines: ENGINES };
            another(&from, &ServerUrl::new(locks))
        };
        let locks = "redis://:secret@cache.example:6379/0";
        for same in [
            &[][..],
            &[("REDIS_URL", "redis://cache.example")],
            &[("REDIS_URL", "redis://someone:else@Cache.Example:6379/0")],
            &[("REDIS_HOST", "cache.example"), ("REDIS_PORT", "6379"), ("REDIS_DB", "0")],
            &[("REDIS_HOST", "cache.example")],
        ] {
            assert_eq!(found(locks, same), None, "{same:?}");
        }
        assert_eq!(found("redis://localhost", &[("REDIS_URL", "redis://127.0.0.1:6379")]), None);
        let socket = "redis+unix:///run/redis.sock";
        assert_eq!(found(socket, &[("REDIS_URL", socket)]), None);
        for (other, named) in [
            (("REDIS_URL", "redis://u:hidden@cache.example:6379/3"), "/3"),
            (("REDIS_URL", "redis://cache.example:6380/0"), "6380"),
            (("REDIS_HOST", "old.example"), "old.example"),
            (("REDIS_DB", "3"), "REDIS_DB (3)"),
            // What is not given is what old instances take by themselves.
            (("REDIS_PORT", "6379"), "REDIS_HOST (by default localhost)"),
            (("REDIS_HOST", "redis://u:hidden@cache.example:6379/0"), "cache.example"),
            (("REDIS_HOST", "u:hidden@cache.example"), "REDIS_HOST"),
            // What can't be compared.
            (("REDIS_URL", "redis+unix:///run/redis.sock"), "redis.sock"),
            (("REDIS_URL", "redis://u:hidden@cache.example:port/0"), "cache.example"),
        ] {
            let told = found(locks, &[other]).unwrap();
            assert!(told.contains(named) && !told.contains("hidden"), "{told}");
        }
        // A URL beats the parts, for old instances as well.
        assert_eq!(found(locks, &[("REDIS_URL", "redis://cache.example"), ("REDIS_DB", "3")]), None);
    }
}

//! Where Redis is: a URL, or its parts; the password fills a missing one.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    ConfigError, ServerUrl,
    origin::{Raw, named},
    reader::Sources,
    values,
};

/// The settings that stand for a server without a URL.
pub(crate) const PARTS: [&str; 3] = ["redis.host", "redis.port", "redis.db"];
/// All settings that say something about Redis alone.
pub(crate) const SETTINGS: [&str; 5] =
    ["redis.url", "redis.host", "redis.port", "redis.db", "redis.password"];

/// A server, and the settings that named it.
pub(crate) struct RedisServer {
    pub(crate) url: ServerUrl,
    /// As `redis.host (REDIS_HOST), redis.port (REDIS_PORT)`.
    pub(crate) by: String,
    /// Settings that were set and say nothing new.
    pub(crate) unused: Vec<&'static str>,
}

/// The server of a URL that stands under this setting.
///
/// # Errors
/// It is no URL of Redis.
pub(crate) fn of_url(key: &str, raw: &Raw, from: &Sources) -> Result<RedisServer, ConfigError> {
    let layers = &from.layers;
    let given = raw.text.trim();
    let name = named(key, Some(raw));
    let filled = layers.get("redis.password").and_then(|password| fill_password(given, &password.text));
    let mut unused: Vec<&'static str> = PARTS.into_iter().filter(|part| layers.get(part).is_some()).collect();
    if filled.is_none() && layers.get("redis.password").is_some() {
        unused.push("redis.password");
    }
    // First as it was written: no message about it can name the password.
    let url = checked(from, &name, given.to_owned())?;
    let url = filled.map_or(Ok(url), |filled| checked(from, &name, filled))?;
    Ok(RedisServer { url, by: name, unused })
}

/// The server of host, port and database, each with its default.
///
/// # Errors
/// One of them can't be used.
pub(crate) fn of_parts(from: &Sources) -> Result<RedisServer, ConfigError> {
    let layers = &from.layers;
    let refuse = |key: &str, why: String| {
        ConfigError::new(format!("{}: {why}", named(key, layers.get(key))))
            .hint("host, port and database number stand alone; a whole URL goes into REDIS_URL")
    };
    let text = |key: &str| layers.get(key).map(|raw| raw.text.trim());
    let number = |key: &str, default: u64, most: u64| {
        text(key).map_or(Ok(default), |t| values::whole(t, 0, most)).map_err(|why| refuse(key, why))
    };
    let host = text("redis.host").unwrap_or("127.0.0.1");
    if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
        return Err(refuse("redis.host", "this is no host's name".to_owned()));
    }
    // The address of a host by IPv6 stands in brackets in a URL.
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let port = number("redis.port", 6_379, u64::from(u16::MAX))?;
    let db = number("redis.db", 0, u64::from(u32::MAX >> 1))?;
    let url = format!("redis://{host}:{port}/{db}");
    let filled = text("redis.password").and_then(|password| fill_password(&url, password));
    let by: Vec<String> =
        PARTS.iter().filter_map(|key| layers.get(key).map(|raw| named(key, Some(raw)))).collect();
    let by = if by.is_empty() { "redis.host (default)".to_owned() } else { by.join(", ") };
    let url = checked(from, &by, filled.unwrap_or(url))?;
    Ok(RedisServer { url, by, unused: Vec::new() })
}

fn checked(from: &Sources, name: &str, url: String) -> Result<ServerUrl, ConfigError> {
    match (from.engines.redis)(&url) {
        Ok(_) => Ok(ServerUrl::new(url)),
        Err(error) => Err(error.because_of(name)),
    }
}

/// The URL with this password; `None` where it has one.
fn fill_password(url: &str, password: &str) -> Option<String> {
    let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
    let (scheme, rest) = url.split_once("://")?;
    if scheme.ends_with("unix") {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.split('&').any(|part| part.starts_with("pass=")) {
            return None;
        }
        let more = if query.is_empty() { String::new() } else { format!("&{query}") };
        return Some(format!("{scheme}://{path}?pass={password}{more}"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    match user.split_once(':') {
        Some((_, given)) if !given.is_empty() => None,
        Some((user, _)) => Some(format!("{scheme}://{user}:{password}@{host}{tail}")),
        None => Some(format!("{scheme}://{user}:{password}@{host}{tail}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fills_a_missing_one_and_no_other() {
        for (url, filled) in [
            ("redis://h:1/2", Some("redis://:p%2F%40@h:1/2")),
            ("redis://bob@h", Some("redis://bob:p%2F%40@h")),
            ("redis://bob:@h", Some("redis://bob:p%2F%40@h")),
            ("rediss://h?x=1", Some("rediss://:p%2F%40@h?x=1")),
            ("redis+unix:///run/r.sock?db=2", Some("redis+unix:///run/r.sock?pass=p%2F%40&db=2")),
            ("redis+unix:///run/r.sock?pass=x", None),
            ("redis://:own@h", None),
            ("redis://bob:own@h", None),
        ] {
            assert_eq!(fill_password(url, "p/@").as_deref(), filled, "{url}");
        }
    }
}

//! Where a Redis server is, and how long to wait for it.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates,
};

use super::NAME;
use crate::error::{Error, ErrorKind, Result};

/// How long to wait for a connection: name resolution, TCP, TLS, log-in and the server's checks.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for an answer. A server that is well answers in microseconds; one that has not in this time is
/// asked on a new connection.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
/// How often an idle connection is tried.
const HEALTH_CHECK_EVERY: Duration = Duration::from_secs(30);
/// When the kernel begins to try an idle connection, and how often.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long the kernel keeps on sending what nobody acknowledges.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(10);

/// The longest prefix of all keys, in bytes.
const MAX_KEY_PREFIX_BYTES: usize = 64;

const WAY_OUT: &str = "write redis://HOST:PORT/DB, redis://USER:PASSWORD@HOST:PORT, rediss://… for TLS, \
                       or redis+unix:///path/to/socket";

/// A server, how it is used, and time limits. `Debug` shows no password.
#[derive(Clone)]
pub struct RedisOptions {
    pub(super) server: ConnectionInfo,
    pub(super) tls: Option<TlsCertificates>,
    pub(super) key_prefix: String,
    /// Whether waiters come in turn even where a lock becomes free without a hand-over: whoever asks finds it taken
    /// by whoever has waited longest. It costs a second look for each lock that is asked for. `false`.
    pub in_turn: bool,
    /// How long to wait for a connection, with all that belongs to it: 5 s.
    pub connect_limit: Duration,
    /// How long to wait for an answer: 2 s.
    pub response_limit: Duration,
    /// How often an idle connection is tried: 30 s.
    pub health_check_every: Duration,
}

impl RedisOptions {
    /// From a URL: `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, `rediss://…` with TLS, `redis+unix:///SOCKET[?db=DB]`.
    ///
    /// Behind a `?` may stand `key_prefix=TEXT` ([`with_key_prefix`](RedisOptions::with_key_prefix)), `in_turn=yes`
    /// ([`in_turn`](RedisOptions::in_turn)), and with TLS `ca_file=PATH`, the authorities to trust instead of the
    /// system's, and `cert_file=PATH` with `key_file=PATH`, who we are (all PEM).
    ///
    /// # Errors
    /// It is none, or a file can't be read; the error does not repeat the URL, because it may hold a password.
    pub fn from_url(url: &str) -> Result<RedisOptions> {
        let (url, settings) = Settings::split_off(url)?;
        // The client's own words may repeat a part of the URL.
        let server = url.into_connection_info().map_err(|_| invalid("this is not a Redis URL"))?;
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let tcp = tcp.set_user_timeout(UNACKNOWLEDGED_LIMIT);
        let protocol =
            server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        let options = RedisOptions {
            server: server.set_tcp_settings(tcp).set_redis_settings(protocol),
            tls: None,
            key_prefix: String::new(),
            in_turn: settings.in_turn,
            connect_limit: CONNECT_LIMIT,
            response_limit: RESPONSE_LIMIT,
            health_check_every: HEALTH_CHECK_EVERY,
        };
        let tls = settings.certificates()?;
        if tls.is_some() && !options.uses_tls() {
            return Err(invalid("certificates are named for a connection without TLS"));
        }
        RedisOptions { tls, ..options }.with_key_prefix(&settings.key_prefix)
    }

    /// Puts a text before the name of every key: fleets that have nothing to do with each other can share a server.
    /// Old clients, whose keys have none, are then no longer excluded.
    ///
    /// # Errors
    /// It is longer than 64 bytes, or holds a brace or a control character.
    pub fn with_key_prefix(mut self, prefix: &str) -> Result<RedisOptions> {
        let odd = |c: char| c.is_control() || matches!(c, '{' | '}');
        if prefix.len() > MAX_KEY_PREFIX_BYTES || prefix.contains(odd) {
            return Err(invalid("a key prefix is up to 64 bytes without braces and control characters"));
        }
        prefix.clone_into(&mut self.key_prefix);
        Ok(self)
    }

    /// What stands before every key; empty where nothing does. Old clients are excluded only by keys without one.
    pub fn key_prefix(&self) -> &str {
        &self.key_prefix
    }

    /// The server without user and password, for people.
    pub fn place(&self) -> String {
        let db = self.server.redis_settings().db();
        match self.server.addr() {
            ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}/{db}"),
            ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}/{db}"),
            ConnectionAddr::Unix(path) => format!("redis+unix://{}?db={db}", path.display()),
            _ => "redis".to_owned(),
        }
    }

    pub(super) fn uses_tls(&self) -> bool {
        matches!(self.server.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// The same for a server that knows only the old protocol, before Redis 6.
    pub(super) fn server_without_push(&self) -> ConnectionInfo {
        let settings = self.server.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        self.server.clone().set_redis_settings(settings)
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisOptions")
            .field("place", &self.place())
            .field("key_prefix", &self.key_prefix)
            .field("in_turn", &self.in_turn)
            .field("connect_limit", &self.connect_limit)
            .field("response_limit", &self.response_limit)
            .field("health_check_every", &self.health_check_every)
            .finish_non_exhaustive()
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, NAME, "connect", message.into()).with_hint(WAY_OUT)
}

/// What a URL says behind its `?` that is ours and not the client's.
#[derive(Default)]
struct Settings {
    key_prefix: String,
    in_turn: bool,
    ca_file: Option<String>,
    cert_file: Option<String>,
    key_file: Option<String>,
}

impl Settings {
    /// What is ours, and the URL without it.
    fn split_off(url: &str) -> Result<(String, Settings)> {
        let mut settings = Settings::default();
        if url.ends_with("#insecure") {
            return Err(invalid("a server's certificate is always looked at: there is no `#insecure`")
                .with_hint("name the authority that signed it by `?ca_file=PATH`"));
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value =
                value.map_err(|_| invalid("what stands behind the URL's `?` is not text"))?.into_owned();
            match name {
                "key_prefix" => settings.key_prefix = value,
                "in_turn" => settings.in_turn = yes_or_no(&value)?,
                "ca_file" => settings.ca_file = Some(value),
                "cert_file" => settings.cert_file = Some(value),
                "key_file" => settings.key_file = Some(value),
                // Of a socket's URL.
                "db" | "user" | "pass" => others.push(pair),
                _ => {
                    // What is no word may be a password that nobody has encoded.
                    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    let shown = if is_word { format!("`{name}`") } else { "such setting".to_owned() };
                    return Err(invalid(format!("a Redis URL has no {shown} behind its `?`")).with_hint(
                        "there are key_prefix, in_turn, ca_file, cert_file and key_file; db, user and pass of a socket",
                    ));
                }
            }
        }
        let mut url = place.to_owned();
        if !others.is_empty() {
            url = url + "?" + &others.join("&");
        }
        Ok((url, settings))
    }

    fn certificates(&self) -> Result<Option<TlsCertificates>> {
        let read = |name: &str, path: &str| {
            std::fs::read(path).map_err(|error| {
                Error::new(ErrorKind::Invalid, NAME, "connect", format!("the {name} {path} can't be read"))
                    .with_hint("name a PEM file that this user may read")
                    .with_source(error)
            })
        };
        let root_cert = self.ca_file.as_ref().map(|path| read("ca_file", path)).transpose()?;
        let client_tls = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig {
                client_cert: read("cert_file", cert)?,
                client_key: read("key_file", key)?,
            }),
            (None, None) => None,
            _ => return Err(invalid("cert_file and key_file belong together")),
        };
        let named = root_cert.is_some() || client_tls.is_some();
        Ok(named.then_some(TlsCertificates { client_tls, root_cert }))
    }
}

fn yes_or_no(text: &str) -> Result<bool> {
    match text {
        "" | "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(invalid("the URL's `in_turn` is neither yes nor no")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_no_secrets() {
        for (url, place) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("redis://:hunter2@h:1/3", "redis://h:1/3"),
            ("rediss://bob:hunter2@h", "rediss://h:6379/0"),
            ("redis+unix:///run/redis.sock?db=2&pass=hunter2", "redis+unix:///run/redis.sock?db=2"),
        ] {
            let options = RedisOptions::from_url(url).unwrap();
            assert_eq!(options.place(), place, "{url}");
            let shown = format!("{options:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("bob"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_it() {
        for url in [
            "redis:",
            "redis://",
            "redis://:hunter2@",
            "redis://u:hunter2@h:port",
            "redis://h/hunter2",
            "redis://:12?hunter2@h",
            "redis://:12?hunter2@h=%ff",
        ] {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn settings_behind_a_url_are_taken_and_strange_ones_refused() {
        let options = RedisOptions::from_url("redis://h/2?key_prefix=a%3A&in_turn=yes").unwrap();
        assert_eq!((options.key_prefix.as_str(), options.in_turn), ("a:", true));
        assert_eq!(options.place(), "redis://h:6379/2");
        let options = RedisOptions::from_url("redis+unix:///s.sock?db=2&key_prefix=b:").unwrap();
        assert_eq!((options.key_prefix.as_str(), options.in_turn), ("b:", false));
        assert_eq!(options.place(), "redis+unix:///s.sock?db=2");
        for (url, words) in [
            ("redis://h?keyprefix=x", "has no `keyprefix`"),
            ("redis://h?key_prefix=%7B", "braces"),
            ("rediss://h#insecure", "always looked at"),
            ("redis://h?in_turn=perhaps", "neither yes nor no"),
            ("rediss://h?cert_file=x", "belong together"),
            ("rediss://h?ca_file=/nowhere/ca.pem", "the ca_file /nowhere/ca.pem can't be read"),
        ] {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

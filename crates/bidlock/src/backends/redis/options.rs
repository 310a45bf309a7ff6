//! Where a Redis server is, and how long to wait for it.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

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

const WAY_OUT: &str = "write redis://HOST:PORT/DB, redis://USER:PASSWORD@HOST:PORT, rediss://… for TLS, \
                       or redis+unix:///path/to/socket";

/// A server and its time limits. `Debug` shows no password.
#[derive(Clone)]
pub struct RedisOptions {
    pub(super) server: ConnectionInfo,
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
    /// # Errors
    /// It is none; the error does not repeat it, because it may hold a password.
    pub fn from_url(url: &str) -> Result<RedisOptions> {
        let invalid = |message: &str| {
            Error::new(ErrorKind::Invalid, NAME, "connect", message.to_owned()).with_hint(WAY_OUT)
        };
        // The client's own words may repeat a part of the URL.
        let server = url.into_connection_info().map_err(|_| invalid("this is not a Redis URL"))?;
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let tcp = tcp.set_user_timeout(UNACKNOWLEDGED_LIMIT);
        let settings =
            server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        Ok(RedisOptions {
            server: server.set_tcp_settings(tcp).set_redis_settings(settings),
            connect_limit: CONNECT_LIMIT,
            response_limit: RESPONSE_LIMIT,
            health_check_every: HEALTH_CHECK_EVERY,
        })
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
            .field("connect_limit", &self.connect_limit)
            .field("response_limit", &self.response_limit)
            .field("health_check_every", &self.health_check_every)
            .finish_non_exhaustive()
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
        for url in
            ["redis:", "redis://", "redis://:hunter2@", "redis://u:hunter2@h:port", "redis://h/hunter2"]
        {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

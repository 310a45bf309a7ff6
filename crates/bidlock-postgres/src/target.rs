//! A database URL, understood.

use std::{fmt, sync::Arc, time::Duration};

use tokio_postgres::{Config, config::SslMode};
use url::Url;

use crate::{Error, ErrorKind, Result, tls::Trust};

/// How long connecting to one host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is probed after so long: a peer that vanished is noticed within two minutes.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// Sent bytes that nobody acknowledges for so long end the connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Settings of other drivers that mean nothing here, and are harmless.
const IGNORED: [&str; 5] = [
    "statement_cache_size",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "pgbouncer",
    "pool_size",
];

/// Where a database is and how to connect to it. Shows neither password nor key.
#[derive(Clone)]
pub struct Target {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    place: Arc<str>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.place).finish()
    }
}

impl Target {
    /// Understands `postgres://user:password@host:5432/database?sslmode=…` and `postgresql://…`, also with the driver
    /// that SQLAlchemy wants in the scheme (`postgresql+asyncpg://…`).
    ///
    /// # Errors
    /// [`ErrorKind::Unfit`]: not such a URL, or a setting in it that is not known.
    pub fn parse(url: &str) -> Result<Target> {
        let nowhere: Arc<str> = "the database URL".into();
        let unfit = |message: String| {
            Error::new(ErrorKind::Unfit, &nowhere, message)
                .with_hint("write postgres://user:password@host:5432/database")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unfit("it has no `://`".to_owned()))?;
        let engine = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
        if !matches!(engine.as_str(), "postgres" | "postgresql") {
            return Err(unfit(format!("`{scheme}` is not PostgreSQL")));
        }
        // Several hosts (`a:1,b:2`) are no URL to everybody: only the driver's own parser knows them.
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut mode, mut root, mut kept) = (None, None, Vec::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" | "ssl" => mode = Some(value.into_owned()),
                "sslrootcert" => root = Some(value.into_owned()),
                name if IGNORED.contains(&name) => {}
                _ => kept.push((name.into_owned(), value.into_owned())),
            }
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&kept).finish();
        // The driver decodes per cent, and takes a plus for itself.
        let plain = format!("postgresql://{base}?{}", query.replace('+', "%20"));
        let mut config: Config = plain.parse().map_err(|e: tokio_postgres::Error| {
            let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            unfit(format!("it can't be understood: {cause}"))
        })?;
        let trust = Trust::of(mode.as_deref(), root.as_deref()).map_err(unfit)?;
        settle(&mut config, &trust);
        let place = place_of(base, &config).into();
        Ok(Target { config, trust, place })
    }

    /// The URL without password and settings, for messages.
    pub fn place(&self) -> &Arc<str> {
        &self.place
    }
}

fn settle(config: &mut Config, trust: &Trust) {
    config.ssl_mode(match trust {
        Trust::Off => SslMode::Disable,
        Trust::Prefer => SslMode::Prefer,
        _ => SslMode::Require,
    });
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("bidlock");
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED);
    }
    config
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
}

fn place_of(base: &str, config: &Config) -> String {
    let parsed = Url::parse(&format!("postgres://{base}")).ok();
    let hosts = match parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port()))) {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        // What comes after the last `@` and before the path; the password is before it.
        None => {
            let hosts = base.rsplit_once('@').map_or(base, |(_, hosts)| hosts);
            hosts.split('/').next().unwrap_or_default().to_owned()
        }
    };
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{hosts}/{}", config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_users_have_are_understood_and_show_no_password() {
        for (url, place) in [
            ("postgres://me:se%2Fcret@db:5433/bids", "postgres://me@db:5433/bids"),
            ("postgresql://me:se%2Fcret@db/bids", "postgres://me@db/bids"),
            ("postgresql+asyncpg://me:se%2Fcret@db/bids?ssl=require", "postgres://me@db/bids"),
            (
                "postgresql+psycopg2://me:se%2Fcret@[::1]:5432/bids?sslmode=disable",
                "postgres://me@[::1]:5432/bids",
            ),
            (
                "postgres://me:se%2Fcret@a:1,b:2/bids?target_session_attrs=read-write",
                "postgres://me@a:1,b:2/bids",
            ),
            (
                "postgres://me@db/bids?prepared_statement_cache_size=0&application_name=my%20app",
                "postgres://me@db/bids",
            ),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(&**target.place(), place, "{url}");
            assert!(!format!("{target:?}").contains("cret"), "{target:?}");
        }
        let two = Target::parse("postgres://me:x@a:1,b:2/bids").unwrap();
        assert_eq!(two.config.get_hosts().len(), 2);
        assert_eq!(
            Target::parse("postgres://me:a%2Fb%20c@h/d").unwrap().config.get_password(),
            Some(&b"a/b c"[..])
        );
    }

    #[test]
    fn what_is_not_understood_is_named_without_the_password() {
        for (url, word) in [
            ("mysql://me:secret@db/bids", "mysql"),
            ("postgres://me:secret@db/bids?sslmod=require", "sslmod"),
            ("postgres://me:secret@db/bids?sslmode=sometimes", "sometimes"),
            ("postgres://me:secret@db:port/bids", "port"),
        ] {
            let error = Target::parse(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(word) && !text.contains("secret"), "{text}");
            assert_eq!(error.kind(), ErrorKind::Unfit);
        }
    }
}

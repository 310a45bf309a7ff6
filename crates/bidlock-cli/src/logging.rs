//! Logs: tracing to stderr, quiet unless asked for. Never to stdout, which is data.

use tracing_subscriber::{EnvFilter, fmt, fmt::format::FmtSpan, prelude::*};

use crate::app::App;

/// Spans (`lock.acquire`, `lock.hold`, `ledger.claim`, `bid.send`) are told when they end, by when they know how long
/// everything took: from the level `info` on, which is `-v`.
const SPANS: FmtSpan = FmtSpan::CLOSE;

/// Starts logging as `-q`, `-v`, `RUST_LOG`, `log.level` say, in this order. A broken configuration gives the
/// default here: the command itself reports it, if it needs it at all.
pub(crate) fn start(app: &App) {
    let config = app.config().ok();
    let from_environment = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let level = app
        .verbosity()
        .map(str::to_owned)
        .or(from_environment)
        .or_else(|| config.map(|c| c.log.level.clone()))
        .unwrap_or_else(|| "warn".to_owned());
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("warn"));
    let json = app.out.json || config.is_some_and(|c| c.log.json);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start (there is none) or a foreign subscriber is nothing to fail for.
    let _ = if json {
        registry.with(fmt::layer().json().with_span_events(SPANS).with_writer(std::io::stderr)).try_init()
    } else {
        registry
            .with(fmt::layer().with_ansi(app.out.color).with_span_events(SPANS).with_writer(std::io::stderr))
            .try_init()
    };
}

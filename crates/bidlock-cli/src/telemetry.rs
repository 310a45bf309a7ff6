//! Metrics for Prometheus: the recorder of this process, and the listener that serves what it holds.
//!
//! Off unless `metrics.listen` says where. Start it before ledger and locks are opened: what counts takes its
//! instruments from the recorder when it is made.

mod listener;
mod watch;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bidlock::{LockBackend, LockManagerBuilder, layers};
use bidlock_config::Config;
use bidlock_ledger::LedgerStore;
use bidlock_metrics::{BUILD_INFO, FALLBACK_ACTIVE, Kind, Marketplaces};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) use self::watch::Watched;
use crate::{app::App, failure::CliError};

/// How often the recorder puts away what was observed since: observations wait in memory until then.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The marketplaces that have a label of their own; set with this process's recorder, and only then.
static COUNTED: OnceLock<Marketplaces> = OnceLock::new();

/// A recorder, and a listener that does not answer yet.
pub(crate) struct Telemetry {
    recorder: PrometheusHandle,
    listener: TcpListener,
}

impl Telemetry {
    /// Listens where `metrics.listen` says, if it says so, and installs the recorder.
    ///
    /// # Errors
    /// The address can't be listened at.
    pub(crate) async fn start(app: &App) -> Result<Option<Telemetry>, CliError> {
        let config = app.config()?;
        let Some(wanted) = config.metrics.listen else { return Ok(None) };
        let cannot = |e: &dyn std::fmt::Display| {
            CliError::unavailable(format!(
                "{}: cannot serve metrics at {wanted}: {e}",
                config.named("metrics.listen")
            ))
            .hint("each scan of a host needs an address of its own; --metrics-listen 0 takes a free port")
        };
        let listener = TcpListener::bind(wanted).await.map_err(|e| cannot(&e))?;
        let address = listener.local_addr().map_err(|e| cannot(&e))?;
        let recorder = install(config).map_err(|e| cannot(&e))?;
        warn_of_strangers(app, address);
        app.out.say(format!("metrics at http://{address}/metrics"));
        Ok(Some(Telemetry { recorder, listener }))
    }

    /// Answers until the handle is dropped; with each answer, says how these stores are.
    pub(crate) fn serve(self, watched: Watched) -> Serving {
        let recorder = self.recorder.clone();
        let upkeep = tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                recorder.run_upkeep();
            }
        });
        let answering = tokio::spawn(listener::answer_all(self.listener, self.recorder, Arc::new(watched)));
        Serving([upkeep, answering])
    }
}

/// Ends the serving when it is dropped.
pub(crate) struct Serving([JoinHandle<()>; 2]);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The marketplaces to count by; `None` where nothing is counted.
pub(crate) fn counted() -> Option<&'static Marketplaces> {
    COUNTED.get()
}

/// This engine with its answers and errors counted, where anything is. Right around each engine, below retries and
/// fall-back.
pub(crate) fn metered(engine: Arc<dyn LockBackend>) -> Arc<dyn LockBackend> {
    match counted() {
        Some(_) => Arc::new(layers::metrics::Metered::new(engine)),
        None => engine,
    }
}

/// This ledger with its answers, errors and alarms counted, where anything is.
pub(crate) fn metered_ledger(ledger: Arc<dyn LedgerStore>) -> Arc<dyn LedgerStore> {
    match counted() {
        Some(_) => Arc::new(bidlock_ledger::layers::metrics::Metered::new(ledger)),
        None => ledger,
    }
}

/// A manager to be, with its attempts and holds counted, where anything is.
pub(crate) fn counting(manager: LockManagerBuilder) -> LockManagerBuilder {
    match counted() {
        Some(marketplaces) => manager.metrics(marketplaces),
        None => manager,
    }
}

/// Installs the recorder, with the buckets and help texts of the table, and what never changes in a scan.
fn install(config: &Config) -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let mut builder = PrometheusBuilder::new();
    for series in bidlock_metrics::ALL {
        if let Kind::Histogram(bounds) = series.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(series.name.to_owned()), bounds)?;
        }
    }
    let recorder = builder.install_recorder()?;
    bidlock_metrics::describe();
    BUILD_INFO.gauge(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    FALLBACK_ACTIVE.gauge(&[]).set(0.0);
    let _ = COUNTED.set(marketplaces(config)); // a second recorder would have been refused above
    Ok(recorder)
}

/// Those with rules of their own, and those that the configuration names.
fn marketplaces(config: &Config) -> Marketplaces {
    let capped = config.caps.per_day.keys().filter(|name| *name != "default");
    let named =
        config.scan.marketplace.iter().chain(capped).map(|name| bidlock_market::marketplace_name(name));
    Marketplaces::new(bidlock_market::known_marketplaces().map(str::to_owned).chain(named))
}

fn warn_of_strangers(app: &App, address: SocketAddr) {
    if !address.ip().is_loopback() {
        app.out.warn(format!(
            "metrics are served at {address} to every host that can reach it, without a password: name no address \
             but of this host (127.0.0.1), or let a firewall say who may come"
        ));
    }
}

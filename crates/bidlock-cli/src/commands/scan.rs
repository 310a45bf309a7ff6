//! `bidlock scan`: feeds in, at most one bid per posting out.

mod feeds;
mod report;

use std::{cell::RefCell, sync::Arc};

use bidlock::{Clock, SystemClock};
use bidlock_ledger::{Claimant, Currency, PostingId};
use bidlock_market::{LookUpError, Marketplace};
use bidlock_pipeline::{
    BidMetrics, Caps, Decision, DeclineReason, Evaluator, Parts, Pipeline, PipelineError, PipelineOptions,
    Scan, ScanOptions, Stop,
};
use futures::{StreamExt, future};

use self::{
    feeds::{Feeds, Item},
    report::Report,
};
use crate::{
    app::{Access, App},
    args::{MinAmount, ScanArgs},
    binding::Binding,
    config,
    exit::Exit,
    failure::CliError,
    stores,
    telemetry::{self, Telemetry, Watched},
};

/// Runs one pass, or one after the other with `--every`, until the feeds are answered or a signal stops it.
///
/// # Errors
/// The command line, a file or an engine can't be used. What the marketplace answers is no error.
pub(crate) async fn run(app: &App, args: ScanArgs) -> Result<Exit, CliError> {
    let config = app.config()?;
    let feeds = Feeds::new(config, &args.feeds)?;
    let marketplace = app.marketplace(&config.target())?;
    let sends = marketplace.capabilities().sends;
    if !sends {
        app.out.warn("dry run: nothing is sent and no bid is recorded; give --submit URL to send");
    }
    if sends {
        warn_of_a_wrong_address(app, &*marketplace).await;
    }
    let stop = Stop::default();
    listen_for_signals(stop.clone());
    let telemetry = Telemetry::start(app).await?;
    let Opened { pipeline, binding, watched } = open(app, &args, marketplace, stop.clone()).await?;
    let _serving_until_the_end = telemetry.map(|telemetry| telemetry.serve(watched));
    let options =
        ScanOptions { batch: config.scan.batch, wait: config.scan.wait, patience: config.scan.patience };
    let mut report = Report::new(app, !sends, stop.clone());
    loop {
        let mut scan = Scan::new(Arc::clone(&pipeline), options);
        let pass = one_pass(&mut scan, &feeds, &mut report).await;
        // What happened before a failure is told too.
        report.summary(pipeline.stale_claims())?;
        pass.map_err(CliError::from)?;
        match config.scan.every {
            Some(every) if !stop.is_stopping() && pipeline.sending_stopped().is_none() => {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = stop.stopping() => break,
                }
            }
            _ => break,
        }
    }
    pipeline.shutdown().await;
    report.write_failure()?;
    if let Some(refused) = binding.as_ref().and_then(Binding::refused) {
        return Err(refused);
    }
    if let Some(detail) = pipeline.sending_stopped() {
        return Err(CliError::new(Exit::SendingStopped, format!("sending has stopped: {detail}"))
            .hint("nothing was accepted; mend the account or the token, then scan again"));
    }
    Ok(report.exit())
}

/// A 404 to a submission means "refused for good". Behind a mistyped address every posting would be refused
/// so, which is worth a look before the first bid. No reason to stop: a marketplace may have no look-up.
async fn warn_of_a_wrong_address(app: &App, marketplace: &dyn Marketplace) {
    let Ok(probe) = PostingId::new("bidlock", "address-check") else { return };
    if let Err(LookUpError::Status { status: 404 | 405 | 410, .. }) = marketplace.look_up(&probe).await {
        app.out.warn(format!(
            "{} has no look-up: `reconcile` can't settle what gets lost there, and if the address is wrong, \
             every bid is recorded as refused for good; check --submit",
            marketplace.via()
        ));
    }
}

async fn one_pass(scan: &mut Scan, feeds: &Feeds, report: &mut Report<'_>) -> Result<(), PipelineError> {
    for (posting, outcome) in scan.send_approved().await? {
        report.approved(&posting, &outcome);
    }
    // Rows and outcomes come by turns on this one task, so that the cell is never borrowed twice.
    let report = RefCell::new(report);
    let sightings = feeds.read().filter_map(|item| {
        future::ready(match item {
            Item::Posting(posting) => Some(*posting),
            other => {
                report.borrow_mut().problem(other);
                None
            }
        })
    });
    let done = scan.run(sightings, |posting, outcome| report.borrow_mut().outcome(posting, outcome)).await?;
    report.borrow_mut().swept(done.swept);
    Ok(())
}

/// What a scan works with.
struct Opened {
    pipeline: Arc<Pipeline>,
    /// Where it sends.
    binding: Option<Binding>,
    /// Ledger and locks, for whoever asks for metrics.
    watched: Watched,
}

async fn open(
    app: &App,
    args: &ScanArgs,
    marketplace: Arc<dyn Marketplace>,
    stop: Stop,
) -> Result<Opened, CliError> {
    let config = app.config()?;
    let sends = marketplace.capabilities().sends;
    let evaluator = evaluator(config, args)?;
    let (ledger, locks, binding) = if sends {
        let (ledger, locks, binding) = app.stores_to_send(args.rebind_ledger, &stop).await?;
        (ledger, locks, Some(binding))
    } else {
        // A dry run keeps nobody from work, and writes nothing.
        let locks = stores::lock_manager(stores::in_memory().await?, config, &app.holder()?)?;
        (app.ledger(Access::ReadWrite).await?, locks, None)
    };
    let ledger = telemetry::metered_ledger(ledger);
    let claimant = Claimant { holder: app.holder()?.to_string(), instance: ledger.instance() };
    let options = PipelineOptions {
        ttl: config.lock.ttl,
        max_age: config.scan.max_age,
        concurrency: config.scan.concurrency,
        approval: config.submit.approval,
        caps: caps(config),
        run_limit: args.max_bids.map(u64::from).filter(|_| sends),
        legacy: super::import::beside(app, sends).await?.map(|legacy| Arc::new(legacy) as _),
        metrics: telemetry::counted().map(|marketplaces| Arc::new(BidMetrics::new(marketplaces))),
    };
    let watched = Watched::new(Arc::clone(&ledger), locks.clone());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = Parts { ledger, locks, marketplace, evaluator, clock, claimant };
    let pipeline = Pipeline::new(parts, options, stop).map_err(|e| {
        CliError::usage(format!("{}: {e}", config.named("submit.time_limit")))
            .hint("set submit.time_limit below lock.ttl, or raise lock.ttl")
    })?;
    Ok(Opened { pipeline, binding, watched })
}

fn caps(config: &config::Config) -> Caps {
    let mut per_day: std::collections::HashMap<String, u64> =
        config.caps.per_day.iter().map(|(name, cap)| (name.clone(), *cap)).collect();
    let default = per_day.remove("default");
    Caps { per_day, default }
}

fn evaluator(config: &config::Config, args: &ScanArgs) -> Result<Arc<dyn Evaluator>, CliError> {
    let inner = super::posting::evaluator(config)?;
    Ok(match &args.min_amount {
        Some(least) => Arc::new(AtLeast { least: least.clone(), inner }),
        None => inner,
    })
}

/// `--min-amount`: on top of whatever the rules say.
#[derive(Debug)]
struct AtLeast {
    least: MinAmount,
    inner: Arc<dyn Evaluator>,
}

impl Evaluator for AtLeast {
    fn evaluate(&self, posting: &bidlock_market::Posting, now: jiff::Timestamp) -> Decision {
        let decision = self.inner.evaluate(posting, now);
        let Decision::Suitable { amount, .. } = &decision else { return decision };
        let no = |why: String| Decision::Declined(DeclineReason::Rule { rule: "--min-amount", why });
        let Some(amount) = amount else { return no("the posting gives no amount".to_owned()) };
        if let Some(wanted) = self.least.currency.filter(|c: &Currency| *c != amount.currency) {
            return no(format!("the amount is in {}, not {wanted}", amount.currency));
        }
        match self.least.in_minor(amount.currency) {
            Some(least) if amount.minor >= least => decision,
            _ => no("the amount is smaller".to_owned()),
        }
    }
}

/// The first signal drains, the second stops at once.
fn listen_for_signals(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let stop = stop.clone();
        match signal(kind) {
            Ok(mut signals) => {
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        if stop.is_stopping() {
                            stop.abort();
                        } else {
                            tracing::warn!(
                                "stopping: what is under way is finished; a second signal stops at once"
                            );
                            stop.drain();
                        }
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "signals can't be caught; a scan can only be killed"),
        }
    }
}

//! `bidlock scan`: feeds in, at most one bid per posting out.

mod address;
mod feeds;
mod report;
mod told;

use std::{cell::RefCell, pin::pin, sync::Arc};

use bidlock::{Clock, SystemClock};
use bidlock_config::Approval;
use bidlock_ledger::{Claimant, LedgerStore};
use bidlock_market::Marketplace;
use bidlock_pipeline::{
    ApprovalPolicy, BidMetrics, Caps, Evaluator, Parts, Pipeline, PipelineError, PipelineOptions, Scan,
    ScanOptions, Stop,
};
use futures::{
    StreamExt,
    future::{self, Either},
};

use self::{
    feeds::{Feeds, Item},
    report::Report,
};
use super::{
    beside::Beside,
    evaluation::Evaluation,
    new_ledger::{self, Others},
    own_files,
};
use crate::{
    app::{Access, App},
    args::ScanArgs,
    binding::Binding,
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
    own_files::refuse_as_feeds(app, &args.feeds)?;
    let feeds = Feeds::new(config, &args.feeds)?;
    let marketplace = app.marketplace(&config.target())?;
    let sends = marketplace.capabilities().sends;
    let evaluation = Evaluation::of(config)?.at_least(args.min_amount.as_ref());
    if sends {
        evaluation.fit_to_send(config)?;
        address::check(app, &*marketplace).await?;
    } else {
        app.out.warn("dry run: nothing is sent and no bid is recorded; give --submit URL to send");
        if !evaluation.has_rules {
            app.out.say(
                "note: without rules everything that can be read counts as suitable; --rules FILE decides",
            );
        }
    }
    let stop = Stop::default();
    listen_for_signals(stop.clone());
    let telemetry = Telemetry::start(app).await?;
    let (opened, watched) = open(app, &args, marketplace, evaluation.evaluator, stop.clone()).await?;
    let Opened { pipeline, binding, .. } = &opened;
    let _serving_until_the_end = telemetry.map(|telemetry| telemetry.serve(watched));
    let options =
        ScanOptions { batch: config.scan.batch, wait: config.scan.wait, patience: config.scan.patience };
    let mut report = Report::new(app, !sends, stop.clone());
    let ended = while_it_may(app, &opened, options, &feeds, &stop, &mut report).await;
    pipeline.shutdown().await;
    ended?;
    report.write_failure()?;
    if let Some(refused) = binding.as_ref().and_then(Binding::refused) {
        return Err(refused);
    }
    if let Some(detail) = pipeline.sending_stopped() {
        let target = config.named("submit.target");
        let hint = match pipeline.stopped_by_unknowns() {
            false => format!(
                "nothing was accepted; mend what it names (the account, the token or the address: {target}), then scan \
                 again"
            ),
            true => format!(
                "once the marketplace ({target}) is well, settle what is unknown with `bidlock reconcile`, and by hand \
                 with `bidlock bid resolve`, then scan again: none of it is sent a second time. So many in a row are too \
                 many by submit.max_unknown_in_a_row"
            ),
        };
        return Err(CliError::new(Exit::SendingStopped, format!("sending has stopped: {detail}")).hint(hint));
    }
    match report.exit() {
        Exit::Unavailable => Err(CliError::unavailable(format!(
            "{}: the marketplace at {} can't be reached",
            config.named("submit.target"),
            config.target()
        ))
        .hint("check the address and that it runs (`bidlock doctor`), then scan again; what was not sent is still open")),
        exit => Ok(exit),
    }
}

/// All rounds; drained once the scan must not go on beside a replaced system.
async fn while_it_may(
    app: &App,
    opened: &Opened,
    options: ScanOptions,
    feeds: &Feeds,
    stop: &Stop,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let rounds = pin!(rounds(app, opened, options, feeds, stop, report));
    match future::select(rounds, pin!(opened.beside.refused_meanwhile(app))).await {
        Either::Left((ended, _)) => ended,
        Either::Right((refused, rounds)) => {
            tracing::warn!(%refused, "stopping: what is under way is finished");
            stop.drain();
            rounds.await.and(Err(refused))
        }
    }
}

/// One pass after the other, as the settings say, each told when it is over.
async fn rounds(
    app: &App,
    opened: &Opened,
    options: ScanOptions,
    feeds: &Feeds,
    stop: &Stop,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let config = app.config()?;
    let Opened { pipeline, ledger, beside, sends, .. } = opened;
    loop {
        report.begin();
        let mut scan = Scan::new(Arc::clone(pipeline), options);
        let pass = one_pass(&mut scan, feeds, report).await;
        // What happened before a failure is told too.
        report.summary(pipeline.stale_claims())?;
        pass.map_err(CliError::from)?;
        match config.scan.every {
            Some(every) if !stop.is_stopping() && pipeline.sending_stopped().is_none() => {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = stop.stopping() => return Ok(()),
                }
                beside.may_begin_a_round(app, stop).await?;
                if *sends {
                    new_ledger::refuse_if_another_has_come(app, &**ledger).await?;
                }
                if stop.is_stopping() {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
    }
}

async fn one_pass(scan: &mut Scan, feeds: &Feeds, report: &mut Report<'_>) -> Result<(), PipelineError> {
    scan.send_approved(|posting, outcome| report.approved(posting, outcome)).await?;
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
    report.borrow_mut().swept(&done);
    Ok(())
}

/// What a scan works with.
struct Opened {
    pipeline: Arc<Pipeline>,
    ledger: Arc<dyn LedgerStore>,
    sends: bool,
    /// Where it sends.
    binding: Option<Binding>,
    /// The replaced system, while its instances run.
    beside: Beside,
}

/// Everything, and ledger and locks for whoever asks for metrics.
async fn open(
    app: &App,
    args: &ScanArgs,
    marketplace: Arc<dyn Marketplace>,
    evaluator: Arc<dyn Evaluator>,
    stop: Stop,
) -> Result<(Opened, Watched), CliError> {
    let config = app.config()?;
    let sends = marketplace.capabilities().sends;
    let others = if sends { Others::look(app).await? } else { Others::default() };
    if sends {
        new_ledger::may_be_made(app, args.new_ledger, &others).await?;
    }
    let ledger = match sends {
        true => app.ledger_to_send(args.rebind_ledger).await?,
        false => app.ledger(Access::ReadWrite).await?,
    };
    let ledger = telemetry::metered_ledger(ledger);
    // Whatever may refuse this scan comes before the locks are told to serve its ledger and no other.
    let beside = Beside::open(app, Arc::clone(&ledger), sends).await?;
    if sends {
        new_ledger::may_be_sent_from(app, &*ledger, args.new_ledger, &others).await?;
    }
    let (locks, binding) = if sends {
        let (locks, binding) = app.locks_to_send(&*ledger, args.rebind_ledger, &stop).await?;
        new_ledger::keep_that_it_is_sent_from(app, &*ledger).await?;
        (locks, Some(binding))
    } else {
        // A dry run keeps nobody from work, and writes nothing.
        (stores::lock_manager(stores::in_memory().await?, config, &app.holder()?)?, None)
    };
    beside.begin(app).await?;
    let claimant = Claimant { holder: app.holder()?.to_string(), instance: ledger.instance() };
    let options = PipelineOptions {
        ttl: config.lock.ttl,
        max_age: config.scan.max_age,
        concurrency: config.scan.concurrency,
        approval: match config.submit.approval {
            Approval::ByMarketplace => ApprovalPolicy::ByMarketplace,
            Approval::Always => ApprovalPolicy::Always,
            Approval::Never => ApprovalPolicy::Never,
        },
        caps: caps(config),
        max_unknown_in_a_row: config.submit.max_unknown_in_a_row,
        run_limit: args.max_bids.map(u64::from).filter(|_| sends),
        legacy: beside.bids(),
        metrics: telemetry::counted().map(|marketplaces| Arc::new(BidMetrics::new(marketplaces))),
    };
    let watched = Watched::new(Arc::clone(&ledger), locks.clone());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = Parts { ledger: Arc::clone(&ledger), locks, marketplace, evaluator, clock, claimant };
    let pipeline = Pipeline::new(parts, options, stop).map_err(|e| {
        CliError::usage(format!("{}: {e}", config.named("submit.time_limit")))
            .hint("set submit.time_limit below lock.ttl, or raise lock.ttl")
    })?;
    Ok((Opened { pipeline, ledger, sends, binding, beside }, watched))
}

fn caps(config: &bidlock_config::Config) -> Caps {
    let mut per_day: std::collections::HashMap<String, u64> =
        config.caps.per_day.iter().map(|(name, cap)| (name.clone(), *cap)).collect();
    let default = per_day.remove("default");
    Caps { per_day, default }
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

//! `bidlock reconcile`: look up what is unknown. Nothing is ever sent again.

use bidlock_ledger::BidState;
use bidlock_pipeline::{Reconciler, Settled};
use serde_json::json;

use crate::{
    app::{Access, App},
    args::ReconcileArgs,
    exit::Exit,
    failure::CliError,
};

/// Looks up every bid that is not certain, each at the marketplace that it went to.
///
/// # Errors
/// The ledger or the configuration can't be used. A look-up that fails is told and ends with code 5, two bids on one
/// posting with 7.
pub(crate) async fn run(app: &App, args: ReconcileArgs) -> Result<Exit, CliError> {
    let config = app.config()?;
    let ledger = app.ledger(if args.dry_run { Access::ReadOnly } else { Access::Existing }).await?;
    if !args.dry_run {
        app.serve_this_ledger(ledger.as_ref(), args.rebind_ledger).await?;
    }
    let by_via = app.marketplaces_by_via(args.submit.is_some().then(|| config.target()))?;
    let connect = Box::new(move |via: &str| {
        by_via(via).map_err(|e| format!("{e}; if it has moved, say where it is with --submit URL"))
    });
    let report = Reconciler::new(ledger, connect, app.holder()?.as_str())
        .dry_run(args.dry_run)
        .allow_rebid(config.withdrawal.allow_rebid)
        .run()
        .await?;
    for settled in &report.bids {
        if app.out.json {
            app.out.json_line(&line(settled))?;
        }
    }
    if app.out.json {
        app.out.json_line(&json!({
            "event": "summary", "looked_at": report.bids.len(), "settled": report.settled,
            "open": report.open, "failed": report.failed, "dry_run": args.dry_run,
        }))?;
    } else {
        table(app, &report.bids)?;
        app.out.say(format!(
            "{} looked at, {} settled, {} still open, {} look-ups failed",
            report.bids.len(),
            report.settled,
            report.open,
            report.failed
        ));
    }
    for settled in report.bids.iter().filter(|s| s.alarm.is_some()) {
        app.out.warn(format!("{}: {}", settled.bid.posting, settled.alarm.as_deref().unwrap_or_default()));
    }
    let duplicates = report.bids.iter().any(Settled::is_duplicate);
    Ok(match (report.failed, report.open) {
        _ if duplicates => Exit::InvariantViolated,
        (0, 0) => Exit::Ok,
        (0, _) => Exit::UnknownOutcome,
        _ => Exit::Unavailable,
    })
}

fn line(settled: &Settled) -> serde_json::Value {
    json!({
        "event": "bid",
        "bid": settled.bid.id,
        "marketplace": settled.bid.posting.marketplace(),
        "posting": settled.bid.posting.posting(),
        "before": settled.bid.state,
        "now": settled.now,
        "cause": settled.bid.unknown_cause,
        "note": settled.note,
        "alarm": settled.alarm,
        "failed": settled.failed,
    })
}

/// How the note of a bid ends that a look-up found in a dry run: nothing else is withheld there.
const WITHHELD: &str = "a dry run records nothing";

/// A dry run found it: the real one would record it as submitted.
fn would_be_submitted(settled: &Settled) -> bool {
    settled.now == settled.bid.state && settled.note.ends_with(WITHHELD)
}

fn became(settled: &Settled) -> String {
    if would_be_submitted(settled) { "would be submitted".to_owned() } else { settled.now.to_string() }
}

fn table(app: &App, bids: &[Settled]) -> Result<(), CliError> {
    // A `not_submitted` that is still not there is as it was decided: nothing to read.
    let told = bids.iter().filter(|s| {
        s.bid.state != BidState::NotSubmitted || s.now != s.bid.state || s.failed || would_be_submitted(s)
    });
    let rows: Vec<Vec<String>> = told
        .map(|s| {
            let cause = s.bid.unknown_cause.map(|c| c.to_string()).unwrap_or_default();
            vec![
                s.bid.id.to_string(),
                s.bid.posting.to_string(),
                s.bid.state.to_string(),
                cause,
                became(s),
                s.note.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    app.out.table(&["bid", "posting", "was", "cause", "now", "note"], &rows)
}

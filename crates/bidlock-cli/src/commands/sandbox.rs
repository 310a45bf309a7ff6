//! `bidlock sandbox run|report`.

use bidlock_sandbox::{Modes, Report, Sandbox, SandboxError, SandboxOptions};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::App,
    args::{ReportArgs, SandboxArgs, SandboxCommand, SandboxRunArgs},
    exit::Exit,
    failure::{CliError, chain_of},
};

/// How many duplicated postings a report names.
const MAX_NAMED: usize = 20;

/// Runs it.
pub(crate) async fn run(app: &App, args: SandboxArgs) -> Result<Exit, CliError> {
    match args.command {
        SandboxCommand::Run(args) => serve(app, args).await,
        SandboxCommand::Report(args) => report(app, &args),
    }
}

/// Runs the marketplace until SIGINT or SIGTERM.
async fn serve(app: &App, args: SandboxRunArgs) -> Result<Exit, CliError> {
    let modes = match &args.mode {
        None => Modes::default(),
        Some(text) => text.parse::<Modes>().map_err(|e| {
            CliError::usage(format!("--mode: {}", chain_of(&e)))
                .hint("`bidlock sandbox run --help` lists the modes")
        })?,
    };
    let of =
        |kind| signal(kind).map_err(|e| CliError::unavailable(format!("cannot listen for signals: {e}")));
    let (mut interrupt, mut terminate) = (of(SignalKind::interrupt())?, of(SignalKind::terminate())?);
    let options = SandboxOptions::new(&args.log).listen(args.listen).modes(modes.clone());
    let sandbox = Sandbox::start(options).await.map_err(|e| cannot_start(&e))?;
    let log = args.log.display().to_string();
    if app.out.json {
        app.out.json_line(&json!({
            "event": "listening", "url": sandbox.url(), "log": log, "modes": modes.to_string(),
        }))?;
    } else {
        app.out.line(sandbox.url())?;
        app.out.say(format!("recording to {log}; modes: {modes}"));
        app.out.say(format!("try: bidlock scan FEED --submit {} --rules RULES", sandbox.url()));
        app.out.say("ends with Ctrl-C");
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let submissions = sandbox.submissions();
    sandbox.stop().await;
    app.out.say(format!("{submissions} submissions recorded; `bidlock sandbox report {log}` counts them"));
    Ok(Exit::Ok)
}

/// The advice stands in the hint alone: the library's messages carry their own.
fn cannot_start(error: &SandboxError) -> CliError {
    let (message, hint) = match error {
        SandboxError::InUse { path } => (
            format!("another sandbox writes to {}", path.display()),
            "stop that one, or name another record: --log FILE",
        ),
        SandboxError::Record { .. } => {
            (chain_of(error), "name a record in a folder that you may write to: --log FILE")
        }
        SandboxError::Listen { address, source } => (
            format!("can't listen at {address}: {source}"),
            "name another address; --listen 127.0.0.1:0 takes a free port",
        ),
    };
    CliError::unavailable(message).hint(hint)
}

/// What a log proves; 7 where the marketplace has two bids of ours on one posting.
fn report(app: &App, args: &ReportArgs) -> Result<Exit, CliError> {
    let report = Report::read(&args.log).map_err(|e| {
        CliError::usage(chain_of(&e)).hint("give the file that `bidlock sandbox run --log` wrote")
    })?;
    if report.readable_lines == 0 {
        return Err(CliError::usage(format!(
            "{} is no record of a sandbox: none of its lines is one of a record",
            args.log.display()
        ))
        .hint("give the file that `bidlock sandbox run --log` wrote"));
    }
    if app.out.json {
        app.out.json_document(&report)?;
    } else {
        let answers: Vec<String> = report.answers.iter().map(|(name, n)| format!("{name}: {n}")).collect();
        app.out.fields(&[
            ("submissions", report.submissions.to_string()),
            ("accepted", report.accepted.to_string()),
            ("postings with a bid", report.postings_accepted().to_string()),
            ("duplicates", report.duplicates.to_string()),
            ("accepted after withdrawal", report.accepted_after_withdrawal.to_string()),
            ("withdrawn", report.withdrawn.to_string()),
            ("keys seen again", report.keys_seen_again.to_string()),
            ("redirects followed", report.followed_redirects.to_string()),
            ("unanswered requests", report.unanswered.to_string()),
            ("unreadable lines", report.unreadable_lines.to_string()),
            ("answers", answers.join(", ")),
        ])?;
    }
    if report.duplicates == 0 {
        return Ok(Exit::Ok);
    }
    let named: Vec<String> =
        report.duplicated().take(MAX_NAMED).map(|((m, p), _)| format!("{m}/{p}")).collect();
    Err(CliError::new(
        Exit::InvariantViolated,
        format!("{} duplicate bids were accepted, on {}", report.duplicates, named.join(", ")),
    )
    .hint("this record proves that somebody bid twice; `bidlock bid history MARKETPLACE/POSTING` tells bidlock's part"))
}

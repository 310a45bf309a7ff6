//! `bidlock chaos`: translates the command line for the fault rig, and its verdict into an exit code.

mod page;
mod status_line;

use std::path::PathBuf;

use bidlock_chaos::{
    Launch, Progress, RigError, checker,
    history::{HistoryError, RunFolder},
    plan::{Order, Plan},
    report::Report,
    worker::{self, WorkerOptions},
};
use tokio::sync::watch;

use self::{page::PageFile, status_line::StatusLine};
use crate::{
    app::App,
    args::{ChaosArgs, ChaosCommand, ChaosRunArgs, ReplayArgs, ResultArgs, WorkerArgs},
    commands::own_folder::{OwnFolder, interrupted},
    exit::Exit,
    failure::{CliError, chain_of},
    stores,
};

/// What the shell sees after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Postings where no number is given: what four scanners of a debug build are not hurried by.
const POSTINGS_A_MINUTE: f64 = 2_000.0;

/// Runs the rig, or the part of it that a child was started for.
///
/// # Errors
/// It can't run here. What the rig finds is no error, but an exit code.
pub(crate) async fn run(app: &App, args: ChaosArgs) -> Result<Exit, CliError> {
    match args.command {
        ChaosCommand::Run(args) => {
            let (plan, canary) = wanted(&args)?;
            rig(app, plan, canary, args.again(), &args.results).await
        }
        ChaosCommand::Replay(args) => replay(app, args).await,
        ChaosCommand::Worker(args) => work(app, args).await,
    }
}

/// The plan that the command line asks for, and the mechanism that is taken out.
fn wanted(args: &ChaosRunArgs) -> Result<(Plan, Option<String>), CliError> {
    #[cfg(feature = "canary")]
    if let Some(canary) = args.canary {
        let scenario = bidlock_chaos::canaries::scenario(canary).ok_or_else(|| {
            CliError::usage(format!("--canary {canary}: nothing that the rig looks at shows this alone"))
                .hint("bidlock-sim and the tests of the locks notice it")
        })?;
        return Ok((scenario.plan, (!args.control).then(|| canary.to_string())));
    }
    Ok((Plan::draw(&order(args)), None))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the command line allows minutes of a day at the most, and none below zero"
)]
fn order(args: &ChaosRunArgs) -> Order {
    Order {
        seed: args.seed,
        engines: args.engines,
        runs_ms: (args.minutes * 60_000.0) as u64,
        postings: args.postings.unwrap_or((args.minutes * POSTINGS_A_MINUTE) as u32),
        scanners: args.scanners,
        faults_per_minute: args.faults_per_minute,
    }
}

async fn replay(app: &App, args: ReplayArgs) -> Result<Exit, CliError> {
    let named = |e| CliError::usage(chain_of(&e));
    let folder = RunFolder::named(&args.run).map_err(named)?;
    let begun = bidlock_chaos::history::read_begun(&folder).map_err(named)?;
    if args.check_only {
        let page = args.results.html.as_deref().map(PageFile::try_out).transpose()?;
        return judge(app, &folder, None, page);
    }
    let again = replaying(&folder);
    rig(app, begun.plan, begun.canary, again, &args.results).await
}

/// Runs a plan and judges it. Dropping the run ends its children and takes its folder away; it stays where the run found
/// something.
async fn rig(
    app: &App,
    plan: Plan,
    canary: Option<String>,
    again: String,
    results: &ResultArgs,
) -> Result<Exit, CliError> {
    let kept =
        OwnFolder::new(results.keep.as_deref(), "chaos", "an earlier run's files are not written over")?;
    let folder = RunFolder::at(kept.path());
    // After the folder is made, as the page may be wanted in it.
    let page = results.html.as_deref().map(PageFile::try_out).transpose()?;
    app.out.say(announced(&plan, &kept));
    let (tell, progress) = watch::channel(Progress::default());
    let line = StatusLine::begin(&app.out, &plan, progress);
    let ran = tokio::select! {
        ran = bidlock_chaos::run(&plan, launch(canary.as_deref())?, canary.clone(), &folder, &tell) => Some(ran),
        () = interrupted() => None,
    };
    drop(line);
    let Some(ran) = ran else {
        app.out.warn(format!("interrupted: nothing was checked{}", left_behind(&kept)));
        return Ok(Exit::Child(INTERRUPTED));
    };
    ran.map_err(cannot_run)?;
    let again = results.keep.is_none().then_some(again);
    let judged = judge(app, &folder, again, page);
    if !matches!(judged, Ok(Exit::Ok)) {
        kept.stay();
    }
    judged
}

/// What is about to happen, and where its files are.
fn announced(plan: &Plan, kept: &OwnFolder) -> String {
    let Plan { seed, engines, scanners, postings, .. } = plan;
    let stays = match kept {
        OwnFolder::Kept(_) => "",
        OwnFolder::Temporary(_) => {
            ", which is deleted at the end unless something is found; --keep DIR keeps it"
        }
    };
    format!(
        "seed {seed}, {engines}: {} fault{} and the marketplace's own in {} minutes on {scanners} scanners and {postings} \
         postings; its files are in {}{stays}",
        plan.faults.len(),
        if plan.faults.len() == 1 { "" } else { "s" },
        minutes(plan.runs_ms),
        kept.path().display(),
    )
}

/// Minutes as they are ordered: `0.05`, `1`.
fn minutes(ms: u64) -> f64 {
    (ms as f64 / 600.0).round() / 100.0
}

/// What an interrupted run leaves.
fn left_behind(kept: &OwnFolder) -> String {
    match kept {
        OwnFolder::Kept(path) => {
            let path = path.display();
            format!(
                "; what {path} holds is no whole run, and `bidlock chaos replay {path}` runs its plan again"
            )
        }
        OwnFolder::Temporary(_) => ", and nothing is kept".to_owned(),
    }
}

/// The command that runs the plan of a kept run again.
fn replaying(folder: &RunFolder) -> String {
    format!("bidlock chaos replay {}", folder.path().display())
}

/// Says what the files of a run prove, and writes the page. `again` is the command that runs it again where its files do
/// not stay.
///
/// # Errors
/// The files can't be read, or the report can't be written: with the verdict's own exit code where that is a violation.
fn judge(
    app: &App,
    folder: &RunFolder,
    again: Option<String>,
    page: Option<PageFile>,
) -> Result<Exit, CliError> {
    let stays = |e: CliError| {
        let path = folder.path().display();
        e.hint(format!("the run's files are in {path}: bidlock chaos replay {path} --check-only --html FILE"))
    };
    let checked = checker::check(folder).map_err(|e| match e {
        HistoryError::Unfinished { .. } => CliError::usage(chain_of(&e)),
        e => stays(CliError::unavailable(chain_of(&e))),
    })?;
    let again = again.filter(|_| checked.is_clean()).unwrap_or_else(|| replaying(folder));
    let report = Report::of(&checked, &again);
    let exit = if report.clean { Exit::Ok } else { Exit::InvariantViolated };
    let told =
        if app.out.json { app.out.json_document(&report) } else { app.out.line(report.text().trim_end()) };
    // The page, even where nobody has listened.
    let written = page.map_or(Ok(()), |page| page.write(&report.html()).map_err(stays));
    match written.and(told) {
        Ok(()) => Ok(exit),
        Err(e) if exit == Exit::Ok => Err(e),
        Err(e) => Err(CliError { code: exit, ..e }),
    }
}

fn cannot_run(error: RigError) -> CliError {
    CliError::unavailable(chain_of(&error))
}

/// This very binary, whose children die with it. They alone go without what the canary names: the rig itself does not.
fn launch(canary: Option<&str>) -> Result<Launch, CliError> {
    // Should an upgrade replace the file meanwhile, this path still leads to what runs now.
    let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let lost = |e| CliError::unavailable(format!("can't find this program again: {e}"));
    let program = if own.exists() { own } else { std::env::current_exe().map_err(lost)? };
    let parent = std::process::id().to_string();
    Ok(Launch {
        program,
        before: ["demo", "--exec-for", &parent, "--"].map(Into::into).into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        variables: canary
            .map(|name| (bidlock_canary::VARIABLE.to_owned(), name.to_owned()))
            .into_iter()
            .collect(),
    })
}

/// The child that takes locks.
async fn work(app: &App, args: WorkerArgs) -> Result<Exit, CliError> {
    let holder = app.holder()?;
    let backend = app.lock_backend().await?;
    let locks = stores::lock_manager(std::sync::Arc::clone(&backend), app.config()?, &holder)?;
    let options =
        WorkerOptions { counters: args.counters, began_ns: args.began, incarnation: args.incarnation };
    let out = crate::output::Output::new(true, true, true);
    // A rig that no longer listens has gone, and this child with it.
    let say = move |line: &serde_json::Value| drop(out.json_line(line));
    worker::run(locks, backend, options, say, interrupted()).await;
    Ok(Exit::Ok)
}

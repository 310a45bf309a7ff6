//! `bidlock chaos`: translates the command line for the fault rig, and its verdict into an exit code.

use std::path::{Path, PathBuf};

use bidlock_chaos::{
    Launch, RigError,
    history::RunFolder,
    plan::{Order, Plan},
    worker::{self, WorkerOptions},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::App,
    args::{ChaosArgs, ChaosCommand, ChaosRunArgs, ReplayArgs, ResultArgs, WorkerArgs},
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
            let plan = Plan::draw(&order(&args));
            rig(app, plan, &args.results).await
        }
        ChaosCommand::Replay(args) => replay(app, args).await,
        ChaosCommand::Worker(args) => work(app, args).await,
    }
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
    let folder = RunFolder::at(&args.run);
    let begun = bidlock_chaos::history::read_begun(&folder).map_err(|e| CliError::usage(chain_of(&e)))?;
    if args.check_only {
        return judge(app, &folder, &args.results);
    }
    rig(app, begun.plan, &args.results).await
}

/// Runs a plan and judges it. Dropping the run ends its children and takes its folder away.
async fn rig(app: &App, plan: Plan, results: &ResultArgs) -> Result<Exit, CliError> {
    let kept = Kept::new(results.keep.as_deref())?;
    let folder = RunFolder::at(kept.path());
    app.out.say(format!(
        "seed {}, {}: {} faults in {:.1} minutes on {} scanners and {} postings; everything is in {}",
        plan.seed,
        plan.engines,
        plan.faults.len(),
        plan.runs_ms as f64 / 60_000.0,
        plan.scanners,
        plan.postings,
        kept.path().display()
    ));
    let launch =
        launch().map_err(|e| CliError::unavailable(format!("can't find this program again: {e}")))?;
    tokio::select! {
        ran = bidlock_chaos::run(&plan, launch, None, &folder) => ran.map_err(cannot_run)?,
        () = interrupted() => return Ok(Exit::Child(INTERRUPTED)),
    }
    judge(app, &folder, results)
}

fn judge(_app: &App, _folder: &RunFolder, _results: &ResultArgs) -> Result<Exit, CliError> {
    Ok(Exit::Ok)
}

fn cannot_run(error: RigError) -> CliError {
    CliError::unavailable(chain_of(&error))
}

/// This very binary, whose children die with it.
fn launch() -> std::io::Result<Launch> {
    // Should an upgrade replace the file meanwhile, this path still leads to what runs now.
    let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let program = if own.exists() { own } else { std::env::current_exe()? };
    let parent = std::process::id().to_string();
    Ok(Launch {
        program,
        before: ["demo", "--exec-for", &parent, "--"].map(Into::into).into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        variables: Vec::new(),
    })
}

/// The child that takes locks.
async fn work(app: &App, args: WorkerArgs) -> Result<Exit, CliError> {
    let holder = app.holder()?;
    let backend = app.lock_backend().await?;
    let locks = stores::lock_manager(std::sync::Arc::clone(&backend), app.config()?, &holder)?;
    let options =
        WorkerOptions { counters: args.counters, began_ns: args.began, holder: holder.as_str().to_owned() };
    let out = crate::output::Output::new(true, true, true);
    // A rig that no longer listens has gone, and this child with it.
    let say = move |line: &serde_json::Value| drop(out.json_line(line));
    worker::run(locks, backend, options, say, interrupted()).await;
    Ok(Exit::Ok)
}

/// The run's folder: kept where the user said so, else gone at the end.
enum Kept {
    There(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Kept {
    fn new(keep: Option<&Path>) -> Result<Kept, CliError> {
        let unwritable = |path: &Path, e: &std::io::Error| {
            CliError::unavailable(format!("can't write in {}: {e}", path.display()))
                .hint("name another folder: --keep DIR, or TMPDIR")
        };
        let Some(path) = keep else {
            let made = tempfile::Builder::new().prefix("bidlock-chaos-").tempdir();
            return made.map(Kept::Temporary).map_err(|e| unwritable(&std::env::temp_dir(), &e));
        };
        std::fs::create_dir_all(path).map_err(|e| unwritable(path, &e))?;
        // Children run elsewhere, so the path must not be relative.
        let path = path.canonicalize().map_err(|e| unwritable(path, &e))?;
        let is_empty = std::fs::read_dir(&path).map_err(|e| unwritable(&path, &e))?.next().is_none();
        if !is_empty {
            return Err(CliError::usage(format!("--keep: {} is not empty", path.display()))
                .hint("name a new folder: an earlier run's files are not written over"));
        }
        Ok(Kept::There(path))
    }

    fn path(&self) -> &Path {
        match self {
            Kept::There(path) => path,
            Kept::Temporary(folder) => folder.path(),
        }
    }
}

async fn interrupted() {
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        // Then the signal does what it does by default: it ends us, and the kernel our children.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

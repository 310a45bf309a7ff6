//! `bidlock chaos`, and the hidden child that it starts.

use std::path::PathBuf;

use bidlock_chaos::plan::Engines;
use clap::{Args, Subcommand};

use super::{Override, StoreArgs};

const CHAOS_HELP: &str = "\
Examples:
  bidlock chaos run --seed 1 --minutes 1
  bidlock chaos run --seed 1 --minutes 3 --engines redis+postgres --postings 20000 --html report.html
  bidlock chaos run --seed 1 --minutes 1 --keep run && bidlock chaos replay run --check-only
  bidlock chaos replay run/history.jsonl           the same plan once more

Needs redis-server and PostgreSQL on this host for the engines of these names; nothing of yours is touched.
Exit codes: 0 no invariant is violated, 2 usage, 5 the rig can't run here, 7 an invariant is violated.";

/// Break things on purpose: real scanners on real engines, faults drawn from a seed, and a check of what came of it.
///
/// Starts scanner processes, engines and a marketplace on this computer; kills, pauses, cuts off and fills up what it
/// has started; and holds the record of all of it against the invariants. Reads none of your settings.
#[derive(Clone, Debug, Args)]
#[command(after_help = CHAOS_HELP, after_long_help = CHAOS_HELP)]
pub(crate) struct ChaosArgs {
    #[command(subcommand)]
    pub(crate) command: ChaosCommand,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ChaosCommand {
    Run(ChaosRunArgs),
    Replay(ReplayArgs),
    #[command(hide = true)]
    Worker(WorkerArgs),
}

impl ChaosCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        match self {
            ChaosCommand::Run(_) | ChaosCommand::Replay(_) => Vec::new(),
            ChaosCommand::Worker(args) => args.stores.overrides(),
        }
    }
}

/// Draw a plan from a seed, and run it.
#[derive(Clone, Debug, Args)]
#[command(after_help = CHAOS_HELP, after_long_help = CHAOS_HELP)]
pub(crate) struct ChaosRunArgs {
    /// Decides the faults, the feed and the marketplace
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long faults are injected; a quiet end of some seconds and a last scan come on top
    #[arg(long, value_name = "M", default_value_t = 1.0, value_parser = minutes)]
    pub(crate) minutes: f64,
    /// Where locks and ledger are: sqlite, redis+postgres or postgres
    #[arg(long, value_name = "ENGINES", default_value = "sqlite")]
    pub(crate) engines: Engines,
    /// How many postings appear meanwhile [default: 2000 a minute]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) postings: Option<u32>,
    /// How many scanner processes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=32))]
    pub(crate) scanners: u32,
    /// How many faults are injected a minute, beside those of the marketplace
    #[arg(long, value_name = "F", default_value_t = 120, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) faults_per_minute: u32,
    /// Take out the mechanism of this canary, and run what shows that it is gone, by a plan of its own
    #[cfg(feature = "canary")]
    #[arg(long, value_name = "NAME", conflicts_with_all = [
        "seed", "minutes", "engines", "postings", "scanners", "faults_per_minute",
    ])]
    pub(crate) canary: Option<bidlock_canary::Canary>,
    /// With --canary: run the same, and take nothing out
    #[cfg(feature = "canary")]
    #[arg(long, requires = "canary")]
    pub(crate) control: bool,
    #[command(flatten)]
    pub(crate) results: ResultArgs,
}

impl ChaosRunArgs {
    /// The command that draws the same plan again.
    pub(crate) fn again(&self) -> String {
        #[cfg(feature = "canary")]
        if let Some(canary) = self.canary {
            let control = if self.control { " --control" } else { "" };
            return format!("bidlock chaos run --canary {canary}{control}");
        }
        let Self { seed, minutes, engines, scanners, faults_per_minute, .. } = self;
        let postings = self.postings.map(|n| format!(" --postings {n}")).unwrap_or_default();
        format!(
            "bidlock chaos run --seed {seed} --minutes {minutes} --engines {engines}{postings} --scanners {scanners} \
             --faults-per-minute {faults_per_minute}"
        )
    }
}

/// Run the plan of an earlier run once more, or check its files again.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The folder that --keep named, or its history.jsonl
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Run nothing: check the files that are there
    #[arg(long, conflicts_with = "keep")]
    pub(crate) check_only: bool,
    #[command(flatten)]
    pub(crate) results: ResultArgs,
}

/// What is left of a run.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResultArgs {
    /// Keep the history, the marketplace's record and the ledger's rows in this new folder
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Write the report as one HTML file, with a picture of the run
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// A child's side: take locks and count under them.
#[derive(Clone, Debug, Args)]
pub(crate) struct WorkerArgs {
    /// The folder of the numbers that are counted
    #[arg(long, value_name = "DIR")]
    pub(crate) counters: PathBuf,
    /// The boot-time clock at the beginning of the run, in nanoseconds
    #[arg(long, value_name = "NS")]
    pub(crate) began: u64,
    /// A name that no other child has, whatever `--holder` says
    #[arg(long, value_name = "NAME")]
    pub(crate) incarnation: String,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// From a few seconds to a day.
fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "a number of minutes is needed, such as 0.5".to_owned())?;
    if (0.05..=24.0 * 60.0).contains(&minutes) {
        Ok(minutes)
    } else {
        Err("from 0.05 to 1440 minutes".to_owned())
    }
}

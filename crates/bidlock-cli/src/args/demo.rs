//! `bidlock demo`, and the hidden children that it starts.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};

const DEMO_HELP: &str = "\
Examples:
  bidlock demo
  bidlock demo --scanners 6 --postings 1000 --seed 7 --chaos heavy
  bidlock demo --json | tail -n 1 | jq .
  bidlock demo --keep demo-run      keeps feeds, ledger and the marketplace's record

Exit codes: 0 proved, 5 it could not run here, 7 an invariant is violated.";

/// Watch scanners race over a made-up feed, crash, and still bid once.
///
/// Starts scanner processes and a marketplace on this computer, kills and pauses some of them, and counts
/// from the marketplace's own record what came of it; then the same again with a lock alone. Needs no
/// services, reads none of your settings, and leaves nothing behind.
#[derive(Clone, Debug, Args)]
#[command(after_help = DEMO_HELP, after_long_help = DEMO_HELP)]
pub(crate) struct DemoArgs {
    /// How many scanner processes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=32))]
    pub(crate) scanners: u32,
    /// How many postings in the made-up feed
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(20..=20_000))]
    pub(crate) postings: u32,
    /// The same seed gives the same feed and the same faults
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many scanners are killed and paused, how many answers the marketplace loses
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Chaos::Light)]
    pub(crate) chaos: Chaos,
    /// Keep feeds, ledger and records in this new folder
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Plain lines instead of the live table
    #[arg(long)]
    pub(crate) no_ui: bool,
    #[command(flatten)]
    pub(crate) naive: Option<NaiveArgs>,
    /// A child's side: run COMMAND in this process's place, and die with the process of this id
    #[arg(long, hide = true, value_name = "PID", requires = "command")]
    pub(crate) exec_for: Option<u32>,
    #[arg(last = true, hide = true)]
    pub(crate) command: Vec<OsString>,
}

/// What a worker of the naive contender is told.
#[derive(Clone, Debug, Args)]
#[group(requires_all = ["naive_worker", "naive_feed", "naive_submit", "naive_holder"])]
pub(crate) struct NaiveArgs {
    /// The file that holds its locks and its bids
    #[arg(long = "naive-worker", id = "naive_worker", hide = true, required = false)]
    pub(crate) store: PathBuf,
    /// The folder of feeds
    #[arg(long = "naive-feed", id = "naive_feed", hide = true, required = false)]
    pub(crate) feed: PathBuf,
    /// The marketplace
    #[arg(long = "naive-submit", id = "naive_submit", hide = true, required = false)]
    pub(crate) submit: String,
    /// Its name in locks
    #[arg(long = "naive-holder", id = "naive_holder", hide = true, required = false)]
    pub(crate) holder: String,
}

/// How rough the demo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Chaos {
    /// Nobody is killed or paused, every answer arrives
    Off,
    /// Some are killed and paused, some answers are lost
    Light,
    /// Twice as many, and more kinds
    Heavy,
}

impl Chaos {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Chaos::Off => "off",
            Chaos::Light => "light",
            Chaos::Heavy => "heavy",
        }
    }
}

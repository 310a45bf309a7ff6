//! The command line: what clap parses, one file per group of commands.
//!
//! A flag that has a setting behind it (`--database` is `ledger.url`) carries plain text here; it joins the
//! other layers in [`bidlock_config`], so that one place checks values and names their origin.

mod bid;
mod chaos;
mod demo;
mod import;
mod lock;
mod scan;
mod tools;

use std::path::PathBuf;

use bidlock_config::Override;
use clap::{ArgAction, Args, Parser, Subcommand};

pub(crate) use self::{
    bid::{
        ApproveArgs, BidArgs, BidCommand, DeclineArgs, HistoryArgs, ListArgs, ResolveArgs, ResolveAs,
        ShowArgs, WithdrawArgs,
    },
    chaos::{ChaosArgs, ChaosCommand, ChaosRunArgs, ReplayArgs, ResultArgs, WorkerArgs},
    demo::{Chaos, DemoArgs, NaiveArgs},
    import::{ImportArgs, ImportCommand, ImportLegacyArgs},
    lock::{
        AcquireArgs, ForceReleaseArgs, KeyArgs, LockArgs, LockCommand, LockListArgs, LockShowArgs,
        ReleaseArgs, RenewArgs, RunArgs,
    },
    scan::{MinAmount, ReconcileArgs, ScanArgs},
    tools::{
        BenchArgs, CanonicalArgs, CompletionsArgs, ConfigArgs, ConfigCommand, DoctorArgs, EvaluateArgs,
        InitArgs, MigrateArgs, MigrateCommand, PostingArgs, PostingCommand, ReportArgs, SandboxArgs,
        SandboxCommand, SandboxRunArgs, ShowConfigArgs,
    },
};

const ROOT_HELP: &str = "\
First steps:
  bidlock demo                                     watch scanners race, crash and still bid once
  bidlock scan feed.xml                            read a feed; dry run: nothing is sent
  bidlock scan feeds/ --submit https://example.com/api --rules rules.toml
  bidlock bid list --state unknown                 what needs a person
  bidlock doctor                                   is everything fit to run?

Exit codes:
  0  ok
  2  the command line or the configuration can't be used
  3  the lock is held by another
  4  there is a bid on this posting already
  5  the ledger, the locks or the marketplace can't be used now
  6  the outcome of a bid is unknown: `bidlock reconcile`
  7  an invariant is violated (a duplicate, a broken hash chain)
  8  sending has stopped: the marketplace refused the account, or is not at its address
  9  `doctor` found something unhealthy";

/// What `--version` says: of a build whose mechanisms can be removed, that they can.
const VERSION: &str = if cfg!(feature = "canary") {
    concat!(env!("CARGO_PKG_VERSION"), " (with canaries)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// At most one bid per marketplace posting.
///
/// bidlock makes sure that at most one bid is ever sent per posting, however many scanners see it and
/// however they crash. Settings come from flags, the environment (BIDLOCK_*), bidlock.toml and defaults, in
/// this order; `bidlock config show --origin` says which counts.
#[derive(Debug, Parser)]
#[command(name = "bidlock", version = VERSION, after_help = ROOT_HELP, after_long_help = ROOT_HELP)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that stand on either side of the subcommand.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Read this configuration file and no other
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Say more on stderr; twice for everything
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Say nothing on stderr but warnings and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Write data and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No colour, as with NO_COLOR=1
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Scan(ScanArgs),
    Bid(BidArgs),
    Lock(LockArgs),
    Posting(PostingArgs),
    Reconcile(ReconcileArgs),
    Migrate(MigrateArgs),
    Import(ImportArgs),
    Config(ConfigArgs),
    Doctor(DoctorArgs),
    Sandbox(SandboxArgs),
    Chaos(ChaosArgs),
    Completions(CompletionsArgs),
    Bench(BenchArgs),
}

impl Command {
    /// The settings that this command's flags give: setting, value, flag.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        match self {
            Command::Demo(_) | Command::Completions(_) | Command::Bench(_) => Vec::new(),
            Command::Scan(args) => args.overrides(),
            Command::Reconcile(args) => args.overrides(),
            Command::Bid(args) => args.command.overrides(),
            Command::Lock(args) => args.command.overrides(),
            Command::Posting(args) => args.command.overrides(),
            Command::Migrate(args) => args.command.overrides(),
            Command::Import(args) => args.command.overrides(),
            Command::Config(args) => args.command.overrides(),
            Command::Doctor(args) => args.overrides(),
            Command::Sandbox(_) => Vec::new(),
            Command::Chaos(args) => args.command.overrides(),
        }
    }
}

/// Collects the flags that were given.
pub(crate) fn given(flags: &[(&'static str, &'static str, Option<String>)]) -> Vec<Override> {
    flags
        .iter()
        .filter_map(|(flag, key, value)| value.clone().map(|value| Override::new(*key, value, *flag)))
        .collect()
}

/// Which ledger.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LedgerArgs {
    /// The ledger: postgres://user@host/database, or a file: a path, sqlite:///relative.db
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
}

impl LedgerArgs {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        given(&[("--database", "ledger.url", self.database.clone())])
    }
}

/// Which ledger, which locks, under what name.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
    /// The locks: redis://host:6379/0, postgres://…, a path, or memory: [default: beside the ledger]
    #[arg(long, value_name = "URL")]
    pub(crate) locks: Option<String>,
    /// This instance's name in locks and bids [default: host:pid:random]
    #[arg(long, value_name = "NAME")]
    pub(crate) holder: Option<String>,
}

impl StoreArgs {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut all = self.ledger.overrides();
        all.extend(given(&[
            ("--locks", "lock.url", self.locks.clone()),
            ("--holder", "lock.holder", self.holder.clone()),
        ]));
        all
    }
}

#[cfg(test)]
mod compose_tests;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_on_either_side() {
        for line in [
            &["bidlock", "--json", "-c", "x.toml", "bid", "list"][..],
            &["bidlock", "bid", "list", "--json", "-c", "x.toml"],
            &["bidlock", "bid", "--json", "-c", "x.toml", "list"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(cli.global.json, "{line:?}");
            assert_eq!(cli.global.config.as_deref(), Some(std::path::Path::new("x.toml")), "{line:?}");
        }
    }

    /// Every override names a setting that exists: else a flag would be lost silently.
    #[test]
    fn every_flag_behind_a_setting_names_one() {
        let line = "bidlock scan f --format a --map b --marketplace c --submit d --database e --locks f \
                    --rules g --holder h --every 1s --wait 1s --approve --concurrency 2 --max-age 1h \
                    --metrics-listen 9464 --legacy-database o --empty-proposal";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let overrides = cli.command.overrides();
        assert_eq!(overrides.len(), 16);
        for o in overrides {
            assert!(bidlock_config::is_setting(&o.key), "{} -> {}", o.by, o.key);
        }
    }
}

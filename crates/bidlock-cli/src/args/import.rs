//! `bidlock import`.

use clap::{Args, Subcommand};

use super::{LedgerArgs, Override, given};

const LEGACY_HELP: &str = "\
Examples:
  bidlock import legacy postgres://reader@db.example/bidding --dry-run
  bidlock import legacy sqlite:////srv/old/bids.db --submit https://example.com/api
  bidlock bid list --state unknown               what may have been sent, and needs a look or a person
  bidlock import legacy postgres://reader@db.example/bidding --old-instances-stopped

It may run at any time, also while old instances work, and as often as you like: what is there already stays
as it is. Killed half-way, it goes on when it is run again. Nothing is written to the old database.
The ledger remembers from then on that it is kept beside that system: a scan that sends must name it with
--legacy-database, until you have said --old-instances-stopped.
What the old system may have sent comes in as `unknown`: nobody bids on it again. docs/migrating.md has the
whole way over, and each step's way back.
Exit codes: 0 done, 2 usage, 5 one of the databases can't be used.";

/// Bring in what another system has bid on
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) command: ImportCommand,
}

/// From where.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImportCommand {
    Legacy(ImportLegacyArgs),
}

/// Read the replaced system's tables `bids` and `distributed_locks`, so that no posting is bid on again.
#[derive(Clone, Debug, Args)]
#[command(after_help = LEGACY_HELP, after_long_help = LEGACY_HELP)]
pub(crate) struct ImportLegacyArgs {
    /// The replaced system's database: postgres://…, sqlite:///relative.db, or a path
    #[arg(value_name = "OLD_DATABASE")]
    pub(crate) from: String,
    /// Say what would be imported, but write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Begin a new ledger though another one of yours has bids: a posting that has one there can get a second
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) new_ledger: bool,
    /// Import once more, then write down that no instance of it runs any more: scans may go without --legacy-database
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) old_instances_stopped: bool,
    /// The way back: write down that its instances run again, so that scans need --legacy-database
    #[arg(long, conflicts_with_all = ["dry_run", "old_instances_stopped"])]
    pub(crate) old_instances_run_again: bool,
    /// The database is gone: only write down that its instances have stopped. OLD_DATABASE as the ledger shows it
    #[arg(long, requires = "old_instances_stopped")]
    pub(crate) without_reading: bool,
    /// The marketplace that the old instances sent to: `bidlock reconcile` can look up there
    #[arg(long, value_name = "URL")]
    pub(crate) submit: Option<String>,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

impl ImportCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let ImportCommand::Legacy(args) = self;
        let mut all = args.ledger.overrides();
        all.extend(given(&[
            ("the argument OLD_DATABASE", "legacy.url", Some(args.from.clone())),
            ("--submit", "submit.target", args.submit.clone()),
        ]));
        all
    }
}

//! `bidlock lock …`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::{Override, StoreArgs, given};

const LOCK_HELP: &str = "\
Examples:
  bidlock lock run upwork 1900000000000000001 -- ./prepare-bid.sh
  bidlock lock run --name cron nightly --wait 10s -- ./nightly.sh
  lease=$(bidlock lock acquire upwork 1900000000000000001 --ttl 5m --json | jq -r .lease)
  bidlock lock renew \"$lease\"
  bidlock lock release \"$lease\"
  bidlock lock list
  bidlock lock force-release upwork 1900000000000000001 --reason 'host was reinstalled'

A lock saves work; it is the ledger that makes a second bid impossible. Exit code 3: held by another.";

/// Hold, look at and release locks; run a command under one.
#[derive(Clone, Debug, Args)]
#[command(after_help = LOCK_HELP, after_long_help = LOCK_HELP, disable_help_subcommand = true)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: LockCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LockCommand {
    Acquire(AcquireArgs),
    Renew(RenewArgs),
    Release(ReleaseArgs),
    List(LockListArgs),
    Show(LockShowArgs),
    ForceRelease(ForceReleaseArgs),
    Run(RunArgs),
}

impl LockCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let (stores, ttl, wait) = match self {
            LockCommand::Acquire(a) => (&a.stores, a.ttl.clone(), a.wait.clone()),
            LockCommand::Renew(a) => (&a.stores, a.ttl.clone(), None),
            LockCommand::Release(a) => (&a.stores, None, None),
            LockCommand::List(a) => (&a.stores, None, None),
            LockCommand::Show(a) => (&a.stores, None, None),
            LockCommand::ForceRelease(a) => (&a.stores, None, None),
            LockCommand::Run(a) => (&a.stores, a.ttl.clone(), a.wait.clone()),
        };
        let mut all = stores.overrides();
        all.extend(given(&[("--ttl", "lock.ttl", ttl), ("--wait", "lock.timeout", wait)]));
        all
    }
}

/// Which lock.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeyArgs {
    /// The posting's marketplace
    #[arg(required_unless_present = "name", requires = "posting")]
    pub(crate) marketplace: Option<String>,
    /// The posting: its id or URL
    pub(crate) posting: Option<String>,
    /// A lock of your own instead of a posting's
    #[arg(long, num_args = 2, value_names = ["NAMESPACE", "NAME"], conflicts_with_all = ["marketplace", "posting"])]
    pub(crate) name: Option<Vec<String>>,
}

/// Take a lock that outlives this command; prints the lease to renew and release it with.
///
/// Prints a lease: keep it, `renew` and `release` take it. Nobody renews it for you: it ends after --ttl.
#[derive(Clone, Debug, Args)]
pub(crate) struct AcquireArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// How long to wait while it is held; 0s for not at all [default: 10s, lock.timeout]
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    /// How long the lock is held without renewal [default: 300s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// Let a lease last longer, from now.
#[derive(Clone, Debug, Args)]
pub(crate) struct RenewArgs {
    /// What `acquire` printed: lease:…
    #[arg(value_name = "LEASE")]
    pub(crate) lease: String,
    /// How long the lock is held from now [default: 300s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// Give a lease back.
///
/// Says whether it was still held, had expired, or had been taken by another.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// What `acquire` printed: lease:…
    #[arg(value_name = "LEASE")]
    pub(crate) lease: String,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// List the locks that are held.
#[derive(Clone, Debug, Args)]
pub(crate) struct LockListArgs {
    /// Only this marketplace's
    #[arg(long, value_name = "ID")]
    pub(crate) marketplace: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// Show who holds one lock.
///
/// Says for how long still. Exit code 3 where somebody holds it, 0 where it is free.
#[derive(Clone, Debug, Args)]
pub(crate) struct LockShowArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// Take a lock away from its holder; recorded.
///
/// The holder is not asked: it may still be at work and will find its lock lost. No second bid can follow,
/// since the ledger decides that, but work may be done twice.
#[derive(Clone, Debug, Args)]
pub(crate) struct ForceReleaseArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

const RUN_HELP: &str = "\
Examples:
  bidlock lock run upwork 1900000000000000001 -- ./prepare-bid.sh
  bidlock lock run --name cron nightly --wait 10s -- sh -c 'date; ./nightly.sh'

The lock is renewed while the command runs. Should it be lost all the same, the command is ended (TERM, then
KILL after 5 s). SIGTERM, SIGINT and SIGHUP are passed on to the command, unless the terminal has done so.
Exit code: the command's own (128 + n if signal n ended it), 3 where the lock is held by another,
5 where the lock was lost, 126 or 127 where the command can't be run.";

/// Run a command while holding a lock, like flock(1).
#[derive(Clone, Debug, Args)]
#[command(after_help = RUN_HELP, after_long_help = RUN_HELP)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// How long to wait while it is held; 0s for not at all [default: 10s, lock.timeout]
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    /// How long the lock outlives a crash of this command [default: 300s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

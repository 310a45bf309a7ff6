//! The smaller commands: posting, migrate, config, doctor, sandbox, completions, bench.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{LedgerArgs, Override, StoreArgs, given};

const POSTING_HELP: &str = "\
Examples:
  bidlock posting evaluate feed.json --rules rules.toml
  curl -s https://example.com/rss | bidlock posting evaluate -
  bidlock posting canonical 'https://www.upwork.com/jobs/~021900000000000000001?source=rss'
  bidlock posting canonical 0042 --marketplace example";

/// Evaluate postings; find a posting's canonical id.
#[derive(Clone, Debug, Args)]
#[command(after_help = POSTING_HELP, after_long_help = POSTING_HELP, disable_help_subcommand = true)]
pub(crate) struct PostingArgs {
    #[command(subcommand)]
    pub(crate) command: PostingCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PostingCommand {
    Evaluate(EvaluateArgs),
    Canonical(CanonicalArgs),
}

impl PostingCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        match self {
            PostingCommand::Evaluate(a) => given(&[
                ("--rules", "scan.rules", a.rules.clone()),
                ("--format", "scan.format", a.format.clone()),
                ("--map", "scan.map", a.map.clone()),
                ("--marketplace", "scan.marketplace", a.marketplace.clone()),
            ]),
            PostingCommand::Canonical(_) => Vec::new(),
        }
    }
}

/// Say of each posting whether the rules find it suitable, and why; writes nothing.
#[derive(Clone, Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Files or folders to read, or - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub(crate) feeds: Vec<String>,
    /// A TOML file of rules
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<String>,
    /// What the feed is [default: auto, which looks]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// A TOML file that says which field of the feed means what
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<String>,
    /// The marketplace of the postings, where the feed does not say it
    #[arg(long, value_name = "ID")]
    pub(crate) marketplace: Option<String>,
}

/// Print the canonical id of a posting: equal for every form of the same posting.
#[derive(Clone, Debug, Args)]
pub(crate) struct CanonicalArgs {
    /// The posting's URL or id
    #[arg(value_name = "URL|ID")]
    pub(crate) posting: String,
    /// Its marketplace, where the URL does not tell it
    #[arg(long, value_name = "ID")]
    pub(crate) marketplace: Option<String>,
}

/// Show or upgrade the ledger's schema.
#[derive(Clone, Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    pub(crate) command: MigrateCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    Status(StatusArgs),
    Up(UpArgs),
}

impl MigrateCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        match self {
            MigrateCommand::Status(a) => a.ledger.overrides(),
            MigrateCommand::Up(a) => a.ledger.overrides(),
        }
    }
}

/// Show the ledger's schema version and what this bidlock knows.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// Upgrade the ledger's schema.
///
/// A new ledger needs none of this: its first opener makes it.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpArgs {
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

const CONFIG_HELP: &str = "\
Settings come from flags, then BIDLOCK_* variables (BIDLOCK_LOCK__TTL is lock.ttl), then the known names
(DATABASE_URL, REDIS_LOCK_TTL, ...), then bidlock.toml (-c FILE, ./bidlock.toml, the user's configuration
folder, /etc/bidlock: the first that exists), then defaults.

Examples:
  bidlock config init
  bidlock config show --origin
  bidlock -c staging.toml config check";

/// Show, check or start a configuration.
#[derive(Clone, Debug, Args)]
#[command(after_help = CONFIG_HELP, after_long_help = CONFIG_HELP, disable_help_subcommand = true)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Show(ShowConfigArgs),
    Check(CheckArgs),
    Init(InitArgs),
}

impl ConfigCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        match self {
            ConfigCommand::Show(a) => a.stores.overrides(),
            ConfigCommand::Check(a) => a.stores.overrides(),
            ConfigCommand::Init(_) => Vec::new(),
        }
    }
}

/// Show the settings that count.
///
/// Secrets are hidden.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShowConfigArgs {
    /// Also say where each value comes from
    #[arg(long)]
    pub(crate) origin: bool,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// Check every setting and the files it names.
///
/// Opens neither ledger nor locks; `bidlock doctor` does.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

/// Write a commented bidlock.toml.
///
/// Never overwrites a file.
#[derive(Clone, Debug, Args)]
pub(crate) struct InitArgs {
    /// Where
    #[arg(value_name = "FILE", default_value = "bidlock.toml")]
    pub(crate) path: PathBuf,
}

const DOCTOR_HELP: &str = "\
Examples:
  bidlock doctor
  bidlock doctor --json | jq '.checks[] | select(.status != \"ok\")'

Exit code 9 where something is unhealthy. A warning alone ends with 0.";

/// Check that everything is fit to run, and say what to do where it is not.
#[derive(Clone, Debug, Args)]
#[command(after_help = DOCTOR_HELP, after_long_help = DOCTOR_HELP)]
pub(crate) struct DoctorArgs {
    /// Also ask this marketplace whether it can be reached
    #[arg(long, value_name = "URL")]
    pub(crate) submit: Option<String>,
    /// Also look at the replaced system's database, as a scan with this option would use it
    #[arg(long, value_name = "URL")]
    pub(crate) legacy_database: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
}

impl DoctorArgs {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut all = self.stores.overrides();
        all.extend(given(&[
            ("--submit", "submit.target", self.submit.clone()),
            ("--legacy-database", "legacy.url", self.legacy_database.clone()),
        ]));
        all
    }
}

const SANDBOX_HELP: &str = "\
Examples:
  bidlock sandbox run --log market.jsonl
  bidlock sandbox run --listen 127.0.0.1:8080 --log market.jsonl --mode duplicates=refused,delay=50ms
  bidlock scan feed.json --submit http://127.0.0.1:8080 --bid-on-everything --empty-proposal
  bidlock sandbox report market.jsonl";

/// A marketplace for tests that records every request.
///
/// Each request is durable in the record before it is answered, so that the record proves what was sent.
#[derive(Clone, Debug, Args)]
#[command(after_help = SANDBOX_HELP, after_long_help = SANDBOX_HELP, disable_help_subcommand = true)]
pub(crate) struct SandboxArgs {
    #[command(subcommand)]
    pub(crate) command: SandboxCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    Run(SandboxRunArgs),
    Report(ReportArgs),
}

/// Run it until stopped; prints its URL.
#[derive(Clone, Debug, Args)]
#[command(after_help = sandbox_modes(), after_long_help = sandbox_modes())]
pub(crate) struct SandboxRunArgs {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The record, appended to; an existing one is remembered
    #[arg(long, value_name = "FILE", default_value = "sandbox.jsonl")]
    pub(crate) log: PathBuf,
    /// How it misbehaves: a list such as duplicates=refused,reset=0.1
    #[arg(long, value_name = "MODES")]
    pub(crate) mode: Option<String>,
}

fn sandbox_modes() -> String {
    format!("Modes, separated by commas; faults may be combined:\n{}", bidlock_sandbox::MODES_HELP)
}

/// What a log proves: submissions, accepted, duplicates.
///
/// Exit code 7 where a posting was accepted twice.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// The record that `sandbox run --log` wrote
    #[arg(value_name = "LOG")]
    pub(crate) log: PathBuf,
}

const COMPLETIONS_HELP: &str = "\
Examples:
  bidlock completions bash > ~/.local/share/bash-completion/completions/bidlock
  bidlock completions zsh > ~/.zfunc/_bidlock
  bidlock completions fish > ~/.config/fish/completions/bidlock.fish";

/// Print a completion script for your shell.
#[derive(Clone, Debug, Args)]
#[command(after_help = COMPLETIONS_HELP, after_long_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    pub(crate) shell: Shell,
}

const BENCH_HELP: &str = "\
Examples:
  bidlock bench --peer-json redis://127.0.0.1:6379 1
  bidlock bench --peer-json redis://127.0.0.1:6379 0.1     a tenth of the time";

/// Measure the locks of a Redis server: pairs, contention, hand-over.
#[derive(Clone, Debug, Args)]
#[command(after_help = BENCH_HELP, after_long_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    /// The server, and for how long as a multiple of 2 s; writes one line of JSON for each figure
    #[arg(long, num_args = 2, value_names = ["REDIS_URL", "SCALE"], required = true)]
    pub(crate) peer_json: Vec<String>,
}

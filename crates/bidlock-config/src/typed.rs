//! The settings as types, one struct for each table of the file.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use bidlock_market::Target;

/// `[lock]`, but for the place, which [`Config::lock_choice`](crate::Config::lock_choice) chooses.
#[derive(Clone, Debug)]
pub struct LockConfig {
    /// This instance's name; `None` for `host:pid:random`.
    pub holder: Option<String>,
    /// The TTL of locks and claims.
    pub ttl: Duration,
    /// How long `lock acquire` and `lock run` wait.
    pub timeout: Duration,
    /// Tries after a passing error of the engine.
    pub retry_count: u32,
    /// Renewal in the background.
    pub renew: bool,
    /// What stands in for Redis while it is away.
    pub fallback: SecondLocks,
}

/// What stands in for Redis while it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondLocks {
    /// The database lock beside the ledger.
    Database,
    /// Locks in this process: in development only.
    Memory,
    /// Nothing: a scan waits.
    None,
}

/// Whether a person decides before a bid is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// As the marketplace's rules ask for.
    ByMarketplace,
    /// For each bid.
    Always,
    /// Never: the owner answers for it.
    Never,
}

/// `[scan]`.
#[derive(Clone, Debug)]
pub struct ScanConfig {
    /// What the feed is.
    pub format: String,
    /// The field map's file.
    pub map: Option<PathBuf>,
    /// The postings' marketplace, where the feed does not say it.
    pub marketplace: Option<String>,
    /// The rules' file.
    pub rules: Option<PathBuf>,
    /// Without rules, bid on whatever can be read.
    pub bid_on_everything: bool,
    /// The greatest age of a fetch.
    pub max_age: Duration,
    /// Read again after this long.
    pub every: Option<Duration>,
    /// Postings in one batch of questions to ledger and locks.
    pub batch: usize,
    /// Postings worked on at once.
    pub concurrency: usize,
    /// How long to try again what another holds.
    pub wait: Duration,
    /// How long an engine may be away before the scan gives up.
    pub patience: Duration,
}

/// `[submit]`.
#[derive(Clone, Debug)]
pub struct SubmitConfig {
    /// Where bids go; `None` where nobody said it, which is a dry run.
    pub target: Option<Target>,
    /// Of one submission, from connecting to the last byte of the answer. Shorter than the TTL.
    pub time_limit: Duration,
    /// Of connecting.
    pub connect_limit: Duration,
    /// So many unknown outcomes in a row stop sending.
    pub max_unknown_in_a_row: u32,
    /// Whether a person decides first.
    pub approval: Approval,
    /// How long an approval holds.
    pub approval_valid_for: Duration,
    /// The proposal template's file.
    pub proposal: Option<PathBuf>,
    /// Bids may go without a word.
    pub empty_proposal: bool,
}

/// `[caps]`.
#[derive(Clone, Debug, Default)]
pub struct CapsConfig {
    /// First sendings a day and marketplace; `default` stands for those without a line of their own.
    pub per_day: BTreeMap<String, u64>,
}

/// `[withdrawal]`.
#[derive(Clone, Copy, Debug)]
pub struct WithdrawalConfig {
    /// A confirmed withdrawal frees the posting for another bid.
    pub allow_rebid: bool,
}

/// `[metrics]`.
#[derive(Clone, Copy, Debug)]
pub struct MetricsConfig {
    /// Where a scan serves them; nowhere unless set.
    pub listen: Option<SocketAddr>,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A level or a filter such as `info,bidlock=debug`.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

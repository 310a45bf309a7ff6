//! What a seed decides before the run begins: its size, its marketplace, and which fault strikes what, when, for how
//! long. The same order gives the same plan on every host; what a host can't exercise is left out when its time comes.

mod draw;
mod holds;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::fault::{FaultKind, Place, Target};

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Decides everything that is not said here.
    pub seed: u64,
    /// Where locks and ledger are.
    pub engines: Engines,
    /// How long faults are injected, in milliseconds; the quiet end comes on top.
    pub runs_ms: u64,
    /// How many postings appear meanwhile.
    pub postings: u32,
    /// How many scanner processes.
    pub scanners: u32,
    /// How many faults are planned a minute, beside those of the marketplace.
    pub faults_per_minute: u32,
}

/// Where locks and ledger are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Engines {
    /// Two files of one host.
    #[serde(rename = "sqlite")]
    Sqlite,
    /// Locks in Redis, the ledger in PostgreSQL.
    #[serde(rename = "redis+postgres")]
    RedisAndPostgres,
    /// Both in PostgreSQL.
    #[serde(rename = "postgres")]
    Postgres,
}

impl Engines {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Engines::Sqlite => "sqlite",
            Engines::RedisAndPostgres => "redis+postgres",
            Engines::Postgres => "postgres",
        }
    }

    /// What a process talks to by way of a socket.
    pub fn places(self) -> &'static [Place] {
        match self {
            Engines::Sqlite => &[Place::Market],
            Engines::RedisAndPostgres => &[Place::Redis, Place::Postgres, Place::Market],
            Engines::Postgres => &[Place::Postgres, Place::Market],
        }
    }

    /// Where the ledger is.
    pub fn ledger(self) -> Place {
        match self {
            Engines::Sqlite => Place::Sqlite,
            Engines::RedisAndPostgres | Engines::Postgres => Place::Postgres,
        }
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engines {
    type Err = UnknownEngines;

    fn from_str(text: &str) -> Result<Engines, UnknownEngines> {
        [Engines::Sqlite, Engines::RedisAndPostgres, Engines::Postgres]
            .into_iter()
            .find(|engines| engines.name() == text)
            .ok_or_else(|| UnknownEngines { text: text.to_owned() })
    }
}

/// A text that names no engines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no engines: use sqlite, redis+postgres or postgres")]
pub struct UnknownEngines {
    text: String,
}

/// What a seed has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Where locks and ledger are.
    pub engines: Engines,
    /// How long faults are injected, in milliseconds.
    pub runs_ms: u64,
    /// How many postings appear meanwhile.
    pub postings: u32,
    /// How many scanner processes.
    pub scanners: u32,
    /// How many processes take locks and do nothing else.
    pub workers: u32,
    /// The TTL of claims and leases, in milliseconds.
    pub ttl_ms: u64,
    /// The time limit of one submission, in milliseconds.
    pub time_limit_ms: u64,
    /// Scanners whose bids wait for a person's approval: the last so many.
    pub asking: u32,
    /// The first two scanners go by one name, and so do the first two workers: a configured name that somebody gave twice.
    #[serde(default)]
    pub twins: bool,
    /// A confirmed withdrawal frees the posting.
    pub allow_rebid: bool,
    /// How the marketplace behaves: the sandbox's `--mode`.
    pub market: String,
    /// By time.
    pub faults: Vec<Planned>,
}

/// A fault that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Counts the plan's faults, from 1.
    pub id: u32,
    /// When it begins, in milliseconds since the run began.
    pub at_ms: u64,
    /// What.
    pub fault: FaultKind,
    /// What it hits.
    pub target: Target,
    /// How long it lasts; 0 for one that is over at once.
    pub lasts_ms: u64,
    /// How much, in the kind's own unit; 0 where there is none.
    #[serde(default)]
    pub amount: i64,
}

impl Plan {
    /// The plan of this order.
    pub fn draw(order: &Order) -> Plan {
        draw::plan(order)
    }

    /// The promise of L1: once the faults have ended, every posting is settled within TTL + sweep + 5 s. In milliseconds.
    pub fn rest_ms(&self) -> u64 {
        self.ttl_ms + self.ttl_ms / 3 + 5_000
    }

    /// How long the quiet end is: the same, and as long as leases of the dead may last beyond their TTL because the lock
    /// store's clock went back.
    pub fn quiet_ms(&self) -> u64 {
        let leaps = self.faults.iter().filter(|planned| planned.fault == FaultKind::RedisClock);
        let longest_s = leaps.filter_map(|planned| u64::try_from(planned.amount).ok()).max();
        self.rest_ms() + longest_s.unwrap_or_default() * 1_000
    }

    /// The name by which a process goes, where that is not its own.
    pub(crate) fn goes_by(&self, process: &str) -> Option<String> {
        let (role, number) = process.rsplit_once('-')?;
        let is_twin = self.twins && matches!(role, "scanner" | "worker") && matches!(number, "1" | "2");
        is_twin.then(|| format!("{role}-twin"))
    }

    /// When the n-th posting (from 0) appears in the feed, in milliseconds.
    pub fn appears_at(&self, n: u32) -> u64 {
        u64::from(n) * (self.runs_ms * LAST_NEWS_PER_MILLE / 1_000) / u64::from(self.postings.max(1))
    }
}

/// The last posting appears while faults are still injected.
const LAST_NEWS_PER_MILLE: u64 = 950;

//! The kinds of faults that the rig knows, and what each can hit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can be broken on purpose. One list: plan, history, report and checker name faults by it.
///
/// Those whose names begin with `Market` are the sandbox's, drawn for single requests; they stand in its own record
/// (see [`FaultKind::of_sandbox`]). All others are injected by the rig and stand in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A process is stopped (SIGSTOP) for longer than its TTL, then goes on.
    Pause,
    /// A process is killed (SIGKILL); another is started in its place.
    Kill,
    /// A process is asked to end (SIGTERM); another is started in its place.
    Terminate,
    /// The wall clock of a process is off by up to 20 hours. Its other clocks run on.
    ClockJump,
    /// Nothing comes through between processes and an engine, in either direction; nobody is told.
    Cut,
    /// What processes ask does not arrive; what they were being told does.
    CutRequests,
    /// What processes ask arrives; no answer does.
    CutReplies,
    /// Connections are reset, and new ones are refused.
    Refuse,
    /// The next answer is thrown away after the request was done, and the connection is reset.
    LoseReply,
    /// Every message takes longer.
    Delay,
    /// Messages come in small pieces.
    Trickle,
    /// Redis is killed, and comes back empty.
    RedisKill,
    /// Redis is stopped (SIGSTOP), then goes on.
    RedisPause,
    /// The wall clock of Redis leaps, and later leaps back.
    RedisClock,
    /// Redis forgets everything: FLUSHALL.
    RedisFlush,
    /// Redis forgets its scripts: SCRIPT FLUSH.
    RedisScriptFlush,
    /// PostgreSQL crashes (SIGQUIT) and comes back.
    PostgresKill,
    /// Every process of PostgreSQL is stopped (SIGSTOP), then goes on.
    PostgresPause,
    /// PostgreSQL ends every connection.
    PostgresTerminate,
    /// Nobody can write to the ledger's disk.
    DiskFull,
    /// Another connection holds the SQLite file's write lock.
    WriterStalls,
    /// The ledger asks for a newer protocol than this bidlock speaks.
    ProtocolFloor,
    /// The marketplace resets the connection.
    MarketReset,
    /// The marketplace answers 500 or 503.
    MarketError,
    /// The marketplace answers 200 with a body that can't be read.
    MarketGarbage,
    /// The marketplace never answers.
    MarketSilent,
    /// The marketplace answers late.
    MarketSlow,
    /// The marketplace answers 429.
    MarketTooMany,
    /// The marketplace redirects to another path of its own.
    MarketRedirect,
    /// The marketplace refuses a bid, or a withdrawal, for good.
    MarketRefuses,
    /// The marketplace's look-ups fail or do not show a bid yet.
    MarketLookUp,
}

impl FaultKind {
    /// Every kind, in order.
    pub const ALL: [FaultKind; 31] = [
        FaultKind::Pause,
        FaultKind::Kill,
        FaultKind::Terminate,
        FaultKind::ClockJump,
        FaultKind::Cut,
        FaultKind::CutRequests,
        FaultKind::CutReplies,
        FaultKind::Refuse,
        FaultKind::LoseReply,
        FaultKind::Delay,
        FaultKind::Trickle,
        FaultKind::RedisKill,
        FaultKind::RedisPause,
        FaultKind::RedisClock,
        FaultKind::RedisFlush,
        FaultKind::RedisScriptFlush,
        FaultKind::PostgresKill,
        FaultKind::PostgresPause,
        FaultKind::PostgresTerminate,
        FaultKind::DiskFull,
        FaultKind::WriterStalls,
        FaultKind::ProtocolFloor,
        FaultKind::MarketReset,
        FaultKind::MarketError,
        FaultKind::MarketGarbage,
        FaultKind::MarketSilent,
        FaultKind::MarketSlow,
        FaultKind::MarketTooMany,
        FaultKind::MarketRedirect,
        FaultKind::MarketRefuses,
        FaultKind::MarketLookUp,
    ];

    /// As it stands in histories and reports.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Pause => "pause",
            FaultKind::Kill => "kill",
            FaultKind::Terminate => "terminate",
            FaultKind::ClockJump => "clock_jump",
            FaultKind::Cut => "cut",
            FaultKind::CutRequests => "cut_requests",
            FaultKind::CutReplies => "cut_replies",
            FaultKind::Refuse => "refuse",
            FaultKind::LoseReply => "lose_reply",
            FaultKind::Delay => "delay",
            FaultKind::Trickle => "trickle",
            FaultKind::RedisKill => "redis_kill",
            FaultKind::RedisPause => "redis_pause",
            FaultKind::RedisClock => "redis_clock",
            FaultKind::RedisFlush => "redis_flush",
            FaultKind::RedisScriptFlush => "redis_script_flush",
            FaultKind::PostgresKill => "postgres_kill",
            FaultKind::PostgresPause => "postgres_pause",
            FaultKind::PostgresTerminate => "postgres_terminate",
            FaultKind::DiskFull => "disk_full",
            FaultKind::WriterStalls => "writer_stalls",
            FaultKind::ProtocolFloor => "protocol_floor",
            FaultKind::MarketReset => "market_reset",
            FaultKind::MarketError => "market_error",
            FaultKind::MarketGarbage => "market_garbage",
            FaultKind::MarketSilent => "market_silent",
            FaultKind::MarketSlow => "market_slow",
            FaultKind::MarketTooMany => "market_too_many",
            FaultKind::MarketRedirect => "market_redirect",
            FaultKind::MarketRefuses => "market_refuses",
            FaultKind::MarketLookUp => "market_look_up",
        }
    }

    /// Its numbers in the catalogue of failures.
    pub fn catalogue(self) -> &'static [u8] {
        match self {
            FaultKind::Pause => &[1, 2, 6],
            FaultKind::Kill => &[3, 4],
            FaultKind::Terminate => &[30],
            FaultKind::ClockJump => &[14],
            FaultKind::Cut => &[16, 18, 32],
            FaultKind::CutRequests => &[8, 17],
            FaultKind::CutReplies => &[7, 17, 19],
            FaultKind::Refuse => &[18],
            FaultKind::LoseReply => &[7, 19, 27],
            FaultKind::Delay | FaultKind::Trickle => &[34],
            FaultKind::RedisKill => &[9, 11],
            FaultKind::RedisPause => &[34],
            FaultKind::RedisClock => &[12, 13],
            FaultKind::RedisFlush | FaultKind::RedisScriptFlush => &[15],
            FaultKind::PostgresKill | FaultKind::PostgresPause | FaultKind::PostgresTerminate => &[18, 19],
            FaultKind::DiskFull => &[22],
            FaultKind::WriterStalls => &[23],
            FaultKind::ProtocolFloor => &[33],
            FaultKind::MarketReset
            | FaultKind::MarketError
            | FaultKind::MarketGarbage
            | FaultKind::MarketSilent
            | FaultKind::MarketSlow
            | FaultKind::MarketTooMany
            | FaultKind::MarketRefuses => &[27],
            FaultKind::MarketRedirect => &[26],
            FaultKind::MarketLookUp => &[28],
        }
    }

    /// What the sandbox's record calls a fault, such as `reset-after`; `None` for a word that it does not use.
    pub fn of_sandbox(fault: &str) -> Option<FaultKind> {
        let stem = fault.trim_end_matches("-before").trim_end_matches("-after");
        Some(match stem {
            "reset" => FaultKind::MarketReset,
            "500" | "503" => FaultKind::MarketError,
            "garbage" => FaultKind::MarketGarbage,
            "silent" => FaultKind::MarketSilent,
            "delay" => FaultKind::MarketSlow,
            "429" => FaultKind::MarketTooMany,
            "307" => FaultKind::MarketRedirect,
            "400" | "401" | "402" | "403" | "404" | "410" | "422" | "withdraw-refused" => {
                FaultKind::MarketRefuses
            }
            "stale" | "look-up-500" => FaultKind::MarketLookUp,
            _ => return None,
        })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a fault hits.
///
/// A process alone: it is what is hit. A place alone: it is hit, for everybody. Both: what lies between the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The process, such as `scanner-2`, in all of its incarnations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What processes talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The Redis server: locks.
    Redis,
    /// The PostgreSQL server: the ledger, and locks where there is no Redis.
    Postgres,
    /// The SQLite files: ledger and locks.
    Sqlite,
    /// The marketplace.
    Market,
}

impl Place {
    /// As it stands in histories and reports.
    pub fn name(self) -> &'static str {
        match self {
            Place::Redis => "redis",
            Place::Postgres => "postgres",
            Place::Sqlite => "sqlite",
            Place::Market => "market",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Target {
    /// A process.
    pub fn process(name: impl Into<String>) -> Target {
        Target { process: Some(name.into()), place: None }
    }

    /// A place, for everybody.
    pub fn place(place: Place) -> Target {
        Target { process: None, place: Some(place) }
    }

    /// What lies between a process and a place.
    pub fn between(process: impl Into<String>, place: Place) -> Target {
        Target { process: Some(process.into()), place: Some(place) }
    }

    /// Whether it concerns this process: as itself, or with everybody.
    pub fn hits(&self, process: &str) -> bool {
        self.process.as_deref().is_none_or(|hit| hit == process)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.process, self.place) {
            (Some(process), None) => f.write_str(process),
            (Some(process), Some(place)) => write!(f, "{process} and {place}"),
            (None, Some(place)) => write!(f, "{place}, for all"),
            (None, None) => f.write_str("everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_and_serialises_as_its_name() {
        let mut seen = std::collections::HashSet::new();
        for kind in FaultKind::ALL {
            assert!(seen.insert(kind.name()), "{kind} twice");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert!(!kind.catalogue().is_empty());
        }
    }

    /// A fault that the sandbox learns must have its kind here, or nobody counts it.
    #[test]
    fn every_fault_of_the_sandbox_has_its_kind() {
        let modes = "reset=0.1,reset-before=0.1,500-after=0.1,503=0.1,garbage=0.1,silent=0.1,delay=1ms,429=0.1,307=0.1,\
                     400=0.1,404=0.1,stale=0.1@1s,look-up-500=0.1,withdraw-refused=0.1";
        let modes: bidlock_sandbox::Modes = modes.parse().unwrap();
        for rule in modes.rules {
            assert!(FaultKind::of_sandbox(&rule.fault.name()).is_some(), "{:?}", rule.fault);
        }
        assert_eq!(FaultKind::of_sandbox("sunshine"), None);
    }
}

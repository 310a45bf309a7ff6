//! Whether a server is fit to hold locks; looked at on each new connection, since what answers at an address can
//! change.

use std::time::{Duration, SystemTime};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value};

use super::faults::{Fault, fault, odd_answer};
use super::link::unfit;
use super::native::Natives;
use super::options::RedisOptions;
use crate::clock::{Clock, SystemClock};

/// The oldest version: scripts that read the time and write, and `ZPOPMIN`.
const OLDEST_MAJOR: u32 = 5;
/// How far the server's clock may be from ours. Leases do not depend on it; fencing tokens and what people read do.
const CLOCK_LIMIT: Duration = Duration::from_secs(30);
/// From where on the distance is worth a word.
const CLOCK_WARNING: Duration = Duration::from_secs(2);

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) version: String,
    /// The server tells us of locks that are handed over.
    pub(super) push: bool,
    pub(super) natives: Natives,
    /// Name and value, for people.
    pub(super) told: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
}

/// Asks the server about itself.
pub(super) async fn examine(
    connection: &mut MultiplexedConnection,
    options: &RedisOptions,
    push: bool,
) -> Result<Facts, Fault> {
    let place = &options.place();
    let mut pipeline = redis::pipe();
    pipeline.cmd("INFO").cmd("TIME");
    let answers: Vec<Value> = pipeline.query_async(connection).await.map_err(|error| fault(place, error))?;
    let wall = SystemClock.wall();
    let [info, time] = <[Value; 2]>::try_from(answers).map_err(|_| odd_answer("INFO and TIME"))?;
    let info = String::from_redis_value(info).map_err(|_| odd_answer("INFO"))?;
    let (seconds, micros): (u64, u64) =
        FromRedisValue::from_redis_value(time).map_err(|_| odd_answer("TIME"))?;
    let server = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
    let distance = wall.duration_since(server).unwrap_or_else(|error| error.duration());
    let mut facts = judge(&info, distance, place, push)?;
    if options.in_turn && !push {
        let message = "waiters poll here, so turns are not kept, although `in_turn` asks for it";
        facts.warnings.push(message.to_owned());
    }
    Ok(facts)
}

fn judge(info: &str, distance: Duration, place: &str, push: bool) -> Result<Facts, Fault> {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim).unwrap_or_default()
    };
    let version = field("redis_version");
    let shown = match field("valkey_version") {
        "" => version.to_owned(),
        valkey => format!("Valkey {valkey}"),
    };
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < OLDEST_MAJOR {
        let message = format!("{place} is Redis {version}, too old for locks");
        return Err(unfit(message, "bidlock needs Redis 5 or newer, or Valkey"));
    }
    match (field("redis_mode"), field("role")) {
        ("sentinel", _) => {
            let message = format!("{place} is a Sentinel, which holds no data");
            return Err(unfit(
                message,
                "name the master: `SENTINEL get-master-addr-by-name` says which it is",
            ));
        }
        ("cluster", _) => {
            let message = format!("{place} is part of a Redis Cluster, which bidlock does not know yet");
            return Err(unfit(message, "name a single server"));
        }
        (_, "slave" | "replica") => {
            let master = (field("master_host"), field("master_port"));
            let message = format!("{place} is a read-only replica of {}:{}", master.0, master.1);
            return Err(unfit(message, "name the master instead"));
        }
        _ => {}
    }
    let policy = field("maxmemory_policy");
    if !policy.is_empty() && policy != "noeviction" {
        let message = format!("{place} may evict locks: its `maxmemory-policy` is `{policy}`");
        return Err(unfit(message, "`CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf"));
    }
    if distance > CLOCK_LIMIT {
        let message = format!("the clock of {place} and ours are {distance:.1?} apart");
        return Err(unfit(message, "set both by NTP"));
    }
    let mut warnings = Vec::new();
    if distance > CLOCK_WARNING {
        warnings.push(format!("the server's clock and ours are {distance:.1?} apart: set both by NTP"));
    }
    if field("aof_enabled") != "1" {
        let more = "a restart forgets the locks of the last minutes or all of them, and scanners then do some \
                    work twice; the ledger still lets no second bid out. `appendonly yes` keeps them";
        warnings.push(format!("the server does not keep a log (`appendonly no`): {more}"));
    }
    if !push {
        let message = "the server is older than Redis 6, or hides HELLO: waiters poll instead of being woken";
        warnings.push(message.to_owned());
    }
    let natives = Natives::of(version, field("valkey_version"));
    let told = tell(&field, &shown, distance, push);
    Ok(Facts { version: shown, push, natives, told, warnings })
}

/// What an operator may want to know of a server that is fit.
fn tell<'a>(
    field: &impl Fn(&str) -> &'a str,
    version: &str,
    distance: Duration,
    push: bool,
) -> Vec<(String, String)> {
    let or_unknown = |value: &str| if value.is_empty() { "not told".to_owned() } else { value.to_owned() };
    let limit = match field("maxmemory") {
        "" | "0" => "no limit".to_owned(),
        _ => format!("{} at most", field("maxmemory_human")),
    };
    let persistence = match (field("aof_enabled"), field("rdb_last_bgsave_status")) {
        ("1", _) => "appendonly yes",
        (_, "err") => "appendonly no; the last snapshot failed",
        _ => "appendonly no",
    };
    [
        ("version", version.to_owned()),
        ("role", or_unknown(field("role"))),
        ("maxmemory-policy", or_unknown(field("maxmemory_policy"))),
        ("memory", format!("{} used, {limit}", field("used_memory_human"))),
        ("persistence", persistence.to_owned()),
        ("clients", format!("{} of {}", field("connected_clients"), or_unknown(field("maxclients")))),
        ("clock distance", format!("{distance:.1?}")),
        ("wakes waiters", if push { "yes" } else { "no: they poll" }.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nmaxmemory_policy:noeviction\r\n\
                        aof_enabled:1\r\nrole:master\r\n";

    fn judged(change: (&str, &str), distance: Duration) -> Result<Vec<String>, String> {
        let info = GOOD.replace(change.0, change.1);
        judge(&info, distance, "redis://h:1/0", true)
            .map(|facts| facts.warnings)
            .map_err(|fault| fault.into_error("connect").to_string())
    }

    #[test]
    fn a_good_server_is_taken_without_a_word() {
        assert_eq!(judged(("", ""), Duration::ZERO), Ok(Vec::new()));
        assert_eq!(judged(("7.0.15", "5.0.14"), Duration::ZERO), Ok(Vec::new()));
        assert_eq!(judged(("7.0.15", "7.2.4\r\nvalkey_version:8.1.0"), Duration::ZERO), Ok(Vec::new()));
    }

    #[test]
    fn each_unfitness_names_its_cause_and_the_way_out() {
        for (change, cause, way_out) in [
            (("7.0.15", "4.0.9"), "Redis 4.0.9", "Redis 5 or newer"),
            (("noeviction", "allkeys-lru"), "`allkeys-lru`", "CONFIG SET maxmemory-policy noeviction"),
            (
                ("role:master", "role:slave\r\nmaster_host:m\r\nmaster_port:7"),
                "replica of m:7",
                "name the master",
            ),
            (("standalone", "sentinel"), "Sentinel", "get-master-addr-by-name"),
            (("standalone", "cluster"), "Cluster", "single server"),
        ] {
            let error = judged(change, Duration::ZERO).unwrap_err();
            assert!(error.contains(cause) && error.contains(way_out), "{error}");
        }
        let error = judged(("", ""), Duration::from_secs(31)).unwrap_err();
        assert!(error.contains("31.0s apart") && error.contains("NTP"), "{error}");
    }

    #[test]
    fn what_is_only_risky_is_a_warning() {
        let warnings = judged(("aof_enabled:1", "aof_enabled:0"), Duration::from_secs(3)).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("3.0s apart") && warnings[1].contains("appendonly yes"), "{warnings:?}");
    }
}

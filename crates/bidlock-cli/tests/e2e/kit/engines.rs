//! The engines that scanners of several hosts share: servers of a test's own, and what can befall them.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bidlock_testkit::{PostgresOptions, PostgresServer, RedisServer};

use super::Stage;

/// Where locks and ledger are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    RedisAndPostgres,
    Postgres,
    RedisAndSqlite,
}

/// The servers of a pair.
pub struct Engines {
    pub redis: Option<RedisServer>,
    pub postgres: Option<PostgresServer>,
}

impl Engines {
    /// Starts them; `None` where one is not installed, as the testkit says.
    pub fn start(pair: Pair) -> Option<Engines> {
        let mut engines = Engines { redis: None, postgres: None };
        if pair != Pair::Postgres {
            engines.redis = Some(RedisServer::start(&["--maxmemory-policy", "noeviction"])?);
        }
        if pair != Pair::RedisAndSqlite {
            engines.postgres = Some(PostgresServer::start(PostgresOptions::new())?);
        }
        Some(engines)
    }

    /// What a scan must be told.
    pub fn words(&self) -> Vec<String> {
        let redis = self.redis.as_ref().map(RedisServer::url);
        self.words_with_locks(redis.as_deref())
    }

    /// The same with Redis at another address.
    pub fn words_with_locks(&self, redis: Option<&str>) -> Vec<String> {
        let database = self.postgres.as_ref().map(PostgresServer::url);
        let named = [("--locks", redis), ("--database", database.as_deref())];
        named.into_iter().filter_map(|(name, url)| Some([name, url?].map(str::to_owned))).flatten().collect()
    }

    /// Makes both as new, for the next folder with a ledger of its own.
    pub fn forget(&self) {
        if let Some(server) = &self.postgres {
            server.sql("DROP SCHEMA IF EXISTS bidlock CASCADE");
        }
        self.flush();
    }

    /// Takes everything out of Redis.
    pub fn flush(&self) {
        let Some(server) = &self.redis else { return };
        let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        connection.write_all(b"FLUSHALL\r\n").unwrap();
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+OK\r\n");
    }

    /// The ledger's rows by state.
    pub fn states(&self, stage: &Stage) -> BTreeMap<String, u64> {
        let Some(server) = &self.postgres else { return stage.states() };
        let told = server.sql("SELECT state || ' ' || count(*) FROM bidlock.bids GROUP BY state");
        let counts = told.lines().map(|line| line.split_once(' ').unwrap());
        counts.map(|(state, count)| (state.to_owned(), count.parse().unwrap())).collect()
    }
}

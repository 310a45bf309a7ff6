//! The real engines, on a thread of their own: they die with the thread that has started them.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use bidlock_sqlite::{HostClock, SystemHostClock};
use bidlock_testkit::{PostgresOptions, PostgresServer, RedisServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

use crate::{error::RigError, fault::Place, plan::Engines, world::clock_file::ClockFile};

/// How long a healthy Redis on this host may take for one command of the rig's own.
const REDIS_LIMIT: Duration = Duration::from_secs(20);

/// How far Redis's clock may be from where it was put, in milliseconds: a second is cut off, and asking takes a moment.
const CLOCK_SLACK_MS: i64 = 3_000;

/// The servers of a run.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The lock server.
    pub(crate) redis: Option<RedisServer>,
    /// The database.
    pub(crate) postgres: Option<PostgresServer>,
}

impl Running {
    /// Kills Redis, and takes away what a clock of its own leaves behind.
    pub(crate) fn kill_redis(&mut self) {
        if let Some(redis) = &mut self.redis {
            let pid = redis.pid();
            redis.kill();
            ClockFile::clean_up_after(pid);
        }
    }

    fn start_redis(&mut self, variables: Vec<(OsString, OsString)>) -> u16 {
        self.redis = RedisServer::start_with(&["--maxmemory-policy", "noeviction"], variables);
        self.redis.as_ref().map_or(0, RedisServer::port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_redis();
    }
}

type Job = Box<dyn FnOnce(&mut Running) + Send>;

/// Starts servers and tells them what to do. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Servers {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    redis_port: u16,
    /// The clock of Redis, where it can be moved.
    redis_clock: Option<ClockFile>,
    postgres_port: u16,
    postgres_url: String,
}

impl Servers {
    /// Starts the servers that these engines need. With `clock`, that of Redis can be moved.
    ///
    /// # Errors
    /// A program is missing, or a server does not start.
    pub(crate) async fn start(engines: Engines, clock: Option<ClockFile>) -> Result<Servers, RigError> {
        let wants = |place| engines.places().contains(&place);
        if wants(Place::Redis) && !RedisServer::is_installed() {
            return Err(RigError::Missing { program: "redis-server", package: "redis-server" });
        }
        if wants(Place::Postgres) && !PostgresServer::is_installed() {
            return Err(RigError::Missing { program: "PostgreSQL server", package: "postgresql" });
        }
        let (jobs, waiting) = channel::<Job>();
        let thread = std::thread::Builder::new().name("chaos-servers".to_owned()).spawn(move || {
            let mut running = Running::default();
            // One job at a time, each waited for by whoever sent it: the queue does not grow.
            while let Ok(job) = waiting.recv() {
                job(&mut running);
            }
        });
        let thread = thread.map_err(|source| RigError::Process { doing: "started", source })?;
        let mut servers = Servers {
            jobs: Some(jobs),
            thread: Some(thread),
            redis_port: 0,
            redis_clock: None,
            postgres_port: 0,
            postgres_url: String::new(),
        };
        if wants(Place::Redis) {
            servers.start_redis(clock).await?;
        }
        if wants(Place::Postgres) {
            let start = |running: &mut Running| {
                running.postgres =
                    PostgresServer::start(PostgresOptions::new().on_disk().with("max_connections", "200"));
                running.postgres.as_ref().map_or((0, String::new()), |server| (server.port(), server.url()))
            };
            (servers.postgres_port, servers.postgres_url) = servers.ask("start PostgreSQL", start).await?;
        }
        Ok(servers)
    }

    /// A Redis that does not start with a clock of its own does without.
    async fn start_redis(&mut self, clock: Option<ClockFile>) -> Result<(), RigError> {
        if let Some(variables) = clock.as_ref().and_then(ClockFile::variables_of_server)
            && let Ok(port) =
                self.ask("start Redis", |running: &mut Running| running.start_redis(variables)).await
        {
            (self.redis_port, self.redis_clock) = (port, clock);
            return Ok(());
        }
        let start = |running: &mut Running| running.start_redis(Vec::new());
        self.redis_port = self.ask("start Redis", start).await?;
        Ok(())
    }

    /// Moves the wall clock of Redis, and sees that it has moved.
    ///
    /// # Errors
    /// It has none of its own, or it does not move.
    pub(crate) async fn set_redis_clock(&self, seconds: i64) -> Result<(), String> {
        let clock = self.redis_clock.as_ref().ok_or("this Redis does not start with a clock of its own")?;
        clock.set(seconds).map_err(|why| why.to_string())?;
        let answer = self.redis("TIME").await?;
        // *2, the length of the seconds, the seconds.
        let told: i64 = answer.lines().nth(2).and_then(|line| line.parse().ok()).unwrap_or_default();
        let off_ms = told * 1_000 - SystemHostClock.now().wall_ms - seconds * 1_000;
        if off_ms.abs() < CLOCK_SLACK_MS {
            return Ok(());
        }
        Err(format!("its clock is {off_ms} ms from where it was put"))
    }

    /// Runs something on the servers' thread. A panic of it (which is how the servers of tests say that they are unwell)
    /// becomes an error.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut Running) -> T + Send + 'static,
    ) -> Result<T, RigError> {
        let (tell, told) = oneshot::channel();
        let guarded: Job = Box::new(move |running| {
            let done = catch_unwind(AssertUnwindSafe(|| job(running)));
            // Nobody listens any more where the run was interrupted.
            let _ = tell.send(done.map_err(|panic| words_of(panic.as_ref())));
        });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(guarded).is_ok());
        let gone = || "the thread of the servers has ended".to_owned();
        let done = if sent { told.await.unwrap_or_else(|_| Err(gone())) } else { Err(gone()) };
        done.map_err(|why| RigError::Engine { doing, why })
    }

    /// Where a place is, without a proxy.
    pub(crate) fn address(&self, place: Place) -> Option<SocketAddr> {
        let port = match place {
            Place::Redis => self.redis_port,
            Place::Postgres => self.postgres_port,
            Place::Sqlite | Place::Market => 0,
        };
        (port != 0).then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The flags of a process that finds the engines at these addresses; the file is the SQLite ledger's.
    pub(crate) fn words(&self, address: impl Fn(Place) -> Option<SocketAddr>, file: &Path) -> Vec<String> {
        let mut words = Vec::new();
        if address(Place::Redis).is_some() {
            words.extend(self.locks(&address).into_iter().flat_map(|url| ["--locks".to_owned(), url]));
        }
        let ledger = address(Place::Postgres).map(|at| self.postgres_at(at));
        words.extend(["--database".to_owned(), ledger.unwrap_or_else(|| file.display().to_string())]);
        words
    }

    /// The URL of the locks in a server, as found at these addresses.
    pub(crate) fn locks(&self, address: impl Fn(Place) -> Option<SocketAddr>) -> Option<String> {
        let redis = address(Place::Redis).map(|at| format!("redis://{at}/0"));
        redis.or_else(|| address(Place::Postgres).map(|at| self.postgres_at(at)))
    }

    fn postgres_at(&self, at: SocketAddr) -> String {
        self.postgres_url.replacen(&format!("127.0.0.1:{}", self.postgres_port), &at.to_string(), 1)
    }

    /// The database's own URL.
    pub(crate) fn postgres_url(&self) -> &str {
        &self.postgres_url
    }

    /// One command to Redis, in its inline form, and its answer.
    ///
    /// # Errors
    /// It can't be reached, or does not answer.
    pub(crate) async fn redis(&self, command: &str) -> Result<String, String> {
        let asked = tokio::time::timeout(REDIS_LIMIT, async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.redis_port)).await?;
            stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        });
        let answer = asked.await.map_err(|_| "no answer in time".to_owned())?.map_err(|e| e.to_string())?;
        if answer.starts_with('-') { Err(answer) } else { Ok(answer) }
    }

    /// Names and versions of the engines.
    pub(crate) async fn versions(&self) -> Result<Vec<(String, String)>, RigError> {
        let mut versions = Vec::new();
        if self.redis_port != 0 {
            let info = self.redis("INFO server").await;
            let info = info.map_err(|why| RigError::Engine { doing: "say its version", why })?;
            let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
            versions.push(("redis".to_owned(), version.unwrap_or("unknown").trim().to_owned()));
        }
        if self.postgres_port != 0 {
            versions.push(("postgres".to_owned(), self.sql("SHOW server_version").await?));
        }
        Ok(versions)
    }

    /// Runs statements on PostgreSQL, as its superuser.
    ///
    /// # Errors
    /// There is none, it is away, or it refuses.
    pub(crate) async fn sql(&self, statements: &'static str) -> Result<String, RigError> {
        let run = |running: &mut Running| {
            let server = running.postgres.as_ref().ok_or("there is no PostgreSQL")?;
            server.try_sql(statements)
        };
        let doing = "run SQL";
        self.ask(doing, run).await?.map_err(|why| RigError::Engine { doing, why })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The servers are stopped on their thread; a panic there is told by the panic's own message.
            let _ = thread.join();
        }
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock_file::{allocator, library};

    #[tokio::test]
    async fn redis_ends_a_lease_when_its_clock_leaps_forward_and_keeps_one_longer_when_it_goes_back() {
        let are_there = RedisServer::is_installed() && PostgresServer::is_installed();
        let (Some(library), Some(_), true) = (library(), allocator(), are_there) else {
            bidlock_testkit::missing("redis", "no server whose clock can be moved");
            return;
        };
        let home = tempfile::tempdir().unwrap();
        let clock = ClockFile::right(library, home.path().join("clock")).unwrap();
        let servers = Servers::start(Engines::RedisAndPostgres, Some(clock)).await.unwrap();
        let redis = |command| servers.redis(command);
        redis("SET early x PX 20000").await.unwrap();
        servers.set_redis_clock(30).await.unwrap();
        assert!(redis("GET early").await.unwrap().starts_with("$-1"));
        redis("SET late x PX 20000").await.unwrap();
        servers.set_redis_clock(0).await.unwrap();
        let left_ms: i64 = redis("PTTL late").await.unwrap().lines().next().unwrap()[1..].parse().unwrap();
        assert!(left_ms > 40_000, "{left_ms} ms of a lease of 20 s");
    }
}

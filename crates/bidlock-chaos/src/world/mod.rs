//! The world of a run: engines, marketplace, a feed that grows, processes, and the ways between them.
//!
//! | module | what |
//! |---|---|
//! | `crew`, `launcher`, `listener` | processes under test, how they are started, what they say |
//! | `servers` | Redis and PostgreSQL |
//! | `ways` | a fault proxy between each process and each thing it talks to |
//! | `feed`, `news` | made-up postings, and when they appear |
//! | `desk` | the operator |
//! | `small_disk`, `ledger_file`, `clock_file` | a disk that can be full, the ledger on it, a wall clock that can jump |
//! | `recorder`, `clock` | the history, and the run's own time |
//! | `host` | notices when the host itself stalls |

pub(crate) mod clock;
pub(crate) mod clock_file;
pub(crate) mod crew;
pub(crate) mod desk;
pub(crate) mod feed;
pub(crate) mod host;
pub(crate) mod launcher;
pub(crate) mod ledger_file;
pub(crate) mod listener;
pub(crate) mod news;
pub(crate) mod recorder;
pub(crate) mod servers;
pub(crate) mod small_disk;
pub(crate) mod ways;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bidlock_sandbox::{Sandbox, SandboxOptions};

pub use self::launcher::Launch;
use self::{
    clock::RunClock, clock_file::ClockFile, crew::Crew, desk::Desk, host::HostWatch, launcher::Launcher,
    news::News, recorder::Recorder, servers::Servers, small_disk::SmallDisk, ways::Ways,
};
use crate::{
    error::RigError,
    fault::{FaultKind, Place},
    history::{Begun, FORMAT, NotExercised, Role, RunFolder, What},
    nemeses,
    plan::{Engines, Plan},
};

/// How often a scanner reads its feeds.
const EVERY: &str = "300ms";

/// Everything that a run consists of, and that faults can reach.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) clock: RunClock,
    pub(crate) recorder: Arc<Recorder>,
    /// While processes run.
    pub(crate) host: Option<HostWatch>,
    // Dropped in this order: processes before what they talk to.
    pub(crate) crew: Crew,
    pub(crate) desk: Desk,
    pub(crate) ways: Ways,
    pub(crate) news: News,
    pub(crate) sandbox: Sandbox,
    pub(crate) servers: Servers,
    /// A connection that holds the SQLite ledger's write lock.
    pub(crate) stalled: Option<rusqlite::Connection>,
    pub(crate) small_disk: Option<SmallDisk>,
    home: PathBuf,
    folder: RunFolder,
}

impl World {
    /// Starts everything but the processes.
    ///
    /// # Errors
    /// Something that the run needs can't be had.
    pub(crate) async fn start(plan: &Plan, launch: Launch, folder: &RunFolder) -> Result<World, RigError> {
        let home = folder.path().join("home");
        let ledger = home.join("ledger");
        std::fs::create_dir_all(&ledger).map_err(RigError::file(&ledger))?;
        let wants = |fault| plan.faults.iter().any(|planned| planned.fault == fault);
        let clock = home.join("clock-of-redis");
        let clock = clock_file::library()
            .filter(|_| wants(FaultKind::RedisClock))
            .map(|library| ClockFile::right(library, clock.clone()).map_err(RigError::file(&clock)));
        let servers = Servers::start(plan.engines, clock.transpose()?).await?;
        let wants_disk = wants(FaultKind::DiskFull);
        // One that can't be had is told by the fault's own look at the world.
        let small_disk = wants_disk.then(|| SmallDisk::mount(&ledger, plan).ok()).flatten();
        let clock = RunClock::start();
        let recorder = Arc::new(Recorder::create(&folder.history(), clock)?);
        // No fault takes this host's power, and a marketplace that waits for a disk which compilers fill makes requests time
        // out. Where even handing over takes long, the host stalls.
        let told = Arc::clone(&recorder);
        let options = SandboxOptions::new(folder.sandbox())
            .modes(plan.market.parse()?)
            .without_sync()
            .on_write(move |took| told.took(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), 0));
        let sandbox = Sandbox::start(options).await?;
        let crew = Crew::new(Launcher::new(launch, &home, plan)?, Arc::clone(&recorder));
        let file = ledger.join("ledger.db");
        let desk = Desk::new(plan.seed, servers.words(|place| servers.address(place), &file));
        let news = News::new(plan, &home, folder)?;
        let ways = Ways::default();
        Ok(World {
            plan: plan.clone(),
            clock,
            recorder,
            host: None,
            crew,
            desk,
            ways,
            news,
            sandbox,
            servers,
            stalled: None,
            small_disk,
            home,
            folder: folder.clone(),
        })
    }

    /// Writes the first line of the history, and starts every process.
    ///
    /// # Errors
    /// One can't be started.
    pub(crate) async fn begin(&mut self, version: &str, canary: Option<String>) -> Result<(), RigError> {
        let mut versions = vec![("bidlock".to_owned(), version.to_owned())];
        versions.extend(self.servers.versions().await?);
        self.recorder.add(What::Begun(Box::new(Begun {
            format: FORMAT,
            plan: self.plan.clone(),
            wall_ms: self.clock.wall_ms(),
            boot_ns: self.clock.boot_ns(),
            versions,
            protocol: bidlock_ledger::store::PROTOCOL,
            canary,
            not_exercised: self.not_exercised(),
        })));
        self.host = Some(HostWatch::start(self.clock, &self.recorder)?);
        for n in 1..=self.plan.scanners {
            self.start_scanner(&format!("scanner-{n}"), self.news.feed(), &[]).await?;
        }
        for n in 1..=self.plan.asking {
            self.start_scanner(&format!("asker-{n}"), self.news.asked_feed(), &["--approve"]).await?;
        }
        for n in 1..=self.plan.workers {
            self.start_worker(&format!("worker-{n}")).await?;
        }
        Ok(())
    }

    /// The ledger's file, where it is one.
    pub(crate) fn ledger_file(&self) -> PathBuf {
        self.home.join("ledger/ledger.db")
    }

    /// The run's files.
    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The words of a scan over this feed by a process that finds things at these addresses.
    pub(crate) fn scan(&self, feed: &Path, process: Option<&str>) -> Vec<String> {
        let market = process.and_then(|name| self.ways.address(name, Place::Market));
        let submit = market.map_or_else(|| self.sandbox.url(), |at| format!("http://{at}"));
        let mut words: Vec<String> =
            ["scan", &feed.display().to_string(), "--json", "--submit", &submit].map(str::to_owned).into();
        words.extend(self.engine_words(process));
        words
    }

    fn engine_words(&self, process: Option<&str>) -> Vec<String> {
        let address = |place| match process {
            Some(name) => self.ways.address(name, place),
            None => self.servers.address(place),
        };
        self.servers.words(address, &self.ledger_file())
    }

    async fn open_ways(&mut self, process: &str) -> Result<(), RigError> {
        for place in self.plan.engines.places() {
            let at = match place {
                Place::Market => Some(self.sandbox.address()),
                other => self.servers.address(*other),
            };
            if let Some(at) = at {
                self.ways.open(process, *place, at, &self.recorder).await?;
            }
        }
        Ok(())
    }

    async fn start_scanner(&mut self, name: &str, feed: PathBuf, more: &[&str]) -> Result<(), RigError> {
        self.open_ways(name).await?;
        let mut words = self.scan(&feed, Some(name));
        words.extend(["--every", EVERY].iter().chain(more).map(|word| (*word).to_owned()));
        let jumps = self.plan.faults.iter().any(|planned| {
            planned.fault == FaultKind::ClockJump && planned.target.process.as_deref() == Some(name)
        });
        let clock = self.home.join(format!("clock-of-{name}"));
        let goes_by = self.plan.goes_by(name);
        self.crew.add(name, Role::Scanner, words, jumps.then_some(clock.as_path()), goes_by)
    }

    async fn start_worker(&mut self, name: &str) -> Result<(), RigError> {
        self.open_ways(name).await?;
        // Locks and no ledger: nothing stands in for an engine that is away, so that leases are all of one store.
        let at = |place| self.ways.address(name, place);
        let locks = match self.plan.engines {
            Engines::Sqlite => self.home.join("ledger/ledger-locks.db").display().to_string(),
            _ => self.servers.locks(at).unwrap_or_default(),
        };
        let counters = self.home.join("counters");
        std::fs::create_dir_all(&counters).map_err(RigError::file(&counters))?;
        let (counters, began) = (counters.display().to_string(), self.clock.boot_ns().to_string());
        let words = ["chaos", "worker", "--counters", &counters, "--began", &began, "--locks", &locks];
        let goes_by = self.plan.goes_by(name);
        self.crew.add(name, Role::Worker, words.map(str::to_owned).into(), None, goes_by)
    }

    /// The planned kinds that can't be injected here, and why.
    fn not_exercised(&self) -> Vec<NotExercised> {
        let refused = |nemesis: &&dyn nemeses::Nemesis| {
            let why = nemesis.needs(self).err()?;
            Some(NotExercised { fault: nemesis.kind(), why })
        };
        let engines = self.plan.engines;
        nemeses::ALL.iter().filter(|nemesis| nemesis.weight(engines) > 0).filter_map(refused).collect()
    }
}

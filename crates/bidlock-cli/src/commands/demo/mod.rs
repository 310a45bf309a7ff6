//! `bidlock demo`: scanner processes race over a made-up feed, are killed and paused, and the marketplace's own
//! record says what came of it; then the same with a lock alone.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `feed` | the made-up feed |
//! | `plan` | what goes wrong, drawn from the seed |
//! | `child` | processes of this binary that can't outlive the demo |
//! | `race` | one contender's scanners, and the faults that strike them |
//! | `naive` | the other contender: what the replaced system did |
//! | `proof` | counting, and holding the ledger against the record |
//! | `screen` | live table, lines, JSON |

mod child;
mod feed;
mod naive;
mod plan;
mod proof;
mod race;
mod screen;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use bidlock_ledger::PostingId;
use bidlock_market::{ReadOptions, expand, read};
use bidlock_sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use self::{
    child::Launcher,
    plan::Planned,
    proof::{Books, Side},
    race::{Contender, Race, Raced},
    screen::{Screen, Setting},
};
use crate::{
    app::App,
    args::DemoArgs,
    commands::own_folder::{OwnFolder, interrupted, unwritable},
    exit::Exit,
    failure::{CliError, chain_of},
};

/// How long the look-ups at the end may take.
const RECONCILE_LIMIT: Duration = Duration::from_secs(60);
/// What the shell sees after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the demo, or the part of it that a child was started for.
///
/// # Errors
/// It can't run here; never what the contenders do.
pub(crate) async fn run(app: &App, args: DemoArgs) -> Result<Exit, CliError> {
    if let Some(parent) = args.exec_for {
        return child::exec(parent, &args.command);
    }
    if let Some(naive) = args.naive {
        return naive::run(app, naive).await;
    }
    // Dropping the demo ends its children and takes its folder away.
    tokio::select! {
        done = demo(app, &args) => done,
        () = interrupted() => Ok(Exit::Child(INTERRUPTED)),
    }
}

async fn demo(app: &App, args: &DemoArgs) -> Result<Exit, CliError> {
    let folder = OwnFolder::new(args.keep.as_deref(), "demo", "an earlier ledger would remember its bids")?;
    let failed = |e: std::io::Error| unwritable(folder.path(), &e);
    let feed = folder.path().join("feed");
    feed::write(&feed, args.postings, args.seed).map_err(failed)?;
    let (postings, sightings) = count(&feed, App::now())?;
    let setting = Setting {
        seed: args.seed,
        chaos: args.chaos.name(),
        postings: postings.len(),
        sightings,
        scanners: args.scanners,
    };
    let mut screen = Screen::new(&app.out, args.no_ui, setting);
    screen.begin(&folder.path().display().to_string())?;
    let stage = Stage {
        launcher: Launcher::new(folder.path()).map_err(failed)?,
        folder: folder.path(),
        feed: &feed,
        plan: plan::faults(args.chaos, args.seed, args.postings, args.scanners),
        modes: plan::modes(args.chaos, args.seed),
        scanners: args.scanners,
    };

    screen.step("bidlock", "1 of 2: starting bidlock's scanners")?;
    let (ours, found) = stage.run(Contender::Bidlock, &mut screen).await?;
    screen.step("naive", "2 of 2: starting the same number of workers with a lock alone")?;
    let (theirs, _) = stage.run(Contender::Naive, &mut screen).await?;

    let bidlock = Side::count(&stage.record(Contender::Bidlock), &postings, ours)?;
    let naive = Side::count(&stage.record(Contender::Naive), &postings, theirs)?;
    let (ledger, record) = (stage.store(Contender::Bidlock), stage.record(Contender::Bidlock));
    let books = Books::check(&ledger, &record, &postings, found).await?;
    screen.clear()?;
    if screen.is_for_people() {
        proof::print(&screen, &bidlock, &naive, &books)?;
        screen.line(&farewell(&folder), None)?;
    } else {
        screen.json(&proof::to_json(&screen, &bidlock, &naive, &books))?;
    }
    Ok(if books.violations.is_empty() { Exit::Ok } else { Exit::InvariantViolated })
}

/// Where both contenders race, one after the other.
struct Stage<'a> {
    launcher: Launcher,
    folder: &'a Path,
    feed: &'a Path,
    plan: Vec<Planned>,
    modes: String,
    scanners: u32,
}

impl Stage<'_> {
    fn home(&self, contender: Contender) -> PathBuf {
        self.folder.join(contender.name())
    }

    fn record(&self, contender: Contender) -> PathBuf {
        self.home(contender).join("marketplace.jsonl")
    }

    fn store(&self, contender: Contender) -> PathBuf {
        self.home(contender).join(if contender == Contender::Bidlock { "ledger.db" } else { "bids.db" })
    }

    /// Races one contender against a marketplace of its own. Answers what came of it, and how many unknown
    /// outcomes the look-up settled.
    async fn run(&self, contender: Contender, screen: &mut Screen<'_>) -> Result<(Raced, u64), CliError> {
        let home = self.home(contender);
        std::fs::create_dir_all(&home).map_err(|e| unwritable(&home, &e))?;
        let modes =
            self.modes.parse().map_err(|e: bidlock_sandbox::ModesError| CliError::usage(e.to_string()))?;
        let sandbox = Sandbox::start(SandboxOptions::new(self.record(contender)).modes(modes))
            .await
            .map_err(|e| CliError::unavailable(chain_of(&e)))?;
        let args: Vec<Vec<String>> =
            (1..=self.scanners).map(|n| self.scanner(contender, n, &sandbox.url())).collect();
        let at = (&self.launcher, &sandbox);
        let race = Race::start(contender, at, &home, args.clone(), &self.plan)?;
        let mut raced = race.run(screen).await?;
        // Once more by one scanner that nobody harms, as any real one would come back: for what was handed
        // back or given up.
        let last = Race::start(contender, at, &home, args[..1].to_vec(), &[])?;
        raced.seconds += last.unseen().run(screen).await?.seconds;
        let mut found = 0;
        if contender == Contender::Bidlock {
            screen.step("reconcile", "1 of 2: `bidlock reconcile` looks up what is unknown")?;
            found = self.reconcile(&home).await?;
        }
        sandbox.stop().await;
        Ok((raced, found))
    }

    fn scanner(&self, contender: Contender, n: u32, url: &str) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let (feed, store) = (text(self.feed), text(&self.store(contender)));
        let name = format!("scanner-{n}");
        let args: &[&str] = match contender {
            Contender::Bidlock => &[
                "scan",
                &feed,
                "--submit",
                url,
                "--bid-on-everything",
                "--empty-proposal",
                "--database",
                &store,
                "--holder",
                &name,
                "--json",
            ],
            Contender::Naive => &[
                "demo",
                "--naive-worker",
                &store,
                "--naive-feed",
                &feed,
                "--naive-submit",
                url,
                "--naive-holder",
                &name,
            ],
        };
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    /// Runs `bidlock reconcile` and answers how many bids it settled.
    async fn reconcile(&self, home: &Path) -> Result<u64, CliError> {
        let failed = |why: String| CliError::unavailable(format!("`bidlock reconcile` failed: {why}"));
        let log = home.join("reconcile.log");
        let database = self.store(Contender::Bidlock).display().to_string();
        let args = ["reconcile", "--json", "--database", &database].map(str::to_owned);
        let mut child = self.launcher.start(&args, &log).map_err(|e| failed(e.to_string()))?;
        let mut text = String::new();
        let ended = tokio::time::timeout(RECONCILE_LIMIT, async {
            if let Some(mut stdout) = child.stdout.take() {
                stdout.read_to_string(&mut text).await?;
            }
            child.wait().await
        });
        let status = ended
            .await
            .map_err(|_| failed(format!("it took longer than {RECONCILE_LIMIT:?}")))?
            .map_err(|e| failed(e.to_string()))?;
        std::fs::write(home.join("reconcile.jsonl"), &text).map_err(|e| unwritable(home, &e))?;
        // 6: something stays unknown, which the proof then names.
        if !matches!(status.code(), Some(0 | 6)) {
            return Err(failed(std::fs::read_to_string(&log).unwrap_or_default()));
        }
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines
            .filter(|line| {
                line["event"] == "bid" && line["before"] == "unknown" && line["now"] == "submitted"
            })
            .count() as u64)
    }
}

fn farewell(folder: &OwnFolder) -> String {
    match folder {
        OwnFolder::Kept(path) => format!("Feeds, ledger and records are in {}", path.display()),
        OwnFolder::Temporary(_) => {
            "Both had the same feed, ids and faults. --keep DIR keeps all records.".to_owned()
        }
    }
}

/// The feed's distinct postings, and how often they are seen.
fn count(feed: &Path, now: jiff::Timestamp) -> Result<(HashSet<PostingId>, usize), CliError> {
    let failed = |e: &dyn std::error::Error| CliError::unavailable(chain_of(e));
    let options = ReadOptions::auto(now);
    let (mut postings, mut sightings) = (HashSet::new(), 0);
    for input in expand(&[feed.display().to_string()]).map_err(|e| failed(&e))? {
        for posting in read(&input, &options).map_err(|e| failed(&e))?.rows.into_iter().flatten() {
            sightings += 1;
            postings.insert(posting.id);
        }
    }
    Ok((postings, sightings))
}

/// Seconds as people read them.
fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

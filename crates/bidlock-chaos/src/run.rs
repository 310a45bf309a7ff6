//! One run: faults begin and end as planned, the feed grows, the operator works, processes come and go; then quiet, a
//! last scan, and what the ledger holds.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    dump,
    error::RigError,
    history::{FaultLine, RunFolder, What},
    nemeses,
    plan::{Plan, Planned},
    progress::{Progress, Stage},
    world::{Launch, World},
};

/// How often the rig looks after everything.
const TICK: Duration = Duration::from_millis(20);
/// How often what could not be mended is tried again, and how long between two tries: half a minute.
const MAX_TRIES: u32 = 60;
const TRY_AGAIN_MS: u64 = 500;
/// How long processes may take to end at the end, before they are killed.
const FAREWELL: Duration = Duration::from_secs(20);
/// How long looking up everything may take: some milliseconds a bid, and a soak leaves tens of thousands.
const RECONCILE_LIMIT: Duration = Duration::from_secs(1_800);
/// How often the last scan may be repeated: a posting put off by a 429 is sent by the next one.
const MAX_LAST_SCANS: u32 = 5;
/// The last scan may take so long for each posting, and so long at least.
const LAST_SCAN_PER_POSTING: Duration = Duration::from_millis(50);
const LAST_SCAN_LEAST: Duration = Duration::from_secs(180);

/// Runs a plan to its end. All files of the run are then in the folder; what they prove is the checker's to say.
///
/// Call it on a thread that lives as long as the run (the one of `block_on`): processes end with the thread that has
/// started them. `progress` is told where it is.
///
/// # Errors
/// The rig can't do what the plan needs. What bidlock does is no error.
pub async fn run(
    plan: &Plan,
    launch: Launch,
    canary: Option<String>,
    folder: &RunFolder,
    progress: &watch::Sender<Progress>,
) -> Result<(), RigError> {
    let version = launch.version.clone();
    let mut world = World::start(plan, launch, folder).await?;
    world.begin(&version, canary).await?;
    let mut director = Director::new(plan);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while world.clock.ms() < plan.runs_ms || !director.is_done() {
        ticks.tick().await;
        director.act(&mut world).await?;
        let now_ms = world.clock.ms();
        world.crew.tend(now_ms).await?;
        world.news.tend(now_ms)?;
        let World { desk, crew, .. } = &mut world;
        desk.tend(crew, now_ms).await?;
        world.recorder.check()?;
        let (faults, submissions) = (director.begun, world.sandbox.submissions());
        progress.send_replace(Progress { stage: Stage::Faults, faults, submissions });
    }
    progress.send_modify(|progress| progress.stage = Stage::Quiet);
    world.news.catch_up(world.clock.ms())?;
    quiet(&mut world).await?;
    progress.send_modify(|progress| progress.stage = Stage::LastScan);
    last_scan(&mut world).await?;
    world.host = None;
    dump::ledger(&world).await?;
    world.recorder.add(What::Ended { notes_left_out: world.recorder.notes_left_out() });
    world.recorder.check()?;
    Ok(())
}

/// Begins and ends faults.
struct Director {
    /// Those to come, the next one last.
    to_come: Vec<Planned>,
    /// Those whose time has come while another one held what they are to hit: what was to be over by then began late, or
    /// took long to mend; or before the process that they are to hit was at work. In order.
    held_up: Vec<Planned>,
    /// Those that last, with the time of their end and how often ending them failed.
    lasting: Vec<(u64, u32, Planned)>,
    /// How many have begun.
    begun: u64,
}

impl Director {
    fn new(plan: &Plan) -> Director {
        let mut to_come = plan.faults.clone();
        to_come.reverse();
        Director { to_come, held_up: Vec::new(), lasting: Vec::new(), begun: 0 }
    }

    fn is_done(&self) -> bool {
        self.to_come.is_empty() && self.held_up.is_empty() && self.lasting.is_empty()
    }

    async fn act(&mut self, world: &mut World) -> Result<(), RigError> {
        let now_ms = world.clock.ms();
        for (_, tries, fault) in self.lasting.extract_if(.., |(end, ..)| *end <= now_ms).collect::<Vec<_>>() {
            self.end(world, fault, tries).await?;
        }
        while self.to_come.last().is_some_and(|next| next.at_ms <= now_ms) {
            self.held_up.extend(self.to_come.pop());
        }
        for fault in std::mem::take(&mut self.held_up) {
            let is_held = self.lasting.iter().any(|(.., other)| world.plan.collide(&fault, other));
            let why = match &fault.target.process {
                Some(process) if !world.crew.has_begun(process) => {
                    "the process that it is to hit did not begin"
                }
                _ if is_held => "what it is to hit was held by another to the end",
                _ => {
                    self.begin(world, fault).await;
                    continue;
                }
            };
            if now_ms < world.plan.runs_ms {
                self.held_up.push(fault);
            } else {
                let why = why.to_owned();
                world.recorder.add(What::FaultSkipped { id: fault.id, fault: fault.fault, why });
            }
        }
        Ok(())
    }

    async fn begin(&mut self, world: &mut World, fault: Planned) {
        let skipped = |why| What::FaultSkipped { id: fault.id, fault: fault.fault, why };
        let Some(nemesis) = nemeses::of(fault.fault) else {
            return world.recorder.add(skipped("this bidlock has no such nemesis".to_owned()));
        };
        if let Err(why) = nemesis.needs(world) {
            return world.recorder.add(skipped(why));
        }
        let holder = nemeses::incarnation(world, &fault);
        let Planned { id, fault: kind, target, lasts_ms, amount, .. } = fault.clone();
        world.recorder.add(What::FaultBegins(FaultLine {
            id,
            fault: kind,
            target,
            lasts_ms,
            amount,
            holder,
        }));
        match nemesis.begin(world, &fault).await {
            Ok(()) => {
                self.begun += 1;
                self.lasting.push((world.clock.ms() + lasts_ms, 0, fault));
            }
            Err(why) => world.recorder.add(skipped(why)),
        }
    }

    async fn end(&mut self, world: &mut World, fault: Planned, tries: u32) -> Result<(), RigError> {
        let Some(nemesis) = nemeses::of(fault.fault) else { return Ok(()) };
        match nemesis.end(world, &fault).await {
            Ok(()) => world.recorder.add(What::FaultEnds { id: fault.id }),
            // Another fault may stand in its way, and end.
            Err(_) if tries < MAX_TRIES => {
                self.lasting.push((world.clock.ms() + TRY_AGAIN_MS, tries + 1, fault));
            }
            Err(why) => return Err(RigError::Mend { fault: fault.fault, why }),
        }
        Ok(())
    }
}

/// Nothing is broken any more, and nothing new appears: everything must come to rest. Half-way the operator looks up what is
/// unknown and asks again for withdrawals, as a person or a timer does; claims that the faults left have run out by then.
/// Time in which the host itself stood still is added, up to as much again: nobody could come to rest in it.
async fn quiet(world: &mut World) -> Result<(), RigError> {
    world.desk.close().await?;
    world.sandbox.set_modes(calm(&world.plan)?);
    world.recorder.add(What::QuietBegins);
    let (begun_ms, lasts_ms) = (world.clock.ms(), world.plan.quiet_ms());
    let mut reconcile = None;
    let stalled_before_ms = world.recorder.stalled_ms();
    let stalled_ms = |world: &World| (world.recorder.stalled_ms() - stalled_before_ms).min(lasts_ms);
    while world.clock.ms() < begun_ms + lasts_ms + stalled_ms(world) {
        tokio::time::sleep(TICK).await;
        let now_ms = world.clock.ms();
        world.crew.tend(now_ms).await?;
        if reconcile.is_none() && now_ms >= begun_ms + lasts_ms / 2 {
            reconcile = Some(world.crew.command("operator", &world.desk.reconcile(), RECONCILE_LIMIT)?);
        }
    }
    if let Some(reconcile) = reconcile {
        // A task that died has told nothing.
        reconcile.await.map_or(Ok(()), |said| said.map(drop))?;
    }
    world.crew.end_all(FAREWELL).await?;
    world.recorder.check()?;
    Ok(())
}

/// The marketplace at its best, but as forgetful of keys as before.
fn calm(plan: &Plan) -> Result<bidlock_sandbox::Modes, RigError> {
    let mut modes: bidlock_sandbox::Modes = plan.market.parse()?;
    modes.rules.clear();
    Ok(modes)
}

/// A clean scan over all that the feed ever held, then a look-up of everything that is unknown.
async fn last_scan(world: &mut World) -> Result<(), RigError> {
    world.recorder.add(What::LastScanBegins);
    world.news.show_all()?;
    let limit = LAST_SCAN_LEAST + LAST_SCAN_PER_POSTING * world.plan.postings;
    for (name, feed, more) in [
        ("last-asker", world.news.asked_feed(), &["--approve"][..]),
        ("last-scanner", world.news.feed(), &[]),
    ] {
        let mut words = world.scan(&feed, None);
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words.extend(["--wait".to_owned(), "20s".to_owned(), "--holder".to_owned(), name.to_owned()]);
        let mut failure = None;
        for _ in 0..MAX_LAST_SCANS {
            let (code, heard) = world.crew.scan_once(name, &words, limit).await?;
            // 6: something is unknown, which is what the look-up is for. 7: it says what the checker will find.
            let is_well = matches!(code, Some(0 | 6 | 7));
            failure = (!is_well).then(|| format!("exit code {code:?}: {}", heard.last_words.trim()));
            if is_well && heard.put_off == 0 {
                break;
            }
        }
        if let Some(why) = failure {
            return Err(RigError::LastScan { why });
        }
    }
    world.crew.run("operator", &world.desk.reconcile(), RECONCILE_LIMIT).await?;
    world.recorder.check()?;
    Ok(())
}

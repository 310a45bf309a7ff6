//! The loop that moves virtual time: each process runs for a short stretch in its turn, in a random order; then what is
//! on its way arrives.

use std::{sync::Arc, time::Duration};

use bidlock_ledger::MemoryLedger;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::{
    body::{Body, Phase},
    checker::{self, Evidence},
    history::{Happening, Millis},
    locks::LockServer,
    plan::{QUIET, Timed},
    program::{self, Role, Servers},
    randomness,
    report::Report,
    sabotage::Sabotage,
    world::{Engine, EngineClock, World},
};

/// How far each process runs in its turn: clocks of two processes are never further apart.
const STRETCH: Millis = 20;
/// How long a host takes to start its program again.
const REBIRTH: Millis = 1_500;

/// Runs one seed to its end and checks what happened. The same seed gives the same history in every process that has
/// run nothing before.
///
/// # Errors
/// The runtime can't be made: the process has no file handles left, say.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> std::io::Result<Report> {
    let (world, servers) = simulate(seed, sabotage)?;
    let evidence = Evidence::gather(&world, &servers.ledger);
    let violations = checker::check(&evidence);
    Ok(Report::new(seed, evidence, violations))
}

fn simulate(seed: u64, sabotage: Option<Sabotage>) -> std::io::Result<(Arc<World>, Servers)> {
    randomness::seed_this_thread(seed);
    let world = World::new(StdRng::seed_from_u64(seed), sabotage);
    let clock = Arc::new(EngineClock(Arc::clone(&world)));
    let ledger = match sabotage {
        Some(Sabotage::Ledger(canary)) => MemoryLedger::with_canary(clock, canary),
        _ => MemoryLedger::with_clock(clock),
    };
    let servers = Servers { locks: LockServer::new(&world), ledger };
    let mut hosts = Host::all(&world);
    let heals_at = world.plan.heals_at;
    let ends_at = heals_at + u64::try_from(QUIET.as_millis()).unwrap_or(0);
    let mut timed = world.plan.timed.clone().into_iter().peekable();
    // Bounded: by the plan's end, in steps of one stretch.
    for from in (0..ends_at).step_by(STRETCH as usize) {
        while let Some((_, fault)) = timed.next_if(|(at, _)| *at <= from) {
            strike(&world, &servers, &mut hosts, &fault);
        }
        if from >= heals_at && !world.healed() {
            world.heal();
            hosts.iter_mut().for_each(|host| host.heal(from));
        }
        let mut order: Vec<usize> = (0..hosts.len()).collect();
        order.shuffle(&mut world.state().dice);
        for at in order {
            hosts[at].turn(&world, &servers, from)?;
        }
        world.reach(from + STRETCH);
        deliver(&world);
    }
    Ok((world, servers))
}

/// What is due arrives; none of it waits for anything.
fn deliver(world: &World) {
    for work in world.due() {
        let _ = futures::FutureExt::now_or_never(work);
    }
}

/// Breaks something.
fn strike(world: &World, servers: &Servers, hosts: &mut [Host], fault: &Timed) {
    match *fault {
        Timed::Crash { host, calls } => hosts[host].arm(calls, None),
        Timed::Pause { host, calls, millis } => hosts[host].arm(calls, Some(millis)),
        Timed::WallJump { host, millis } => {
            world.fault("wall_clock_jump", Some(hosts[host].name.clone()), 0);
            hosts[host].jump_wall(millis);
        }
        Timed::LocksForget => {
            if world.sabotage != Some(Sabotage::SilentLockLoss) {
                world.fault("locks_forget", None, 0);
            }
            servers.locks.forget();
        }
        Timed::LocksGrantAll(millis) => {
            world.fault("locks_grant_all", None, millis);
            world.grant_all(millis);
        }
        Timed::LocksAway(host, millis) => away(world, hosts, Engine::Locks, host, millis),
        Timed::LedgerAway(host, millis) => away(world, hosts, Engine::Ledger, host, millis),
        Timed::Stop { host, abort } => hosts[host].stop(world, abort),
    }
}

fn away(world: &World, hosts: &[Host], engine: Engine, host: Option<usize>, millis: Millis) {
    let kind = match (engine, host) {
        (Engine::Locks, None) => "locks_away",
        (Engine::Locks, Some(_)) => "locks_cut_for_one",
        (Engine::Ledger, None) => "ledger_away",
        (Engine::Ledger, Some(_)) => "ledger_cut_for_one",
    };
    let host = host.map(|host| hosts[host].name.clone());
    world.fault(kind, host.clone(), millis);
    world.set_away(engine, host, millis);
}

/// A machine that runs one program, and starts it again when it has ended.
struct Host {
    name: String,
    role: Role,
    lives: u32,
    wall_offset: i64,
    process: Option<Process>,
    starts_at: Millis,
}

struct Process {
    runtime: Runtime,
    body: Arc<Body>,
    program: JoinHandle<String>,
}

impl Host {
    fn all(world: &World) -> Vec<Host> {
        let scanners = (1..=world.plan.scanners).map(|n| Host::new(format!("scanner{n}"), Role::Scanner));
        let workers = (1..=world.plan.workers).map(|n| Host::new(format!("worker{n}"), Role::Worker));
        scanners.chain(workers).chain([Host::new("desk".to_owned(), Role::Desk)]).collect()
    }

    fn new(name: String, role: Role) -> Host {
        Host { name, role, lives: 0, wall_offset: 0, process: None, starts_at: 0 }
    }

    fn arm(&self, calls: u32, sleeps: Option<Millis>) {
        if let Some(process) = &self.process {
            process.body.arm(calls, sleeps);
        }
    }

    fn jump_wall(&mut self, offset: i64) {
        self.wall_offset = offset;
        if let Some(process) = &self.process {
            process.body.jump_wall(offset);
        }
    }

    fn stop(&self, world: &World, abort: bool) {
        let Some(process) = &self.process else { return };
        let kind = if abort { "abort" } else { "drain" };
        world.fault(kind, Some(process.body.holder.clone()), 0);
        if abort {
            process.body.stop.abort();
        } else {
            process.body.stop.drain();
        }
    }

    /// Faults to come are called off, a sleeper wakes, the dead start again.
    fn heal(&mut self, now: Millis) {
        self.starts_at = self.starts_at.min(now);
        if let Some(process) = &self.process {
            process.body.disarm();
        }
    }

    /// Runs for one stretch.
    fn turn(&mut self, world: &Arc<World>, servers: &Servers, from: Millis) -> std::io::Result<()> {
        let may_start = world.sabotage != Some(Sabotage::NobodyScans) || self.lives == 0;
        if self.process.is_none() && self.starts_at <= from && may_start {
            self.start(world, servers)?;
        }
        let Some(process) = &self.process else { return Ok(()) };
        match process.body.phase() {
            Phase::Asleep(until) if until > from && !world.healed() => return Ok(()),
            Phase::Asleep(_) => process.wake(from),
            Phase::Running | Phase::Dead => process.run_until(from + STRETCH),
        }
        if process.body.phase() == Phase::Dead {
            self.process = None;
            self.starts_at = from + REBIRTH;
        } else if process.program.is_finished() {
            self.bury(world, from);
        }
        Ok(())
    }

    fn start(&mut self, world: &Arc<World>, servers: &Servers) -> std::io::Result<()> {
        self.lives += 1;
        let holder = format!("{}.{}", self.name, self.lives);
        world.tell(Happening::Born { holder: holder.clone() });
        let body = Body::new(world, &self.name, holder, self.wall_offset);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let program = {
            let (role, body, servers) = (self.role, Arc::clone(&body), servers.clone());
            runtime.block_on(async { body.begin() });
            runtime.spawn(program::run(role, body, servers))
        };
        self.process = Some(Process { runtime, body, program });
        Ok(())
    }

    /// The program has come to its own end.
    fn bury(&mut self, world: &World, now: Millis) {
        let Some(Process { runtime, body, program }) = self.process.take() else { return };
        let why = runtime.block_on(program).unwrap_or_else(|error| format!("panicked: {error}"));
        world.tell(Happening::Ended { holder: body.holder.clone(), why });
        self.starts_at = if world.healed() { now } else { now + REBIRTH };
    }
}

impl Process {
    fn run_until(&self, until: Millis) {
        let until = self.body.instant(until);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.body.halted() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        });
    }

    /// After a sleep all its time has passed at once: what it was about to do comes first, and then its timers, as the
    /// runtime looks at its sockets before its timers. Some find their timers first.
    fn wake(&self, now: Millis) {
        let timers_first = self.body.world.state().dice.random_ratio(1, 3);
        let behind = Duration::from_millis(now.saturating_sub(self.body.now()));
        if !timers_first {
            self.body.wake();
        }
        self.runtime.block_on(tokio::time::advance(behind));
        if timers_first {
            self.body.wake();
        }
        self.run_until(now + STRETCH);
    }
}

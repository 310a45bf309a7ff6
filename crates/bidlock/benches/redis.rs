//! The Redis backend's goals P0 to P6 of the performance page, each beside the raw limit in the same run.
//!
//! `cargo bench -p bidlock --features redis --bench redis`, with `-- --quick` for a look, or with goals' names
//! (`-- P4`). It starts a `redis-server` of its own. The raw limit is the same scripts over a bare socket with nothing
//! around it. A pair is one acquire and one release, fenced and owner-safe. P6 needs the peers, which
//! `benches/peers/` installs into the target folder when it can.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark reports by printing, and stops at the first surprise"
)]

#[path = "redis/peers.rs"]
mod peers;
#[path = "redis/raw.rs"]
mod raw;

use std::sync::Arc;
use std::time::Duration;

use bidlock::backends::redis::{RedisBackend, RedisOptions};
use bidlock::measure::{self, Namespace};
use bidlock::{Clock, LockKey, LockManager, SystemClock};
use bidlock_testkit::RedisServer;
use tokio::runtime::Runtime;

const TASKS: usize = 64;
/// The hold of a hand-over, long enough for everything to fall idle.
const HOLD: Duration = Duration::from_millis(5);

struct Bench {
    server: RedisServer,
    /// One thread: what the client costs without the runtime's own traffic.
    single: Runtime,
    /// Two threads, as programs have them.
    multi: Runtime,
    rounds: usize,
    length: Duration,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let Some(server) = RedisServer::start(&[]) else { return };
    let bench = Bench {
        server,
        single: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        multi: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        rounds: if quick { 1 } else { 5 },
        length: Duration::from_millis(if quick { 300 } else { 1_500 }),
    };
    let chosen: Vec<String> = std::env::args().filter(|argument| argument.starts_with('P')).collect();
    let wanted = |id: &str| chosen.is_empty() || chosen.iter().any(|argument| argument == id);
    if wanted("P1") || wanted("P2") || wanted("P0") {
        bench.throughput();
    }
    if wanted("P3") || wanted("P0") {
        bench.latency();
    }
    if wanted("P4") {
        bench.hand_over();
    }
    if wanted("P5") || wanted("P0") {
        bench.contention();
    }
    if wanted("P6") {
        bench.peers(quick);
    }
}

/// One line of the summary.
fn report(id: &str, what: &str, figure: &str, raw: &str, ratio: &str, goal: &str, met: Option<bool>) {
    let verdict = met.map_or("-", |met| if met { "met" } else { "MISSED" });
    println!("{id:<4} {what:<46} {figure:>18}  raw {raw:>18}  ratio {ratio:>7}  goal {goal:<12} {verdict}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// What this process has computed so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Bench {
    fn backend(&self) -> RedisBackend {
        RedisBackend::lazy(RedisOptions::from_url(&self.server.url()).unwrap())
    }

    fn manager(&self) -> LockManager {
        LockManager::new(Arc::new(self.backend()))
    }

    /// P1 and P2, and the pairs a second of P0.
    fn throughput(&self) {
        let run = |runtime: &Runtime| {
            runtime.block_on(async {
                let locks = self.manager();
                let before = cpu();
                let done = measure::pairs(&locks, &Namespace::new("p1"), TASKS, self.length).await.unwrap();
                let cpu_us = us(cpu() - before) / done.pairs as f64;
                (done.per_second(), cpu_us)
            })
        };
        let (mut raws, mut ours, mut cpus, mut multi, mut multi_cpus, mut batched) =
            (vec![], vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..self.rounds {
            raws.push(raw::pairs(&self.server, TASKS, self.length));
            let (figure, cpu_us) = run(&self.single);
            ours.push(figure);
            cpus.push(cpu_us);
            let (figure, cpu_us) = run(&self.multi);
            multi.push(figure);
            multi_cpus.push(cpu_us);
            batched.push(self.single.block_on(self.batches()));
        }
        let (raw, figure) = (median(raws), median(ours));
        let per_second = |figure: f64| format!("{figure:.0} pairs/s");
        let line = |id, what, figure: f64, goal, floor: f64| {
            let ratio = figure / raw;
            let met = Some(ratio >= floor);
            report(id, what, &per_second(figure), &per_second(raw), &format!("{ratio:.2}x"), goal, met);
        };
        report(
            "P0",
            "pairs a second, 64 tasks",
            &per_second(figure),
            "-",
            "-",
            "> 10,000",
            Some(figure > 1e4),
        );
        line("P1", "64 tasks, one connection, one thread", figure, ">= 0.95x", 0.95);
        line("P1", "64 tasks, one connection, two threads", median(multi), ">= 0.95x", 0.95);
        for (what, cpu_us) in
            [("client CPU a pair, one thread", cpus), ("client CPU a pair, two threads", multi_cpus)]
        {
            let cpu_us = median(cpu_us);
            report("P1", what, &format!("{cpu_us:.2} us"), "-", "-", "<= 3 us", Some(cpu_us <= 3.0));
        }
        line("P2", "batches of 64, one task", median(batched), ">= 1.7x", 1.7);
    }

    async fn batches(&self) -> f64 {
        let locks = self.manager();
        let keys: Vec<LockKey> = (0..TASKS).map(|n| Namespace::new("p2").key(n).unwrap()).collect();
        let start = SystemClock.now();
        let mut pairs = 0;
        while SystemClock.now().since(start) < self.length {
            let leases: Vec<_> = locks.try_lock_many(&keys).await.unwrap();
            let leases: Vec<_> = leases.into_iter().map(|lease| lease.acquired().unwrap()).collect();
            pairs += leases.len();
            locks.release_many(leases).await.unwrap();
        }
        pairs as f64 / SystemClock.now().since(start).as_secs_f64()
    }

    /// P3, and the median of P0.
    fn latency(&self) {
        let count = if self.rounds == 1 { 2_000 } else { 20_000 };
        let acquire = |runtime: &Runtime| {
            runtime.block_on(async {
                let locks = self.manager();
                let key = Namespace::new("p3").key(0).unwrap();
                let mut took = Vec::with_capacity(count);
                for _ in 0..count {
                    let start = SystemClock.now();
                    let lease = locks.try_lock(&key).await.unwrap().acquired().unwrap();
                    took.push(us(SystemClock.now().since(start)));
                    lease.release().await.unwrap();
                }
                median(took)
            })
        };
        let (mut raws, mut single, mut multi) = (vec![], vec![], vec![]);
        for _ in 0..self.rounds {
            raws.push(raw::acquire_us(&self.server, count));
            single.push(acquire(&self.single));
            multi.push(acquire(&self.multi));
        }
        let (raw, figure) = (median(raws), median(single));
        report("P0", "median acquire", &format!("{figure:.1} us"), "-", "-", "< 1 ms", Some(figure < 1e3));
        for (what, figure) in [
            ("one task, median acquire, one thread", figure),
            ("one task, median acquire, two threads", median(multi)),
        ] {
            let ratio = figure / raw;
            let (shown, limit) = (format!("{figure:.1} us"), format!("{raw:.1} us"));
            report("P3", what, &shown, &limit, &format!("{ratio:.2}x"), "<= 1.25x", Some(ratio <= 1.25));
        }
    }

    /// P4: among the tasks of one process, and among processes' connections.
    fn hand_over(&self) {
        let (rounds, times) = if self.rounds == 1 { (8, 1) } else { (10, 3) };
        let run = |managers: usize, waiters: usize, time: usize| {
            self.single.block_on(async {
                let backends: Vec<RedisBackend> = (0..managers).map(|_| self.backend()).collect();
                let managers: Vec<LockManager> =
                    backends.iter().map(|backend| LockManager::new(Arc::new(backend.clone()))).collect();
                for locks in &managers {
                    locks.check().await.unwrap();
                }
                let before: u64 = backends.iter().map(RedisBackend::commands_sent).sum();
                let name = Namespace::new(format!("p4/{}/{waiters}/{time}", managers.len()));
                let rounds = (rounds * 6 / (waiters as u64 + 1)).max(4);
                let done = measure::hand_over(&managers, &name, waiters + 1, HOLD, rounds).await.unwrap();
                let sent = backends.iter().map(RedisBackend::commands_sent).sum::<u64>() - before;
                (us(done.median), sent as f64 / done.acquisitions as f64)
            })
        };
        for (where_, managers) in [("one process", [1, 1]), ("a connection each", [3, 33])] {
            // By turns: the machine's speed moves.
            let (mut raws, mut two, mut many) = (vec![], vec![], vec![]);
            for time in 0..times {
                raws.push(raw::hand_over_us(&self.server, HOLD, rounds * 6));
                two.push(run(managers[0], 2, time));
                many.push(run(managers[1], 32, time));
            }
            let of = |figures: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| {
                median(figures.iter().map(which).collect())
            };
            for (waiters, figures) in [(2, &two), (32, &many)] {
                let figure = of(figures, |both| both.0);
                let ratio = median(figures.iter().zip(&raws).map(|(ours, raw)| ours.0 / raw).collect());
                let what = format!("hand-over, {waiters} waiters, {where_}");
                let (shown, limit) = (format!("{figure:.0} us"), format!("{:.0} us", median(raws.clone())));
                report("P4", &what, &shown, &limit, &format!("{ratio:.2}x"), "<= 1.4x", Some(ratio <= 1.4));
                let commands = of(figures, |both| both.1);
                let what = format!("commands an acquisition, {waiters} waiters, {where_}");
                let met = Some(commands <= 2.1);
                report("P4", &what, &format!("{commands:.2}"), "2.00", "-", "<= 2.1", met);
            }
            let ratio = median(many.iter().zip(&two).map(|(many, two)| many.0 / two.0).collect());
            let what = format!("hand-over, 32 waiters / 2, {where_}");
            report("P4", &what, &format!("{ratio:.2}"), "-", "-", "<= 1.15", Some(ratio <= 1.15));
        }
    }

    /// P5, and the contenders of P0.
    fn contention(&self) {
        let mut overheads = Vec::new();
        for round in 0..self.rounds {
            let name = Namespace::new(format!("p5/{round}"));
            let run = async {
                measure::contended(&self.manager(), &name, 100, Duration::from_millis(1)).await.unwrap()
            };
            overheads.push(us(self.single.block_on(run).overhead()) / 1e3);
        }
        let overhead = median(overheads);
        let shown = format!("{overhead:.1} ms");
        report(
            "P0",
            "100 contenders, beyond the time held",
            &shown,
            "-",
            "-",
            "< 100 ms",
            Some(overhead < 100.0),
        );
        report(
            "P5",
            "100 contenders on one key, overhead",
            &shown,
            "-",
            "-",
            "<= 30 ms",
            Some(overhead <= 30.0),
        );
    }

    /// P6: each peer that could be installed, on the same server, by turns with ours.
    fn peers(&self, quick: bool) {
        let scale = if quick { 0.2 } else { 1.0 };
        let length = Duration::from_secs_f64(2.0 * scale);
        let mut rounds = Vec::new();
        for round in 0..if quick { 1 } else { 3 } {
            let ours = self.single.block_on(async {
                let name = Namespace::new(format!("p6/{round}"));
                let pairs = measure::pairs(&self.manager(), &name, TASKS, length).await.unwrap().per_second();
                let managers: Vec<LockManager> = (0..3).map(|_| self.manager()).collect();
                let name = Namespace::new(format!("p6h/{round}"));
                let handed = measure::hand_over(&managers, &name, 3, HOLD, 20).await.unwrap();
                (pairs, us(handed.median) / 1e3)
            });
            let Some(theirs) = peers::Round::run(&self.server, scale) else { return };
            rounds.push((ours, theirs));
        }
        peers::compare(&rounds);
    }
}

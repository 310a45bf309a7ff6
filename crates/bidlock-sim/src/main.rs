//! Runs simulations: one seed here, or many, each in a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    process::{Child, Command, ExitCode, Stdio},
};

use bidlock_sim::{Sabotage, failures};
use clap::Parser;
use serde_json::Value;

/// Simulates scanners in a world that fails, and checks every invariant afterwards.
#[derive(Debug, Parser)]
struct Args {
    /// Run this seed.
    #[arg(long, conflicts_with = "seeds", required_unless_present = "seeds")]
    seed: Option<u64>,
    /// Run these seeds, as FROM..TO.
    #[arg(long, value_parser = range)]
    seeds: Option<std::ops::Range<u64>>,
    /// How many seeds at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// Print everything that happened.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print the report as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Take something out, to see that it is missed.
    #[arg(long, value_parser = sabotage)]
    without: Option<(&'static str, Sabotage)>,
    /// Stop at the first seed that violates this invariant, such as S1.
    #[arg(long, requires = "seeds")]
    until: Option<String>,
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.ok_or_else(|| format!("`{text}` is no range of seeds such as 0..1000"))
}

fn sabotage(text: &str) -> Result<(&'static str, Sabotage), String> {
    Sabotage::all().find(|(name, _)| *name == text).ok_or_else(|| {
        let names: Vec<&str> = Sabotage::all().map(|(name, _)| name).collect();
        format!("`{text}` can't be taken out; what can: {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let args = Args::parse();
    let held = match (args.seed, args.seeds.clone()) {
        (Some(seed), _) => one(&args, seed),
        (None, Some(seeds)) => many(&args, seeds),
        (None, None) => Ok(true),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bidlock-sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn one(args: &Args, seed: u64) -> io::Result<bool> {
    let report = bidlock_sim::run(seed, args.without.map(|(_, sabotage)| sabotage))?;
    let mut out = io::stdout().lock();
    if args.trace {
        for entry in &report.entries {
            writeln!(out, "{entry}")?;
        }
    }
    if args.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(report.violations.is_empty())
}

/// What many seeds came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    failed: u64,
    counts: BTreeMap<&'static str, u64>,
    faults: BTreeMap<String, u64>,
    unknowns: BTreeMap<String, u64>,
    invariants: BTreeMap<String, u64>,
}

impl Total {
    fn add(&mut self, report: &Value) {
        self.seeds += 1;
        for name in ["postings", "requests", "accepted", "simulated_secs"] {
            *self.counts.entry(name).or_default() += report[name].as_u64().unwrap_or(0);
        }
        for (name, totals) in [("faults", &mut self.faults), ("unknowns", &mut self.unknowns)] {
            for (kind, count) in report[name].as_object().into_iter().flatten() {
                *totals.entry(kind.clone()).or_default() += count.as_u64().unwrap_or(0);
            }
        }
        for violation in report["violations"].as_array().into_iter().flatten() {
            let name = violation["invariant"].as_str().unwrap_or("?");
            *self.invariants.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn to_json(&self) -> Value {
        serde_json::json!({
            "seeds": self.seeds,
            "failed": self.failed,
            "counts": self.counts,
            "faults": self.faults,
            "unknowns": self.unknowns,
            "violations": self.invariants,
        })
    }
}

fn many(args: &Args, seeds: std::ops::Range<u64>) -> io::Result<bool> {
    let mut total = Total::default();
    let mut seeds = seeds.map(|seed| (seed, start(args, seed)));
    let mut running: std::collections::VecDeque<_> = seeds.by_ref().take(args.jobs as usize).collect();
    while let Some((seed, child)) = running.pop_front() {
        let output = child?.wait_with_output()?;
        match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(report) => total.add(&report),
            Err(_) => *total.invariants.entry("process".to_owned()).or_default() += 1,
        }
        if !output.status.success() {
            total.failed += 1;
            complain(args, seed, &output)?;
        }
        let enough = args.until.as_ref().is_some_and(|wanted| total.invariants.contains_key(wanted));
        if !enough && let Some(next) = seeds.next() {
            running.push_back(next);
        }
    }
    summary(args, &total)?;
    Ok(total.failed == 0)
}

fn start(args: &Args, seed: u64) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--json").arg("--seed").arg(seed.to_string());
    if let Some((name, _)) = args.without {
        command.arg("--without").arg(name);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// What was found, and the one command that finds it again.
fn complain(args: &Args, seed: u64, output: &std::process::Output) -> io::Result<()> {
    let mut out = io::stderr().lock();
    writeln!(out, "seed {seed} does not hold:")?;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    for violation in report["violations"].as_array().into_iter().flatten() {
        let text = |name: &str| violation[name].as_str().unwrap_or_default().to_owned();
        writeln!(out, "  {}: {}", text("invariant"), text("what"))?;
    }
    out.write_all(&output.stderr)?;
    let without = args.without.map(|(name, _)| format!(" --without {name}")).unwrap_or_default();
    writeln!(out, "  again: cargo run -p bidlock-sim -- --seed {seed}{without} --trace")
}

fn summary(args: &Args, total: &Total) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", total.to_json());
    }
    let list = |counts: &BTreeMap<String, u64>| {
        counts.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
    };
    let counts: Vec<String> = total.counts.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let faults: u64 = total.faults.values().sum();
    writeln!(out, "{} seeds, {} failed: {}", total.seeds, total.failed, counts.join(", "))?;
    writeln!(out, "{faults} faults of {} kinds: {}", total.faults.len(), list(&total.faults))?;
    let numbers: BTreeSet<u8> =
        total.faults.keys().flat_map(|kind| failures::numbers(kind)).copied().collect();
    let numbers: Vec<String> = numbers.iter().map(u8::to_string).collect();
    writeln!(out, "in the numbers of docs/failures.md: {}", numbers.join(", "))?;
    writeln!(out, "unknown: {}", list(&total.unknowns))?;
    writeln!(
        out,
        "violations: {}",
        if total.invariants.is_empty() { "none".to_owned() } else { list(&total.invariants) }
    )
}

//! Searches the model's spaces by hand, prints counterexamples, and counts states.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    process::ExitCode,
};

use bidlock_model::{
    Settings, exhaust,
    settings::{LARGEST, LIMITS, Protocol, SPACES},
    shortest_counterexample,
    trace::Trace,
    world::{MAX_POSTINGS, MAX_SCANNERS},
};
use clap::{Parser, Subcommand};

/// Checks the model of bidlock's protocol.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Threads that search.
    #[arg(long, global = true, default_value = "2")]
    threads: NonZeroUsize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The spaces of the test suite: about a minute.
    Spaces,
    /// The largest space that has been searched to its end: some five minutes of processor time.
    Largest,
    /// A space of the test suite in another size.
    Sized {
        /// One of the names that `spaces` prints.
        name: String,
        /// How many scanners.
        #[arg(value_parser = clap::value_parser!(u8).range(1..=MAX_SCANNERS as i64))]
        scanners: u8,
        /// How many postings.
        #[arg(value_parser = clap::value_parser!(u8).range(1..=MAX_POSTINGS as i64))]
        postings: u8,
        /// How many faults.
        faults: u8,
    },
    /// The variants that lack a mechanism, each with its shortest counterexample.
    Variants,
    /// What no protocol can give, each with its shortest counterexample.
    Limits,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let out = &mut io::stdout().lock();
    let holds = match arguments.command {
        Command::Spaces => search_all(out, &SPACES, arguments.threads)?,
        Command::Largest => search_all(out, &LARGEST, arguments.threads)?,
        Command::Sized { name, scanners, postings, faults } => {
            match SPACES.iter().find(|(known, _)| *known == name) {
                Some((_, space)) => {
                    search(out, &name, space.sized(scanners, postings, faults), arguments.threads)?
                }
                None => {
                    let names: Vec<&str> = SPACES.iter().map(|(name, _)| *name).collect();
                    writeln!(out, "there is no space `{name}`; there are: {}", names.join(", "))?;
                    return Ok(ExitCode::from(2));
                }
            }
        }
        Command::Variants => {
            for (name, protocol, property) in Protocol::VARIANTS {
                tell(out, name, protocol.settings(), property)?;
            }
            true
        }
        Command::Limits => {
            for (name, settings, property) in LIMITS {
                tell(out, name, settings, property)?;
            }
            true
        }
    };
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn search_all(out: &mut impl Write, spaces: &[(&str, Settings)], threads: NonZeroUsize) -> io::Result<bool> {
    let mut all_hold = true;
    for (name, settings) in spaces {
        all_hold &= search(out, name, *settings, threads)?;
    }
    Ok(all_hold)
}

fn search(out: &mut impl Write, name: &str, settings: Settings, threads: NonZeroUsize) -> io::Result<bool> {
    let Settings { scanners, postings, faults, .. } = settings;
    write!(out, "{name}: {scanners} scanners, {postings} postings, {faults} faults: ")?;
    out.flush()?;
    let report = exhaust(settings, threads);
    writeln!(out, "{} states, {} steps, {} deep", report.states, report.steps, report.depth)?;
    for (property, path) in &report.violations {
        writeln!(out, "VIOLATED: {property}")?;
        let shortest = shortest_counterexample(settings, property);
        writeln!(out, "{}", Trace(shortest.as_ref().unwrap_or(path)))?;
    }
    Ok(report.violations.is_empty())
}

fn tell(out: &mut impl Write, name: &str, settings: Settings, property: &'static str) -> io::Result<()> {
    match shortest_counterexample(settings, property) {
        Some(path) => writeln!(out, "{name}: against \"{property}\"\n{}", Trace(&path)),
        None => writeln!(out, "{name}: no counterexample to \"{property}\"\n"),
    }
}

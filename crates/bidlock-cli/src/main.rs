//! The binary `bidlock`: at most one bid per marketplace posting.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`args`] | the command line |
//! | [`engines`] | how the engines read a URL, for the settings (`bidlock-config`) |
//! | [`app`] | what commands work with: configuration, ledger, locks, marketplace |
//! | [`fallback`] | what stands in for Redis while it is away |
//! | [`binding`] | locks that serve one ledger and no other |
//! | [`stores`] | opening ledger and locks, and their errors in words for people |
//! | [`commands`] | one file per subcommand |
//! | [`output`], [`failure`], [`exit`] | what is written, how errors read, how commands end |
//! | [`logging`] | tracing to stderr |
//! | [`telemetry`] | metrics, and their listener |

mod app;
mod args;
mod binding;
mod commands;
mod engines;
mod exit;
mod failure;
mod fallback;
mod logging;
mod output;
mod stores;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return commands::refuse_command_line(&error).into(),
    };
    let app = app::App::new(cli.global, cli.command.overrides());
    if let Err(unknown) = bidlock_canary::chosen() {
        app.out.error(&failure::CliError::usage(format!("{}: {unknown}", bidlock_canary::VARIABLE)));
        return exit::Exit::Usage.into();
    }
    match commands::run(&app, cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.closed_pipe {
                app.out.error(&error);
            }
            error.code.into()
        }
    }
}

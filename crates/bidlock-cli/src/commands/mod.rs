//! One file per subcommand, with its `run`; `beside` and the private ones are what several of them share.

pub(crate) mod bench;
pub(crate) mod beside;
pub(crate) mod bid;
pub(crate) mod chaos;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
mod evaluation;
pub(crate) mod import;
pub(crate) mod lock;
pub(crate) mod migrate;
mod new_ledger;
mod own_files;
mod own_folder;
pub(crate) mod posting;
pub(crate) mod reconcile;
pub(crate) mod sandbox;
pub(crate) mod scan;

use clap::error::ErrorKind;

use crate::{app::App, args::Command, exit::Exit, failure::CliError, output::Output};

/// Runs a command to its end.
///
/// # Errors
/// Whatever ends the command with an error message.
pub(crate) fn run(app: &App, command: Command) -> Result<Exit, CliError> {
    crate::logging::start(app);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        CliError::unavailable(format!("cannot start: {e}")).hint("check the limits on threads (ulimit -u)")
    })?;
    runtime.block_on(dispatch(app, command))
}

async fn dispatch(app: &App, command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Demo(args) => demo::run(app, args).await,
        Command::Scan(args) => scan::run(app, args).await,
        Command::Bid(args) => bid::run(app, args).await,
        Command::Lock(args) => lock::run(app, args).await,
        Command::Posting(args) => posting::run(app, args).await,
        Command::Reconcile(args) => reconcile::run(app, args).await,
        Command::Migrate(args) => migrate::run(app, args).await,
        Command::Import(args) => import::run(app, args).await,
        Command::Config(args) => config::run(app, args).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Sandbox(args) => sandbox::run(app, args).await,
        Command::Chaos(args) => chaos::run(app, args).await,
        Command::Completions(args) => completions::run(app, args).await,
        Command::Bench(args) => bench::run(app, args).await,
    }
}

/// Shows help and version, or says what is wrong with the command line: as JSON, if it asks for JSON.
pub(crate) fn refuse_command_line(error: &clap::Error) -> Exit {
    let wants_json = std::env::args_os().take_while(|a| a != "--").any(|a| a == "--json");
    let shows = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !shows && wants_json {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ").to_owned();
        Output::new(true, false, true).error(
            &CliError::usage(message)
                .hint("`bidlock --help` and `bidlock COMMAND --help` show what there is"),
        );
        return Exit::Usage;
    }
    // A closed stdout or stderr is nothing that could be reported anywhere.
    let _ = error.print();
    if shows { Exit::Ok } else { Exit::Usage }
}

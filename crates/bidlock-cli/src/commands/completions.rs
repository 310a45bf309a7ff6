//! `bidlock completions SHELL`.

use clap::CommandFactory;

use crate::{
    app::App,
    args::{Cli, CompletionsArgs},
    exit::Exit,
    failure::CliError,
};

/// Prints the script. Needs no configuration.
pub(crate) async fn run(app: &App, args: CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bidlock", &mut script);
    app.out.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}

//! `bidlock migrate`.

use crate::{app::App, args::MigrateArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: MigrateArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock migrate` is not built yet"))
}

//! `bidlock sandbox`.

use crate::{app::App, args::SandboxArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: SandboxArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock sandbox` is not built yet"))
}

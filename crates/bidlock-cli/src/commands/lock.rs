//! `bidlock lock`.

use crate::{app::App, args::LockArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: LockArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock lock` is not built yet"))
}

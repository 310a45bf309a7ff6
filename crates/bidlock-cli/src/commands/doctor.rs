//! `bidlock doctor`.

use crate::{app::App, args::DoctorArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: DoctorArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock doctor` is not built yet"))
}

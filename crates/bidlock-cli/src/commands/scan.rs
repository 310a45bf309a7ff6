//! `bidlock scan`.

use crate::{app::App, args::ScanArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: ScanArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock scan` is not built yet"))
}

//! `bidlock bid`.

use crate::{app::App, args::BidArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: BidArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock bid` is not built yet"))
}

//! `bidlock posting`.

use crate::{app::App, args::PostingArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: PostingArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock posting` is not built yet"))
}

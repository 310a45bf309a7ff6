//! `bidlock demo`.

use crate::{app::App, args::DemoArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: DemoArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock demo` is not built yet"))
}

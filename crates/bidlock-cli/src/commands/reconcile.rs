//! `bidlock reconcile`.

use crate::{app::App, args::ReconcileArgs, exit::Exit, failure::CliError};

/// Runs it.
pub(crate) async fn run(_app: &App, _args: ReconcileArgs) -> Result<Exit, CliError> {
    Err(CliError::unavailable("`bidlock reconcile` is not built yet"))
}

//! `bidlock bid …`: looking at bids, and what a person decides about one.

mod decide;
mod due;
mod find;
mod imported;
mod list;
mod show;
pub(super) mod view;
mod withdraw;

use crate::{
    app::App,
    args::{BidArgs, BidCommand},
    exit::Exit,
    failure::CliError,
};

/// Runs it.
pub(crate) async fn run(app: &App, args: BidArgs) -> Result<Exit, CliError> {
    match args.command {
        BidCommand::List(args) => list::run(app, args).await,
        BidCommand::Show(args) => show::show(app, args).await,
        BidCommand::History(args) => show::history(app, args).await,
        BidCommand::Approve(args) => decide::approve(app, args).await,
        BidCommand::Decline(args) => decide::decline(app, args).await,
        BidCommand::Withdraw(args) => withdraw::withdraw(app, args).await,
        BidCommand::Resolve(args) => decide::resolve(app, args).await,
    }
}

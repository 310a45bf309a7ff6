//! `bidlock lock …`: locks by hand, and a command under one.

mod lease;
mod operator;
mod run;

use bidlock::LockKey;

use crate::{
    app::App,
    args::{KeyArgs, LockArgs, LockCommand},
    exit::Exit,
    failure::CliError,
};

/// Runs it.
pub(crate) async fn run(app: &App, args: LockArgs) -> Result<Exit, CliError> {
    match args.command {
        LockCommand::Acquire(args) => lease::acquire(app, args).await,
        LockCommand::Renew(args) => lease::renew(app, args).await,
        LockCommand::Release(args) => lease::release(app, args).await,
        LockCommand::List(args) => operator::list(app, args).await,
        LockCommand::Show(args) => operator::show(app, args).await,
        LockCommand::ForceRelease(args) => operator::force_release(app, args).await,
        LockCommand::Run(args) => run::run(app, args).await,
    }
}

/// The key that scanners use for this posting, whatever form of its id was typed; or a named key.
///
/// # Errors
/// The parts can't be a key.
fn key_of(args: &KeyArgs) -> Result<LockKey, CliError> {
    let wrong = |e: &dyn std::fmt::Display| {
        CliError::usage(format!("{e}")).hint("give MARKETPLACE POSTING, or --name NAMESPACE NAME")
    };
    if let Some([namespace, name]) = args.name.as_deref() {
        return LockKey::named(namespace, name).map_err(|e| wrong(&e));
    }
    let marketplace = args.marketplace.as_deref().unwrap_or_default();
    let posting = args.posting.as_deref().unwrap_or_default();
    match bidlock_market::canonical(marketplace, posting) {
        Ok(id) => LockKey::posting(id.marketplace(), id.posting()).map_err(|e| wrong(&e)),
        // No posting that a scanner would bid on; a lock by that name harms nobody.
        Err(_) => LockKey::posting(&bidlock_market::identity::marketplace_name(marketplace), posting)
            .map_err(|e| wrong(&e)),
    }
}

/// How a key is written for people: `upwork/123` or `--name cron nightly`.
fn key_text(key: &LockKey) -> String {
    match (key.as_posting(), key.as_named()) {
        (Some((marketplace, posting)), _) => format!("{marketplace}/{posting}"),
        (None, Some((namespace, name))) => format!("{namespace} {name}"),
        (None, None) => key.to_string(),
    }
}

/// The end of a command that found the lock held.
fn held(key: &LockKey, held: &bidlock::Held) -> CliError {
    let left = bidlock_config::show_duration(held.remaining);
    CliError::new(
        Exit::Held,
        format!("{} is held by {} for another {left}, unless it renews", key_text(key), held.holder),
    )
    .hint("wait longer with --wait 1m; if the holder is gone for good, `bidlock lock force-release`")
}

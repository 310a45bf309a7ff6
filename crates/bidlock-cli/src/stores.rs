//! Opening ledger and locks, and their errors in words for people.

use std::{path::Path, sync::Arc};

use bidlock::{
    HolderId, LockBackend, LockManager,
    backends::{
        postgres::PostgresBackend,
        redis::{RedisBackend, RedisOptions},
        sqlite::SqliteBackend,
    },
};
use bidlock_config::{Config, LedgerPlace, LockChoice, LockPlace, ServerUrl};
use bidlock_ledger::{
    Effect, ErrorKind, LedgerError, LedgerStore, PostgresLedger, SqliteLedger, postgres::PostgresOptions,
    sqlite::Options,
};

use crate::{
    app::Access,
    exit::Exit,
    failure::{CliError, chain_of},
    telemetry,
};

/// Opens the ledger at this place, and answers whether that made it. `origin` says which setting chose it.
///
/// # Errors
/// There is none and it is not to be made, or it can't be opened.
pub(crate) async fn open_ledger(
    place: &LedgerPlace,
    access: Access,
    origin: &str,
) -> Result<(Arc<dyn LedgerStore>, bool), CliError> {
    let opened = match place {
        LedgerPlace::Sqlite(path) => open_file(path, access).await,
        LedgerPlace::Postgres(url) => open_database(url, access).await,
    };
    opened.map_err(|error| error.because_of(origin))
}

async fn open_file(path: &Path, access: Access) -> Result<(Arc<dyn LedgerStore>, bool), CliError> {
    let create = access == Access::ReadWrite;
    let is_there = path.try_exists().map_err(|e| {
        CliError::unavailable(format!("cannot look at {}: {e}", path.display()))
            .hint("let this user read the folder, or name another ledger: --database FILE")
    })?;
    if !create && !is_there {
        return Err(CliError::unavailable(format!("there is no ledger at {}", path.display()))
            .hint("the first `bidlock scan … --submit URL` makes it; or name another with --database FILE"));
    }
    let mut options = Options::new(path);
    options.create = create;
    // Opening waits for other processes that open it, on this thread.
    match tokio::task::spawn_blocking(move || SqliteLedger::open_with(options)).await {
        Ok(opened) => Ok((Arc::new(opened?), !is_there)),
        Err(panic) => Err(CliError::unavailable(format!("opening the ledger failed: {panic}"))
            .hint("this is a fault of bidlock; please report it")),
    }
}

async fn open_database(url: &ServerUrl, access: Access) -> Result<(Arc<dyn LedgerStore>, bool), CliError> {
    let options = PostgresOptions::new(url.with_password()).with_create(access == Access::ReadWrite);
    let ledger = PostgresLedger::open_with(options).await?;
    let made = ledger.was_made();
    Ok((Arc::new(ledger), made))
}

/// Opens the engine that keeps the locks: the one place where it is made.
///
/// # Errors
/// It can't be opened; the error names the setting that says where it is.
pub(crate) async fn open_lock_backend(choice: &LockChoice) -> Result<Arc<dyn LockBackend>, CliError> {
    let opened = match &choice.place {
        LockPlace::Memory => return in_memory().await,
        LockPlace::GrantAll if cfg!(feature = "canary") => bidlock::backends::open("unsafe-grant-all:").await,
        LockPlace::GrantAll => {
            let why = "`unsafe-grant-all:` gives every lock to everybody, and is in builds for tests alone";
            return Err(CliError::usage(why).because_of(&choice.place_by).hint(
                "name a lock store, or none: locks \
                are kept beside the ledger then",
            ));
        }
        LockPlace::Sqlite(path) => open_lock_file(path).await?,
        LockPlace::Redis(url) => open_redis(url).await,
        LockPlace::Postgres(url) => PostgresBackend::open(url.with_password()).await.map(shared),
    };
    opened.map(telemetry::metered).map_err(|error| CliError::from(error).because_of(&choice.place_by))
}

/// Locks that hold within this process alone.
///
/// # Errors
/// None that is known.
pub(crate) async fn in_memory() -> Result<Arc<dyn LockBackend>, CliError> {
    Ok(telemetry::metered(bidlock::backends::open("memory:").await?))
}

/// Redis locks whose server is connected to when it is first needed.
///
/// # Errors
/// The URL is none.
pub(crate) fn redis_when_needed(url: &ServerUrl) -> bidlock::Result<Arc<dyn LockBackend>> {
    let options = RedisOptions::from_url(url.with_password())?;
    Ok(telemetry::metered(Arc::new(RedisBackend::lazy(options))))
}

async fn open_redis(url: &ServerUrl) -> bidlock::Result<Arc<dyn LockBackend>> {
    RedisBackend::connect(RedisOptions::from_url(url.with_password())?).await.map(shared)
}

fn shared(backend: impl LockBackend) -> Arc<dyn LockBackend> {
    Arc::new(backend)
}

/// By its path, not by a URL: any file name is right. Opening waits for other processes that open it.
async fn open_lock_file(path: &Path) -> Result<bidlock::Result<Arc<dyn LockBackend>>, CliError> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || SqliteBackend::open(path)).await {
        Ok(opened) => Ok(opened.map(shared)),
        Err(panic) => Err(CliError::unavailable(format!("opening the locks failed: {panic}"))
            .hint("this is a fault of bidlock; please report it")),
    }
}

/// The locks of this backend under this process's name.
///
/// # Errors
/// The settings do not fit the manager.
pub(crate) fn lock_manager(
    backend: Arc<dyn LockBackend>,
    config: &Config,
    holder: &HolderId,
) -> Result<LockManager, CliError> {
    let manager =
        LockManager::builder(backend).ttl(config.lock.ttl).holder(holder.clone()).renewal(config.lock.renew);
    Ok(telemetry::counting(manager).build()?)
}

/// The libraries show their hint in brackets; here it has a line of its own.
fn without_hint(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| message.replacen(&format!(" ({hint})"), "", 1))
}

/// What broke, as far as the way out goes: both libraries name these kinds alike.
#[derive(Clone, Copy)]
enum Fault {
    Busy,
    Corrupt,
    Poisoned,
    Unfit,
    Other,
}

/// The way out where the engine names none of its own. Only of a file can it be told without looking: servers are mended
/// in as many ways as there are of running them.
fn way_out(fault: Fault, is_file: bool) -> &'static str {
    match fault {
        Fault::Poisoned => {
            "the disk is full or failing: make room or replace it, then run `bidlock doctor`; nothing is sent meanwhile"
        }
        Fault::Unfit if is_file => {
            "put it on a local disk that you may write to: --database FILE, --locks FILE"
        }
        Fault::Busy if is_file => {
            "another process keeps the file busy: try again, and look for a stopped process that has it open"
        }
        Fault::Corrupt if is_file => {
            "check that the disk is sound and that this is bidlock's file: a ledger that stays damaged is restored from a \
             backup before anything is sent; damaged locks may be deleted while nobody runs"
        }
        Fault::Other if is_file => "check the path and its permissions; `bidlock doctor` looks at everything",
        Fault::Busy | Fault::Corrupt | Fault::Unfit | Fault::Other => {
            "`bidlock doctor` looks at every engine, and says what each one lacks"
        }
    }
}

impl From<bidlock::Error> for CliError {
    fn from(error: bidlock::Error) -> CliError {
        use bidlock::ErrorKind;
        let mut message = without_hint(&chain_of(&error), error.hint());
        if error.effect() == bidlock::Effect::Unknown {
            message.push_str("; it may have been done all the same");
        }
        let out = |fault| (Exit::Unavailable, way_out(fault, error.backend() == "sqlite"));
        let (code, hint) = match error.kind() {
            ErrorKind::Invalid => (Exit::Usage, "see `bidlock lock --help`"),
            ErrorKind::Poisoned => out(Fault::Poisoned),
            ErrorKind::Unfit => out(Fault::Unfit),
            ErrorKind::Corrupt => out(Fault::Corrupt),
            ErrorKind::Busy => out(Fault::Busy),
            _ => out(Fault::Other),
        };
        CliError::new(code, message).hint(error.hint().unwrap_or(hint))
    }
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> CliError {
        let mut message = without_hint(&chain_of(&error), error.hint());
        if error.effect() == Effect::Unknown {
            message.push_str("; the change may have been applied all the same");
        }
        // A server's errors name their way out themselves, by SQLSTATE (`bidlock-postgres`).
        let out = |fault| (Exit::Unavailable, way_out(fault, true));
        let (code, hint) = match error.kind() {
            ErrorKind::Invalid => (Exit::Usage, "`bidlock bid list` shows what there is"),
            ErrorKind::SchemaBehind => (Exit::Unavailable, "run `bidlock migrate up`"),
            ErrorKind::SchemaNewer => {
                (Exit::Unavailable, "a newer bidlock wrote this ledger: upgrade this one")
            }
            ErrorKind::Internal => {
                (Exit::Unavailable, "this is a fault of bidlock; please report it with the message above")
            }
            ErrorKind::Poisoned => out(Fault::Poisoned),
            ErrorKind::Busy => out(Fault::Busy),
            ErrorKind::Unfit => out(Fault::Unfit),
            ErrorKind::Corrupt => out(Fault::Corrupt),
            _ => out(Fault::Other),
        };
        CliError::new(code, message).hint(error.hint().unwrap_or(hint))
    }
}

impl From<bidlock_pipeline::PipelineError> for CliError {
    fn from(error: bidlock_pipeline::PipelineError) -> CliError {
        use bidlock_pipeline::PipelineError;
        match error {
            PipelineError::Ledger(error) => error.into(),
            PipelineError::Locks(error) => error.into(),
            PipelineError::Legacy(error) => crate::commands::beside::refused("the replaced system", error),
            PipelineError::Invariant(what) => {
                CliError::new(Exit::InvariantViolated, format!("an invariant is violated: {what}"))
                    .hint("stop the scanners and look at the bid with `bidlock bid history`")
            }
            #[allow(unreachable_patterns, reason = "an engine that joins later has its own words")]
            other => CliError::unavailable(chain_of(&other)).hint("`bidlock doctor` looks at everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_ledger_says_the_way_out() {
        use bidlock_ledger::ErrorKind;
        for kind in [
            ErrorKind::Unavailable,
            ErrorKind::Busy,
            ErrorKind::Poisoned,
            ErrorKind::SchemaBehind,
            ErrorKind::SchemaNewer,
            ErrorKind::Unfit,
            ErrorKind::Corrupt,
            ErrorKind::Invalid,
            ErrorKind::Internal,
        ] {
            let error = CliError::from(LedgerError::new(kind, "open the ledger", "a fault").maybe_applied());
            let code = if kind == ErrorKind::Invalid { Exit::Usage } else { Exit::Unavailable };
            assert_eq!(error.code, code, "{kind:?}");
            assert!(error.hint.is_some() && error.message.contains("may have been applied"), "{error:?}");
        }
    }

    #[test]
    fn a_server_is_not_advised_about_as_a_file() {
        use bidlock::ErrorKind;
        for kind in [ErrorKind::Unavailable, ErrorKind::Busy, ErrorKind::Unfit, ErrorKind::Corrupt] {
            let hint =
                |engine| CliError::from(bidlock::Error::new(kind, engine, "open", "a fault")).hint.unwrap();
            let (file, server) = (hint("sqlite"), hint("redis"));
            assert!(["disk", "file", "path"].iter().any(|word| file.contains(word)), "{kind:?}: {file}");
            assert!(!["disk", "file", "path"].iter().any(|word| server.contains(word)), "{kind:?}: {server}");
        }
    }
}

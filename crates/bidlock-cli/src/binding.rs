//! Lock server and ledger belong together: scanners that share their locks must share their ledger, or the two
//! ledgers let out two bids. The id of the ledger is kept where the locks are, and looked at again while a scan runs. The
//! ledger in turn notes which lock servers have answered its scanners: one that never did is rather mistyped than away.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bidlock::{
    LedgerBinding, LockBackend,
    backends::redis::{RedisBackend, RedisOptions},
};
use bidlock_config::{LedgerPlace, LockChoice, ServerUrl};
use bidlock_ledger::{Actor, LedgerStore, NewNote};
use bidlock_pipeline::Stop;
use tokio::task::JoinHandle;

use crate::{exit::Exit, failure::CliError};

/// How long the lock server remembers the ledger after the last word of any scanner: longer than a fleet's night.
const MEMORY: Duration = Duration::from_secs(24 * 3_600);
/// How often a scan says it again. A server that has lost its data remembers again after this, and a scanner that
/// was overruled stops after this.
const EVERY: Duration = Duration::from_secs(30);
/// The same while another engine stands in for the one that keeps the id. That asks no server, and what the one that
/// was away says when it is back counts at once.
const EVERY_WHILE_UNKNOWN: Duration = Duration::from_secs(1);

/// What is to be kept together, in words for messages.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// This scanner's ledger.
    pub(crate) id: String,
    /// Where it is, and which setting says so.
    pub(crate) ledger: String,
    /// Where the locks are, and which setting says so.
    pub(crate) locks: String,
    /// This instance's name, for the record.
    pub(crate) holder: String,
    /// The lock server, by which the ledger remembers it; `None` where no server keeps the id.
    pub(crate) server: Option<String>,
    /// The ledger is a file, and each host has its own: no work begins before the locks have confirmed which one they
    /// serve. A ledger in a server is shared by nature.
    pub(crate) is_file: bool,
    /// Explicit development: work begins with what is not known.
    pub(crate) development: bool,
}

/// Says where locks are which ledger they serve. With `replace`, another's place is taken.
///
/// # Errors
/// The locks serve another ledger, or do not answer; or which one they serve is not known, and must be.
pub(crate) async fn bind(
    backend: &dyn LockBackend,
    ledger: &dyn LedgerStore,
    bound: &Bound,
    replace: bool,
) -> Result<(), CliError> {
    match backend.bind_ledger(&bound.id, MEMORY, replace).await? {
        LedgerBinding::Unsupported => return Ok(()),
        LedgerBinding::Bound => return remember(ledger, bound).await,
        LedgerBinding::Another(other) => return Err(another(bound, &other)),
        LedgerBinding::Unknown if bound.development => {}
        LedgerBinding::Unknown if bound.is_file => return Err(not_known(bound)),
        LedgerBinding::Unknown if !has_met(ledger, bound).await? => return Err(never_met(bound)),
        LedgerBinding::Unknown => {}
    }
    tracing::warn!(
        ledger = %bound.ledger,
        locks = %bound.locks,
        "the locks are away and can't say which ledger they serve: all their scanners must use this one, and this scan \
         stops if they turn out to serve another"
    );
    Ok(())
}

/// Looks before a ledger is made whether the locks serve another: the new one would only lie about, or be believed.
///
/// # Errors
/// They do; or they do not answer, and nobody knows whether they ever did.
pub(crate) async fn look_before_a_new_ledger(
    (place, ledger_by): (&LedgerPlace, &str),
    (server, choice): (&ServerUrl, &LockChoice),
    development: bool,
) -> Result<(), CliError> {
    let bound = Bound {
        id: "a new one".to_owned(),
        ledger: format!("{place}, {ledger_by}"),
        locks: format!("{}, {}", choice.place, choice.place_by),
        holder: String::new(),
        server: None,
        is_file: matches!(place, LedgerPlace::Sqlite(_)),
        development,
    };
    let asked =
        async { RedisBackend::lazy(RedisOptions::from_url(server.with_password())?).bound_ledger().await };
    match asked.await {
        Ok(None) => Ok(()),
        Ok(Some(other)) => Err(another(&bound, &other)),
        Err(error) if error.is_retryable() && development => Ok(()),
        Err(error) if error.is_retryable() => {
            let told = CliError::from(error);
            Err(never_met(&Bound { locks: format!("{} ({})", bound.locks, told.message), ..bound }))
        }
        Err(error) => Err(CliError::from(error).because_of(&choice.place_by)),
    }
}

/// The name under which the ledger notes a lock server.
fn note_of(server: &str) -> String {
    format!("locks at {server}")
}

/// Whether this lock server has ever answered a scanner of this ledger.
async fn has_met(ledger: &dyn LedgerStore, bound: &Bound) -> Result<bool, CliError> {
    let Some(server) = &bound.server else { return Ok(true) };
    Ok(ledger.note(&note_of(server)).await?.is_some())
}

async fn remember(ledger: &dyn LedgerStore, bound: &Bound) -> Result<(), CliError> {
    let Some(server) = &bound.server else { return Ok(()) };
    if has_met(ledger, bound).await? {
        return Ok(());
    }
    let actor = Actor::scanner(&bound.holder);
    let value = "has answered a scanner of this ledger".to_owned();
    // Another scanner may note the same at the same time: one note is enough.
    ledger.write_note(&NewNote { name: note_of(server), after: 0, value, actor }).await?;
    Ok(())
}

fn never_met(bound: &Bound) -> CliError {
    let Bound { ledger, locks, .. } = bound;
    CliError::new(
        Exit::Unavailable,
        format!(
            "the locks at {locks} do not answer, and no scanner of the ledger at {ledger} has ever reached them there: \
             the address may be wrong, and other scanners use another"
        ),
    )
    .hint(
        "correct the address, or start that server; once a scan has reached it, scans begin while it is away, too. \
         Nothing was sent; ENV=development begins without",
    )
}

fn not_known(bound: &Bound) -> CliError {
    let Bound { id, ledger, locks, .. } = bound;
    CliError::unavailable(format!(
        "the locks at {locks} are away and can't say which ledger they serve, and this one, {id} at {ledger}, is a \
         file of this host: beside scanners of another host it could send second bids"
    ))
    .hint(
        "wait until the locks are back, or give all scanners the ledger that they share \
         (DATABASE_URL=postgres://…); where nobody else bids, ENV=development begins without",
    )
}

fn another(bound: &Bound, other: &str) -> CliError {
    let Bound { id, ledger, locks, .. } = bound;
    CliError::usage(format!(
        "the locks at {locks} serve the scanners of ledger {other}, and this one's ledger is {id} at {ledger}: on \
         two ledgers a posting can get two bids"
    ))
    .hint(
        "give all scanners the same ledger (DATABASE_URL), or these locks of their own (another REDIS_DB); if the \
         other ledger is out of use for good, start once with --rebind-ledger",
    )
}

/// Keeps locks and ledger bound while it lives.
#[derive(Debug)]
pub(crate) struct Binding {
    refused: Arc<Mutex<Option<CliError>>>,
    task: JoinHandle<()>,
}

impl Binding {
    /// Goes on binding. Once the locks serve another ledger, the scan is drained.
    pub(crate) fn keep(backend: Arc<dyn LockBackend>, bound: Bound, stop: Stop) -> Binding {
        let refused = Arc::new(Mutex::new(None));
        let found = Arc::clone(&refused);
        let task = tokio::spawn(async move {
            // At the start it may not have been known.
            let mut pause = EVERY_WHILE_UNKNOWN;
            loop {
                tokio::time::sleep(pause).await;
                pause = EVERY;
                match backend.bind_ledger(&bound.id, MEMORY, false).await {
                    Ok(LedgerBinding::Bound) => {}
                    Ok(LedgerBinding::Unknown) => pause = EVERY_WHILE_UNKNOWN,
                    Ok(LedgerBinding::Unsupported) => return,
                    Ok(LedgerBinding::Another(other)) => {
                        tracing::warn!(%other, "the locks serve another ledger now: stopping");
                        *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(another(&bound, &other));
                        stop.drain();
                        return;
                    }
                    // Locks that are away are waited for where they are asked for.
                    Err(error) => tracing::debug!(%error, "the ledger's id could not be kept with the locks"),
                }
            }
        });
        Binding { refused, task }
    }

    /// Why the scan had to stop, if it had to.
    pub(crate) fn refused(&self) -> Option<CliError> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

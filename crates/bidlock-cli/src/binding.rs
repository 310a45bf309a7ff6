//! Lock server and ledger belong together: scanners that share their locks must share their ledger, or the two
//! ledgers let out two bids. The id of the ledger is kept where the locks are, and looked at again while a scan runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bidlock::{LedgerBinding, LockBackend};
use bidlock_pipeline::Stop;
use tokio::task::JoinHandle;

use crate::failure::CliError;

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
    /// The ledger is a file, and each host has its own: no work begins before the locks have confirmed which one they
    /// serve. A ledger in a server is shared by nature.
    pub(crate) must_be_known: bool,
}

/// Says where locks are which ledger they serve. With `replace`, another's place is taken.
///
/// # Errors
/// The locks serve another ledger, or do not answer; or which one they serve is not known, and must be.
pub(crate) async fn bind(backend: &dyn LockBackend, bound: &Bound, replace: bool) -> Result<(), CliError> {
    match backend.bind_ledger(&bound.id, MEMORY, replace).await? {
        LedgerBinding::Bound | LedgerBinding::Unsupported => Ok(()),
        LedgerBinding::Another(other) => Err(another(bound, &other)),
        LedgerBinding::Unknown if bound.must_be_known => Err(not_known(bound)),
        LedgerBinding::Unknown => {
            tracing::warn!(
                ledger = %bound.ledger,
                locks = %bound.locks,
                "the locks are away and can't say which ledger they serve: all their scanners must use this one, and \
                 this scan stops if they turn out to serve another"
            );
            Ok(())
        }
    }
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

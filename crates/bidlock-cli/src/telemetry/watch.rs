//! What is looked at when metrics are asked for: whether the stores answer, and the bids that wait for a person.

use std::{future::Future, sync::Arc, time::Duration};

use bidlock::LockManager;
use bidlock_ledger::{
    BidFilter, BidState, LedgerError, LedgerStore, Page, WallTime, layers::metrics::LEDGER,
};
use bidlock_metrics::{BACKEND_UP, BIDS_UNKNOWN, BIDS_UNKNOWN_OLDEST_AGE, Gauge};
use tokio::sync::Mutex;

use crate::app::App;

/// How long a store may take. It counts as down after that, and the answer goes out without it: well below the
/// 10 s that Prometheus waits.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// The stores of a scan.
#[derive(Debug)]
pub(crate) struct Watched {
    ledger: Arc<dyn LedgerStore>,
    locks: LockManager,
    unknown: Gauge,
    oldest: Gauge,
    /// One look at a time: the stores have other work.
    looking: Mutex<()>,
}

impl Watched {
    /// These. Both with their answers counted: a look that fails is then seen in their series.
    pub(crate) fn new(ledger: Arc<dyn LedgerStore>, locks: LockManager) -> Watched {
        let (unknown, oldest) = (BIDS_UNKNOWN.gauge(&[]), BIDS_UNKNOWN_OLDEST_AGE.gauge(&[]));
        unknown.set(0.0);
        oldest.set(0.0);
        Watched { ledger, locks, unknown, oldest, looking: Mutex::default() }
    }

    /// Brings the gauges up to date, as far as the stores answer in time.
    pub(super) async fn look(&self) {
        let _one_at_a_time = self.looking.lock().await;
        tokio::join!(
            in_time(LEDGER, async { self.unknown().await.map_err(|error| error.to_string()) }),
            in_time(self.locks.capability().name, async {
                self.locks.check().await.map(drop).map_err(|error| error.to_string())
            }),
        );
    }

    async fn unknown(&self) -> Result<(), LedgerError> {
        let filter = BidFilter { states: vec![BidState::Unknown], ..BidFilter::default() };
        let count: u64 = self.ledger.count(&filter).await?.iter().map(|(_, count)| count).sum();
        let first = self.ledger.list(&filter, &Page { after: None, limit: 1 }).await?;
        let age_ms = first.first().map_or(0, |bid| {
            let sent = bid.last_sent_at.unwrap_or(bid.created_at);
            now().0.saturating_sub(sent.0).max(0)
        });
        // Neither loses anything that matters to a person.
        #[allow(clippy::cast_precision_loss, reason = "no ledger has so many bids, or such old ones")]
        let (count, age_s) = (count as f64, age_ms as f64 / 1_000.0);
        self.unknown.set(count);
        self.oldest.set(age_s);
        Ok(())
    }
}

fn now() -> WallTime {
    WallTime(App::now().as_millisecond())
}

/// Waits for a look. One that fails has been counted where it failed; one that takes too long is noted here.
async fn in_time(engine: &'static str, look: impl Future<Output = Result<(), String>>) {
    match tokio::time::timeout(LOOK_LIMIT, look).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(engine, %error, "a look for the metrics failed"),
        Err(_) => BACKEND_UP.gauge(&[engine]).set(0.0),
    }
}

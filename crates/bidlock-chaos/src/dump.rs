//! What the ledger holds at the end of a run, line by line.

use std::sync::Arc;

use bidlock_ledger::{
    BidFilter, Cursor, LedgerStore, Page, PostgresLedger, SqliteLedger, postgres::PostgresOptions,
    store::MAX_PAGE,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::RigError,
    fault::Place,
    history::{LedgerLine, Lines},
    world::World,
};

/// Histories that are asked for at the same time.
const AT_ONCE: usize = 16;

/// Writes every bid with its events to the run's `ledger.jsonl`.
///
/// # Errors
/// The ledger can't be read, or the file not be written.
pub(crate) async fn ledger(world: &World) -> Result<(), RigError> {
    let ledger = open(world).await?;
    let mut lines = Lines::create(&world.folder().ledger())?;
    lines.add(&LedgerLine::Ledger { id: ledger.ledger_id() })?;
    let mut page = Page { after: None, limit: MAX_PAGE };
    loop {
        let bids = ledger.list(&BidFilter::default(), &page).await?;
        let Some(last) = bids.last() else { break };
        page.after = Some(Cursor(last.id));
        let with_events = stream::iter(bids).map(|bid| async {
            let events = ledger.history(bid.id).await?;
            Ok::<_, RigError>((bid, events))
        });
        let mut with_events = with_events.buffered(AT_ONCE);
        while let Some((bid, events)) = with_events.try_next().await? {
            lines.add(&LedgerLine::Bid(Box::new(bid)))?;
            for event in events {
                lines.add(&LedgerLine::Event(Box::new(event)))?;
            }
        }
    }
    Ok(lines.flush()?)
}

async fn open(world: &World) -> Result<Arc<dyn LedgerStore>, RigError> {
    if world.plan.engines.ledger() == Place::Sqlite {
        let path = world.ledger_file();
        // Opening waits for other processes that have it open, on this thread.
        let opened = tokio::task::spawn_blocking(move || SqliteLedger::open(path)).await;
        let opened = opened.map_err(|why| RigError::Engine { doing: "be opened", why: why.to_string() })?;
        return Ok(Arc::new(opened?));
    }
    let options = PostgresOptions::new(world.servers.postgres_url());
    Ok(Arc::new(PostgresLedger::open_with(options).await?))
}

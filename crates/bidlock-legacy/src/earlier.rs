//! Bids that were made without the old table: shown there before a scan beside old instances begins.

use std::collections::HashMap;

use bidlock_ledger::{
    Bid, BidFilter, BidState, Cursor, LedgerStore, Page, PostingId, UnknownCause, WallTime, store::MAX_PAGE,
};
use bidlock_pipeline::{
    LegacyBids, LegacyError, LegacyName, PipelineError,
    legacy::{LEGACY_HOLDER, is_shown},
};
use jiff::Timestamp;

use crate::{
    database::{LegacyDatabase, Written},
    row::{Known, OldRow},
    showing::{Showing, new_row},
    status::{is_live, word_of},
};

/// Bids written in one transaction of the old database: an old instance that writes waits for no longer than that.
const BATCH: usize = 100;
/// How many of the postings that were bid on twice are named.
const NAMED: usize = 5;

/// What showing earlier bids came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Bids of ours that were looked for in the old table.
    pub looked_for: u64,
    /// Of these, how many were missing there under one of their names, and stand there now.
    pub shown: u64,
    /// Postings that may have been sent to by us, and have a live bid of an old instance as well.
    pub bid_on_by_both: u64,
    /// The first of these.
    pub named: Vec<PostingId>,
}

/// A bid that is not to be seen under each of its names.
struct Missing {
    bid: Bid,
    names: Vec<LegacyName>,
    /// What old instances have under some of them.
    beside_ours: Known,
}

impl LegacyDatabase {
    /// Shows every bid of the ledger that was sent, may have been, or may yet be, under each name that follows from its
    /// posting and its page: old instances pass over it from then on. Rows that stand there are left as they are,
    /// ours and theirs. How a source wrote an id is not kept in the ledger: a name that follows
    /// from neither is not shown.
    ///
    /// Harmless to repeat, and to run at once with other scanners. It reads all bids, or those that were made at or after
    /// `since`, a page at a time.
    ///
    /// # Errors
    /// One of the databases can't answer; or a bid can't stand there: the error names it.
    pub async fn show_earlier(
        &self,
        ledger: &dyn LedgerStore,
        since: Option<WallTime>,
    ) -> Result<Earlier, PipelineError> {
        self.refresh().await?;
        let states = BidState::ALL.into_iter().filter(|state| is_shown(*state)).collect();
        let filter = BidFilter { states, since, ..BidFilter::default() };
        let mut page = Page { after: None, limit: MAX_PAGE };
        let mut done = Earlier::default();
        loop {
            let bids = ledger.list(&filter, &page).await?;
            let Some(last) = bids.last() else { return Ok(done) };
            page.after = Some(Cursor(last.id));
            // A posting that was freed for a new bid is everybody's; an imported one is theirs.
            let ours =
                bids.into_iter().filter(|bid| !bid.rebid_allowed && bid.claimant.holder != LEGACY_HOLDER);
            let named = ours.map(|bid| {
                let page: Vec<String> = bid.payload.posting_url.iter().cloned().collect();
                let names = self.names(&bid.posting, &page);
                (bid, names)
            });
            self.show_named(named.collect(), &mut done).await?;
        }
    }

    pub(crate) async fn show_named(
        &self,
        bids: Vec<(Bid, Vec<LegacyName>)>,
        done: &mut Earlier,
    ) -> Result<(), LegacyError> {
        done.looked_for += bids.len() as u64;
        let mut named = Vec::with_capacity(bids.len());
        for (bid, names) in bids {
            let names = self.storable(&names).ok_or_else(|| LegacyError {
                message: self.no_name_fits(&bid),
                hint: Some("lengthen the columns `marketplace` and `job_id` of `bids`".to_owned()),
                retryable: false,
            })?;
            named.push((bid, names));
        }
        let found = self.by_name(named.iter().flat_map(|(_, names)| names).cloned().collect()).await?;
        let mut missing = Vec::new();
        for (bid, names) in named {
            let rows: Vec<&OldRow> = names.iter().filter_map(|name| found.get(name)).flatten().collect();
            let theirs: Vec<&OldRow> = rows.into_iter().filter(|row| !row.mirrored).collect();
            if may_be_sent_twice(&bid, &theirs) {
                done.bid_on_by_both += 1;
                if done.named.len() < NAMED {
                    done.named.push(bid.posting.clone());
                }
            }
            // A row of theirs speaks for the names that it stands under; what was sent must be seen under the others, too.
            // What was not sent is theirs: whoever comes to send it finds their row first.
            let is_seen = !theirs.is_empty() && !bid.state.may_have_arrived();
            if !is_seen && names.iter().any(|name| !found.contains_key(name)) {
                let beside_ours = Known::rows(theirs);
                missing.push(Missing { bid, names, beside_ours });
            }
        }
        for batch in missing.chunks(BATCH) {
            self.show_batch(batch).await?;
            done.shown += batch.len() as u64;
        }
        Ok(())
    }

    /// Together; where that fails, one by one, so that the one in the way is named.
    async fn show_batch(&self, batch: &[Missing]) -> Result<(), LegacyError> {
        let all = batch.iter().map(|missing| self.showing(missing)).collect();
        if let Ok(Written::Done) = self.write(all).await {
            return Ok(());
        }
        for missing in batch {
            let bid = &missing.bid;
            match self.write(vec![self.showing(missing)]).await {
                // An old instance was faster: its row keeps the others away as well.
                Ok(Written::Done | Written::Overtaken) => {}
                Ok(Written::Foreign(rows)) if !rows.is_empty() => {}
                Ok(Written::Foreign(_)) => return Err(self.cant_be_written(bid)),
                Err(error) => {
                    let message = format!("bid {} on {}: {}", bid.id, bid.posting, error.message);
                    return Err(LegacyError { message, ..error });
                }
            }
        }
        Ok(())
    }

    fn showing(&self, Missing { bid, names, beside_ours }: &Missing) -> Showing {
        let at = bid.last_sent_at.unwrap_or(bid.created_at);
        Showing {
            names: names.clone(),
            claim: bid.claim_id.to_string(),
            epoch: bid.epoch.0,
            status: self.shape().word(word_of(bid.state)),
            new: new_row(bid, Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH)),
            overruled: beside_ours.clone(),
            only_missing: true,
        }
    }

    /// The rows under each of these names that has any.
    pub(crate) async fn by_name(
        &self,
        names: Vec<LegacyName>,
    ) -> Result<HashMap<LegacyName, Vec<OldRow>>, LegacyError> {
        let mut by_name: HashMap<LegacyName, Vec<OldRow>> = HashMap::new();
        for row in self.rows(names).await? {
            by_name.entry(row.name()).or_default().push(row);
        }
        Ok(by_name)
    }
}

/// Ours went out, and theirs is a bid of its own.
fn may_be_sent_twice(bid: &Bid, theirs: &[&OldRow]) -> bool {
    bid.attempts > 0
        && bid.state.may_have_arrived()
        && bid.unknown_cause != Some(UnknownCause::Legacy)
        && theirs.iter().any(|row| is_live(&row.status))
}

//! What the replaced system's row said of an imported bid. The ledger's own row was made when it was imported, and has no
//! amount, since the old table names no currency.

use bidlock_ledger::{Bid, BidEvent, LedgerStore, WallTime};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::view;
use crate::{failure::CliError, output};

/// Histories that are read at once.
const AT_ONCE: usize = 16;
/// As whom imported bids stand in the ledger.
const HOLDER: &str = "legacy";

/// Amount and time of an old row, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OldRow {
    /// As it stands there, in whatever currency.
    pub(super) amount: Option<String>,
    pub(super) at: Option<WallTime>,
}

impl OldRow {
    /// Of a bid's history; `None` where no import began it.
    pub(super) fn of(bid: &Bid, history: &[BidEvent]) -> Option<OldRow> {
        let row = &history.first()?.detail.get("legacy")?["row"];
        let amount = match &row["bid_amount"] {
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        Some(OldRow { amount, at: bid.first_sent_at })
    }

    /// For a person, under names of their own.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let amount = self.amount.iter().map(|amount| ("old amount", amount.clone()));
        amount.chain(self.at.map(|at| ("old row of", view::time(at)))).collect()
    }

    /// For JSON: beside the ledger's own times and amount, not in their place.
    pub(super) fn json(&self) -> Value {
        json!({ "bid_amount": self.amount, "at": self.at.map(view::time) })
    }
}

/// Those of these bids, in their order.
///
/// # Errors
/// The ledger can't answer.
pub(super) async fn old_rows(
    ledger: &dyn LedgerStore,
    bids: &[Bid],
) -> Result<Vec<Option<OldRow>>, CliError> {
    let read = |bid: &Bid| {
        let bid = bid.clone();
        async move {
            if bid.claimant.holder != HOLDER {
                return Ok(None);
            }
            Ok::<_, CliError>(OldRow::of(&bid, &ledger.history(bid.id).await?))
        }
    };
    stream::iter(bids.iter().map(read)).buffered(AT_ONCE).try_collect().await
}

/// The amount for a person: the bid's own, else what the old row says.
pub(super) fn amount(bid: &Bid, old: Option<&OldRow>) -> String {
    match (bid.payload.amount, old.and_then(|old| old.amount.as_ref())) {
        (None, Some(amount)) => amount.clone(),
        (amount, _) => output::money(amount),
    }
}

/// When it was made, for a person: by the replaced system, if that did.
pub(super) fn made(bid: &Bid, old: Option<&OldRow>) -> String {
    view::time(old.and_then(|old| old.at).unwrap_or(bid.created_at))
}

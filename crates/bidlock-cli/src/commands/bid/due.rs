//! What time alone has decided about a bid, but no sweep has recorded yet.

use bidlock_ledger::{Bid, BidState, LedgerStore, Swept, WallTime};

use crate::{app::App, failure::CliError};

/// How many rows one sweep moves at the most.
const SWEEP_LIMIT: u32 = 256;
/// How many sweeps go before a decision, should so many rows be due before the named one: a bound, not a wish.
const MAX_SWEEPS: u32 = 4_096;

/// The bid as a sweep leaves it: a submission whose scanner died is `submitting`, and an approval that has run out
/// is `approved`, until one says what it is. A sweep takes the oldest rows first, so that it may need several to
/// come to this one. The ledger decides what is due; a bid that is not is left alone.
///
/// # Errors
/// The ledger failed.
pub(super) async fn swept(ledger: &dyn LedgerStore, mut bid: Bid) -> Result<Bid, CliError> {
    for _ in 0..MAX_SWEEPS {
        if !is_due(&bid) || ledger.sweep(SWEEP_LIMIT).await? == Swept::default() {
            break;
        }
        bid = ledger.bid(bid.id).await?.unwrap_or(bid);
    }
    Ok(bid)
}

fn is_due(bid: &Bid) -> bool {
    let now = WallTime(App::now().as_millisecond());
    let approval_over =
        bid.state == BidState::Approved && bid.approved_until.is_some_and(|until| until <= now);
    approval_over || bid.claim_remaining.is_some_and(|left| left.is_zero())
}

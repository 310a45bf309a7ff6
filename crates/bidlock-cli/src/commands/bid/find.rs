//! Which bid a person means: its id, the beginning of it, or `MARKETPLACE/POSTING`.

use bidlock_ledger::{Bid, BidFilter, BidId, Cursor, LedgerStore, Page};
use uuid::Uuid;

use crate::failure::CliError;

/// A shorter beginning is more likely a typing mistake than a bid.
const LEAST_PREFIX: usize = 4;
/// How many bids an ambiguous beginning lists.
const SHOWN: u32 = 5;

/// Finds the one bid.
///
/// # Errors
/// There is none, or several begin so.
pub(super) async fn find(ledger: &dyn LedgerStore, text: &str) -> Result<Bid, CliError> {
    let text = text.trim();
    if let Some((marketplace, posting)) = text.split_once('/') {
        return by_posting(ledger, text, marketplace, posting).await;
    }
    let digits: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    if digits.len() < LEAST_PREFIX || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(CliError::usage(format!("`{text}` names no bid")).hint(
            "give its id, at least 4 digits of its beginning, or MARKETPLACE/POSTING; see `bidlock bid list`",
        ));
    }
    by_prefix(ledger, text, &digits).await
}

/// Ids sort as their digits do: what begins with the digits stands right behind digits, 0, 0, ….
async fn by_prefix(ledger: &dyn LedgerStore, text: &str, digits: &str) -> Result<Bid, CliError> {
    let least = u128::from_str_radix(&format!("{digits:0<32}"), 16).unwrap_or(0);
    let after = least.checked_sub(1).map(|n| Cursor(BidId(Uuid::from_u128(n))));
    let page = Page { after, limit: SHOWN };
    let mut found = ledger.list(&BidFilter::default(), &page).await?;
    found.retain(|bid| bid.id.0.simple().to_string().starts_with(digits));
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(CliError::usage(format!("there is no bid `{text}`"))
            .hint("`bidlock bid list` shows the bids there are")),
        _ => {
            let names: Vec<String> = found.iter().map(|b| format!("{} ({})", b.id, b.posting)).collect();
            Err(CliError::usage(format!("several bids begin with `{text}`: {}", names.join(", ")))
                .hint("give more of the id; ids that were made close together begin alike"))
        }
    }
}

/// A posting has several rows only after a withdrawal or a resolution that freed it: the last one is meant.
async fn by_posting(
    ledger: &dyn LedgerStore,
    text: &str,
    marketplace: &str,
    posting: &str,
) -> Result<Bid, CliError> {
    let as_written = (marketplace.to_owned(), posting.to_owned());
    let canonical = bidlock_market::canonical(marketplace, posting)
        .map(|id| (id.marketplace().to_owned(), id.posting().to_owned()))
        .ok()
        .filter(|id| *id != as_written);
    for (marketplace, posting) in std::iter::once(as_written).chain(canonical) {
        let filter =
            BidFilter { marketplace: Some(marketplace), posting: Some(posting), ..BidFilter::default() };
        let page = Page { after: None, limit: bidlock_ledger::store::MAX_PAGE };
        if let Some(last) = ledger.list(&filter, &page).await?.into_iter().max_by_key(|b| b.epoch) {
            return Ok(last);
        }
    }
    Err(CliError::usage(format!("there is no bid on {text}"))
        .hint(format!("`bidlock bid list --marketplace {marketplace}` shows the bids there are")))
}

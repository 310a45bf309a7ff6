//! Which of the marketplace's bids on a posting is the one that a row of the ledger sent.

use bidlock_ledger::{Bid, BidFilter, BidState, LedgerStore, Page, store::MAX_PAGE};
use bidlock_market::{CLOCK_ALLOWANCE, RemoteBid, find_ours};
use jiff::Timestamp;

use crate::pipeline::PipelineError;

#[cfg(test)]
pub(crate) mod tests;

/// Since when a look-up by time may find the bid: its last sending, as every one before came back with proof that
/// nothing was accepted.
pub(crate) fn sent_at(bid: &Bid) -> Option<Timestamp> {
    bid.last_sent_at.and_then(|t| Timestamp::from_millisecond(t.0).ok())
}

/// What a look-up says of one bid.
pub(crate) enum Found<'a> {
    /// This one at the marketplace is it.
    Ours(&'a RemoteBid),
    /// None is, in words. No proof of anything.
    Not(String),
}

/// Finds a bid among those that the marketplace has on its posting. What another row has is not taken from it, and
/// where a `not_submitted` bid has a later one with its key, which was sent too, that one comes first: this one
/// is found only by a further bid, or by one made clearly before the later one was first sent.
pub(crate) async fn find_among<'a>(
    ledger: &dyn LedgerStore,
    bid: &Bid,
    remote: &'a [RemoteBid],
) -> Result<Found<'a>, PipelineError> {
    let filter = BidFilter {
        marketplace: Some(bid.posting.marketplace().to_owned()),
        posting: Some(bid.posting.posting().to_owned()),
        ..BidFilter::default()
    };
    // Read after the look-up: what is not sent by now was not found by it.
    let mut rows = ledger.list(&filter, &Page { after: None, limit: MAX_PAGE }).await?;
    rows.retain(|row| row.id != bid.id);
    Ok(choose(bid, &rows, remote))
}

fn choose<'a>(bid: &Bid, others: &[Bid], remote: &'a [RemoteBid]) -> Found<'a> {
    let mut taken: Vec<String> = others
        .iter()
        .filter(|row| is_settled_there(row.state))
        .filter_map(|row| row.external_ref.clone())
        .collect();
    let mut ours = Vec::new();
    // Ends: each round takes at least one of them out.
    while let Some(found) = find_ours(remote, bid.idempotency_key, sent_at(bid), &taken) {
        taken.push(found.external_ref.clone());
        ours.push(found);
    }
    let rivals: Vec<&Bid> = others.iter().filter(|row| comes_first(row, bid)).collect();
    if rivals.iter().any(|row| row.state == BidState::Submitting) {
        return Found::Not("a later bid on the posting is being sent at this moment; ask again".to_owned());
    }
    let first_sent = rivals.iter().filter_map(|row| row.first_sent_at).min();
    let clearly_before = first_sent
        .and_then(|t| Timestamp::from_millisecond(t.0).ok())
        .and_then(|t| t.checked_sub(CLOCK_ALLOWANCE).ok());
    let dated = ours.iter().find(|r| r.created_at.zip(clearly_before).is_some_and(|(at, limit)| at < limit));
    match dated.or(if ours.len() > rivals.len() { ours.first() } else { None }) {
        Some(found) => Found::Ours(found),
        None if ours.is_empty() => Found::Not(format!(
            "not among the {} bids the marketplace shows: no proof, a person decides",
            remote.len()
        )),
        None => Found::Not("what the marketplace shows may be the later bid on the posting".to_owned()),
    }
}

/// The marketplace's name of such a bid is known for certain.
fn is_settled_there(state: BidState) -> bool {
    use BidState::*;
    matches!(state, Submitted | Won | Lost | Withdrawing | Withdrawn)
}

/// Whether a bid found under the key of both is `later`'s rather than `bid`'s: the later one was sent, did not come
/// back with proof that nothing was accepted, and is not known by a name of its own.
fn comes_first(later: &Bid, bid: &Bid) -> bool {
    use BidState::*;
    let unnamed = is_settled_there(later.state) && later.external_ref.is_none();
    bid.state == NotSubmitted
        && later.epoch > bid.epoch
        && later.idempotency_key == bid.idempotency_key
        && later.attempts > 0
        && (unnamed || matches!(later.state, Submitting | Unknown | NotSubmitted))
}
